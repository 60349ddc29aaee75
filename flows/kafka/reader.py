"""One consumer: the records of some partitions, as fast as librdkafka has them."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME, Consumer, KafkaError, TopicPartition

from flows import log
from flows.kafka.gathered import Gathered, Taken
from flows.kafka.properties import owned
from flows.kafka.quiet import seen_in
from flows.kafka.reading import Coordinates, Reading, coordinates
from flows.kafka.troubles import Troubles
from flows.records import NO_TIMESTAMP, Partition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from confluent_kafka import Message

    from flows.kafka.cluster import Cluster

EMIT_BYTES = 8 << 20
"""What is gathered for an emission, unless it has more spans than `_EMIT_SPANS`."""

_EMIT_SPANS = 64_000
_LEAST_EMIT_BYTES = 1 << 20
MOST_BYTES = 64 << 20
"""A larger record is not decoded but dead-lettered."""

_PREFETCH_KB = 16 << 10
_LEAST_PREFETCH_KB = 2 << 10
_FETCH_BYTES = 512 << 10
"""Of a partition at once, packed: what is unpacked of it should still be in the processor's cache when it is read."""

_MOST_MESSAGES = 10_000
_TIMESTAMP_TYPES = {TIMESTAMP_CREATE_TIME: "create_time", TIMESTAMP_LOG_APPEND_TIME: "log_append_time"}

_log = log.get("kafka")


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
        self._skip = skip
        self._gathered = Gathered()
        self._mean_bytes = 65536.0
        self._fresh = False  # whether statistics came since they were last asked for
        self._consumer = Consumer(
            {
                "queued.max.messages.kbytes": max(_LEAST_PREFETCH_KB, _PREFETCH_KB // max(n_readers, 1)),
                "fetch.message.max.bytes": _FETCH_BYTES,
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
        self._troubles = Troubles(self._consumer, self.partitions, self._gathered, cluster)

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

    def take_over(self, other: Reader) -> None:
        """Go on where another reader stands, which is not asked any more, and hand on what it had gathered."""
        self._gathered.put_back(other.take())
        self.emit_bytes = other.emit_bytes
        for partition, reading in other.partitions.items():
            self.add(partition, reading.position, reading.topic_id)
            self.partitions[partition].failed_at, self.partitions[partition].tries = reading.failed_at, reading.tries

    def remove(self, partition: Partition) -> None:
        """Read this partition no more."""
        self.partitions.pop(partition, None)
        self._gathered.forget(partition)
        self._consumer.incremental_unassign([TopicPartition(*partition)])

    # Reading

    @property
    def n_bytes(self) -> int:
        """Bytes read and not yet taken."""
        return self._gathered.n_bytes

    def read(self, most: int = _MOST_MESSAGES) -> int:
        """Take over what librdkafka has fetched, without waiting, at most some MB; how many records that was."""
        wanted = min(most, max(1, int((self.emit_bytes - self._gathered.n_bytes) / self._mean_bytes)), _MOST_MESSAGES)
        n = 0
        for message in self._consumer.consume(wanted, 0):
            error = message.error()
            if error is not None:
                self._troubles.meet(error, message)
                continue
            n += self._record(message)
        self._troubles.tend()
        return n

    def _record(self, message: Message) -> int:
        partition, offset = coordinates(message)
        reading = self.partitions.get(partition)
        if reading is None or offset < reading.position:
            return 0  # it was on its way when the partition was asked for anew
        if reading.failed_at >= 0:
            self._troubles.passed(partition, reading, offset)
        reading.position = offset + 1
        reading.at_end = False
        reading.error = ""
        kind, stamp = message.timestamp()
        value = message.value()
        if value is None:
            self._gathered.dead(partition, offset, stamp, "null_value", "a record without a value (a tombstone)")
        elif len(value) > MOST_BYTES:
            found = f"{len(value):,} bytes; at most {MOST_BYTES:,} are decoded"
            self._gathered.dead(partition, offset, stamp, "too_large", found, value)
        elif self._skip and Coordinates(*partition, offset) in self._skip:
            self._gathered.dead(partition, offset, stamp, "crashed", "a worker died of this record", value)
        else:
            stamped = _TIMESTAMP_TYPES.get(kind, "none")
            self._gathered.record(partition, offset, stamped, NO_TIMESTAMP if stamped == "none" else stamp, value)
            self._mean_bytes += (len(value) + 64 - self._mean_bytes) * 0.05
        return 1

    def learn(self, n_bytes: int, n_spans: int) -> None:
        """An emission had so many spans: gather as many bytes as `_EMIT_SPANS` of them have, at most EMIT_BYTES.

        Each emission costs every shard a little, whatever is in it; each span in it costs memory, however short it is.
        """
        if n_spans:
            self.emit_bytes = min(EMIT_BYTES, max(_LEAST_EMIT_BYTES, n_bytes * _EMIT_SPANS // n_spans))

    def take(self) -> Taken:
        """Hand on everything that was read."""
        return self._gathered.take()

    def new_statistics(self) -> bool:
        """Whether statistics came since this was last asked."""
        fresh, self._fresh = self._fresh, False
        return fresh

    # What librdkafka calls

    def _on_statistics(self, statistics: str) -> None:
        self.heard_at = monotonic()
        self._fresh = True
        for partition, seen in seen_in(statistics).items():
            reading = self.partitions.get(partition)
            if reading is not None:
                reading.seen = seen

    def _on_error(self, error: KafkaError) -> None:
        _log.debug("consumer connection", error=error.str())

    def close(self) -> None:
        """End the consumer; nothing is on its way that a broker would have to answer first."""
        self._consumer.close()
