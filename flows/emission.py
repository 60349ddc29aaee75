"""Emission: records → decoded spans with their fate, and where their source stands. All that a source remembers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flows.decode.batch import SpanBatch
from flows.dedupe import Dedupe
from flows.records import Partition, bytes_at
from flows.snapshot import pack, unpack
from flows.watermark import ACTIVE, UNKNOWN, Fate, Frontier, PartitionProgress, Progress, Timed, TimeRules

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flows.decode.batch import Decoder
    from flows.records import Records

_VERSION = 1

NOWHERE = -1
"""The position of a partition of which is not known yet where it begins."""

PAYLOAD_BYTES = 64 * 1024
"""How much of a record a dead letter keeps."""

Tally = Counter[tuple[str, str]]
"""What was counted, ever, by (what, label): ("records", ""), ("bytes", ""), ("spans", ""), ("on_time", ""),
("late", reason), ("rejected", direction), ("repeated", ""), ("outside", ""), ("limited", what), ("dead", reason),
("dead_spans", ""), ("clamped", ""), ("unweighted", ""), ("lost", partition): records that were gone before they could
be read, ("stamped", timestamp type)."""


class DeadLetter(NamedTuple):
    """A record, or one span of it, that could not be used, with where it came from."""

    source: str
    partition: int
    offset: int
    timestamp_ms: int
    reason: str
    detail: str
    payload: bytes  # its first PAYLOAD_BYTES
    spans: int = 0  # how many of its spans it is about; 0: the whole record
    size: int = -1  # of the record in bytes, -1 where nobody can say


class TimedBatch(NamedTuple):
    """Decoded spans of one source partition with their fate."""

    spans: SpanBatch
    timed: Timed


@dataclass(slots=True)
class Emission:
    """What a slot of a source hands on at once."""

    progress: Progress
    batches: list[TimedBatch]
    dead: list[DeadLetter]
    tallies: dict[str, Tally]  # by source, cumulative over this slot's partitions of it


class _SourcePartition:
    """What must be remembered of one source partition; all but `quiet_ns` is a function of its offsets alone."""

    __slots__ = ("dedupe", "frontier", "known", "position", "quiet_ns", "tally")

    def __init__(self, frontier: Frontier, dedupe: Dedupe | None, position: int = 0) -> None:
        self.frontier = frontier
        self.dedupe = dedupe
        self.position = position
        self.tally: Tally = Counter()
        self.quiet_ns = 0  # how long its end was seen to stay where it is
        self.known = True  # whether its source answers

    @property
    def idle_ns(self) -> int:
        """How long it has been idle, ACTIVE or UNKNOWN."""
        if not self.known:
            return UNKNOWN
        return max(self.quiet_ns - self.frontier.rules.idle_ns, ACTIVE)


class Slot:
    """One slot of a source: some source partitions, read together, decoded, their time decided.

    Args:
        number: of the slot.
        decoder: the decoder of a source's records, bytes → columns.
        rules: event time.
        dedupe_entries: ids remembered for each partition to drop repeated spans; 0: none are dropped.
        start_ns: spans that ended before are left out, as if they were not there.
        stop_ns: likewise those that ended then or later.
    """

    def __init__(
        self,
        number: int,
        decoder: Callable[[str], Decoder],
        rules: TimeRules,
        dedupe_entries: int = 0,
        start_ns: int | None = None,
        stop_ns: int | None = None,
    ) -> None:
        self.number = number
        self._decoder_of = decoder
        self._decoders: dict[str, Decoder] = {}
        self._rules = rules
        self._dedupe_entries = dedupe_entries
        self._start_ns = start_ns
        self._stop_ns = stop_ns
        self._partitions: dict[Partition, _SourcePartition] = {}
        self._done = False

    def expect(self, partition: Partition) -> None:
        """Make a partition known that nothing was heard from; it holds the watermark from now on."""
        if partition not in self._partitions:
            dedupe = Dedupe(self._dedupe_entries) if self._dedupe_entries else None
            self._partitions[partition] = _SourcePartition(Frontier(self._rules), dedupe)

    # What live sources tell

    def start(self, partition: Partition, position: int) -> None:
        """A partition is read from this offset on, or NOWHERE yet; nobody knows where its end is."""
        self.expect(partition)
        mine = self._partitions[partition]
        mine.position = position
        mine.known = False

    def reach(self, partition: Partition, position: int) -> None:
        """Nothing readable stands before this offset that was not read: its end, or records that were aborted."""
        mine = self._partitions[partition]
        mine.position = max(mine.position, position)

    def lose(self, partition: Partition, n_records: int) -> None:
        """So many records were deleted before they could be read."""
        self._partitions[partition].tally["lost", str(partition.number)] += n_records

    def stay(self, partition: Partition, elapsed_ns: int) -> None:
        """The partition's end was seen where it is for another `elapsed_ns`."""
        mine = self._partitions[partition]
        mine.known = True
        mine.quiet_ns += elapsed_ns

    def doubt(self, partition: Partition) -> None:
        """Its source does not answer: it may have got records that nobody can see."""
        mine = self._partitions[partition]
        mine.known = False
        mine.quiet_ns = 0

    def stamped(self, partition: Partition, kind: str, n_records: int) -> None:
        """So many records had a timestamp of this type."""
        self._partitions[partition].tally["stamped", kind] += n_records

    # Emitting

    def emit(self, read: Sequence[Records], dead: Sequence[DeadLetter] = ()) -> Emission:
        """Decode records, one `Records` a partition; `dead` are those that were found undecodable before."""
        batches: list[TimedBatch] = []
        dead = list(dead)
        for letter in dead:
            partition = Partition(letter.source, letter.partition)
            self.expect(partition)
            self._partitions[partition].tally["dead", letter.reason] += 1
        for records in read:
            self.expect(records.partition)
            if len(records):
                batches.append(self._decode(records, dead))
        return Emission(self.progress(), batches, dead, self._tallies())

    def end(self) -> Emission:
        """The last emission: nothing follows."""
        self._done = True
        return self.emit([])

    def _decode(self, records: Records, dead: list[DeadLetter]) -> TimedBatch:
        mine = self._partitions[records.partition]
        decoder = self._decoders.get(records.partition.source)
        if decoder is None:
            decoder = self._decoders[records.partition.source] = self._decoder_of(records.partition.source)
        spans = decoder.decode(records)
        fate = np.zeros(len(spans), np.uint8)
        if self._start_ns is not None:
            fate[spans.end_ns < self._start_ns] = Fate.OUTSIDE
        if self._stop_ns is not None:
            fate[spans.end_ns >= self._stop_ns] = Fate.OUTSIDE
        if mine.dedupe is not None:
            mine.dedupe.mark(spans, fate)
        timed = mine.frontier.advance(spans.record, spans.end_ns, records.timestamps_ms, fate)
        mine.position = max(mine.position, int(records.offsets[-1]) + 1)
        mine.known = True
        if (fate == Fate.ON_TIME).any():
            mine.quiet_ns = 0  # what has no usable span in it keeps nobody waiting
        for number, reason, detail, n_spans in spans.dead:
            dead.append(_letter(records, number, reason, detail, n_spans))
        _count(mine.tally, records, spans, fate)
        return TimedBatch(spans, timed)

    def progress(self) -> Progress:
        """Where all its partitions stand."""
        return Progress(
            self.number,
            tuple(
                PartitionProgress(
                    partition,
                    mine.frontier.ns,
                    mine.frontier.first_pane,
                    mine.frontier.last_pane,
                    mine.position,
                    mine.idle_ns,
                )
                for partition, mine in self._partitions.items()
            ),
            self._done,
        )

    def _tallies(self) -> dict[str, Tally]:
        tallies: dict[str, Tally] = {}
        for partition, mine in self._partitions.items():
            tallies.setdefault(partition.source, Counter()).update(mine.tally)
        return tallies

    def positions(self) -> dict[Partition, int]:
        """The next offset of each partition."""
        return {partition: mine.position for partition, mine in self._partitions.items()}

    def snapshot(self) -> bytes:
        """The whole state as versioned bytes."""
        partitions = [
            [
                *partition,
                mine.position,
                mine.frontier.ns,
                mine.frontier.first_pane,
                mine.frontier.last_pane,
                [[*key, count] for key, count in mine.tally.items()],
                None if mine.dedupe is None else mine.dedupe.snapshot(),
                mine.quiet_ns,
            ]
            for partition, mine in self._partitions.items()
        ]
        return pack("slot", _VERSION, {"partitions": partitions, "done": self._done})

    def restore(self, data: bytes) -> None:
        """The state that `snapshot` wrote down.

        Raises:
            SnapshotError: bytes of something else, or of a version this release does not read.
        """
        fields: dict[str, Any] = unpack(data, "slot", _VERSION)
        self._done = fields["done"]
        for source, number, position, ns, first_pane, last_pane, tally, dedupe, quiet_ns in fields["partitions"]:
            self.expect(Partition(source, number))
            mine = self._partitions[Partition(source, number)]
            mine.position = position
            mine.frontier = Frontier(self._rules, ns, first_pane, last_pane)
            mine.quiet_ns = quiet_ns
            mine.tally = Counter({(what, label): count for what, label, count in tally})
            if mine.dedupe is not None and dedupe is not None:
                mine.dedupe.restore(dedupe)


