"""How the anomaly detector learns a series, and what an anomaly leaves behind."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from detectors.anomaly import AnomalyBank, AnomalySettings
from detectors.detection import THRESHOLD
from detectors.episodes import raised
from tests.detectors.test_anomaly import DAY, MINUTE, latency, times

if TYPE_CHECKING:
    from collections.abc import Callable

    from detectors.anomaly import Judged

SERIES = 8
HOUR = 60
APART_NS = 30 * MINUTE
ONSET = 9 * DAY + 10 * HOUR


def latencies(n: int) -> np.ndarray:
    """(n, SERIES) without any day."""
    return np.stack([latency(n, seed) for seed in range(SERIES)], axis=1)


def requests(n: int) -> np.ndarray:
    """(n, SERIES) counts of 50 a minute at midnight and 550 at noon."""
    usual = 300 - 250 * np.cos(2 * np.pi * np.arange(n) / DAY)
    return np.stack([np.random.default_rng(seed).poisson(usual) for seed in range(SERIES)], axis=1).astype(float)


def flat(n: int) -> np.ndarray:
    """(n, SERIES) counts of 100 a minute at all hours."""
    return np.stack([np.random.default_rng(seed).poisson(100, n) for seed in range(SERIES)], axis=1).astype(float)


both = pytest.mark.parametrize("made", [latencies, requests])


def judged(values: np.ndarray, settings: AnomalySettings | None = None) -> Judged:
    return AnomalyBank(settings or AnomalySettings(), values.shape[1]).run(times(len(values)), values)


def alerts(found: Judged) -> list[np.ndarray]:
    """The rows at which each series raises one."""
    when = times(len(found.score))
    return [np.flatnonzero(raised(when, one, THRESHOLD, APART_NS)) for one in found.score.T]


def outside(found: Judged, values: np.ndarray, rows: slice) -> float:
    """Share of values outside of the band."""
    return float(((values < found.lower) | (values > found.upper))[rows].mean())


@pytest.mark.parametrize("hours", [4, 6, 8, 12])
def test_a_stop_and_a_multiple_are_seen_from_the_fourth_hour_on(hours: int) -> None:
    for made, factor in ((latencies, 5.0), (flat, 0.0)):
        values = made(hours * HOUR + 10)
        values[hours * HOUR :] *= factor
        score = judged(values).score[hours * HOUR :]
        assert np.count_nonzero(score.max(axis=0) >= THRESHOLD) >= SERIES - 1


@pytest.mark.parametrize("hours", [17, 27, 43])
def test_an_anomaly_of_the_first_day_does_not_hide_the_next(hours: int) -> None:
    values = latencies((hours + 1) * HOUR)
    for begin in (8 * HOUR, hours * HOUR):
        values[begin : begin + 20] *= 4
    score = judged(values).score[hours * HOUR : hours * HOUR + 10]
    assert np.count_nonzero(score.max(axis=0) >= THRESHOLD) >= SERIES - 1


@pytest.mark.parametrize("hours", [48, 63, 400])
def test_where_a_series_is_after_days_away_is_no_anomaly_and_what_follows_is(hours: int) -> None:
    """Five values say where it is."""
    before, after = latencies(3 * DAY), 1.8 * latencies(3 * DAY + 90)[3 * DAY :]
    after[60:63] *= 5
    when = np.concatenate([times(3 * DAY), times(90) + (3 * DAY + hours * HOUR) * MINUTE])
    score = AnomalyBank(AnomalySettings(), SERIES).run(when, np.concatenate([before, after])).score[3 * DAY :]
    assert np.isnan(score[:5]).all()
    assert np.isfinite(score[5:]).all()
    assert (score[5:60].max(axis=0) >= THRESHOLD).sum() <= 1
    assert (score[60:63].max(axis=0) >= THRESHOLD).all()


@both
def test_it_has_a_band_after_two_hours_and_a_half_and_raises_hardly_an_alert_on_the_first_day(
    made: Callable[[int], np.ndarray],
) -> None:
    """What is far too much is outside of the band from then on."""
    values = made(DAY)
    found = judged(values)
    assert np.isfinite(found.score[150:]).all()
    assert sum(len(one) for one in alerts(found)) <= 1
    assert outside(found, values, slice(150, DAY)) < 0.03
    values[150] *= 3
    assert (judged(values).upper[150] < values[150]).all()


def test_it_knows_the_day_after_three_a_peak_of_every_day_is_expected_on_the_fourth() -> None:
    values = requests(4 * DAY)
    for day in range(4):
        values[day * DAY + 8 * HOUR : day * DAY + 9 * HOUR] *= 2
    found = judged(values)
    fourth = slice(3 * DAY, None)
    assert np.concatenate([one[one >= 3 * DAY] for one in alerts(found)]).size <= 1
    assert outside(found, values, fourth) < 0.05


def test_traffic_with_a_day_alerts_seldom_in_its_first_month() -> None:
    """Also when rare values have come one after the other for long."""
    found = alerts(judged(requests(28 * DAY)))
    assert sum(len(one) for one in found) < 0.15 * 28 * SERIES


@pytest.mark.parametrize(("made", "factor"), [(latencies, 1.6), (latencies, 0.6), (requests, 0.6)])
def test_a_lasting_change_is_reported_within_minutes_and_once_until_it_is_accepted(
    made: Callable[[int], np.ndarray], factor: float
) -> None:
    values = made(ONSET + 4 * HOUR)
    values[ONSET:] *= factor
    for one in alerts(judged(values)):
        (first,) = one[one >= ONSET]
        assert first < ONSET + 5


@both
@pytest.mark.parametrize("hours", [2, 4, 24])
@pytest.mark.parametrize("factor", [1.6, 0.6])
def test_a_lasting_change_is_what_is_expected_as_soon_as_it_is_accepted(
    made: Callable[[int], np.ndarray], hours: int, factor: float
) -> None:
    """At the latest; what follows quickly may have come there before."""
    values = made(ONSET + (hours + 3) * HOUR)
    values[ONSET:] *= factor
    accept = hours * 3_600.0
    found = judged(values, replace(AnomalySettings(), accept=accept, patience=max(86_400.0, 2 * accept)))
    since = slice(ONSET + hours * HOUR, None)
    assert outside(found, values, slice(ONSET, ONSET + 1)) == 1
    assert outside(found, values, since) < 0.06
    assert np.median(values[since] / found.expected[since]) == pytest.approx(1.0, abs=0.03)


@both
@pytest.mark.parametrize("factor", [1.6, 0.6])
def test_once_a_lasting_change_is_accepted_it_is_strange_no_more(
    made: Callable[[int], np.ndarray], factor: float
) -> None:
    """From two hours after the four on, but for one row in five."""
    values = made(ONSET + 12 * HOUR)
    values[ONSET:] *= factor
    strange = judged(values).score >= THRESHOLD
    assert strange[ONSET + 6 * HOUR :].mean() < 0.2


@both
@pytest.mark.parametrize("factor", [0.3, 1.6, 3.0])
def test_after_an_anomaly_of_an_hour_the_band_is_as_if_it_had_not_been(
    made: Callable[[int], np.ndarray], factor: float
) -> None:
    """From the second hour on."""
    values = made(ONSET + 8 * HOUR)
    calm = judged(values)
    values[ONSET : ONSET + HOUR] *= factor
    found = judged(values)
    since = slice(ONSET + 2 * HOUR, None)
    assert found.score[ONSET : ONSET + 5].max(axis=0).min() >= THRESHOLD
    width, usual = ((one.upper - one.lower)[since].mean() for one in (found, calm))
    assert width == pytest.approx(usual, rel=0.05)
    assert outside(found, values, since) < 0.025


@both
@pytest.mark.parametrize(("factor", "then"), [(1.6, 2.0), (1.6, 0.4), (0.6, 2.0)])
def test_anomalies_of_a_new_level_are_seen_the_day_after(
    made: Callable[[int], np.ndarray], factor: float, then: float
) -> None:
    values = made(ONSET + 31 * HOUR)
    values[ONSET:] *= factor
    later = ONSET + 30 * HOUR
    values[later:] *= then
    score = judged(values).score
    assert score[later : later + 5].max(axis=0).min() >= THRESHOLD
    assert (score[later - 3 * HOUR : later] >= THRESHOLD).mean() < 0.1
