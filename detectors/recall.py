"""Which faults alerts have seen, after how long, and which alerts were false.

An alert belongs to the faults that last when it begins; where none does, to the one that ended last, if that is not
longer ago than its aftermath. So one alert is never the proof of two faults that follow each other, and who alerts
all the time sees nothing: only an alert's beginning counts.

False are episodes that begin in ordinary time: what is neither a fault nor its aftermath, nor otherwise left out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from detectors.spells import contains, joined, total_ns

UNSEEN = -1
DAY_NS = 86_400 * 10**9
_NEVER = np.iinfo(np.int64).min


def credited(begins_ns: np.ndarray, faults: np.ndarray, aftermath_ns: int) -> np.ndarray:
    """Which faults each alert belongs to.

    Args:
        begins_ns: (n_alerts,) int64, when alerts began.
        faults: (n_faults, 2) int64, from and to.
        aftermath_ns: how long after its end a fault may still be why.

    Returns:
        (n_alerts, n_faults) bool.

    >>> faults = np.array([[0, 10], [20, 30]])
    >>> credited(np.array([5, 12, 25, 50]), faults, aftermath_ns=15).tolist()
    [[True, False], [True, False], [False, True], [False, False]]
    """
    at, begin, end = begins_ns[:, None], faults[None, :, 0], faults[None, :, 1]
    lasts = np.asarray((begin <= at) & (at <= end))
    after = np.asarray((end < at) & (at < end + aftermath_ns))
    latest = np.where(after, end, _NEVER).max(axis=1, initial=_NEVER)
    return np.where(lasts.any(axis=1, keepdims=True), lasts, after & (end == latest[:, None]))


def delays(begins_ns: np.ndarray, mine: np.ndarray, faults: np.ndarray) -> np.ndarray:
    """How long after a fault's beginning its first alert began.

    Args:
        begins_ns: (n_alerts,) int64.
        mine: (n_alerts, n_faults) bool, as `credited` gives it, or fewer.
        faults: (n_faults, 2) int64.

    Returns:
        (n_faults,) int64 nanoseconds, `UNSEEN` where there is none.

    >>> delays(np.array([7, 5]), np.array([[True, False], [True, False]]), np.array([[0, 10], [20, 30]])).tolist()
    [5, -1]
    """
    never = np.iinfo(np.int64).max
    first = np.where(mine, begins_ns[:, None], never).min(axis=0, initial=never)
    return np.where(first == never, UNSEEN, first - faults[:, 0])


def false_begins(alerts: np.ndarray, ordinary: np.ndarray, apart_ns: int) -> np.ndarray:
    """When episodes began in ordinary time.

    Args:
        alerts: (n, 2) int64, from when to when each fired, in any order; of one rule and one service.
        ordinary: (m, 2) int64 spells, sorted and apart.
        apart_ns: what is less than this apart is one episode.

    Returns:
        (k,) int64.

    >>> false_begins(np.array([[5, 8], [12, 15], [60, 61]]), np.array([[10, 100]]), apart_ns=30).tolist()
    [60]
    """
    begins = joined(alerts, apart_ns)[:, 0]
    return np.asarray(begins[contains(ordinary, begins)])


class Figures(NamedTuple):
    """What one rule made of one part of a recording."""

    faults: int
    own: int
    """Seen by an alert of the faulty service."""
    seen: int
    """By an alert of any service."""
    delays_ns: tuple[int, ...]
    """Of those that were seen by any, sorted."""
    false: int
    """Episodes that began in ordinary time, of each service for itself."""
    ordinary_ns: int
    """How long that was."""

    @property
    def false_a_day(self) -> float:
        """Episodes a day of ordinary time; NaN where there was none.

        >>> Figures(0, 0, 0, (), 2, 12 * 3_600 * 10**9).false_a_day
        4.0
        """
        return self.false * DAY_NS / self.ordinary_ns if self.ordinary_ns else float("nan")

    @property
    def median_delay_ns(self) -> int:
        """The lower median of delays; `UNSEEN` where nothing was seen."""
        return self.delays_ns[(len(self.delays_ns) - 1) // 2] if self.delays_ns else UNSEEN

    @property
    def worst_delay_ns(self) -> int:
        """The longest delay; `UNSEEN` where nothing was seen."""
        return self.delays_ns[-1] if self.delays_ns else UNSEEN


class Marks(NamedTuple):
    """Alerts or faults: (n, 2) int64 from and to, and the number of each one's service, (n,) int64."""

    spells: np.ndarray
    service: np.ndarray


def figures(
    alerts: Marks, faults: Marks, counted: np.ndarray, ordinary: np.ndarray, aftermath_ns: int, apart_ns: int
) -> Figures:
    """What the alerts of one rule made of some faults and some ordinary time.

    Args:
        alerts: of the rule.
        faults: all that are known, also those that are not counted: an alert may belong to them.
        counted: (n_faults,) bool.
        ordinary: (n, 2) int64 spells, sorted and apart.
        aftermath_ns: how long after its end a fault may still be why.
        apart_ns: what is less than this apart is one episode.
    """
    begins = alerts.spells[:, 0]
    mine = credited(begins, faults.spells, aftermath_ns)
    own = mine & (alerts.service[:, None] == faults.service[None, :])
    late = delays(begins, mine, faults.spells)[counted]
    return Figures(
        faults=int(counted.sum()),
        own=int(own.any(axis=0)[counted].sum()),
        seen=int((late != UNSEEN).sum()),
        delays_ns=tuple(sorted(late[late != UNSEEN].tolist())),
        false=sum(
            len(false_begins(alerts.spells[alerts.service == service], ordinary, apart_ns))
            for service in np.unique(alerts.service)
        ),
        ordinary_ns=total_ns(ordinary),
    )
