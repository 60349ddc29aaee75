"""Left discord: how far the last 20 minutes are from the 20 minutes, of all that are remembered, most like them.

Values are averaged over five minutes first, which reaches further back for less and forgives what moves by a minute;
where a step is longer, each value stands for itself. Nothing is normalised: a level that never was is a discord too.
(Yeh et al., "Matrix profile I", ICDM 2016: discords; left: only what was before is looked at.)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from detectors.anomaly_state import DISTANCE, PART_ROWS, PART_SUM, PARTS, PAST, REACH
from detectors.kernels import pasted

if TYPE_CHECKING:
    from detectors.anomaly_state import Rates

LENGTH = 4
"""Means that are compared at once."""
ENOUGH = 24
"""Means before any distance."""


@pasted
def take_in(numbers: np.ndarray, profiles: np.ndarray, row: int, x: float, p: Rates) -> bool:
    """A value into the mean that is not whole yet, and a mean that is, into the past: whether it was."""
    numbers[row, PART_SUM] += x
    numbers[row, PART_ROWS] += 1
    if numbers[row, PART_ROWS] < p.part:
        return False
    for at in range(PAST, PAST + REACH - 1):
        profiles[row, at] = profiles[row, at + 1]
    profiles[row, PAST + REACH - 1] = numbers[row, PART_SUM] / numbers[row, PART_ROWS]
    numbers[row, PART_SUM] = numbers[row, PART_ROWS] = 0
    numbers[row, PARTS] = min(numbers[row, PARTS] + 1, REACH)
    return True


@pasted
def nearest(profiles: np.ndarray, row: int, parts: int) -> float:
    """The distance of the last means to the nearest of those before them, which they do not overlap."""
    end = PAST + REACH - LENGTH
    a, b = profiles[row, end], profiles[row, end + 1]
    c, d = profiles[row, end + 2], profiles[row, end + 3]
    best = np.float32(np.inf)
    for at in range(PAST + REACH - parts, end - LENGTH + 1):
        first, second = profiles[row, at] - a, profiles[row, at + 1] - b
        third, fourth = profiles[row, at + 2] - c, profiles[row, at + 3] - d
        best = min(best, first * first + second * second + third * third + fourth * fourth)
    return math.sqrt(best)


@pasted
def discord(numbers: np.ndarray, profiles: np.ndarray, row: int, floor: float, frozen: bool, p: Rates) -> float:
    """The distance in multiples of what is usual, which it then learns; NaN before there are enough means."""
    if numbers[row, PARTS] < ENOUGH:
        return math.nan
    distance = nearest(profiles, row, int(numbers[row, PARTS]))
    usual = numbers[row, DISTANCE]
    if usual == 0:
        numbers[row, DISTANCE] = distance
        return math.nan
    if not frozen:
        rate = max(p.usual * p.part, 1 / (numbers[row, PARTS] - ENOUGH + 1))
        numbers[row, DISTANCE] += rate * (min(distance, 6 * usual + floor) - usual)
    return float(distance / (usual + floor))
