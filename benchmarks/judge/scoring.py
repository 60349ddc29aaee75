"""From scores to what people feel: how many events are seen in time, for how many false alarms.

An **episode** is a run of alerts, each less than 30 minutes after the one before; it is counted where it begins. An
event is seen if an episode begins between its onset and so many minutes after it could be told from noise: who alerts
all the time has one endless episode and sees nothing. The threshold is the one that gives the budget's false episodes
on the ordinary first half, after a week; what it gives on the second half, outside of events, is the achieved rate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from judge.series import AFTER, DAY, HALF

from detectors.budget import beginnings, least_threshold
from detectors.episodes import raised

if TYPE_CHECKING:
    from collections.abc import Sequence

    from judge.series import Series

WEEK = 7 * DAY
REFRACTORY = 30
BUDGETS = (0.002, 0.01, 0.05, 0.1, 0.25)
"""False episodes per series-day."""

WITHIN = (5, 15)
"""Minutes."""


def threshold(scores: Sequence[np.ndarray], budget: float) -> float:
    """The least threshold that gives no more than the budget's episodes on the ordinary half, after a week.

    Args:
        scores: One array a series, larger is stranger; rows without a score are 0.
        budget: Episodes per series-day.
    """
    rows = np.arange(HALF - WEEK)
    begins = [beginnings(rows, one[WEEK:HALF], REFRACTORY) for one in scores]
    return least_threshold(begins, budget * len(begins) * len(rows) / DAY)


class Outcome(NamedTuple):
    """What one threshold gives.

    Attributes:
        events: How many there were.
        seen: For each of `WITHIN`, how many were seen.
        false: Episodes of the second half outside of events.
        days: Series-days they were counted on.
        during: Episodes that began during events: how often one event alerts.
        early: Episodes of the first week, after two hours.
        early_days: Series-days they were counted on.
    """

    events: int
    seen: tuple[int, ...]
    false: int
    days: float
    during: int
    early: int
    early_days: float

    def __add__(self, other: tuple[object, ...]) -> Outcome:  # type: ignore[override]
        """Of two sets of series together."""
        assert isinstance(other, Outcome)
        seen = tuple(a + b for a, b in zip(self.seen, other.seen, strict=True))
        rest = (a + b for a, b in zip(self[2:], other[2:], strict=True))
        return Outcome(self.events + other.events, seen, *rest)


def outcome(series: Series, scores: np.ndarray, threshold: float) -> Outcome:
    """What a threshold gives on one series."""
    begins = np.flatnonzero(raised(np.arange(len(scores)), scores, threshold, REFRACTORY))
    ordinary = np.ones(len(scores), np.bool_)
    ordinary[:HALF] = False
    seen = [0] * len(WITHIN)
    during = 0
    for event in series.events:
        ordinary[event.onset : event.end + AFTER] = False
        inside = begins[(begins >= event.onset) & (begins < max(event.end, event.visible + max(WITHIN)))]
        during += len(inside)
        for which, minutes in enumerate(WITHIN):
            seen[which] += bool(len(inside) and inside[0] <= event.visible + minutes - 1)
    early = np.count_nonzero((begins >= 120) & (begins < WEEK))
    false = np.count_nonzero(ordinary[begins])
    days = np.count_nonzero(ordinary) / DAY
    return Outcome(len(series.events), tuple(seen), int(false), days, during, int(early), (WEEK - 120) / DAY)
