"""What an anomaly leaves behind: nothing, if the series comes back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.anomaly import AnomalyBank, AnomalySettings
from detectors.anomaly_levels import learn_grain, learn_scale
from detectors.anomaly_return import LASTING, ROWS_BACK, remember, teaches_nothing
from detectors.anomaly_state import (
    AGE,
    FAST,
    GRAIN,
    HOT,
    KEPT,
    LEVELS,
    NUMBERS,
    OLD,
    PREDICTORS,
    ROWS,
    SCALE,
    UNLEARNT,
    VALUE,
    Rates,
    rates,
)
from detectors.kernels import kernel

MINUTE = 60 * 10**9
DAY = 1440
P = rates(AnomalySettings())


@kernel
def remembered(numbers: np.ndarray, predicted: np.ndarray, p: Rates) -> None:
    remember(numbers, 0, 0.0, 0.0, 1.0, 0.0, predicted, p)


@kernel
def asked(numbers: np.ndarray, p: Rates) -> tuple[bool, bool]:
    found: tuple[bool, bool] = teaches_nothing(numbers, 0, p)
    return found


@kernel
def scales(values: np.ndarray, numbers: np.ndarray, out: np.ndarray) -> None:
    for which, value in enumerate(values):
        learn_grain(numbers, 0, value)
        learn_scale(numbers, 0, SCALE, value, 0.0, 0.01)
        out[which] = numbers[0, SCALE]


def judged(values: np.ndarray) -> np.ndarray:
    times = 1_767_571_200 * 10**9 + np.arange(len(values)) * MINUTE
    return AnomalyBank(AnomalySettings(), 1).run(times, values[:, None]).score[:, 0]


def latency(n: int) -> np.ndarray:
    return np.random.default_rng(1).lognormal(3.0, 0.1, n)


@given(st.lists(st.sampled_from((10.0, 10.5, 40.0)), min_size=1, max_size=80))
def test_what_was_kept_is_back_after_ten_rows_where_it_was(levels: list[float]) -> None:
    """Against a copy of the state and a count: the scale is 1, so 10.5 is where it was, and 40 is not."""
    numbers, predicted = np.zeros((1, NUMBERS)), np.zeros(PREDICTORS)
    numbers[0, LEVELS : LEVELS + KEPT] = 10.0
    numbers[0, SCALE], numbers[0, HOT] = 1.0, 2
    remembered(numbers, predicted, P)
    before, there, is_back = numbers[0, LEVELS : LEVELS + KEPT].copy(), 0, False
    numbers[0, HOT] = 3
    for level in levels:
        numbers[0, LEVELS : LEVELS + KEPT] = 77.0
        numbers[0, LEVELS + FAST] = level
        remembered(numbers, predicted, P)
        there = there + 1 if level < 20 else 0
        is_back = there == ROWS_BACK
        rest = before if is_back else np.full(KEPT, 77.0)
        assert numbers[0, LEVELS + FAST] == level
        assert (numbers[0, LEVELS + 1 : LEVELS + KEPT] == rest[1:]).all()
        if is_back:
            break
    assert (numbers[0, AGE] == 0) == is_back
    assert is_back or (numbers[0, OLD : OLD + KEPT] == before).all()


@pytest.mark.parametrize("hours", [1, 12])
def test_what_is_strange_more_often_than_not_teaches(hours: int) -> None:
    """Against the share itself: hours of anomaly, hours of calm, until two in five of late were strange."""
    numbers, share = np.zeros((1, NUMBERS)), 0.0
    numbers[0, ROWS] = 100 * DAY
    for row in range(4 * DAY):
        numbers[0, HOT] = row // (60 * hours) % 4 != 3
        share += P.unlearnt * (numbers[0, HOT] - share)
        frozen, probation = asked(numbers, P)
        assert numbers[0, UNLEARNT] == pytest.approx(share)
        assert frozen == (numbers[0, HOT] > 0 and share < LASTING)
        assert not probation


def test_an_anomaly_that_lasts_a_tenth_of_the_past_teaches() -> None:
    numbers = np.zeros((1, NUMBERS))
    numbers[0, ROWS] = 500
    for hot, frozen in ((0, False), (1, True), (49, True), (50, False)):
        numbers[0, HOT] = hot
        assert asked(numbers, P) == (frozen, False)


@given(st.lists(st.sampled_from((0.0, 0.0, 0.0, 1.0, 1.5, 30.0)), min_size=1, max_size=60))
def test_a_scale_learns_what_is_usual_where_there_is_anything(values: list[float]) -> None:
    """Against the same in plain numbers: cut at six scales, or at what a change usually is."""
    numbers, out = np.zeros((1, NUMBERS)), np.zeros(len(values))
    numbers[0, ROWS] = 1_000
    scales(np.array(values), numbers, out)
    scale = grain = last = 0.0
    for value, found in zip(values, out, strict=True):
        change, last = abs(value - last), value
        if change:
            grain = 0.95 * grain + 0.05 * min(change, 3 * grain) if grain else change
        scale = 0.99 * scale + 0.01 * min(value, max(6 * scale, grain))
        assert found == pytest.approx(scale)
    assert numbers[0, GRAIN] == pytest.approx(grain)
    assert numbers[0, VALUE] == values[-1]


def test_after_an_anomaly_of_three_hours_scores_are_soon_those_of_a_series_without() -> None:
    plain = latency(6 * DAY)
    values = plain.copy()
    values[4 * DAY : 4 * DAY + 180] *= 2
    after = slice(4 * DAY + 180 + 120, 5 * DAY)
    assert np.abs(judged(values)[after] - judged(plain)[after]).mean() < 0.02


def test_half_a_day_at_another_level_does_not_hide_the_next_time() -> None:
    values = latency(8 * DAY)
    values[4 * DAY : 4 * DAY + 800] *= 2
    values[6 * DAY + 300 : 6 * DAY + 320] *= 2
    score = judged(values)
    assert score[6 * DAY + 300 : 6 * DAY + 302].max() > 0.9 * score[4 * DAY : 4 * DAY + 2].max()
