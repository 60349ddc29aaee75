"""What a series was before an anomaly, so that one does not spoil what the next is compared with.

Levels, errors and scales are kept when an anomaly begins; a series that is again where these say it should be gets them
back and goes on as if nothing had happened. A new level that was accepted is on probation: for some time the pasts
that evidence is compared with learn nothing of it, as it may end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from detectors.anomaly_levels import mixed, predict
from detectors.anomaly_state import (
    AGE,
    BACK,
    FAST,
    HOT,
    KEPT,
    LEVELS,
    LONG,
    MIDDLE,
    OLD,
    PREDICTORS,
    ROWS,
    SCALE,
    SHORT,
    SLOW,
    UNLEARNT,
)
from detectors.kernels import pasted

if TYPE_CHECKING:
    import numpy as np

    from detectors.anomaly_state import Rates

NEAR = 1.0
"""Scales within which a series is where it was,"""
ROWS_BACK = 10
"""for so many rows."""
BRIEF = 0.1
"""Share of its past for which an anomaly teaches nothing: who has seen little cannot disbelieve for long."""
LASTING = 0.4
"""Share of late that may teach nothing: what is strange more often than that is ordinary."""


@pasted
def teaches_nothing(numbers: np.ndarray, row: int, p: Rates) -> tuple[bool, bool]:
    """Whether an anomaly goes on, and whether a new level is on probation: neither for too much of the time."""
    hot, accepted = 0 < numbers[row, HOT] < BRIEF * numbers[row, ROWS], numbers[row, AGE] > p.accept
    numbers[row, UNLEARNT] += p.unlearnt * ((hot or accepted) - numbers[row, UNLEARNT])
    seldom = numbers[row, UNLEARNT] < LASTING
    return hot and seldom, accepted and seldom


@pasted
def swap(numbers: np.ndarray, row: int) -> None:
    """What is now against what was kept."""
    for which in range(KEPT):
        now = numbers[row, LEVELS + which]
        numbers[row, LEVELS + which] = numbers[row, OLD + which]
        numbers[row, OLD + which] = now


@pasted
def keep(numbers: np.ndarray, row: int) -> None:
    """What is now, for later."""
    for which in range(KEPT):
        numbers[row, OLD + which] = numbers[row, LEVELS + which]
    numbers[row, AGE], numbers[row, BACK] = 1, 0


@pasted
def come_back(
    numbers: np.ndarray, row: int, day: float, week: float, size: float, floor: float, predicted: np.ndarray
) -> None:
    """Count the rows at which the series is where it was before the anomaly; after some, what was kept is again.

    Args:
        numbers: (n_series, NUMBERS).
        row: The series.
        day: The day's profile now, likewise the week's.
        week: See there.
        size: By what the scale is multiplied at this time of day.
        floor: Least scale.
        predicted: (PREDICTORS,) what the predictors say, changed with them.
    """
    fast = numbers[row, LEVELS + FAST]
    swap(numbers, row)
    predict(numbers, row, day, week, predicted)
    away = abs(fast - mixed(numbers, row, predicted, SLOW, PREDICTORS))
    numbers[row, BACK] = numbers[row, BACK] + 1 if away < NEAR * (numbers[row, SCALE] + floor) * size else 0
    if numbers[row, BACK] < ROWS_BACK:
        swap(numbers, row)
        predict(numbers, row, day, week, predicted)
        return
    numbers[row, LEVELS + FAST] = predicted[FAST] = fast
    numbers[row, SHORT] = numbers[row, MIDDLE] = numbers[row, LONG] = numbers[row, AGE] = 0


@pasted
def remember(
    numbers: np.ndarray, row: int, day: float, week: float, size: float, floor: float, predicted: np.ndarray, p: Rates
) -> None:
    """Keep what is before an anomaly, and forget it when that is over or has lasted; arguments as there."""
    if numbers[row, AGE] == 0:
        if numbers[row, HOT] == 2:  # its first row was learnt, or a scale would never know what is rare
            keep(numbers, row)
    elif numbers[row, AGE] > p.patience or (numbers[row, HOT] == 0 and numbers[row, AGE] < p.accept):
        numbers[row, AGE] = 0
    else:
        numbers[row, AGE] += 1
        come_back(numbers, row, day, week, size, floor, predicted)
