"""What every public detector promises; one that is added is found and held to it."""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import detectors
from detectors.anomaly import PRESETS, AnomalyBank, AnomalyDetector, AnomalySettings
from detectors.anomaly_levels import BACK_ROWS

MINUTE = 60 * 10**9
START = 1_767_571_200 * 10**9


def found() -> list[type[Any]]:
    """All classes below `detectors` that score and learn one value at a time."""
    modules = (
        importlib.import_module(module.name) for module in pkgutil.walk_packages(detectors.__path__, "detectors.")
    )
    return [
        one
        for module in modules
        for _, one in inspect.getmembers(module, inspect.isclass)
        if one.__module__ == module.__name__ and hasattr(one, "score_one") and hasattr(one, "learn_one")
    ]


every = pytest.mark.parametrize("kind", found(), ids=lambda kind: kind.__name__)


def series(n: int, seed: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """A day of its own and all that can be wrong with a series: gaps, repetitions, steps back, what is no number."""
    rng = np.random.default_rng(seed)
    times = START + np.arange(n) * MINUTE
    values = rng.poisson(30 + 20 * np.sin(np.arange(n) / 229.2)).astype(float)
    values[rng.random(n) < 0.02] = np.nan
    values[rng.random(n) < 0.003] = np.inf
    values[rng.random(n) < 0.003] *= 1e9
    times[n // 2 :] += 90 * MINUTE
    times[n // 3], times[n // 3 + 7] = times[n // 3 - 1], times[n // 3 - 40]
    return times, values


def scores(detector: Any, times: np.ndarray, values: np.ndarray) -> list[float]:
    """Score, then learn."""
    given_scores = []
    for time_ns, value in zip(times.tolist(), values.tolist(), strict=True):
        given_scores.append(detector.score_one(value, time_ns))
        detector.learn_one(value, time_ns)
    return given_scores


def test_all_that_scores_and_can_be_imported_from_the_package_is_held_to_the_contract() -> None:
    public = [getattr(detectors, name) for name in detectors.__all__]
    assert {one for one in public if hasattr(one, "score_one")} == set(found())
    assert {one for one in public if inspect.isclass(one) and hasattr(one, "run")} == {kind.BANK for kind in found()}


@every
def test_scoring_does_not_learn(kind: type[Any]) -> None:
    detector = kind()
    times, values = series(700)
    for time_ns, value in zip(times.tolist(), values.tolist(), strict=True):
        before = detector.save()
        detector.score_one(value, time_ns)
        detector.score_one(-value, time_ns)
        assert detector.save() == before
        detector.learn_one(value, time_ns)
    assert detector.save() != kind().save()


@every
@pytest.mark.parametrize(
    ("instead", "later_ns"), [(-1e12, 10**15), (1e300, 0), (5e-324, 0), (math.nan, 0), (math.inf, 0), (30.0, -(10**15))]
)
def test_the_future_changes_no_score_of_the_past(kind: type[Any], instead: float, later_ns: int) -> None:
    """Scored in one go where it can be, the likeliest place to look ahead."""
    times, values = series(2_000)
    spoilt_values, spoilt_times = values.copy(), times.copy()
    spoilt_values[1_500:] = instead
    spoilt_times[1_500:] += later_ns
    bank = kind.BANK(kind().settings, 1).run(times, values[:, None])
    spoilt = kind.BANK(kind().settings, 1).run(spoilt_times, spoilt_values[:, None])
    prefix = kind.BANK(kind().settings, 1).run(times[:1_500], values[:1_500, None])
    for part, other, short in zip(bank, spoilt, prefix, strict=True):
        np.testing.assert_array_equal(part[:1_500], other[:1_500])
        np.testing.assert_array_equal(part[:1_500], short)


@every
def test_saved_and_loaded_at_any_step_it_goes_on_alike(kind: type[Any]) -> None:
    times, values = series(900)
    whole = scores(kind(), times, values)
    detector = kind()
    resumed = []
    for begin in range(0, 900, 37):
        detector = kind.load(detector.save())
        resumed += scores(detector, times[begin : begin + 37], values[begin : begin + 37])
    np.testing.assert_array_equal(resumed, whole)


@every
def test_saved_and_loaded_it_has_its_settings(kind: type[Any]) -> None:
    given_settings = replace(PRESETS["latency"], zone="Europe/Berlin", accept=7_200.0)
    assert kind.load(kind(given_settings).save()).settings == given_settings


@every
def test_one_row_and_many_agree_to_the_last_bit(kind: type[Any]) -> None:
    n = 1_200
    times, first = series(n)
    columns = np.stack([first, series(n, 8)[1], np.full(n, 5.0), series(n, 9)[1] / 1e3], axis=1)
    many = kind.BANK(kind().settings, 4).run(times, columns).score
    for column in range(4):
        np.testing.assert_array_equal(scores(kind(), times, columns[:, column]), many[:, column])


@every
def test_there_is_a_score_or_a_reason(kind: type[Any]) -> None:
    detector = kind()
    times, values = series(1_500)
    reasons = set()
    for time_ns, value in zip(times.tolist(), values.tolist(), strict=True):
        score = detector.score_one(value, time_ns)
        assert math.isnan(score) == bool(detector.why)
        assert math.isnan(score) or 0 <= score <= 1
        reasons.add(detector.why)
        detector.learn_one(value, time_ns)
    assert reasons == {"", "learning", "absent", "not finite", "out of order"}


@every
@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.integers(-(2**62), 2**62), st.floats(allow_nan=True, allow_infinity=True)), min_size=1, max_size=60
    )
)
def test_no_input_is_an_exception(kind: type[Any], rows: list[tuple[int, float]]) -> None:
    """Any floats at any times; afterwards an ordinary stream is scored within finite time, by finite numbers."""
    detector = kind()
    for time_ns, value in rows:
        detector.score_one(value, time_ns)
        detector.learn_one(value, time_ns)
    last = 2**62 + MINUTE
    rng = np.random.default_rng(1)
    for step, value in enumerate(rng.normal(5, 1, 260).tolist()):
        detector.learn_one(value, last + step * MINUTE)
    assert 0 <= detector.score_one(5.0, last + 300 * MINUTE) <= 1


