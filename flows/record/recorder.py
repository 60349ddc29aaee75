"""Topics → a recording: the live source's consumer and rules of silence, with files in place of the dataflow."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException

from flows import log
from flows.errors import DataError
from flows.kafka.cluster import Cluster
from flows.kafka.reader import EMIT_BYTES, Reader
from flows.kafka.silence import Silence
from flows.record.convert import converter
from flows.records import Partition

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from pathlib import Path

    from flows.config.live import Kafka
    from flows.kafka.cluster import Topic
    from flows.kafka.gathered import Taken
    from flows.record.parts import Parts

_GATHER_SECONDS = 0.1
_STORE_SECONDS = 1.0
"""How much of the stream a crash may cost, to be read again."""
_REST_SECONDS = 0.02
_RETRY_SECONDS = 1.0
_NS_PER_MS = 1_000_000

_TYPES = {"create_time": 1, "log_append_time": 2}
"""Timestamp types by Kafka's numbers for them."""

_log = log.get("record")


@dataclass(slots=True)
class Recorded:
    """What was recorded so far."""

    records: int = 0  # with a frame
    n_bytes: int = 0  # of their requests
    dead: int = 0  # without one
    lost: int = 0  # deleted before they could be read
    lost_spans: int = 0  # not readable, in records of which others were
    left: int = 0  # records not yet read, as far as is known
    trouble: str = ""  # why nothing is read
    was_reached: bool = False  # whether the cluster ever answered


