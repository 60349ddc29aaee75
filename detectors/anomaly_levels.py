"""What a series should be: levels that follow it at different paces, profiles of its day and week, and its scale.

Values are rooted first: a count's noise is then the same at all levels, and a latency's nearly so.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from detectors.anomaly_state import (
    AWAY,
    DAY_KNOTS,
    DAY_QUICK,
    DAY_SLOW,
    ERRORS,
    FAST,
    GRAIN,
    KNOT_SECONDS,
    LEVELS,
    LONG,
    MEDIUM,
    MIDDLE,
    PREDICTORS,
    ROWS,
    SHORT,
    SLOW,
    USUAL,
    USUAL_GAP,
    VALUE,
    WEEK_KNOT_SECONDS,
    WEEK_KNOTS,
    WEEK_PROFILE,
    WEEK_QUICK,
    WEEK_SLOW,
    WEIGHT,
)
from detectors.kernels import pasted

if TYPE_CHECKING:
    from detectors.anomaly_state import Rates

LARGEST = 1e30
SURE = 30
"""Rows after which outliers are cut before they are learnt."""
BACK_ROWS = 5
"""Rows after a long absence that say where a series is now, and no more."""
FLOOR = 0.002
"""Least scale, as a share of the level: what is smaller is nobody's concern."""


@pasted
def root(value: float) -> float:
    """The root with the value's sign: a count's noise is then the same at all levels, a latency's nearly so."""
    value = min(max(value, -LARGEST), LARGEST)
    return math.sqrt(value) if value >= 0 else -math.sqrt(-value)


@pasted
def unrooted(value: float) -> float:
    """The square with the value's sign."""
    return value * abs(value)


@pasted
def cut(gap: float, limit: float) -> float:
    """A gap, no larger than a limit."""
    return min(max(gap, -limit), limit)


@pasted
def spot_of(local: float) -> tuple[int, int, int, int, float, float]:
    """Where a time is in the profiles: the day's knots around it, the week's, and how far it is between either."""
    of_day, of_week = local % 86_400 / KNOT_SECONDS, local % 604_800 / WEEK_KNOT_SECONDS
    knot, week_knot = int(of_day), int(of_week)
    following, week_following = (knot + 1) % DAY_KNOTS, (week_knot + 1) % WEEK_KNOTS
    return knot, following, WEEK_PROFILE + week_knot, WEEK_PROFILE + week_following, of_day - knot, of_week - week_knot


@pasted
def begin(numbers: np.ndarray, row: int, x: float) -> None:
    """A series' first value."""
    for which in range(PREDICTORS):
        numbers[row, LEVELS + which] = x
    numbers[row, USUAL] = numbers[row, VALUE] = x
    numbers[row, ROWS] = numbers[row, WEIGHT] = 1


@pasted
def anew(numbers: np.ndarray, row: int) -> float:
    """The share of a gap that a level closes at least: the means of all values so far, or since a long absence."""
    away = numbers[row, AWAY]
    return float(1 / (BACK_ROWS + 1 - away) if away > 0 else 1 / (numbers[row, ROWS] + 1))


@pasted
def closeness(numbers: np.ndarray, row: int, which: int, best: float) -> float:
    """The weight of a predictor: the fourth power of how good it is against the best."""
    ratio = best / (numbers[row, ERRORS + which] + 1e-12)
    return ratio * ratio * ratio * ratio


@pasted
def predict(numbers: np.ndarray, row: int, day: float, week: float, predicted: np.ndarray) -> None:
    """What the seven predictors say."""
    for which in range(PREDICTORS):
        predicted[which] = numbers[row, LEVELS + which]
    predicted[DAY_QUICK] += day
    predicted[DAY_SLOW] += day
    predicted[WEEK_QUICK] += week
    predicted[WEEK_SLOW] += week


@pasted
def mixed(numbers: np.ndarray, row: int, predicted: np.ndarray, first: int, last: int) -> float:
    """Some of the predictors, averaged by how good they are."""
    best = 1e300
    for which in range(first, last):
        best = min(best, numbers[row, ERRORS + which] + 1e-12)
    total = weights = 0.0
    for which in range(first, last):
        weight = closeness(numbers, row, which, best)
        total += weight * predicted[which]
        weights += weight
    return total / weights


