"""The judge of promises: counts of all shards by pane → error ratios, burn rates, budgets, alerts. One key has all.

It hears every shard and the one that gathers services without a place, and is final about a pane when all have closed
it. Everything is a function of closed panes, in order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from detectors.burn_rate import burn_rate, seconds_to_fire, time_to_exhaustion
from detectors.evaluation import TierState, error_ratio, evaluate
from detectors.guard import MIN_EVENTS
from detectors.rings import BAD, RAW_TOTAL, TOTAL
from detectors.tiers import HOUR_NS, MINUTE_NS
from flows.records import Partition
from flows.series import OVERFLOW, SHARDS
from flows.slo.bank import Bank, Budgeting, slice_target
from flows.slo.counting import Column, Counted
from flows.slo.machine import Machine
from flows.snapshot import pack, unpack
from flows.watermark import NEVER, PartitionProgress, Progress, TimeRules, Watermark

if TYPE_CHECKING:
    from detectors.tiers import Severity
    from flows.shard import Closed
    from flows.slo.promise import Promise, UserTier

KEY = "slo"
"""The dataflow's key of the judge."""

SPENT = (50, 90, 100)
"""Per cent of the budget at which an alert says so."""

_SOURCES = SHARDS + 1
_VERSION = 1
_WEIGHT_BITS = 20
_RESOLVED_FOR_NS = 20 * MINUTE_NS
"""How long an alert that ended is still told of: longer than whoever sends it repeats it."""


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


class WindowFigures(NamedTuple):
    """One window of one objective."""

    window_ns: int
    events: int
    error_ratio: float  # NaN: no events
    burn_rate: float


class SloFigures(NamedTuple):
    """One objective, or one value of its `group-by`, as of the end of a pane."""

    promise: Promise
    group: str
    windows: tuple[WindowFigures, ...]
    budget_remaining: float  # 1 is untouched; below 0: overspent
    exhausted_in_s: float  # at the burn of the last hour; inf: never; NaN: unknown
    armed: bool  # all its tiers
    unknown: bool  # the shortest window has no events


class SloAlert(NamedTuple):
    """One alert that fires or did lately."""

    name: str  # SLOBurnRate, SLOAbsent, SLOBudgetSpent
    promise: Promise
    group: str
    severity: Severity
    spent: int  # of SLOBudgetSpent
    starts_at_ns: int
    ends_at_ns: int | None
    says: dict[str, str]


class SloShown(NamedTuple):
    """What the judge shows at the end of a pane."""

    end_ns: int
    figures: list[SloFigures]
    alerts: list[SloAlert]
    is_last: bool  # of those closed at once: what is shown live


@dataclass(slots=True, eq=False)
class _Line:
    """One promise for one group: a row of counts, tiers, alerts."""

    promise: Promise
    group: str
    row: int
    tiers: tuple[UserTier, ...]
    machines: dict[str, Machine] = field(default_factory=dict)
    last_event: int = NEVER  # pane
    trace: tuple[int, int] = (0, 0)  # of a bad span
    trace_pane: int = NEVER

    @property
    def key(self) -> str:
        """What its alerts are stored under: a changed objective's name is another alert."""
        return "\x1f".join((self.promise.name, self.promise.service, self.promise.objective_name, self.group))


class _Said(NamedTuple):
    """What a tier says of a line."""

    state: TierState
    long_ratio: float
    short_ratio: float


