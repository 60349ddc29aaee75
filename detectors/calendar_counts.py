"""Counts since a calendar period began: what is left of a budget that is whole again on the first of the month."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from detectors.calendar_period import Unit, calendar_end, calendar_start
from detectors.ring_rules import PANE_NS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

_VERSION = 1


@dataclass(frozen=True, slots=True)
class CalendarRules:
    """When periods begin: see `detectors.calendar_period.calendar_start`."""

    unit: Unit
    start: datetime
    zone: ZoneInfo
    count: int = 1
    pane_ns: int = PANE_NS


class CalendarCounts:
    """The four counts of `detectors.rings` for SLOs that share a calendar, reset where a period begins.

    Shown is the period of the pane that closed last. Late events of the period before count no more.

    Args:
        rules: The calendar.
        begin: The pane that will be closed first.

    >>> from datetime import datetime, timezone
    >>> from detectors.calendar_period import time_zone
    >>> counts = CalendarCounts(CalendarRules("day", datetime(2026, 1, 1), time_zone("UTC")), begin=0)
    >>> counts.clear([0])
    >>> day = 86_400 // 5
    >>> counts.advance(day)
    >>> counts.add([0, 0], [5, day - 1], np.array([[1 << 20, 0, 1, 0], [1 << 20, 1 << 20, 1, 1]]))
    >>> counts.counts[0].tolist()
    [2097152, 1048576, 2, 1]
    >>> counts.advance(day + 1)
    >>> counts.counts[0].tolist()
    [0, 0, 0, 0]
    """

    def __init__(self, rules: CalendarRules, begin: int) -> None:
        self.rules = rules
        self.position = begin
        self.counts = np.zeros((0, 4), np.int64)
        """(n_rows, 4) int64, by row number of the SLO."""
        self.begin_ns, self.end_ns = self._period(begin)

    @property
    def period_ns(self) -> int:
        """The length of the present period; an hour less or more than usual where the clock changes."""
        return self.end_ns - self.begin_ns

    def clear(self, rows: Sequence[int] | np.ndarray) -> None:
        """Begin with these rows, or forget them."""
        needed = int(np.max(rows, initial=-1)) + 1
        if needed > len(self.counts):
            self.counts = np.concatenate((self.counts, np.zeros((needed - len(self.counts), 4), np.int64)))
        self.counts[rows] = 0

    def advance(self, position: int) -> None:
        """Close all panes before a position: where the last of them is in a new period, counts are zero again."""
        self.position = position
        if (position - 1) * self.rules.pane_ns >= self.end_ns:
            self.begin_ns, self.end_ns = self._period(position - 1)
            self.counts[:] = 0

    def add(self, rows: Sequence[int] | np.ndarray, panes: Sequence[int] | np.ndarray, counts: np.ndarray) -> None:
        """Count events of closed panes; takes what `Rings.add` takes."""
        mine = np.asarray(panes, np.int64) * self.rules.pane_ns >= self.begin_ns
        np.add.at(self.counts, np.asarray(rows, np.int64)[mine], counts[mine])

    def snapshot(self) -> dict[str, Any]:
        """All state as plain values and arrays; the array is the bank's own."""
        return {"version": _VERSION, "position": self.position, "begin_ns": self.begin_ns, "counts": self.counts}

    @classmethod
    def restore(cls, state: dict[str, Any], rules: CalendarRules) -> CalendarCounts:
        """The bank of a snapshot; counts of a calendar whose period began at another moment are dropped.

        Raises:
            ValueError: The snapshot is of another version.
        """
        if state["version"] != _VERSION:
            raise ValueError(f"calendar counts of version {state['version']} were found, {_VERSION} was expected")
        restored = cls(rules, state["position"])
        restored.counts = state["counts"].copy()
        restored.begin_ns, restored.end_ns = restored._period(state["position"] - 1)
        if restored.begin_ns != state["begin_ns"]:
            restored.counts[:] = 0
        return restored

    def _period(self, pane: int) -> tuple[int, int]:
        at = pane * self.rules.pane_ns
        unit, start, zone, count = self.rules.unit, self.rules.start, self.rules.zone, self.rules.count
        return calendar_start(at, unit, start, zone, count), calendar_end(at, unit, start, zone, count)
