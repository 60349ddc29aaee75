"""Event time: frontiers at the source, watermarks in the shards.

**Frontier** (a source partition's): how far it has got, the largest min(event time, record timestamp) so far. Whether a
span is late is decided here, against its own partition's frontier before its record: a function of the partition's
offsets alone, not of batch cuts, interleaving, workers or crashes.

**Watermark** (a shard's): the minimum frontier of all source partitions less the allowed lateness. A span that is not
late at its source never meets a closed pane.

**Idle** (live sources): at its end, confirmed, for some seconds. An idle partition holds nobody back; when all are idle
the watermark advances by the time that passes, from where it stood. One whose source does not answer is *unknown* and
holds the watermark, as does one never heard from. What idleness closes is outside of exactness.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from detectors.kernels import inlined, kernel
from flows.records import NEVER as NEVER  # who asks for a watermark has it at hand
from flows.records import NO_TIMESTAMP, Partition

ACTIVE = -1
"""In place of the time that a partition has been idle: it is not."""

UNKNOWN = -2
"""Likewise: nobody can say, since nothing was heard from where it is read."""

_NS_PER_MS = 1_000_000


class Fate(IntEnum):
    """What becomes of a decoded span; every one has exactly one."""

    ON_TIME = 0
    LATE = 1
    FUTURE = 2  # diverted by max_future
    PAST = 3  # diverted by max_age
    REPEATED = 4  # dropped by dedupe
    OUTSIDE = 5  # of the time that a replay was asked for


@dataclass(frozen=True, slots=True)
class TimeRules:
    """The settings of event time, all in ns."""

    pane_ns: int = 5_000_000_000
    lateness_ns: int = 5_000_000_000
    max_future_ns: int = 600_000_000_000
    max_age_ns: int = 86_400_000_000_000
    idle_ns: int = 5_000_000_000  # confirmed to be at its end for so long, a partition is idle


class PartitionProgress(NamedTuple):
    """What a source partition tells every shard with each emission."""

    partition: Partition
    frontier_ns: int  # NEVER before the first on-time span
    first_pane: int  # earliest pane of an on-time span, NEVER if none
    last_pane: int  # latest, NEVER if none
    position: int  # offset after all that was read or passed over
    idle_ns: int = ACTIVE  # for how long it has been idle, ACTIVE, or UNKNOWN


class Progress(NamedTuple):
    """What one slot of a source tells every shard: where all its partitions stand."""

    slot: int
    partitions: tuple[PartitionProgress, ...]
    ended: bool = False  # nothing follows from this slot


class Timed(NamedTuple):
    """Spans with their fate."""

    fate: np.ndarray  # (n_spans,) uint8: a Fate
    pane: np.ndarray  # (n_spans,) int64: the pane its event time lies in
    at: np.ndarray  # (n_spans,) int64: the pane at whose close it counts; a late span's is where its partition stood


class Frontier:
    """Event time of one source partition.

    >>> frontier = Frontier(TimeRules(pane_ns=5, lateness_ns=5, max_future_ns=100, max_age_ns=100))
    >>> record, end_ns = np.array([0, 1], np.int32), np.array([23, 3])
    >>> timed = frontier.advance(record, end_ns, np.array([-1, -1]), np.zeros(2, np.uint8))
    >>> frontier.ns, [Fate(fate).name for fate in timed.fate], timed.pane.tolist(), timed.at.tolist()
    (23, ['ON_TIME', 'LATE'], [4, 0], [4, 4])
    """

    __slots__ = ("first_pane", "last_pane", "ns", "rules")

    def __init__(self, rules: TimeRules, ns: int = NEVER, first_pane: int = NEVER, last_pane: int = NEVER) -> None:
        self.rules = rules
        self.ns = ns
        self.first_pane = first_pane
        self.last_pane = last_pane

    def advance(self, record: np.ndarray, end_ns: np.ndarray, timestamps_ms: np.ndarray, fate: np.ndarray) -> Timed:
        """Decide the fate of the spans of some records, in order, and move on.

        Args:
            record: (n_spans,) int32, non-decreasing: which record a span stands in.
            end_ns: (n_spans,) int64, event times.
            timestamps_ms: (n_records,) int64; NO_TIMESTAMP: the lower median event time of the record stands in.
            fate: (n_spans,) uint8, REPEATED or OUTSIDE where that is known already, else ON_TIME; written.
        """
        rules = self.rules
        pane = np.empty(len(end_ns), np.int64)
        at = np.empty(len(end_ns), np.int64)
        state = np.array([self.ns, self.first_pane, self.last_pane], np.int64)
        stamps_ns = np.where(timestamps_ms == NO_TIMESTAMP, NO_TIMESTAMP, timestamps_ms * _NS_PER_MS)
        limits = (rules.pane_ns, rules.lateness_ns, rules.max_future_ns, rules.max_age_ns)
        classify(record, end_ns, stamps_ns, limits, state, fate, pane, at)
        self.ns, self.first_pane, self.last_pane = (int(value) for value in state)
        return Timed(fate, pane, at)


@inlined
def _lower_median(values: np.ndarray) -> int:
    """The (n - 1) // 2-th smallest of n values: at once where they stand in order, else by quickselect on a copy."""
    n = len(values)
    middle = (n - 1) // 2
    ordered = True
    for i in range(1, n):
        if values[i] < values[i - 1]:
            ordered = False
            break
    if ordered:
        return values[middle]
    work = values.copy()
    low, high = 0, n - 1
    while low < high:
        pivot = work[(low + high) >> 1]
        i, j = low, high
        while i <= j:
            while work[i] < pivot:
                i += 1
            while work[j] > pivot:
                j -= 1
            if i <= j:
                work[i], work[j] = work[j], work[i]
                i += 1
                j -= 1
        if middle <= j:
            high = j
        elif middle >= i:
            low = i
        else:
            break
    return work[middle]


