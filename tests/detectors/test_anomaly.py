"""What the anomaly detector sees, learns and accepts."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.anomaly import PRESETS, AnomalyBank, AnomalyDetector, AnomalySettings, Judged
from detectors.local_time import local_seconds

MINUTE = 60 * 10**9
DAY = 1440
MONDAY = 1_767_571_200 * 10**9


def times(n: int, begin: int = MONDAY) -> np.ndarray:
    return begin + np.arange(n) * MINUTE


def latency(n: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).lognormal(3.0, 0.1, n)


def judged(values: np.ndarray, settings: AnomalySettings | None = None, begin: int = MONDAY) -> Judged:
    return AnomalyBank(settings or AnomalySettings(), 1).run(times(len(values), begin), values[:, None])


def test_it_is_silent_for_two_hours_and_speaks_after_three() -> None:
    score = judged(latency(400)).score[:, 0]
    assert np.isnan(score[:120]).all()
    assert not np.isnan(score[180:]).any()


def test_an_outlier_is_rarer_than_anything_before_it() -> None:
    values = latency(2 * DAY)
    values[-1] *= 2
    score = judged(values).score[:, 0]
    assert score[-1] > np.nanmax(score[:-1])


def test_the_default_sees_too_little_and_the_latency_preset_does_not() -> None:
    values = latency(2 * DAY)
    values[-1] /= 3
    assert judged(values).score[-1, 0] > 0.6
    assert judged(values, PRESETS["latency"]).score[-1, 0] < 0.3


def test_a_new_level_is_reported_at_once_and_ordinary_a_day_later() -> None:
    values = latency(6 * DAY)
    values[4 * DAY :] *= 1.6
    score = judged(values).score[:, 0]
    assert score[4 * DAY : 4 * DAY + 5].max() > 0.5
    assert (score[5 * DAY :] > 0.5).mean() < 0.001
    assert np.nanmean(score[5 * DAY :]) < 2 * np.nanmean(score[2 * DAY : 4 * DAY])


def test_an_anomaly_of_an_hour_does_not_hide_the_same_a_day_later() -> None:
    values = latency(6 * DAY)
    for begin in (3 * DAY, 4 * DAY + 77, 5 * DAY + 200):
        values[begin : begin + 60] *= 1.6
    score = judged(values).score[:, 0]
    ordinary = score[2 * DAY : 3 * DAY].max()
    for begin in (3 * DAY, 4 * DAY + 77, 5 * DAY + 200):
        assert score[begin : begin + 15].max() > ordinary


def test_a_peak_of_every_day_is_forgiven_though_it_moves_by_minutes() -> None:
    values = latency(9 * DAY)
    rng = np.random.default_rng(2)
    for day in range(9):
        begin = day * DAY + 180 + int(rng.integers(-5, 6))
        values[begin : begin + 3] *= 2
    values[8 * DAY + 800 : 8 * DAY + 803] *= 2
    score = judged(values).score[:, 0]
    assert score[8 * DAY + 170 : 8 * DAY + 200].max() < score[8 * DAY + 800 : 8 * DAY + 803].max()


def test_what_comes_back_every_day_is_ordinary_from_the_third_time_on() -> None:
    """Ten minutes at three times the level, the first of them an anomaly; at another hour it still is one."""
    values = latency(9 * DAY)
    for day in range(3, 9):
        values[day * DAY + 400 : day * DAY + 410] *= 3
    values[8 * DAY + 1000 : 8 * DAY + 1010] *= 3
    score = judged(values).score[:, 0]
    peaks = [float(score[day * DAY + 395 : day * DAY + 425].max()) for day in range(3, 9)]
    assert peaks[0] > 0.6
    assert max(peaks[2:]) < 0.45
    assert score[8 * DAY + 1000 : 8 * DAY + 1010].max() > 0.6


def test_it_knows_the_day_after_three_and_the_band_follows_it() -> None:
    rng = np.random.default_rng(3)
    shape = 300 + 250 * np.sin(2 * np.pi * np.arange(5 * DAY) / DAY)
    found = judged(rng.poisson(shape).astype(float))
    late = slice(3 * DAY, None)
    expected = found.expected[late, 0]
    assert np.corrcoef(expected, shape[late])[0, 1] > 0.99
    assert (np.abs(expected - shape[late]) < 60).mean() > 0.99


def test_the_band_holds_what_it_promises() -> None:
    """Of ordinary values, one in a hundred is outside: within a factor of two."""
    values = latency(10 * DAY)
    found = judged(values)
    late = slice(2 * DAY, None)
    outside = (values[late] < found.lower[late, 0]) | (values[late] > found.upper[late, 0])
    assert 0.005 < outside.mean() < 0.02


def test_the_band_ends_where_no_value_can_be() -> None:
    values = np.random.default_rng(4).poisson(0.7, 600).astype(float)
    free, bound = judged(values), judged(values, AnomalySettings(least=0.0))
    assert np.nanmin(free.lower) < 0
    for each, whole in ((bound.expected, free.expected), (bound.lower, free.lower), (bound.upper, free.upper)):
        np.testing.assert_array_equal(each, np.maximum(whole, 0.0))
    np.testing.assert_array_equal(bound.score, free.score)
    detector = AnomalyDetector(AnomalySettings(least=0.0))
    for value, time_ns in zip(values[:-1].tolist(), times(600)[:-1].tolist(), strict=True):
        detector.learn_one(value, time_ns)
    band = (bound.expected[-1, 0], bound.lower[-1, 0], bound.upper[-1, 0])
    assert detector.band_one(values[-1], times(600)[-1].item()) == band


def test_a_score_promises_how_rare_it_is() -> None:
    """One row in a hundred reaches −log10 p = 2, one in a thousand 3: within a factor of two, on plain noise."""
    rows = AnomalyBank(AnomalySettings(), 8).run(
        times(10 * DAY), np.stack([latency(10 * DAY, seed) for seed in range(8)], axis=1)
    )
    score = rows.score[3 * DAY :]
    assert 0.005 < (score >= 2 / 8).mean() < 0.02
    assert 0.0003 < (score >= 3 / 8).mean() < 0.002


def test_a_gap_is_no_anomaly() -> None:
    values = latency(3 * DAY)
    values[2 * DAY : 2 * DAY + 200] = np.nan
    score = judged(values).score[:, 0]
    assert np.isnan(score[2 * DAY : 2 * DAY + 200]).all()
    assert score[2 * DAY + 200 : 2 * DAY + 260].max() < 0.5


@pytest.mark.parametrize(("begin", "row"), [(1_773_961_200 * 10**9, 150), (1_792_101_600 * 10**9, 270)])
def test_the_day_is_the_wall_clocks_across_daylight_saving(begin: int, row: int) -> None:
    """A job at 03:30 in Berlin stays at 03:30 when the clocks are moved, by UTC an hour earlier in spring and later in
    autumn; from Friday, 20 March or 16 October 2026, 00:00 in Berlin: they are moved on the second Sunday.
    """
    values = latency(14 * DAY)
    local = local_seconds(times(14 * DAY, begin), "Europe/Berlin") % 86_400
    values[(local >= 12_600) & (local < 13_200)] *= 3
    berlin = judged(values, AnomalySettings(zone="Europe/Berlin"), begin).score[:, 0]
    utc = judged(values, AnomalySettings(zone="UTC"), begin).score[:, 0]
    moved = slice(9 * DAY + row, 9 * DAY + row + 10)
    assert (local[moved] == 12_600 + 60 * np.arange(10)).all()
    assert berlin[moved].max() < 0.5 * utc[moved].max()


def test_ten_times_the_usual_is_seen_after_three_hours() -> None:
    values = latency(203)
    values[200:] *= 10
    score = judged(values).score[:, 0]
    assert score[200] > 0.3 + np.nanmax(score[:200])


def test_a_failure_now_and_then_is_no_anomaly_and_six_in_six_minutes_are() -> None:
    """Fewer than one in twenty minutes: most of the past is zero, and a mean absolute gap far below one failure."""
    for seed in range(8):
        values = np.random.default_rng(seed).poisson(0.04, 8 * DAY).astype(float)
        values[7 * DAY + 600 : 7 * DAY + 606] += 1
        score = judged(values).score[:, 0]
        assert (score[3 * DAY : 7 * DAY] > 0.45).mean() < 0.02
        assert score[7 * DAY + 600 : 7 * DAY + 606].max() > 0.45


def test_a_gauge_that_stood_still_for_a_day_may_move_from_then_on() -> None:
    rng = np.random.default_rng(5)
    moves = np.where(rng.random(10 * DAY) < 1 / 300, rng.choice((-1, 1), 10 * DAY), 0)
    moves[: DAY + 200] = 0
    values = 53 + np.clip(np.cumsum(moves), -4, 4).astype(float)
    score = judged(values).score[:, 0]
    assert score[DAY + 200 : 3 * DAY].max() > 0.45
    assert (score[5 * DAY :] > 0.45).mean() < 0.01


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"step": 0.0}, "positive"),
        ({"miss": 1.5}, "share"),
        ({"direction": "sideways"}, "up, down or both"),
        ({"patience": 3_600.0}, "patience is longer"),
        ({"least": float("nan")}, "finite number"),
    ],
)
def test_settings_that_make_no_sense_are_refused_with_a_sentence(wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        AnomalySettings(**wrong)  # type: ignore[arg-type]