@cache
def warm(kind: type[Any]) -> bytes:
    """The state after some hours, from which on there are scores."""
    detector = kind()
    for step, value in enumerate(np.random.default_rng(2).poisson(30, 400).tolist()):
        detector.learn_one(value, START + step * MINUTE)
    return bytes(detector.save())


extreme = st.sampled_from([0.0, -0.0, 5e-324, -1e-310, 1e-30, 30.0, 1e30, -1e30, 1e308, -1.7e308, math.inf, math.nan])


@every
@given(
    st.lists(st.tuples(st.integers(-2 * 10**12, 10**14), extreme | st.floats()), min_size=1, max_size=60),
    extreme,
)
def test_whatever_comes_to_one_that_knows_its_series_has_a_score_and_a_band_or_a_reason(
    kind: type[Any], rows: list[tuple[int, float]], last: float
) -> None:
    """Steps forward, back and of nothing, by values of all sizes; then one value for hours, and the ordinary again."""
    detector, now = kind.load(warm(kind)), START + 400 * MINUTE
    whys = []
    steps = rows + [(MINUTE, value) for value in [last] * 200 + [30.0] * 20]
    for step_ns, value in steps:
        now += step_ns
        score = detector.score_one(value, now)
        whys.append(detector.why)
        assert 0 <= score <= 1 if not detector.why else math.isnan(score)
        expected, lower, upper = detector.band_one(value, now)
        assert math.isnan(score) or lower <= upper
        assert math.isnan(score) == math.isnan(expected)
        detector.learn_one(value, now)
    assert set(whys) <= {"", "absent", "not finite", "out of order", "learning"}
    assert whys[len(rows) :].count("learning") <= BACK_ROWS  # after days away it says so, and no longer


@every
@pytest.mark.parametrize("changed", [1_774_746_000, 1_792_890_000], ids=["spring", "autumn"])
def test_clocks_that_are_moved_are_no_gap_and_no_step_back(kind: type[Any], changed: int) -> None:
    """At 01:00 UTC, in Berlin to 03:00 or from 03:00 to 02:00: all rows have scores, and one row and many agree."""
    berlin = replace(kind().settings, zone="Europe/Berlin")
    n = 600
    times = (changed - 400 * 60) * 10**9 + np.arange(n) * MINUTE
    values = np.random.default_rng(3).poisson(30, n).astype(float)
    one_by_one = scores(kind(berlin), times, values)
    assert np.isfinite(one_by_one[300:]).all()
    np.testing.assert_array_equal(kind.BANK(berlin, 1).run(times, values[:, None]).score[:, 0], one_by_one)


@every
def test_memory_is_bounded(kind: type[Any]) -> None:
    times, values = series(6_000)
    bank = kind.BANK(kind().settings, 1)
    bank.run(times[:500], values[:500, None])
    early = len(bank.save())
    bank.run(times[500:], values[500:, None])
    assert len(bank.save()) == early <= 12 * 1024


@every
def test_a_clone_has_the_settings_and_has_seen_nothing(kind: type[Any]) -> None:
    detector = kind()
    scores(detector, *series(300))
    assert detector.clone().save() == kind().save()


def test_a_state_of_something_else_is_refused_with_a_sentence() -> None:
    state = AnomalyDetector().save()
    with pytest.raises(ValueError, match="begins with"):
        AnomalyDetector.load(b"nothing of the kind")
    with pytest.raises(ValueError, match="version 9"):
        AnomalyDetector.load(state[:4] + b"\x09\x00" + state[6:])
    with pytest.raises(ValueError, match="bytes"):
        AnomalyDetector.load(state[:-1])
    with pytest.raises(ValueError, match="2 series"):
        AnomalyDetector.load(AnomalyBank(AnomalySettings(), 2).save())