def _letter(records: Records, number: int, reason: str, detail: str, n_spans: int) -> DeadLetter:
    start, end = int(records.starts[number]), int(records.ends[number])
    return DeadLetter(
        records.partition.source,
        records.partition.number,
        int(records.offsets[number]),
        int(records.timestamps_ms[number]),
        reason,
        detail,
        bytes_at(start, min(end - start, PAYLOAD_BYTES)),
        n_spans,
        end - start,
    )


def _count(tally: Tally, records: Records, spans: SpanBatch, fate: np.ndarray) -> None:
    fates = np.bincount(fate, minlength=len(Fate)).tolist()
    tally["records", ""] += len(records)
    tally["bytes", ""] += records.n_bytes
    tally["spans", ""] += len(spans)
    tally["on_time", ""] += fates[Fate.ON_TIME]
    for key, fate_of in (
        (("late", "out_of_order"), Fate.LATE),
        (("rejected", "future"), Fate.FUTURE),
        (("rejected", "past"), Fate.PAST),
        (("repeated", ""), Fate.REPEATED),
        (("outside", ""), Fate.OUTSIDE),
    ):
        if fates[fate_of]:
            tally[key] += fates[fate_of]
    if spans.clamped:
        tally["clamped", ""] += spans.clamped
    if spans.unweighted:
        tally["unweighted", ""] += spans.unweighted
    for what, count in spans.limited.items():
        tally["limited", what] += count
    for letter in spans.dead:
        tally["dead", letter.reason] += 1
        tally["dead_spans", ""] += letter.spans
