"""The counts of all promises that have one period: rings, and where they are asked for, time slices and a calendar."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from detectors.burn_rate import budget_remaining
from detectors.calendar_counts import CalendarCounts, CalendarRules
from detectors.calendar_period import time_zone
from detectors.ring_rules import RingRules
from detectors.rings import BAD, TOTAL, Rings
from detectors.tiers import DAY_NS, MINUTE_NS
from detectors.timeslices import Timeslices, slice_counts
from flows.slo.counting import Column
from flows.slo.promise import Calendar, Promise, Rolling
from flows.slo.seen import Seen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.slo.seed import Seed

_UNITS: dict[str, Any] = {"d": "day", "w": "week", "M": "month", "Q": "quarter", "Y": "year"}
_CALENDAR_NS = 30 * DAY_NS
"""What windows and factors of calendar periods are of."""


class Budgeting(NamedTuple):
    """What the promises of a bank have in common."""

    period_ns: int
    calendar: tuple[str, str, str, int] | None  # unit, start, time zone, count
    slice_ns: int  # 0: events count, not slices

    @classmethod
    def of(cls, promise: Promise) -> Self:
        """That of a promise."""
        slice_ns = promise.budgeting.slice_ns if promise.budgeting is not None else 0
        period = promise.period
        if isinstance(period, Rolling):
            return cls(period.period_ns, None, slice_ns)
        return cls(_CALENDAR_NS, (period.unit, period.start, period.time_zone, period.count), slice_ns)

    @property
    def name(self) -> str:
        """A text that is the same in every process."""
        return "/".join(map(str, (self.period_ns, *(self.calendar or ()), self.slice_ns)))


class Bank:
    """Counts by row, one row for each column of each target (slices of different targets are different rows).

    Args:
        budgeting: what they have in common.
        promises: that they count for.
        pane_ns: length of a pane.
        begin: the pane that closes first.
        seed: what rows that are new here counted before.
    """

    def __init__(
        self,
        budgeting: Budgeting,
        promises: Sequence[Promise],
        pane_ns: int,
        begin: int,
        seed: Seed | None = None,
    ) -> None:
        self.budgeting = budgeting
        self.promises = promises
        self.rings = Rings(self._rules(budgeting, promises, pane_ns), begin)
        self.rows: dict[tuple[Column, float], int] = {}
        self.seen = Seen()
        self._seed = seed
        self._is_closing = False  # a pane: it is counted in the position already
        slice_panes = budgeting.slice_ns // pane_ns
        self._slices = Timeslices(slice_panes, begin) if slice_panes else None
        self._calendar = CalendarCounts(self._calendar_rules(pane_ns), begin) if budgeting.calendar else None

    @staticmethod
    def _rules(budgeting: Budgeting, promises: Sequence[Promise], pane_ns: int) -> RingRules:
        tiers = [each for promise in promises for each in promise.alert_tiers()[0]]
        windows = {window for tier in tiers for window in (tier.long_ns, tier.short_ns)}
        return RingRules(budgeting.period_ns, tuple(windows | {min(MINUTE_NS, budgeting.period_ns)}), pane_ns)

    def _calendar_rules(self, pane_ns: int) -> CalendarRules:
        assert self.budgeting.calendar is not None
        unit, start, zone, count = self.budgeting.calendar
        return CalendarRules(_UNITS[unit], datetime.fromisoformat(start), time_zone(zone), count, pane_ns)

    # Rows

    def row(self, column: Column, target: float) -> int:
        """The row of a column, made where it is new; `target` is that of its slices, 0 where there are none."""
        self.make_rows([(column, target)])
        return self.rows[column, target]

    def make_rows(self, wanted: Sequence[tuple[Column, float]]) -> None:
        """Rows of columns, made where they are new; many at once cost little and leave no room to spare."""
        new = [key for key in dict.fromkeys(wanted) if key not in self.rows]
        if not new:
            return
        rows = self.rings.add_rows(len(new))
        self.rows.update(zip(new, rows.tolist(), strict=True))
        self.seen.clear(rows)
        if self._slices is not None:
            self._slices.set(rows, np.array([target for _, target in new]))
        if self._calendar is not None:
            self._calendar.clear(rows)
        if self._seed is not None:
            self._prime(new, rows, self._seed)

    def seeded(self) -> list[tuple[Column, float]]:
        """The rows of groups that the seed knows, of promises that have no row yet."""
        begun = {column.state_key for column, _ in self.rows}
        return [
            (Column(promise.state_key, group), slice_target(promise))
            for promise in self.promises
            if self._seed is not None and promise.group_by is not None and promise.state_key not in begun
            for group in self._seed.groups(promise.state_key)
        ]

    def _prime(self, new: Sequence[tuple[Column, float]], rows: np.ndarray, seed: Seed) -> None:
        """Give new rows their past, up to the pane with which they begin; a calendar counts nothing of it."""
        begin, pane_ns = self.rings.position - self._is_closing, self.rings.rules.pane_ns
        for (column, _), row in zip(new, rows.tolist(), strict=True):
            history = seed.histories.get(column)
            if history is not None:
                past = history.before(begin, pane_ns)
                self.rings.add(np.full(len(past.panes), row), past.panes, past.counts)
                self.rings.since[row] = begin - history.panes(pane_ns)

    # Counting

    def advance(self, position: int) -> None:
        """Close all panes before a position; what was counted of them follows, then `settle`."""
        self._is_closing = True
        self.rings.advance(position)
        if self._slices is not None:
            self._slices.advance(position)
        if self._calendar is not None:
            self._calendar.advance(position)

    def add(self, rows: np.ndarray, panes: np.ndarray, counts: np.ndarray) -> None:
        """Count events of closed panes; takes what `Rings.add` takes."""
        if self._slices is not None:
            self._slices.add(rows, panes, counts)
        else:
            self._add(rows, panes, counts)

    def settle(self) -> None:
        """After all counts of a pane: judge slices that are over."""
        if self._slices is not None:
            changes = self._slices.judge()
            if len(changes.rows):
                self._add(changes.rows, changes.panes, changes.counts)
        self._is_closing = False

    def _add(self, rows: np.ndarray, panes: np.ndarray, counts: np.ndarray) -> None:
        self.rings.add(rows, panes, counts)
        if self._calendar is not None:
            self._calendar.add(rows, panes, counts)

    # Windows

    @property
    def windows_ns(self) -> tuple[int, ...]:
        """All windows that are kept, the shortest first, the period last."""
        return self.rings.rules.windows_ns

    def window(self, window_ns: int) -> np.ndarray:
        """(n_rows, 4): the counts of a window, of slices if they are what counts."""
        return self._sliced(self.rings.window(window_ns), window_ns)

    def filled(self, window_ns: int) -> np.ndarray:
        """(n_rows, 4) float64: likewise, missing history as the mean traffic without errors."""
        if self._slices is not None:
            return self.window(window_ns).astype(np.float64)  # slices that nothing is known of are good as well
        return self.rings.filled(window_ns)

    def _sliced(self, counts: np.ndarray, window_ns: int) -> np.ndarray:
        if self._slices is None:
            return counts
        return slice_counts(counts, self.rings.start(window_ns), self.rings.position, self._slices.slice_panes)

    def remaining(self, rows: np.ndarray, objectives: np.ndarray) -> np.ndarray:
        """(n,): the share of the budget that is left.

        What a rolling period does not know yet counts as the mean traffic without errors; a calendar period is judged
        by what there was of it so far.
        """
        if self._calendar is not None:
            counts = self._calendar.counts[rows]
            if self._slices is not None:
                begin = self._calendar.begin_ns // self.rings.rules.pane_ns
                counts = slice_counts(counts, begin, self.rings.position, self._slices.slice_panes)
        else:
            counts = self.filled(self.budgeting.period_ns).take(rows, axis=0)
        return budget_remaining(counts[:, BAD], counts[:, TOTAL], objectives)

    # State

    def snapshot(self) -> dict[str, Any]:
        """Plain values and arrays."""
        return {
            "rings": self.rings.snapshot(),
            "seen": self.seen.snapshot(),
            "slices": None if self._slices is None else self._slices.snapshot(),
            "calendar": None if self._calendar is None else self._calendar.snapshot(),
            "rows": [[*column, target, row] for (column, target), row in self.rows.items()],
        }

    def restore(self, fields: dict[str, Any]) -> None:
        """The state that `snapshot` gave; rows that no promise asks for any more are forgotten."""
        pane_ns = self.rings.rules.pane_ns
        self.rings = Rings.restore(fields["rings"], self.windows_ns)
        self.seen.restore(fields["seen"])
        if self._slices is not None and fields["slices"] is not None:
            self._slices = Timeslices.restore(fields["slices"])
        if self._calendar is not None and fields["calendar"] is not None:
            self._calendar = CalendarCounts.restore(fields["calendar"], self._calendar_rules(pane_ns))
        wanted = {(promise.state_key, slice_target(promise)) for promise in self.promises}
        gone = []
        for state_key, group, target, row in fields["rows"]:
            if (state_key, target) in wanted:
                self.rows[Column(state_key, group), target] = row
            else:
                gone.append(row)
        if gone:
            self.rings.remove_rows(gone)
            if self._slices is not None:
                self._slices.forget(gone)
            if self._calendar is not None:
                self._calendar.clear(gone)


def slice_target(promise: Promise) -> float:
    """The target of a promise's slices, 0 where events count."""
    return promise.budgeting.target if promise.budgeting is not None else 0.0


__all__ = ["Bank", "Budgeting", "Calendar", "slice_target"]
