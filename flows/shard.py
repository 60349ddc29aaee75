"""The state of one shard: open panes, admitted series and their counters; panes are closed here, once, in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from detectors.histogram import Grid
from flows.admission import ELSEWHERE, NO_SLOT, Admission, Budgets, Opened
from flows.counters import Counters, CounterTables
from flows.fold import Partial, Sender
from flows.panes import OpenPanes, Rows
from flows.series import hash_order
from flows.slo.counting import Counting
from flows.snapshot import pack, unpack
from flows.watermark import NEVER, TimeRules, Watermark

if TYPE_CHECKING:
    from flows.part import Part
    from flows.series import HashedLabels, SeriesLabels
    from flows.slo.counting import Counted
    from flows.slo.promise import Promise

_UNSET = -1
_VERSION = 1
_LARGEST = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class ShardRules:
    """What a shard needs to know of the configuration.

    `minute` and `step` are in panes: segments never span a multiple of either, so that judges see whole minutes and
    counters are read at multiples of the step.
    """

    time: TimeRules
    grid: Grid
    bounds_ns: tuple[int, ...]  # of the classic buckets; each a cut of the grid
    budgets: Budgets = field(default_factory=Budgets)
    dimensions: tuple[str, ...] = ()  # labels of the configured ones
    expiry: int = 720  # panes without a span on time before a series ends
    minute: int = 12
    step: int = 12
    counters: bool = True  # whether anyone reads counters at each step
    newest_only: bool = False  # of what is closed at once, show the end: segments are cut at minutes alone
    promises: tuple[Promise, ...] = ()  # what is counted for SLOs; the grid has a cut at each threshold


class ServiceFigures(NamedTuple):
    """What a service takes of its budget."""

    service: str
    series: int
    demand: int
    overflowed: int


@dataclass(slots=True)
class Segment:
    """Closed panes first … stop - 1, in order, of the series that have a slot; what judges are given.

    `rows.series` holds slots. Rows with `rows.pane != rows.at` are late: they were counted, and belong to no window.
    """

    first: int
    stop: int
    ended: list[int]  # slots that ended before `first`
    ended_operations: list[int]
    opened: list[Opened]  # series that begin with a row in this segment
    rows: Rows
    operation: np.ndarray  # (n_rows,) int32
    error: np.ndarray  # (n_rows,) bool: status ERROR
    counters: Counters | None = None  # at the end of the segment, where that is a multiple of the step
    services: list[ServiceFigures] = field(default_factory=list)  # likewise
    counted: Counted | None = None  # for promises


class Stranded(NamedTuple):
    """Rows of services that are not admitted, with the label set of each row."""

    rows: Rows
    labels: list[SeriesLabels]


@dataclass(slots=True)
class Closed:
    """What one advance of a shard's watermark closed: panes below `upto`."""

    upto: int
    segments: list[Segment]
    done: bool  # nothing follows
    first_pane: int
    elsewhere: list[Stranded]
    idle_panes: int = 0  # how many of the panes were closed because time passed and nothing came, ever
    idle_late: int = 0  # spans that came, on time at their source, after idleness had closed their pane, ever
    key: str = ""  # of the shard