@kernel
def classify(
    record: np.ndarray,
    end_ns: np.ndarray,
    stamps_ns: np.ndarray,
    limits: tuple[int, int, int, int],
    state: np.ndarray,
    fate: np.ndarray,
    pane: np.ndarray,
    at: np.ndarray,
) -> None:
    """The rules of `Frontier.advance` over arrays.

    Args:
        record: (n_spans,) int32, non-decreasing.
        end_ns: (n_spans,) int64, ≥ 0.
        stamps_ns: (n_records,) int64, NO_TIMESTAMP where absent.
        limits: pane, lateness, max_future, max_age in ns.
        state: (3,) int64, read and written: frontier in ns, first and last pane of an on-time span.
        fate: (n_spans,) uint8, read and written.
        pane: (n_spans,) int64, written.
        at: (n_spans,) int64, written.
    """
    pane_ns, lateness_ns, max_future_ns, max_age_ns = limits
    n = len(end_ns)
    start = 0
    while start < n:
        stop = start + 1
        while stop < n and record[stop] == record[start]:
            stop += 1
        stamp = stamps_ns[record[start]]
        if stamp < 0:
            stamp = _lower_median(end_ns[start:stop])
        before = state[0]
        frontier = before
        for i in range(start, stop):
            end = end_ns[i]
            pane[i] = end // pane_ns
            at[i] = pane[i]
            if fate[i] != 0:
                continue
            # Differences, not sums: an event time may lie at either end of int64.
            if end - stamp > max_future_ns:
                fate[i] = 2
            elif stamp - end > max_age_ns:
                fate[i] = 3
            elif before >= 0 and end - end % pane_ns <= before - lateness_ns - pane_ns:
                fate[i] = 1
                at[i] = before // pane_ns
            else:
                frontier = max(frontier, min(end, stamp))
                state[1] = pane[i] if state[1] < 0 else min(state[1], pane[i])
                state[2] = max(state[2], pane[i])
        state[0] = frontier
        start = stop


