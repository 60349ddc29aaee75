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
from scipy.stats import beta, chi2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from judge.series import Series

WEEK = 7 * DAY
REFRACTORY = 30
BUDGETS = (0.002, 0.01, 0.05, 0.1, 0.25)
"""False episodes per series-day."""

WITHIN = (5, 15)
"""Minutes."""


def episodes(alerts: np.ndarray) -> np.ndarray:
    """Where episodes begin, given the rows (sorted) that alert.

    >>> episodes(np.array([3, 20, 49, 80])).tolist()
    [3, 80]
    """
    if not len(alerts):
        return alerts
    return alerts[np.concatenate(([True], np.diff(alerts) >= REFRACTORY))]


def peaks(scores: np.ndarray) -> np.ndarray:
    """(n,) scores where an episode can begin: larger than all of the refractory time before; elsewhere -inf.

    Whatever the threshold, an episode begins at one of these rows.
    """
    found = np.full(len(scores), -np.inf)
    padded = np.concatenate((np.full(REFRACTORY - 1, -np.inf), scores))
    before = np.lib.stride_tricks.sliding_window_view(padded, REFRACTORY - 1)[: len(scores)].max(axis=1)
    rising = scores > before
    found[rising] = scores[rising]
    return found


def threshold(scores: Sequence[np.ndarray], budget: float) -> float:
    """The lowest threshold that gives no more than the budget's episodes on the ordinary half, after a week.

    Args:
        scores: One array a series, larger is stranger; rows without a score are 0.
        budget: Episodes per series-day.
    """
    ordinary = [np.asarray(one[WEEK:HALF]) for one in scores]
    allowed = budget * len(ordinary) * (HALF - WEEK) / DAY
    candidates = np.unique(np.concatenate([peaks(one) for one in ordinary]))[::-1]
    low, high = 0, len(candidates)
    while low < high:  # candidates[:low] keep the budget
        middle = (low + high) // 2
        count = sum(len(episodes(np.flatnonzero(one >= candidates[middle]))) for one in ordinary)
        if count <= allowed:
            low = middle + 1
        else:
            high = middle
    return float(candidates[low - 1]) if low else float(np.nextafter(candidates[0], np.inf))


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
    begins = episodes(np.flatnonzero(np.nan_to_num(scores, nan=-np.inf) >= threshold))
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


def share_interval(seen: int, events: int) -> tuple[float, float]:
    """The 95 % interval of a share (Clopper & Pearson 1934).

    >>> [round(end, 3) for end in share_interval(50, 100)]
    [0.398, 0.602]
    """
    low = beta.ppf(0.025, seen, events - seen + 1) if seen else 0.0
    high = beta.ppf(0.975, seen + 1, events - seen) if seen < events else 1.0
    return float(low), float(high)


def rate_interval(count: int, days: float) -> tuple[float, float]:
    """The 95 % interval of a rate, if episodes come independently (Garwood 1936)."""
    low = chi2.ppf(0.025, 2 * count) / 2 if count else 0.0
    return float(low / days), float(chi2.ppf(0.975, 2 * count + 2) / 2 / days)
