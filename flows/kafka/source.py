"""The source as the dataflow engine takes it: a fixed number of slots, each reading the partitions dealt to it."""

from __future__ import annotations

import threading
from collections import deque
from datetime import UTC, datetime, timedelta
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Any

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from confluent_kafka import KafkaException

from flows import log
from flows.emission import NOWHERE, Emission, Slot
from flows.kafka.cluster import slot_of
from flows.kafka.committer import Committer
from flows.kafka.reader import Reader
from flows.kafka.reading import Coordinates
from flows.kafka.silence import Silence
from flows.records import Partition
from flows.snapshot import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future

    from flows.kafka.careful import Careful
    from flows.kafka.cluster import Cluster, Topic
    from flows.kafka.reading import Reading

_VERSION = 1
_GATHER_SECONDS = 0.1
_POLL = timedelta(milliseconds=5)
_REST = timedelta(milliseconds=40)
_RESTLESS_SECONDS = 0.5
"""A slot that read nothing for so long is looked at less often."""
_RETRY_SECONDS = 1.0
_COMMIT_AFTER = 2
"""Offsets of an epoch are durable when the epoch after the next one is snapshotted."""

_STUCK_SECONDS = 10.0

_log = log.get("kafka")


class KafkaSource(FixedPartitionedSource[Emission, bytes]):
    """Topics as the slots of a source.

    Args:
        cluster: begun.
        properties: librdkafka's.
        n_slots: frozen in the state.
        group: offsets are committed to it, "" for none.
        slot: makes the slot of a number.
        stopped: asked before each read; True ends the flow.
        skip: records that are dead-lettered unread.
        careful: one record at a time, its coordinates noted before it is decoded; None: as fast as it goes.
    """

    def __init__(
        self,
        cluster: Cluster,
        properties: Mapping[str, str],
        n_slots: int,
        group: str,
        slot: Callable[[int], Slot],
        stopped: Callable[[], bool],
        skip: frozenset[Coordinates] = frozenset(),
        careful: Careful | None = None,
    ) -> None:
        self._cluster = cluster
        self._properties = properties
        self._n_slots = n_slots
        self._group = group
        self._committer: Committer | None = None
        self._slot = slot
        self._stopped = stopped
        self._skip = skip
        self._careful = careful
        self.slots: dict[int, KafkaSlot] = {}  # those read in this process

    def list_parts(self) -> list[str]:
        """Every process can read every slot."""
        return [f"{slot:02d}" for slot in range(self._n_slots)]

    def build_part(self, step_id: str, for_part: str, resume_state: bytes | None) -> KafkaSlot:
        """Open one slot; partitions are assigned when the cluster has said which there are."""
        number = int(for_part)
        made = KafkaSlot(self._slot(number), self, resume_state)
        self.slots[number] = made
        return made

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Tell the group, if there is one, how far the state has got."""
        if self._group:
            self._committer = self._committer or Committer(self._properties, self._group)
            self._committer.commit(positions)

    def reader(self) -> Reader:
        """A consumer for a slot that has partitions."""
        partitions = self._cluster.partitions() or []
        used = len({slot_of(partition, self._n_slots) for partition in partitions})
        return Reader(self._properties, self._cluster, self._group, used, self._skip)


class KafkaSlot(StatefulSourcePartition[Emission, bytes]):
    """One slot: its consumer, and its `Slot` of decoded state."""

    def __init__(self, slot: Slot, source: KafkaSource, resume_state: bytes | None) -> None:
        self.slot = slot
        self.reader: Reader | None = None
        self.snapshot_at = monotonic()
        self._source = source
        self._cluster: Cluster = source._cluster  # noqa: SLF001  one file, one idea
        self._careful: Careful | None = source._careful  # noqa: SLF001
        self._first_look = resume_state is None
        self._topics: dict[str, Topic | None] | None = None
        self._ids: dict[str, str] = {}  # topic → id, as last read
        self._waiting: dict[Partition, Future[int]] = {}
        self._unbegun: dict[Partition, float] = {}  # when to ask again where to begin
        self._pending_since = 0.0
        self._read_at = self._heard_at = monotonic()
        self._told = False
        self._durable: deque[dict[Partition, int]] = deque(maxlen=_COMMIT_AFTER + 1)
        self._committed: dict[Partition, int] = {}
        self._silence = Silence()
        if resume_state is not None:
            self._restore(resume_state)
        self.resumed_at = {each: at for each, at in slot.positions().items() if at != NOWHERE}

    # The engine's calls

    def next_awake(self) -> datetime | None:
        """When to call again: at once while records come."""
        if self.reader is not None and self.reader.n_bytes >= self.reader.emit_bytes:
            return None
        if self._is_careful and monotonic() - self._read_at < _POLL.total_seconds():
            return None
        restless = self._pending_since > 0 or monotonic() - self._read_at < _RESTLESS_SECONDS
        return datetime.now(UTC) + (_POLL if restless else _REST)

    def next_batch(self) -> list[Emission]:
        """What was gathered, once it is enough or old enough; or where the partitions stand, once a second."""
        if self._source._stopped():  # noqa: SLF001
            raise StopIteration
        self._follow_cluster()
        if self._topics is None:
            return []
        now = monotonic()
        if self.reader is not None:
            if self.reader.read(1 if self._is_careful else 10_000):
                self._read_at = now
                self._pending_since = self._pending_since or now
            enough = self.reader.n_bytes >= self.reader.emit_bytes or self._is_careful
            if self._pending_since and (enough or now - self._pending_since >= _GATHER_SECONDS):
                self._pending_since = 0.0
                return self._emit()
            if self._look():
                return self._emit()
        if not self._told:
            self._told = True
            return [self.slot.emit([])]
        return []

    @property
    def _is_careful(self) -> bool:
        return self._careful is not None and not self._careful.is_over

    def snapshot(self) -> bytes:
        """Offsets, frontiers, tallies; and the time, since silence lasts while nobody reads."""
        self.snapshot_at = monotonic()
        self._durable.append({each: at for each, at in self.slot.positions().items() if at != NOWHERE})
        if len(self._durable) > _COMMIT_AFTER:
            self._commit(self._durable[0])
        return pack(
            "kafka_slot",
            _VERSION,
            {"at": time_ns(), "topics": self._ids, "slot": self.slot.snapshot()},
        )

    def _commit(self, positions: dict[Partition, int]) -> None:
        changed = {each: at for each, at in positions.items() if self._committed.get(each) != at}
        if changed:
            self._source.commit(changed)
            self._committed.update(changed)

    def close(self) -> None:
        """End the consumer."""
        if self.reader is not None:
            self.reader.close()

    def _restore(self, state: bytes) -> None:
        fields: dict[str, Any] = unpack(state, "kafka_slot", _VERSION)
        self.slot.restore(fields["slot"])
        slept = max(time_ns() - fields["at"], 0)
        self._silence = Silence(dict.fromkeys(self.slot.positions(), slept))
        self._ids = dict(fields["topics"])

    # Emitting

    def _emit(self) -> list[Emission]:
        assert self.reader is not None
        taken = self.reader.take()
        if self._careful is not None and self._is_careful and taken.records:
            records = taken.records[0]
            self._careful.note(Coordinates(*records.partition, int(records.offsets[0])))
        for partition, n_records in taken.lost.items():
            self.slot.lose(partition, n_records)
        for partition, position in taken.reached.items():
            self.slot.reach(partition, position)
        for partition, kind, n_records in taken.stamped:
            self.slot.stamped(partition, kind, n_records)
        for records in taken.records:
            self._silence.wake(records.partition)
        emission = self.slot.emit(taken.records, taken.dead)
        n_bytes = sum(records.n_bytes for records in taken.records)
        self.reader.learn(n_bytes, sum(len(batch.spans) for batch in emission.batches))
        return [emission]

    def _look(self) -> bool:
        """Once a second: who stays at its end, who does not answer. Whether there is something to tell."""
        assert self.reader is not None
        looked = self._silence.look(self.reader, self._is_missing)
        for partition in looked.doubted:
            self.slot.doubt(partition)
        for partition, elapsed_ns in looked.stayed.items():
            self.slot.stay(partition, elapsed_ns)
        self._renew_if_stuck()
        return looked.news

    def _renew_if_stuck(self) -> None:
        """Make a client anew that hears nothing while the cluster answers others.

        librdkafka can hold on to a leader that it takes for newer than what a restored cluster says.
        """
        reader, now = self.reader, monotonic()
        assert reader is not None
        awaited = {each: of for each, of in reader.partitions.items() if not self._is_missing(each)}
        if not awaited or any(of.seen.answers for of in awaited.values()):
            self._heard_at = now
        stuck = now - self._heard_at > _STUCK_SECONDS and self._cluster.heard_at > self._heard_at + _STUCK_SECONDS / 2
        if not stuck or self._cluster.trouble or reader.n_bytes:
            return
        _log.warning("a client hears nothing of a cluster that answers; it is made anew", slot=self.slot.number)
        self._heard_at = now
        self.reader = self._source.reader()
        self.reader.take_over(reader)
        threading.Thread(target=reader.close, name="kafka-close", daemon=True).start()

    def _is_read(self, partition: Partition) -> bool:
        return self.reader is not None and partition in self.reader.partitions

    def _is_missing(self, partition: Partition) -> bool:
        return self._topics is not None and self._topics.get(partition.source) is None

    # Partitions

    def _follow_cluster(self) -> None:
        topics = self._cluster.topics
        if topics is not self._topics and topics is not None:
            self._topics = topics
            self._find_partitions(topics)
        for partition, at in list(self._unbegun.items()):
            if monotonic() >= at:
                del self._unbegun[partition]
                self._waiting[partition] = self._cluster.start_of(partition, first_look=False)
        for partition, offset in list(self._waiting.items()):
            if offset.done():
                del self._waiting[partition]
                self._begin(partition, offset)

    def _find_partitions(self, topics: dict[str, Topic | None]) -> None:
        known = self.slot.positions()
        for name, topic in topics.items():
            if topic is None:
                continue
            was, self._ids[name] = self._ids.get(name), topic.id
            anew = was is not None and was != topic.id
            if anew and any(partition.source == name for partition in known):
                _log.warning("a topic was made anew; it is read from its beginning", topic=name, slot=self.slot.number)
            for number in range(topic.n_partitions):
                partition = Partition(name, number)
                if slot_of(partition, self._source._n_slots) != self.slot.number:  # noqa: SLF001
                    continue
                if anew:
                    self._forget(partition)
                if (
                    partition in self._waiting
                    or partition in self._unbegun
                    or (self.reader is not None and partition in self.reader.partitions)
                ):
                    continue
                if known.get(partition, NOWHERE) != NOWHERE and not anew:
                    self._read(partition, known[partition])
                else:
                    first_look = self._first_look or (partition in known and not anew)
                    self.slot.start(partition, NOWHERE)
                    self._waiting[partition] = self._cluster.start_of(partition, first_look=first_look)
        self._first_look = False
        self._told = False

    def _forget(self, partition: Partition) -> None:
        if self.reader is not None and self._is_read(partition):
            self.reader.remove(partition)
        self._silence.wake(partition)

    def _begin(self, partition: Partition, offset: Future[int]) -> None:
        try:
            position = offset.result()
        except KafkaException as error:
            _log.warning("where to begin is not known", **partition._asdict(), error=error.args[0].str())
            self._unbegun[partition] = monotonic() + _RETRY_SECONDS
            return
        self._read(partition, position)

    def _read(self, partition: Partition, position: int) -> None:
        if self.reader is None:
            self.reader = self._source.reader()
        self.slot.start(partition, position)
        self.reader.add(partition, position, self._ids[partition.source])

    def reading(self) -> Mapping[Partition, Reading]:
        """How reading goes, for the status page."""
        return {} if self.reader is None else self.reader.partitions
