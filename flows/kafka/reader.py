"""One consumer: the records of some partitions, and every trouble of the broker as a state instead of an end."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from confluent_kafka import (
    TIMESTAMP_CREATE_TIME,
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from flows import log
from flows.emission import PAYLOAD_BYTES, DeadLetter
from flows.kafka.quiet import NOT_SEEN, STATISTICS_MS, Seen, seen_in
from flows.records import NO_TIMESTAMP, Partition, Records

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future

    from confluent_kafka import Message

    from flows.kafka.cluster import Cluster, Found

EMIT_BYTES = 8 << 20
"""What is gathered for an emission, unless it has more spans than `_EMIT_SPANS`."""

_EMIT_SPANS = 24_000
_LEAST_EMIT_BYTES = 1 << 20
MOST_BYTES = 64 << 20
"""A larger record is not decoded but dead-lettered."""

_PREFETCH_KB = 64 << 10
_LEAST_PREFETCH_KB = 2 << 10
_TRIES = 3
_RETRY_SECONDS = 1.0
_MOST_MESSAGES = 10_000
_TIMESTAMP_TYPES = {TIMESTAMP_CREATE_TIME: "create_time", TIMESTAMP_LOG_APPEND_TIME: "log_append_time"}

_log = log.get("kafka")


class Coordinates(NamedTuple):
    """Where a record stands."""

    source: str
    partition: int
    offset: int


@dataclass(slots=True)
class _Rows:
    """Records of one partition that were read and not yet handed on."""

    values: list[bytes] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    timestamps_ms: list[int] = field(default_factory=list)
    kind: str = "none"

    def records(self, partition: Partition) -> Records:
        offsets, timestamps_ms = np.array(self.offsets, np.int64), np.array(self.timestamps_ms, np.int64)
        return Records.apart(partition, self.values, offsets, timestamps_ms)


class Taken(NamedTuple):
    """What was read since the last time."""

    records: list[Records]
    dead: list[DeadLetter]
    stamped: list[tuple[Partition, str, int]]  # partition, timestamp type, records
    reached: dict[Partition, int]  # ends found, and other offsets that were passed
    lost: dict[Partition, int]  # records that were deleted before they could be read


@dataclass(slots=True)
class Reading:
    """One partition being read."""

    position: int  # next offset to read
    topic_id: str  # of the topic as it is read: one made anew has another
    at_end: bool = False
    seen: Seen = NOT_SEEN
    error: str = ""  # why it cannot be read now
    failed_at: int = -1  # offset of a batch that cannot be unpacked
    tries: int = 0
    skipping: bool = False
    ends: Future[Found] | None = None  # asked because the position is out of range


class Reader:
    """The consumer of one slot.

    Args:
        properties: librdkafka's, those of the configuration.
        cluster: asked where partitions begin.
        group: whose name the consumer bears; it commits nothing.
        n_readers: how many share this process's memory for records fetched ahead.
        skip: records that are dead-lettered unread, since the process died of them before.
    """

    def __init__(
        self,
        properties: Mapping[str, str],
        cluster: Cluster,
        group: str,
        n_readers: int,
        skip: frozenset[Coordinates] = frozenset(),
    ) -> None:
        self.partitions: dict[Partition, Reading] = {}
        self.emit_bytes = EMIT_BYTES
        self.heard_at = monotonic()
        self._cluster = cluster
        self._skip = skip
        self._rows: dict[Partition, _Rows] = {}
        self._bytes = 0
        self._mean_bytes = 65536.0
        self._taken = Taken([], [], [], {}, {})
        self._fresh = False  # whether statistics came since they were last asked for
        self._retry_at = 0.0
        self._consumer = Consumer(
            {
                "queued.max.messages.kbytes": max(_LEAST_PREFETCH_KB, _PREFETCH_KB // max(n_readers, 1)),
                "fetch.queue.backoff.ms": 10,
                "fetch.error.backoff.ms": 200,
                "reconnect.backoff.max.ms": 2_000,
                **properties,
                **owned(group),
                "stats_cb": self._on_statistics,
                "error_cb": self._on_error,
                "logger": log.silent(),
            }
        )

    # Which partitions

    def add(self, partition: Partition, position: int, topic_id: str = "") -> None:
        """Begin to read a partition at an offset; if it turns out to be another topic's, whoever added it begins anew.

        Args:
            partition: the partition.
            position: the next offset to read.
            topic_id: of the topic that the position is about; "" for whichever is there.
        """
        self.partitions[partition] = Reading(position, topic_id)
        self._consumer.incremental_assign([TopicPartition(*partition, position)])

    def remove(self, partition: Partition) -> None:
        """Read this partition no more."""
        self.partitions.pop(partition, None)
        self._rows.pop(partition, None)
        self._consumer.incremental_unassign([TopicPartition(*partition)])

    # Reading

    @property
    def n_bytes(self) -> int:
        """Bytes read and not yet taken."""
        return self._bytes

    def read(self, most: int = _MOST_MESSAGES) -> int:
        """Take over what librdkafka has fetched, without waiting, at most some MB; how many records that was."""
        wanted = min(most, max(1, int((self.emit_bytes - self._bytes) / self._mean_bytes)), _MOST_MESSAGES)
        n = 0
        for message in self._consumer.consume(wanted, 0):
            error = message.error()
            if error is not None:
                self._trouble(error, message)
                continue
            n += self._record(message)
        self._answer_out_of_range()
        self._retry()
        return n

    def _record(self, message: Message) -> int:
        partition, offset = _coordinates(message)
        reading = self.partitions.get(partition)
        if reading is None or offset < reading.position:
            return 0  # it was on its way when the partition was asked for anew
        self._passed_bad_batch(partition, reading, offset)
        reading.position = offset + 1
        reading.at_end = False
        reading.error = ""
        kind, stamp = message.timestamp()
        value = message.value()
        if value is None:
            self._dead(partition, offset, stamp, "null_value", "a record without a value (a tombstone)", b"")
        elif len(value) > MOST_BYTES:
            found = f"{len(value):,} bytes; at most {MOST_BYTES:,} are decoded"
            self._dead(partition, offset, stamp, "too_large", found, value)
        elif Coordinates(*partition, offset) in self._skip:
            self._dead(partition, offset, stamp, "crashed", "a worker died of this record", value)
        else:
            rows = self._rows.setdefault(partition, _Rows())
            rows.values.append(value)
            rows.offsets.append(offset)
            rows.kind = _TIMESTAMP_TYPES.get(kind, "none")
            rows.timestamps_ms.append(stamp if rows.kind != "none" else NO_TIMESTAMP)
            self._bytes += len(value)
            self._mean_bytes += (len(value) + 64 - self._mean_bytes) * 0.05
        return 1

    def _dead(self, partition: Partition, offset: int, stamp: int, reason: str, detail: str, value: bytes) -> None:
        kept, size = value[:PAYLOAD_BYTES], len(value) or -1
        self._taken.dead.append(DeadLetter(*partition, offset, stamp, reason, detail, kept, size=size))
        self._taken.reached[partition] = offset + 1

    def learn(self, n_bytes: int, n_spans: int) -> None:
        """An emission had so many spans: gather as many bytes as `_EMIT_SPANS` of them have, at most EMIT_BYTES.

        Each emission costs every shard a little, whatever is in it; each span in it costs memory, however short it is.
        """
        if n_spans:
            self.emit_bytes = min(EMIT_BYTES, max(_LEAST_EMIT_BYTES, n_bytes * _EMIT_SPANS // n_spans))

    def take(self) -> Taken:
        """Hand on everything that was read."""
        taken, self._taken = self._taken, Taken([], [], [], {}, {})
        for partition, rows in self._rows.items():
            taken.records.append(rows.records(partition))
            taken.stamped.append((partition, rows.kind, len(rows.values)))
        self._rows, self._bytes = {}, 0
        return taken

    def new_statistics(self) -> bool:
        """Whether statistics came since this was last asked."""
        fresh, self._fresh = self._fresh, False
        return fresh

    # Troubles

    def _on_statistics(self, statistics: str) -> None:
        self.heard_at = monotonic()
        self._fresh = True
        for partition, seen in seen_in(statistics).items():
            reading = self.partitions.get(partition)
            if reading is not None:
                reading.seen = seen

    def _on_error(self, error: KafkaError) -> None:
        _log.debug("consumer connection", error=error.str())

    def _trouble(self, error: KafkaError, message: Message) -> None:
        partition, offset = _coordinates(message)
        reading = self.partitions.get(partition)
        code = error.code()
        if reading is None:
            _log.warning("the broker reports trouble", error=error.str())
        elif code == KafkaError._PARTITION_EOF:  # noqa: SLF001  librdkafka's own codes have such names
            self._passed_bad_batch(partition, reading, offset)
            reading.position = max(reading.position, offset)
            reading.at_end, reading.error = True, ""
            self._taken.reached[partition] = reading.position
        elif code == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
            if reading.ends is None:
                reading.ends = self._cluster.find(partition)
        elif code in _UNREADABLE:
            self._unreadable(partition, reading, error)
        else:
            if reading.error != error.name():
                _log.warning("a partition cannot be read", **partition._asdict(), error=error.str())
            reading.error, reading.at_end = error.name(), False

    def _retry(self) -> None:
        """Ask anew for what could not be read: librdkafka tells of an end, or of the same error, but once."""
        now = monotonic()
        if now < self._retry_at:
            return
        self._retry_at = now + _RETRY_SECONDS
        for partition, reading in self.partitions.items():
            if reading.error and reading.ends is None:
                self._seek(partition, reading.position)

    def _unreadable(self, partition: Partition, reading: Reading, error: KafkaError) -> None:
        """A batch that cannot be unpacked: some tries, then past it, one offset at a time, each a dead letter."""
        reading.at_end = False
        if reading.failed_at < 0:
            _log.warning(
                "a batch cannot be unpacked", **partition._asdict(), offset=reading.position, error=error.str()
            )
            reading.failed_at = reading.position
        reading.tries += 1
        if reading.tries >= _TRIES:
            reading.position += 1
        self._seek(partition, reading.position)

    def _passed_bad_batch(self, partition: Partition, reading: Reading, offset: int) -> None:
        """Something was read beyond a batch that could not be: what lies between was in it."""
        if reading.failed_at < 0:
            return
        for lost in range(reading.failed_at, offset):
            self._dead(partition, lost, NO_TIMESTAMP, "corrupt_batch", "its batch could not be unpacked", b"")
        reading.failed_at, reading.tries = -1, 0

    def _answer_out_of_range(self) -> None:
        """Go on at the earliest record where the ones that were next are gone, and count these."""
        for partition, reading in self.partitions.items():
            if reading.ends is None or not reading.ends.done():
                continue
            answer, reading.ends = reading.ends, None
            try:
                topic_id, (low, end) = answer.result()
            except KafkaException as error:
                _log.warning(
                    "offset out of range, and the broker does not say what is there", error=error.args[0].str()
                )
                reading.error = "OFFSET_OUT_OF_RANGE"
                continue
            if reading.topic_id not in ("", topic_id):
                reading.error = "UNKNOWN_TOPIC_ID"
                self._cluster.look_now()
                continue
            self._go_on(partition, reading, low, end)

    def _go_on(self, partition: Partition, reading: Reading, low: int, end: int) -> None:
        """Continue with what there is of a partition whose next offset is gone; never in silence."""
        where = {**partition._asdict(), "wanted": reading.position, "first": low, "end": end}
        if reading.position > end:
            # A backup that was put back, or a broker elected without all records. From the beginning on, all that is
            # left would count a second time.
            _log.error("the partition is shorter than what was read of it; reading goes on at its end", **where)
            to = end
        else:
            to, lost = max(low, reading.position), max(low - reading.position, 0)
            _log.error("records were deleted before they could be read", **where, lost=lost)
            if lost:
                self._taken.lost[partition] = self._taken.lost.get(partition, 0) + lost
        reading.position, reading.failed_at, reading.tries = to, -1, 0
        self._taken.reached[partition] = to
        self._seek(partition, to)

    def _seek(self, partition: Partition, offset: int) -> None:
        self._consumer.incremental_unassign([TopicPartition(*partition)])
        self._consumer.incremental_assign([TopicPartition(*partition, offset)])

    def close(self) -> None:
        """End the consumer; nothing is on its way that a broker would have to answer first."""
        self._consumer.close()


def _coordinates(message: Message) -> tuple[Partition, int]:
    """Where a record, or what is reported of a partition, stands; -1 for what it is not about."""
    number, offset = message.partition(), message.offset()
    partition = Partition(message.topic() or "", -1 if number is None else number)
    return partition, -1 if offset is None else offset


_UNREADABLE = (
    KafkaError._BAD_COMPRESSION,  # noqa: SLF001
    KafkaError._BAD_MSG,  # noqa: SLF001
    KafkaError._UNSUPPORTED_FEATURE,  # noqa: SLF001
    KafkaError.INVALID_MSG,
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError._INVALID_ARG,  # noqa: SLF001
)


def owned(group: str) -> dict[str, Any]:
    """The properties that are ours: exactness rests on them."""
    return {
        "group.id": group or "streamgauge",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        "enable.partition.eof": True,
        "allow.auto.create.topics": False,
        "statistics.interval.ms": STATISTICS_MS,
    }


def check(properties: Mapping[str, str]) -> str:
    """What librdkafka has against some properties; "" where they are fine. Nobody is connected to."""
    alone = {name: value for name, value in properties.items() if name != "bootstrap.servers"}
    try:
        Consumer({**alone, **owned("check"), "logger": log.silent()}).close()
    except KafkaException as error:
        return str(error.args[0].str())
    return ""