class Shard:
    """One shard: hears partials and progress, closes panes.

    Args:
        n_slots: how many slots the source has; nothing closes before all were heard.
        rules: what to do.
    """

    def __init__(self, n_slots: int, rules: ShardRules) -> None:
        self.rules = rules
        self.watermark = Watermark(n_slots, rules.time)
        self.open = OpenPanes()
        self.admission = Admission(rules.budgets, len(rules.dimensions), rules.expiry + 60 * rules.minute)
        self.position = NEVER  # all panes below are closed
        self._next_expiry = _LARGEST
        self._known: dict[bytes, tuple[Sender, list[HashedLabels], np.ndarray]] = {}
        self._counters = CounterTables(rules.grid.buckets(list(rules.bounds_ns)), len(rules.bounds_ns) + 1)
        self._counting = Counting(rules.promises, rules.dimensions, rules.grid) if rules.promises else None
        self.key = ""
        self._done = False
        self._idle_panes = 0
        self._idle_late = 0

    # Hearing

    def hear(self, parts: list[Part]) -> Closed | None:
        """Take what emissions have for this shard; returns what could be closed, None where nothing new could."""
        self.key = parts[-1].key
        for part in parts:
            if part.partial is not None:
                self._wake(part.partial)
                self.open.add(self._entries(part.partial), part.partial)
            if part.progress is not None:
                self.watermark.hear(part.progress)
        upto = self.watermark.closable()
        done = self.watermark.done()
        if upto <= self.position and done == self._done:
            return None
        self._done = done
        before = self.position
        closed = self._close(max(upto, self.position))
        if self.watermark.is_idle and before != NEVER:
            self._idle_panes += self.position - before
        closed.idle_panes, closed.idle_late, closed.key = self._idle_panes, self._idle_late, self.key
        return closed

    def _wake(self, partial: Partial) -> None:
        """Spans whose pane was closed by idleness, and by nothing else, are late; they count in the next pane."""
        behind = partial.at < self.position
        if behind.any():
            self._idle_late += int(partial.raw[behind & (partial.at == partial.pane)].sum())
            partial.at = np.where(behind, self.position, partial.at)

    def _entries(self, partial: Partial) -> np.ndarray:
        """The entries of a partial's rows: (n_rows,) int32."""
        sender = partial.sender
        known = self._known.get(sender.process)
        if known is None or known[0] != sender:
            known = (sender, [], np.empty(0, np.int32))
        labels, entries = known[1], known[2]
        assert len(labels) == partial.first_new, "a label set was lost between fold and close"
        labels.extend(partial.new)
        if len(labels) > len(entries):
            room = max(64, 2 * len(labels)) - len(entries)
            entries = np.concatenate([entries, np.full(room, _UNSET, np.int32)])
        self._known[sender.process] = (sender, labels, entries)
        found: np.ndarray = entries[partial.series]
        unset = found == _UNSET
        if unset.any():
            for number in np.unique(partial.series[unset]).tolist():
                entries[number] = self.admission.entry(labels[number])
            found = entries[partial.series]
        return found

    # Closing

    def _close(self, upto: int) -> Closed:
        first_pane = self.watermark.first_pane()
        if not self.open and not self.admission.entry_of_slot:
            self.position = upto
            return Closed(upto, [], self._done, first_pane, [])
        rows = self.open.take(upto)
        if self.position == NEVER:
            self.position = min(first_pane, upto) if first_pane != NEVER else upto
        segments: list[Segment] = []
        elsewhere: list[Stranded] = []
        row = 0
        while self.position < upto:
            if not self.admission.entry_of_slot:
                # Nothing is shown, so nothing can be seen to pass: on to the next row at once, be it ten days away.
                following = int(rows.at[row]) if row < len(rows) else upto
                self.position = min(max(self.position, following), upto)
                if self.position == upto:
                    break
            segment, row = self._segment(rows, row, upto, elsewhere)
            segments.append(segment)
            self.position = segment.stop
        if self.rules.newest_only and segments:
            self._read_counters(segments[-1])
        self._forget()
        return Closed(self.position, segments, self._done, first_pane, elsewhere)

    def _segment(self, rows: Rows, row: int, upto: int, elsewhere: list[Stranded]) -> tuple[Segment, int]:
        """Close as many panes as one segment may hold, from the present position on."""
        rules, first = self.rules, self.position
        ended, ended_operations = self._expire(first)
        stop = min(upto, _next_multiple(first, rules.minute))
        if not rules.newest_only:
            stop = min(stop, _next_multiple(first, rules.step))
        stop = min(stop, max(self._next_expiry, first + 1))
        last = row + int(np.searchsorted(rows.at[row:], stop))
        part = rows.slice(row, last)
        slots: np.ndarray = self.admission.slot_of[part.series]
        opened: list[Opened] = []
        waiting = slots < 0
        if waiting.any():
            # Panes before the first with a row that has no slot close as they are; that pane is closed by itself, so
            # that what opens in it opens there, however the panes were cut into segments.
            pane = int(part.at[waiting][0])
            stop = pane if pane > first else pane + 1
            last = row + int(np.searchsorted(rows.at[row:], stop))
            part = rows.slice(row, last)
            if stop > pane:
                opened = self._admit(part, pane)
            slots, part = self._settle(part, stop - 1, opened, elsewhere)
        self._counters.grow(self.admission.slots.size)
        if opened:
            self._counters.begin(opened, stop - 1)
            self._next_expiry = min(self._next_expiry, stop - 1 + rules.expiry)
        self._counters.add(slots, part)
        self._count_overflow(slots, part)
        counted = None
        if self._counting is not None:
            self._counting.open(opened)
            counted = self._counting.count(slots, part)
        segment = Segment(
            first=first,
            stop=stop,
            ended=ended,
            ended_operations=ended_operations,
            opened=opened,
            rows=part.with_series(slots),
            operation=self._counters.operation[slots],
            error=self._counters.error[slots],
            counted=counted,
        )
        # What is shown last of all is the end of the stream, wherever it falls.
        at_end = self._done and stop == upto
        if not rules.newest_only and (at_end or stop % rules.step == 0):
            self._read_counters(segment)
        return segment, last

    def _read_counters(self, segment: Segment) -> None:
        if self.rules.counters:
            segment.counters = self._counters.read(np.array(sorted(self.admission.entry_of_slot), np.int64))
            segment.services = self._services()

    def _admit(self, part: Rows, pane: int) -> list[Opened]:
        on_time = np.unique(part.series[part.pane == part.at])
        candidates = on_time[self.admission.slot_of[on_time] == NO_SLOT]
        return self.admission.admit(candidates.tolist(), pane)

    def _settle(
        self, part: Rows, pane: int, opened: list[Opened], elsewhere: list[Stranded]
    ) -> tuple[np.ndarray, Rows]:
        """Slots for rows that have none by themselves; rows of services that are not admitted are set aside."""
        slots: np.ndarray = self.admission.slot_of[part.series]
        without = np.flatnonzero(slots < 0)
        entries, which = np.unique(part.series[without], return_inverse=True)
        stand_ins = [self.admission.stand_in_slot(entry, pane, opened) for entry in entries.tolist()]
        slots[without] = np.array(stand_ins, np.int32)[which]
        away = slots == ELSEWHERE
        if away.any():
            rows = part.pick(np.flatnonzero(away))
            elsewhere.append(Stranded(rows, [self.admission.labels[entry].labels for entry in rows.series.tolist()]))
            here = np.flatnonzero(~away)
            return slots[here], part.pick(here)
        return slots, part

    def _count_overflow(self, slots: np.ndarray, part: Rows) -> None:
        """Count the spans that stand under `__overflow__`, by service."""
        overflow = self.admission.overflow_slots
        if not overflow:
            return
        for row in np.flatnonzero(np.isin(slots, np.fromiter(overflow, np.int32, len(overflow)))).tolist():
            overflow[int(slots[row])].overflowed += int(part.raw[row])

    def _expire(self, pane: int) -> tuple[list[int], list[int]]:
        """End the series that had no span on time for `expiry` panes, before pane `pane` closes."""
        if pane < self._next_expiry:
            return [], []
        slots = np.array(sorted(self.admission.entry_of_slot), np.int64)
        due = self._counters.last_seen[slots] + self.rules.expiry
        ended = slots[due <= pane].tolist()
        operations = [self.admission.close(slot, pane) for slot in ended]
        self._next_expiry = int(due[due > pane].min(initial=_LARGEST))
        return ended, [operation for operation in operations if operation is not None]

    def _services(self) -> list[ServiceFigures]:
        return [
            ServiceFigures(service.name, service.series, service.series + service.demand.distinct(), service.overflowed)
            for service in self.admission.services.values()
            if service.admitted
        ]

    def _forget(self) -> None:
        """Drop what was heard of label sets that have no slot and no open row."""
        admission = self.admission
        without = len(admission.entry_of) - len(admission.entry_of_slot)
        if not admission.crowded and without <= len(admission.entry_of_slot) + 64:
            return
        freed = admission.forget_unused(self.open.entries())
        is_freed = np.zeros(len(admission.labels) + 1, bool)
        is_freed[freed] = True
        for _, _, entries in self._known.values():
            entries[is_freed[entries] & (entries >= 0)] = _UNSET

    # State

    def snapshot(self) -> bytes:
        """The whole state as versioned bytes."""
        return pack(
            "shard",
            _VERSION,
            {
                "key": self.key,
                "position": self.position,
                "done": self._done,
                "next_expiry": self._next_expiry,
                "idle": [self._idle_panes, self._idle_late],
                "watermark": self.watermark.snapshot(),
                "cuts": self.rules.grid.cuts_ns,
                "dimensions": list(self.rules.dimensions),
                "open": self.open.snapshot(),
                "admission": self.admission.snapshot(),
                "counters": self._counters.snapshot(self.admission.slots.size),
            },
        )

    @classmethod
    def restore(cls, n_slots: int, rules: ShardRules, data: bytes) -> Shard:
        """The shard that `snapshot` wrote down.

        Raises:
            SnapshotError: bytes of something else, or of a version this release does not read.
        """
        fields = unpack(data, "shard", _VERSION)
        shard = cls(n_slots, rules)
        shard.key = fields["key"]
        shard.position = fields["position"]
        shard._done = fields["done"]
        shard._next_expiry = fields["next_expiry"]
        shard._idle_panes, shard._idle_late = fields["idle"]
        shard.watermark.restore(fields["watermark"])
        opened = fields["open"]
        if fields["cuts"] != rules.grid.cuts_ns:
            opened["cell"] = rules.grid.cells_of(Grid(fields["cuts"], rules.grid.scale))[opened["cell"]]
        if fields["dimensions"] != list(rules.dimensions):
            shard._relabel(opened, fields["admission"], fields["dimensions"])
            return shard
        shard.open.restore(opened)
        shard.admission.restore(fields["admission"])
        shard._counters.restore(fields["counters"])
        shard._counters.name(shard.admission.opened())
        if shard._counting is not None:
            shard._counting.open(shard.admission.opened())
        return shard

    def _relabel(self, opened: dict[str, Any], admission: dict[str, Any], dimensions: list[str]) -> None:
        """Go on with other dimensions: what is in open panes gets the new label sets, and all series begin anew."""
        before = Admission(self.rules.budgets, len(dimensions), self.rules.expiry)
        before.restore(admission)
        places = [dimensions.index(name) if name in dimensions else None for name in self.rules.dimensions]
        entries: np.ndarray = opened["series"]
        again = np.zeros(int(entries.max(initial=-1)) + 1, np.int32)
        for entry in np.unique(entries).tolist():
            labels = before.labels[entry].labels
            values = tuple("" if place is None else labels.dimensions[place] for place in places)
            again[entry] = self.admission.entry(hash_order(labels._replace(dimensions=values)))
        self.open.restore({**opened, "series": again[entries]})
        self._next_expiry = _LARGEST

    def shown(self) -> Closed:
        """What a page shows of the shard as it stands: an empty segment with every series, its counters, its services.

        Whoever publishes needs it after `restore`, since a process remembers nothing.
        """
        slowest = self._counters.slow_ns.copy()
        counters = self._counters.read(np.array(sorted(self.admission.entry_of_slot), np.int64))
        self._counters.slow_ns[:] = slowest  # whoever reads next is to see them, as without this look
        segment = Segment(
            first=self.position,
            stop=self.position,
            ended=[],
            ended_operations=[],
            opened=self.admission.opened(),
            rows=self.open.take(NEVER),
            operation=np.empty(0, np.int32),
            error=np.empty(0, bool),
            counters=counters,
            services=self._services(),
        )
        idle = self._idle_panes, self._idle_late
        return Closed(self.position, [segment], self._done, self.watermark.first_pane(), [], *idle, self.key)


def _next_multiple(pane: int, of: int) -> int:
    return (pane // of + 1) * of
