"""What a series was at each time of day, workdays and weekends apart: what a change between the two explains.

A first Saturday is like no day before it, and the Monday after it like none since Friday; the week's profile knows both
only after two weeks. Until then a value on a Saturday, Sunday or Monday that is within what other days of its kind had
at that time, and days of the other kind had not, is no surprise; and on the first day of a kind it surprises half as
much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from detectors.anomaly_evidence import ORDINARY
from detectors.anomaly_state import KIND_ROWS, RANGE_KNOTS, RANGE_SECONDS, RANGES, ROWS
from detectors.kernels import pasted

if TYPE_CHECKING:
    import numpy as np

    from detectors.anomaly_state import Rates

NEW_DAYS = 15
"""For so long the week is new: two weekends and the Monday after."""
SLACK = 0.1
"""Share of a range, which narrows, that a value may be outside of it."""
FIRST = 0.5
"""Share of what is more, that is left on the first day of a kind."""


@pasted
def kind_of(local: float) -> int:
    """0 on a workday, 1 on a weekend; `local` from a Monday's midnight, seconds."""
    return 1 if local % 604_800 >= 5 * 86_400 else 0


@pasted
def lowest_of(kind: int, local: float, shift: int) -> int:
    """Where the low end of the range at a time of such days is, or some knots later; the high end is next to it."""
    knot = (int(local % 86_400 / RANGE_SECONDS) + shift + RANGE_KNOTS) % RANGE_KNOTS
    lowest: int = RANGES + 2 * (kind * RANGE_KNOTS + knot)
    return lowest


@pasted
def is_known(profiles: np.ndarray, row: int, x: float, kind: int, local: float) -> bool:
    """Whether a value is within the range that such days had at this time, or at the times next to it."""
    low = high = profiles[row, lowest_of(kind, local, 0)]
    for shift in range(-1, 2):
        at = lowest_of(kind, local, shift)
        if profiles[row, at] != 0 or profiles[row, at + 1] != 0:
            low, high = min(low, profiles[row, at]), max(high, profiles[row, at + 1])
    slack = SLACK * (high - low)
    return bool(low < high and low - slack <= x <= high + slack)


@pasted
def unexplained(
    numbers: np.ndarray, profiles: np.ndarray, row: int, x: float, local: float, most: float, p: Rates
) -> float:
    """Evidence, less what the change of days explains: a value that days of the other kind did not have."""
    day, rows, kind = int(local % 604_800 / 86_400), numbers[row, ROWS], kind_of(local)
    of_kind = numbers[row, KIND_ROWS + kind]
    if most <= ORDINARY or 0 < day < 5 or rows > NEW_DAYS * p.day or rows - of_kind < p.day:
        return most
    if is_known(profiles, row, x, 1 - kind, local):
        return most
    if of_kind < p.day:
        return ORDINARY + FIRST * (most - ORDINARY)
    return ORDINARY if is_known(profiles, row, x, kind, local) else most


@pasted
def learn_range(
    numbers: np.ndarray, profiles: np.ndarray, row: int, x: float, local: float, frozen: bool, p: Rates
) -> None:
    """A value into its range, which narrows slowly; an anomaly does not teach, but on the first two days of a kind."""
    kind = kind_of(local)
    at, counted = lowest_of(kind, local, 0), KIND_ROWS + kind
    numbers[row, counted] += 1
    if frozen and numbers[row, counted] > 2 * p.day:
        return
    low, high = profiles[row, at], profiles[row, at + 1]
    if low == 0 and high == 0:
        low = high = x
    profiles[row, at] = min(x, low + p.narrow * (x - low))
    profiles[row, at + 1] = max(x, high - p.narrow * (high - x))