class Watermark:
    """A shard's watermark: the minimum over all source partitions that are not idle, once every slot was heard.

    >>> watermark = Watermark(n_slots=1, rules=TimeRules(pane_ns=5, lateness_ns=5))
    >>> watermark.closable()
    -1
    >>> watermark.hear(Progress(0, (PartitionProgress(Partition("t", 0), 23, 2, 4, 10),)))
    >>> watermark.closable(), watermark.first_pane()
    (3, 2)

    When all are idle, time passes from where the watermark stood, here for 7 ns more:

    >>> watermark.hear(Progress(0, (PartitionProgress(Partition("t", 0), 23, 2, 4, 10, idle_ns=7),)))
    >>> watermark.closable(), watermark.is_idle
    (5, True)
    """

    def __init__(self, n_slots: int, rules: TimeRules) -> None:
        self.n_slots = n_slots
        self.rules = rules
        self.partitions: dict[int, tuple[PartitionProgress, ...]] = {}
        self.ns = NEVER  # how far all have got; the lateness is not yet taken off
        self._ended: set[int] = set()
        self._idle_from = NEVER  # where it stood when all became idle, NEVER while they are not
        self._idle_ns = 0

    def hear(self, progress: Progress) -> None:
        """Take a slot's newest word; it tells of all its partitions each time."""
        self.partitions[progress.slot] = progress.partitions
        if progress.ended:
            self._ended.add(progress.slot)

    @property
    def is_idle(self) -> bool:
        """Whether it advances because time passes."""
        return self._idle_from != NEVER

    def all_partitions(self) -> list[PartitionProgress]:
        """The newest word of every source partition."""
        return [partition for slot in self.partitions.values() for partition in slot]

    def closable(self) -> int:
        """All panes below this one can be closed: nothing on time for them can come. NEVER: none yet."""
        if len(self.partitions) < self.n_slots:
            return NEVER
        if self.done():
            return max((partition.last_pane + 1 for partition in self.all_partitions()), default=NEVER)
        self._advance()
        return max((self.ns - self.rules.lateness_ns) // self.rules.pane_ns, NEVER) if self.ns >= 0 else NEVER

    def _advance(self) -> None:
        # Those of a slot that has ended hold nobody back.
        known = [partition for slot in self.partitions.keys() - self._ended for partition in self.partitions[slot]]
        holding = [partition.frontier_ns for partition in known if partition.idle_ns < 0]
        if holding:
            self.ns = max(self.ns, min(holding))
            if any(partition.idle_ns == ACTIVE for partition in known):
                self._idle_from, self._idle_ns = NEVER, 0
            return
        newest = max((partition.frontier_ns for partition in known), default=NEVER)
        if newest == NEVER:
            return
        idle_ns = min(partition.idle_ns for partition in known)
        if self._idle_from == NEVER or idle_ns < self._idle_ns:
            self._idle_from = max(self.ns, newest)
        self._idle_ns = idle_ns
        self.ns = max(self.ns, self._idle_from + idle_ns)

    def done(self) -> bool:
        """Whether every slot has ended for good."""
        return len(self._ended) == self.n_slots

    def first_pane(self) -> int:
        """The earliest pane of an on-time span, final once it is closable; NEVER where there is none."""
        return min((known.first_pane for known in self.all_partitions() if known.first_pane >= 0), default=NEVER)

    def snapshot(self) -> dict[str, object]:
        """Plain values for `restore`."""
        return {
            "ns": self.ns,
            "idle": [self._idle_from, self._idle_ns],
            "ended": sorted(self._ended),
            "slots": [
                [slot, [[*partition.partition, *partition[1:]] for partition in partitions]]
                for slot, partitions in sorted(self.partitions.items())
            ],
        }

    def restore(self, fields: dict[str, Any]) -> None:
        """The state that `snapshot` gave."""
        self.ns = fields["ns"]
        self._idle_from, self._idle_ns = fields["idle"]
        self._ended = set(fields["ended"])
        for slot, partitions in fields["slots"]:
            self.partitions[slot] = tuple(
                PartitionProgress(Partition(source, number), *rest) for source, number, *rest in partitions
            )