class SloJudge:
    """Judges all promises.

    Args:
        rules: what is promised.
    """

    def __init__(self, rules: SloRules) -> None:
        self.rules = rules
        self.watermark = Watermark(_SOURCES, TimeRules(pane_ns=1, lateness_ns=0))
        self.position = NEVER
        self._waiting: list[Counted] = []
        self._banks: list[Bank] = []
        self._lines: list[list[_Line]] = []  # by bank
        self._groups: dict[str, set[str]] = {}
        self._stored: dict[str, list[Any]] = {}  # of lines that are not here (yet)

    # Hearing

    def hear(self, parts: list[SloPart]) -> list[SloShown]:
        """Take what shards have counted; returns what is shown of the panes that are final now."""
        for part in parts:
            self._waiting.extend(part.counted)
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
            bank = Bank(budgeting, promises, self.rules.pane_ns, position)
            if budgeting.name in stored:
                bank.restore(stored[budgeting.name])
            self._banks.append(bank)
            self._lines.append([])
            for promise in promises:
                groups = [column.group for column, _ in bank.rows if column.state_key == promise.state_key]
                for group in groups if promise.group_by is not None else [""]:
                    self._line(len(self._banks) - 1, promise, self._capped(promise, group))

    def _close(self, upto: int) -> list[SloShown]:
        due = self._due(upto)
        shown = []
        while self.position < upto:
            pane = self.position
            self.position += 1
            end_ns = self.position * self.rules.pane_ns
            for b, bank in enumerate(self._banks):
                bank.advance(self.position)
                for counted, rows in due.get(pane, ()):
                    self._add(b, counted, rows, pane)
                bank.settle()
                self._judge_bank(b, end_ns)
            is_last = self.position == upto
            if is_last or end_ns % MINUTE_NS == 0:
                shown.append(SloShown(end_ns, self.figures(), self.alerts(), is_last))
        return shown

    def _due(self, upto: int) -> dict[int, list[tuple[Counted, np.ndarray]]]:
        """What counts before pane `upto`, by the pane at whose close it does; the rest goes on waiting."""
        due: dict[int, list[tuple[Counted, np.ndarray]]] = {}
        waiting, self._waiting = self._waiting, []
        for counted in waiting:
            for pane in np.unique(counted.at).tolist():
                if pane < upto:
                    due.setdefault(max(pane, self.position), []).append((counted, np.flatnonzero(counted.at == pane)))
            if (counted.at >= upto).any():
                self._waiting.append(counted.pick(np.flatnonzero(counted.at >= upto)))
        return due

    # Counting

    def _add(self, b: int, counted: Counted, rows: np.ndarray, pane: int) -> None:
        bank = self._banks[b]
        for target in {slice_target(promise) for promise in bank.promises}:
            numbers = np.array([self._row(b, column, target) for column in counted.columns], np.int64)
            mine = rows[numbers[counted.column[rows]] >= 0]
            if len(mine):
                which, counts = numbers[counted.column[mine]], counted.counts[mine]
                bank.add(which, np.minimum(counted.pane[mine], pane), counts)
                self._note(b, which, counts, counted.trace[mine], pane)

    def _row(self, b: int, column: Column, target: float) -> int:
        """The row of a column, made where it is new and promised here; -1 where it is not."""
        bank = self._banks[b]
        row = bank.rows.get((column, target), -1)
        if row < 0:
            for promise in bank.promises:
                if promise.state_key == column.state_key and slice_target(promise) == target:
                    row = self._line(b, promise, self._capped(promise, column.group)).row
        return row

    def _note(self, b: int, rows: np.ndarray, counts: np.ndarray, trace: np.ndarray, pane: int) -> None:
        """What lines remember beside the counts: that there were events, and which trace was bad."""
        bad = {
            row: (int(hi), int(lo)) for row, (hi, lo), n in zip(rows.tolist(), trace, counts[:, BAD], strict=True) if n
        }
        seen = set(rows.tolist())
        for line in self._lines[b]:
            if line.row in seen:
                line.last_event = pane
                if line.row in bad:
                    line.trace, line.trace_pane = bad[line.row], pane

    def _capped(self, promise: Promise, group: str) -> str:
        """The group, or the overflow where there are too many."""
        if promise.group_by is None:
            return ""
        groups = self._groups.setdefault(promise.state_key, set())
        if group not in groups and len(groups) >= promise.group_by.cap:
            return OVERFLOW
        groups.add(group)
        return group

    def _line(self, b: int, promise: Promise, group: str) -> _Line:
        for line in self._lines[b]:
            if line.promise is promise and line.group == group:
                return line
        row = self._banks[b].row(Column(promise.state_key, group), slice_target(promise))
        line = _Line(promise, group, row, promise.alert_tiers()[0])
        stored = self._stored.pop(line.key, None)
        if stored is not None:
            machines, line.last_event, (high, low), line.trace_pane = stored
            line.machines = {key: Machine.restore(fields) for key, fields in machines.items()}
            line.trace = high, low
        self._lines[b].append(line)
        return line

    # Judging

    def _judge_bank(self, b: int, end_ns: int) -> None:
        bank, lines = self._banks[b], self._lines[b]
        if not lines:
            return
        pairs: dict[tuple[int, int], list[tuple[_Line, UserTier]]] = {}
        for line in lines:
            for each in line.tiers:
                pairs.setdefault((each.long_ns, each.short_ns), []).append((line, each))
        said: dict[_Line, dict[str, _Said]] = {}
        for (long_ns, short_ns), watched in pairs.items():
            rows = np.array([line.row for line, _ in watched], np.int64)
            floors = [_floor(line, each) for line, each in watched]
            found = evaluate(
                bank.filled(long_ns)[rows],
                bank.window(short_ns)[rows],
                np.array([each.threshold for line, each in watched]),
                bank.rings.armed(long_ns)[rows],
                np.array([guarded for guarded, _ in floors]),
                np.array([least for _, least in floors], np.int64),
            )
            for i in np.flatnonzero(found.state != TierState.RELEASED).tolist():
                line, each = watched[i]
                ratios = float(found.long_ratio[i]), float(found.short_ratio[i])
                said.setdefault(line, {})[each.name] = _Said(TierState(found.state[i]), *ratios)
        remaining = self._remaining(b)
        for line, left in zip(lines, remaining.tolist(), strict=True):
            for severity in ("critical", "warning"):
                _judge_tiers(line, severity, said.get(line, {}), end_ns)
            self._judge_absence(line, end_ns)
            _judge_budget(line, left, end_ns)

    def _remaining(self, b: int) -> np.ndarray:
        rows = np.array([line.row for line in self._lines[b]], np.int64)
        return self._banks[b].remaining(rows, np.array([line.promise.objective for line in self._lines[b]]))

    def _judge_absence(self, line: _Line, end_ns: int) -> None:
        """No events for as long as a total outage would need to fire."""
        if not line.promise.policy.alerts_on_absence or line.last_event == NEVER:
            return
        silent_ns = end_ns - (line.last_event + 1) * self.rules.pane_ns
        seconds = [seconds_to_fire(1.0, each.threshold, each.long_ns) for each in line.tiers]
        is_absent = silent_ns >= min(seconds, default=60.0) * 1e9
        if not is_absent and "absent" not in line.machines:
            return
        machine = line.machines.setdefault("absent", Machine())
        if is_absent:
            machine.says = {"silent_s": str(silent_ns // 1_000_000_000)}
        machine.step(end_ns, is_absent)

    # Showing

    def figures(self) -> list[SloFigures]:
        """Every objective as it stands."""
        found = []
        for b, bank in enumerate(self._banks):
            if not self._lines[b]:
                continue
            windows = bank.windows_ns
            counts = [bank.window(window) for window in windows]
            ratios = [error_ratio(of_window) for of_window in counts]
            hour = min(range(len(windows)), key=lambda i: abs(windows[i] - HOUR_NS))
            history = bank.rings.history_ns()
            for line, remaining in zip(self._lines[b], self._remaining(b).tolist(), strict=True):
                promise, row = line.promise, line.row
                of_windows = tuple(
                    WindowFigures(
                        window,
                        int(of_window[row, TOTAL]) >> _WEIGHT_BITS,
                        float(ratio[row]),
                        burn_rate(float(ratio[row]), promise.objective),
                    )
                    for window, of_window, ratio in zip(windows, counts, ratios, strict=True)
                )
                burn = np.array([of_windows[hour].burn_rate])
                left = time_to_exhaustion(np.array([remaining]), burn, promise.period.period_ns)
                longest = max((each.long_ns for each in line.tiers), default=0)
                armed, unknown = bool(2 * history[row] >= longest), not counts[0][row, RAW_TOTAL]
                found.append(
                    SloFigures(promise, line.group, of_windows, remaining, float(left[0]), armed, bool(unknown))
                )
        return found

    def alerts(self) -> list[SloAlert]:
        """Every alert that fires, or ended a little while ago."""
        end_ns = self.position * self.rules.pane_ns
        return [
            _alert(line, key, machine)
            for lines in self._lines
            for line in lines
            for key, machine in line.machines.items()
            if machine.is_firing or (machine.ends_at_ns != NEVER and end_ns - machine.ends_at_ns <= _RESOLVED_FOR_NS)
        ]

    # State

    def snapshot(self) -> bytes:
        """The whole state as versioned bytes."""
        lines = {
            line.key: [
                {key: machine.snapshot() for key, machine in line.machines.items()},
                line.last_event,
                list(line.trace),
                line.trace_pane,
            ]
            for of_bank in self._lines
            for line in of_bank
        }
        return pack(
            "slos",
            _VERSION,
            {
                "pane_ns": self.rules.pane_ns,
                "position": self.position,
                "watermark": self.watermark.snapshot(),
                "waiting": [each.snapshot() for each in self._waiting],
                "banks": {bank.budgeting.name: bank.snapshot() for bank in self._banks},
                "lines": lines,
            },
        )

    @classmethod
    def restore(cls, rules: SloRules, data: bytes) -> SloJudge:
        """The judge that `snapshot` wrote down; promises may be others: what counts the same goes on.

        Raises:
            SnapshotError: bytes of something else, or of a version this release does not read.
        """
        fields = unpack(data, "slos", _VERSION)
        judge = cls(rules)
        judge.watermark.restore(fields["watermark"])
        judge._waiting = [Counted.restore(each) for each in fields["waiting"]]
        judge._stored = dict(fields["lines"])
        if fields["position"] != NEVER:
            judge._begin(fields["position"], fields["banks"])
        return judge


def _alert(line: _Line, key: str, machine: Machine) -> SloAlert:
    """The alert that a machine of a line is of."""
    name, severity, spent = _identity(key)
    ends_at_ns = None if machine.is_firing else machine.ends_at_ns
    promise, group = line.promise, line.group
    return SloAlert(name, promise, group, severity, spent, machine.starts_at_ns, ends_at_ns, machine.says)


def _floor(line: _Line, each: UserTier) -> tuple[bool, int]:
    """Whether a tier is guarded, and how many bad events it takes to start: pages are careful unless told."""
    policy, pages = line.promise.policy, each.severity == "critical"
    least = policy.min_events if policy.min_events is not None else MIN_EVENTS if pages else 0
    return (policy.guard if policy.guard is not None else pages), least


def _judge_tiers(line: _Line, severity: Severity, said: dict[str, _Said], end_ns: int) -> None:
    """One alert for each severity, whichever of its tiers fires."""
    mine = [each for each in line.tiers if each.severity == severity]
    above = [each for each in mine if each.name in said and said[each.name].state == TierState.ABOVE]
    machine = line.machines.get(severity)
    if not above and (machine is None or machine.is_quiet):
        return
    machine = line.machines.setdefault(severity, Machine())
    released = _Said(TierState.RELEASED, 0.0, 0.0)
    states = [(each.name, said.get(each.name, released).state, each.long_ns) for each in mine]
    holds = machine.latched.step(end_ns, states)
    watched = above[0] if above else mine[0]
    if above:
        tier, ratios = watched, said[watched.name]
        machine.says = {
            "tier": tier.name,
            "factor": f"{tier.factor:g}",
            "threshold": f"{tier.threshold:.6g}",
            "long_ratio": f"{ratios.long_ratio:.6g}",
            "short_ratio": f"{ratios.short_ratio:.6g}",
            "long_ns": str(tier.long_ns),
            "short_ns": str(tier.short_ns),
            "trace": f"{line.trace[0]:016x}{line.trace[1]:016x}" if line.trace != (0, 0) else "",
        }
    machine.step(end_ns, holds, watched.for_ns, watched.keep_firing_for_ns)


def _judge_budget(line: _Line, remaining: float, end_ns: int) -> None:
    """Alerts that so much of the budget is spent; one per cent less ends them."""
    spent = (1.0 - remaining) * 100.0
    for level in SPENT:
        key = f"spent {level}"
        if spent < level and key not in line.machines:
            continue
        machine = line.machines.setdefault(key, Machine())
        machine.says = {"remaining": f"{remaining:.6g}"}
        machine.step(end_ns, spent >= level or (machine.is_firing and spent >= level - 1))


def _identity(key: str) -> tuple[str, Severity, int]:
    """Name, severity and level of the alert that a machine is of."""
    if key == "absent":
        return "SLOAbsent", "critical", 0
    if key.startswith("spent "):
        return "SLOBudgetSpent", "warning", int(key.removeprefix("spent "))
    return "SLOBurnRate", "critical" if key == "critical" else "warning", 0