class Recorder:
    """Reads topics into a recording, from where it ends.

    Args:
        kafka: which topics, and how to reach them.
        parts: the recording.
        starts_file: keeps where partitions without a record in it are read from, so that it has no gap.
    """

    def __init__(self, kafka: Kafka, parts: Parts, starts_file: Path) -> None:
        self.recorded = Recorded()
        self._parts = parts
        self._properties = kafka.librdkafka()
        self._converters = {topic.name: converter(topic.encoding) for topic in kafka.topics}
        refresh = kafka.metadata_refresh_ns / 1e9
        self._cluster = Cluster(self._properties, list(self._converters), refresh, kafka.start_from, starts_file)
        self._silence = Silence()
        self._topics: dict[str, Topic | None] = {}
        self._ids: dict[str, str] = {}
        self._waiting: dict[Partition, Future[int]] = {}
        self._unbegun: dict[Partition, float] = {}  # to be asked for again at this time

    def run(self, stopped: Callable[[], bool], say: Callable[[Recorded], None]) -> Recorded:
        """Record until told to stop.

        Args:
            stopped: asked often.
            say: told once a second or more often how far it is.

        Raises:
            DataError: a topic was removed and made anew.
            OutputError: the recording cannot be written.
        """
        self._cluster.begin()
        reader = Reader(self._properties, self._cluster, "", 1)
        rest = threading.Event()
        try:
            gathering_since = stored_at = 0.0
            while not stopped():
                self._follow_cluster(reader)
                n_read = reader.read()
                now = monotonic()
                if n_read:
                    gathering_since = gathering_since or now
                if reader.n_bytes >= EMIT_BYTES or (gathering_since and now - gathering_since >= _GATHER_SECONDS):
                    self._write(reader.take())
                    gathering_since = 0.0
                self._look(reader)
                if now - stored_at >= _STORE_SECONDS:
                    self._parts.flush()
                    stored_at = now
                    self._tell(reader, say)
                if not n_read:
                    rest.wait(_REST_SECONDS)
            self._write(reader.take())
            self._parts.flush()
            self._tell(reader, say)
        finally:
            reader.close()
            self._cluster.stop()
        return self.recorded

    def _tell(self, reader: Reader, say: Callable[[Recorded], None]) -> None:
        readings = reader.partitions.values()
        self.recorded.left = sum(max(reading.seen.end - reading.position, 0) for reading in readings)
        missing = [name for name, topic in self._topics.items() if topic is None]
        self.recorded.trouble = (
            self._cluster.trouble
            or next((reading.error for reading in readings if reading.error), "")
            or (f"no topic {', '.join(missing)}" if missing else "")
        )
        say(self.recorded)

    # Records

    def _write(self, taken: Taken) -> None:
        kinds = {partition: _TYPES.get(kind) for partition, kind, _ in taken.stamped}
        letters: dict[Partition, list[tuple[int, int, str]]] = {}
        for letter in taken.dead:
            of = Partition(letter.source, letter.partition)
            letters.setdefault(of, []).append((letter.offset, letter.timestamp_ms, letter.reason))
        for records in taken.records:
            self._silence.wake(records.partition)
            rows = letters.pop(records.partition, [])
            frames = self._converters[records.partition.source](records)
            offsets, stamps = records.offsets.tolist(), records.timestamps_ms.tolist()
            for offset, stamp, frame in zip(offsets, stamps, frames, strict=True):
                while rows and rows[0][0] < offset:
                    self._dead(records.partition, *rows.pop(0))
                self.recorded.lost_spans += frame.lost_spans
                if frame.reason:
                    self._dead(records.partition, offset, stamp, frame.reason)
                else:
                    self._parts.frame(records.partition, offset, stamp, kinds.get(records.partition), frame.request)
                    self.recorded.records += 1
                    self.recorded.n_bytes += len(frame.request)
            for row in rows:
                self._dead(records.partition, *row)
        for partition, rows in letters.items():
            for row in rows:
                self._dead(partition, *row)
        self.recorded.lost += sum(taken.lost.values())

    def _dead(self, of: Partition, offset: int, timestamp_ms: int, reason: str) -> None:
        self._parts.dead(of, offset, timestamp_ms, reason)
        self.recorded.dead += 1

    def _look(self, reader: Reader) -> None:
        """Note who stayed at its end since the last look. Who is doubted gets no time; what was noted stays."""
        looked = self._silence.look(reader, self._is_missing)
        if not looked.stayed:
            return
        taken = reader.take()
        self._write(taken)
        came = {records.partition for records in taken.records}
        by_time: dict[int, list[Partition]] = {}
        for partition, elapsed_ns in looked.stayed.items():
            if elapsed_ns and partition not in came:
                by_time.setdefault(elapsed_ns // _NS_PER_MS, []).append(partition)
        for elapsed_ms, partitions in by_time.items():
            self._parts.idle(partitions, elapsed_ms)

    def _is_missing(self, partition: Partition) -> bool:
        return self._topics.get(partition.source) is None

    # Partitions

    def _follow_cluster(self, reader: Reader) -> None:
        topics = self._cluster.topics
        if topics is not None and topics is not self._topics:
            self._topics = topics
            self.recorded.was_reached = True
            self._find_partitions(topics, reader)
        for partition in [each for each, at in self._unbegun.items() if monotonic() >= at]:
            del self._unbegun[partition]
            self._waiting[partition] = self._cluster.start_of(partition, first_look=True)
        for partition, offset in list(self._waiting.items()):
            if offset.done():
                del self._waiting[partition]
                self._begin(partition, offset, reader)

    def _find_partitions(self, topics: dict[str, Topic | None], reader: Reader) -> None:
        for name, topic in topics.items():
            if topic is not None and self._ids.setdefault(name, topic.id) != topic.id:
                raise DataError(
                    f"topic {name} was removed and made anew",
                    "offsets of a recording grow",
                    "What was recorded before is whole; record anew under another name.",
                )
        there = self._cluster.partitions() or []
        asked = {*reader.partitions, *self._waiting, *self._unbegun}
        fresh = [each for each in there if each not in asked]
        if fresh:
            self._parts.know(there)
        for partition in fresh:
            position = self._parts.positions.get(partition)
            if position is None:
                self._waiting[partition] = self._cluster.start_of(partition, first_look=True)
            else:
                self._add(partition, position, reader)

    def _begin(self, partition: Partition, offset: Future[int], reader: Reader) -> None:
        try:
            position = offset.result()
        except KafkaException as error:
            _log.warning("where to begin is not known", **partition._asdict(), error=error.args[0].str())
            self._unbegun[partition] = monotonic() + _RETRY_SECONDS
        else:
            self._add(partition, position, reader)

    def _add(self, partition: Partition, position: int, reader: Reader) -> None:
        reader.add(partition, position, self._ids[partition.source])
