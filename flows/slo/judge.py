"""The judge of promises: counts of all shards by pane → error ratios, burn rates, budgets, alerts. One key has all.

It hears every shard and the one that gathers services without a place, and is final about a pane when all have closed
it. Everything is a function of closed panes, in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from detectors.tiers import MINUTE_NS
from flows.machine import Machine
from flows.records import Partition
from flows.series import OVERFLOW, SHARDS
from flows.slo.alerting import alerts, judge, pending
from flows.slo.bank import Bank, Budgeting, slice_target
from flows.slo.counting import Column
from flows.slo.exclusions import Excluded
from flows.slo.farewell import Farewells
from flows.slo.figures import figures
from flows.slo.lines import Line, Lines
from flows.slo.shown import SloAlert as SloAlert  # whoever asks a judge finds its answers here
from flows.slo.shown import SloFigures as SloFigures
from flows.slo.shown import SloShown as SloShown
from flows.slo.shown import WindowFigures as WindowFigures
from flows.slo.waiting import Waiting
from flows.snapshot import pack, unpack
from flows.watermark import NEVER, PartitionProgress, Progress, TimeRules, Watermark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.shard import Closed
    from flows.slo.counting import Counted
    from flows.slo.exclusions import Exclusion
    from flows.slo.promise import Promise
    from flows.slo.seed import Seed
    from flows.slo.waiting import Rows

KEY = "slo"
"""The dataflow's key of the judge."""

_SOURCES = SHARDS + 1
_VERSION = 2
_BEFORE_FAREWELLS = 1
_UNSET, _NOT_HERE = -2, -1


class SloPart(NamedTuple):
    """What one advance of a shard tells the judge."""

    progress: Progress
    counted: tuple[Counted, ...]


def tell_judge(keyed: tuple[str, Closed]) -> tuple[str, SloPart]:
    """What a shard that closed panes has for the judge."""
    key, closed = keyed
    number = SHARDS if key == OVERFLOW else int(key)
    partition = Partition("shard", number)
    progress = PartitionProgress(partition, closed.upto, closed.first_pane, closed.upto - 1, closed.upto)
    counted = tuple(segment.counted for segment in closed.segments if segment.counted is not None)
    return KEY, SloPart(Progress(number, (progress,), closed.done), counted)


@dataclass(frozen=True, slots=True)
class SloRules:
    """What is promised, and how time is cut."""

    promises: tuple[Promise, ...]
    pane_ns: int
    seed: Seed | None = None  # what rows counted before they began
    exclusions: tuple[Exclusion, ...] = ()  # when events count nowhere


class SloJudge:
    """Judges all promises.

    Args:
        rules: what is promised.
    """

    def __init__(self, rules: SloRules) -> None:
        self.rules = rules
        self.watermark = Watermark(_SOURCES, TimeRules(pane_ns=1, lateness_ns=0))
        self.position = NEVER
        self._waiting = Waiting()
        self._desks: list[_Desk] = []
        self._stored: dict[str, Any] = {}  # alerts of lines that are not made yet
        self._farewells = Farewells()

    # Hearing

    def hear(self, parts: list[SloPart]) -> list[SloShown]:
        """Take what shards have counted; returns what is shown of the panes that are final now."""
        for part in parts:
            for counted in part.counted:
                self._waiting.add(part.progress.slot, counted)
            self.watermark.hear(part.progress)
        upto = self.watermark.closable()
        if upto <= self.position:
            return []
        if self.position == NEVER:
            first = self.watermark.first_pane()
            if first == NEVER:
                return []
            self._begin(min(first, upto), {})
        return self._close(upto)

    def _begin(self, position: int, stored: dict[str, Any]) -> None:
        self.position = position
        by_budgeting: dict[Budgeting, list[Promise]] = {}
        for promise in self.rules.promises:
            by_budgeting.setdefault(Budgeting.of(promise), []).append(promise)
        for budgeting, promises in by_budgeting.items():
            bank = Bank(budgeting, promises, self.rules.pane_ns, position, self.rules.seed)
            if budgeting.name in stored:
                bank.restore(stored[budgeting.name])
            self._desks.append(_Desk(bank, self._stored, Excluded(self.rules.exclusions, self.rules.pane_ns)))

    def _close(self, upto: int) -> list[SloShown]:
        due = self._waiting.take(upto)
        at = np.maximum(due.at, self.position)
        bounds = np.searchsorted(at, np.arange(self.position, upto + 1)).tolist()
        shown = []
        for first, last in pairwise(bounds):
            pane = self.position
            self.position += 1
            end_ns = self.position * self.rules.pane_ns
            rows = due.pick(slice(first, last))
            for desk in self._desks:
                desk.close(pane, rows, self._waiting.columns)
                judge(desk.lines, desk.bank, end_ns)
            is_last = self.position == upto
            if is_last or end_ns % MINUTE_NS == 0:
                shown.append(self._shown(is_last=is_last))
        return shown

    # Showing

    @property
    def banks(self) -> list[Bank]:
        """The counts, by period."""
        return [desk.bank for desk in self._desks]

    def _shown(self, *, is_last: bool) -> SloShown:
        banks = tuple(figures(desk.lines, desk.bank) for desk in self._desks if len(desk.lines))
        groupless = tuple(promise for desk in self._desks for promise in desk.groupless())
        waiting = tuple(each for desk in self._desks for each in pending(desk.lines))
        end_ns = self.position * self.rules.pane_ns
        return SloShown(end_ns, banks, groupless, self.alerts(), waiting, self._farewells.at(end_ns), is_last)

    def figures(self) -> list[SloFigures]:
        """Every objective as it stands."""
        return self._shown(is_last=True).figures

    def alerts(self) -> list[SloAlert]:
        """Every alert that fires, or ended a little while ago."""
        end_ns = self.position * self.rules.pane_ns
        return [each for desk in self._desks for each in alerts(desk.lines, end_ns)]

    # State

    def snapshot(self) -> bytes:
        """The whole state as versioned bytes."""
        return pack(
            "slos",
            _VERSION,
            {
                "pane_ns": self.rules.pane_ns,
                "position": self.position,
                "watermark": self.watermark.snapshot(),
                "waiting": self._waiting.snapshot(),
                "banks": {desk.bank.budgeting.name: desk.bank.snapshot() for desk in self._desks},
                "lines": {
                    line.key: {name: machine.snapshot() for name, machine in line.machines.items()}
                    for desk in self._desks
                    for line in desk.lines.all
                    if line.machines
                },
                "told": self._farewells.snapshot(self.alerts()),
            },
        )

    @classmethod
    def restore(cls, rules: SloRules, data: bytes) -> SloJudge:
        """The judge that `snapshot` wrote down; promises may be others: what counts the same goes on.

        Raises:
            SnapshotError: bytes of something else, or of a version this release does not read.
        """
        fields = unpack(data, "slos", _VERSION, _BEFORE_FAREWELLS)
        judge = cls(rules)
        judge.watermark.restore(fields["watermark"])
        judge._waiting = Waiting.restore(fields["waiting"])
        judge._stored = dict(fields["lines"])
        if fields["position"] != NEVER:
            judge._begin(fields["position"], fields["banks"])
            judge._stored.clear()  # whose promise is not here any more
            told = fields.get("told", ())  # of a version that wrote them down
            judge._farewells.restore(told, judge.alerts(), judge.position * rules.pane_ns)
        return judge