@pasted
def nearby(profiles: np.ndarray, row: int, first: int, knot: int) -> float:
    """The largest peak remembered at a knot of the day or at its neighbours: peaks move by minutes."""
    before, after = (knot + DAY_KNOTS - 1) % DAY_KNOTS, (knot + 1) % DAY_KNOTS
    return max(profiles[row, first + knot], profiles[row, first + before], profiles[row, first + after])


@pasted
def learn_scale(numbers: np.ndarray, row: int, which: int, gap: float, floor: float, rate: float) -> None:
    """A mean absolute gap, outliers cut at six times of it; a usual change is none, however rarely there is one."""
    size, now = abs(gap), numbers[row, which]
    if numbers[row, ROWS] > SURE:
        size = min(size, max(6 * now, numbers[row, GRAIN]) + floor)
    numbers[row, which] = now + rate * (size - now)


@pasted
def learn_grain(numbers: np.ndarray, row: int, x: float) -> None:
    """By how much the value changes where it does: a series that is zero but now and then has no other size."""
    change, grain = abs(x - numbers[row, VALUE]), numbers[row, GRAIN]
    numbers[row, VALUE] = x
    if change > 0:
        numbers[row, GRAIN] = grain + 0.05 * (min(change, 3 * grain) - grain) if grain > 0 else change


@pasted
def towards(numbers: np.ndarray, row: int, which: int, gap: float, rate: float) -> None:
    """A level moves by a share of a gap."""
    numbers[row, LEVELS + which] += rate * gap


@pasted
def learn_levels(
    numbers: np.ndarray,
    profiles: np.ndarray,
    row: int,
    x: float,
    predicted: np.ndarray,
    limit: float,
    spot: tuple[int, int, int, int, float, float],
    teaches: float,
    p: Rates,
) -> None:
    """The value into all levels and profiles; outliers cut, while an anomaly lasts into the levels only."""
    first = anew(numbers, row)
    knot, following, week_knot, week_following, part, week_part = spot
    towards(numbers, row, FAST, x - predicted[FAST], max(p.fast, first))
    towards(numbers, row, MEDIUM, x - predicted[MEDIUM], max(p.medium, first))
    for which in (SLOW, DAY_SLOW, WEEK_SLOW):
        towards(numbers, row, which, cut(x - predicted[which], limit), max(p.slow, first))
    gap = cut(x - predicted[DAY_QUICK], limit)
    towards(numbers, row, DAY_QUICK, gap, max(p.quick, first))
    share = teaches * p.profile * gap
    profiles[row, knot] += (1 - part) * share
    profiles[row, following] += part * share
    gap = cut(x - predicted[WEEK_QUICK], limit)
    towards(numbers, row, WEEK_QUICK, gap, max(p.quick, first))
    share = teaches * 1.5 * p.profile * gap
    profiles[row, week_knot] += (1 - week_part) * share
    profiles[row, week_following] += week_part * share


@pasted
def learn_usual(numbers: np.ndarray, row: int, x: float, floor: float, rate: float) -> None:
    """What the series was for days, at all hours: its level and how far it goes from it."""
    gap = x - numbers[row, USUAL]
    if numbers[row, AWAY] > 0:
        numbers[row, USUAL] += anew(numbers, row) * gap
        return
    limit = max(6 * numbers[row, USUAL_GAP], numbers[row, GRAIN]) + floor if numbers[row, ROWS] > SURE else 2 * LARGEST
    numbers[row, USUAL] += rate * cut(gap, limit)
    learn_scale(numbers, row, USUAL_GAP, gap, floor, rate)


@pasted
def learn_peaks(profiles: np.ndarray, row: int, first: int, knot: int, surprise: float, forget: float) -> None:
    """How far above four scales it goes at this time of day."""
    over, known = min(max(surprise - 4, 0.0), 200.0), profiles[row, first + knot]
    profiles[row, first + knot] = over if over > known else known * (1 - forget)


@pasted
def accept(numbers: np.ndarray, row: int, predicted: np.ndarray) -> None:
    """What an anomaly has come to is the level from now on, and as far away is what is usual at all hours."""
    level = numbers[row, LEVELS + MEDIUM]
    numbers[row, USUAL] += level - predicted[DAY_SLOW]
    for which in range(DAY_QUICK, PREDICTORS):
        numbers[row, LEVELS + which] += level - predicted[which]
        predicted[which] = level
    for which in (SHORT, MIDDLE, LONG):
        numbers[row, which] = 0