class _Desk:
    """A bank, the lines that are judged by it, and which of what is counted belongs to it.

    Args:
        bank: with the rows that are known already.
        stored: alerts by line, taken from as lines are made.
        excluded: learns which rows there are.
    """

    def __init__(self, bank: Bank, stored: dict[str, Any], excluded: Excluded) -> None:
        self.bank = bank
        self.lines = Lines()
        self._stored = stored
        self._excluded = excluded
        # By what they count, and the target of their slices.
        self._promises: dict[tuple[str, float], list[Promise]] = {}
        for promise in bank.promises:
            self._promises.setdefault((promise.state_key, slice_target(promise)), []).append(promise)
        self._targets = sorted({target for _, target in self._promises})
        self._rows = {target: np.zeros(0, np.int64) for target in self._targets}  # by number of the column
        self._groups: dict[str, set[str]] = {}
        self._grouped = [promise for promise in bank.promises if promise.group_by is not None]
        ungrouped = [promise for promise in bank.promises if promise.group_by is None]
        bank.make_rows([(Column(promise.state_key, ""), slice_target(promise)) for promise in ungrouped])
        bank.make_rows(bank.seeded())
        for promise in ungrouped:
            self._line(promise, "")
        for column, target in list(bank.rows):
            self._row(column, target)

    def groupless(self) -> list[Promise]:
        """Promises of one objective for each value of a label, of which none has come yet."""
        return [promise for promise in self._grouped if promise not in self.lines.arrays.promises]

    def close(self, pane: int, due: Rows, columns: Sequence[Column]) -> None:
        """Close a pane: count what is due, in order."""
        self.bank.advance(pane + 1)
        for target in self._targets if len(due.column) else ():
            which = self._numbers(target, np.unique(due.column), columns)[due.column]
            here = which >= 0
            here[here] = ~self._excluded.of(which[here], due.pane[here])
            if here.any():
                rows, mine = which[here], due.pick(here)
                self.bank.add(rows, np.minimum(mine.pane, pane), mine.counts)
                self.bank.seen.note(rows, mine, pane)
        self.bank.seen.excuse(self._excluded.rows_at(pane), pane)
        self.bank.settle()

    def _numbers(self, target: float, used: np.ndarray, columns: Sequence[Column]) -> np.ndarray:
        """(n_columns,) the row of each column that is used; made where it is new and promised here."""
        known = self._rows[target]
        if len(known) < len(columns):
            known = self._rows[target] = np.concatenate([known, np.full(len(columns) - len(known), _UNSET)])
        for number in used[known[used] == _UNSET].tolist():
            known[number] = self._row(columns[number], target)
        return known

    def _row(self, column: Column, target: float) -> int:
        row = _NOT_HERE
        for promise in self._promises.get((column.state_key, target), ()):
            row = self._line(promise, self._capped(promise, column.group)).row
        return row

    def _capped(self, promise: Promise, group: str) -> str:
        """The group, or the overflow where there are too many."""
        if promise.group_by is None:
            return ""
        groups = self._groups.setdefault(promise.state_key, set())
        if group not in groups and len(groups) >= promise.group_by.cap:
            return OVERFLOW
        groups.add(group)
        return group

    def _line(self, promise: Promise, group: str) -> Line:
        line = self.lines.find(promise, group)
        if line is None:
            row = self.bank.row(Column(promise.state_key, group), slice_target(promise))
            line = Line(promise, group, row, promise.alert_tiers()[0])
            stored = self._stored.pop(line.key, {})
            line.machines = {name: Machine.restore(fields) for name, fields in stored.items()}
            self.lines.add(line)
            self._excluded.note(row, promise, group)
        return line
