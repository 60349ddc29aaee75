"""The troubles of reading: each is a state of a partition from which reading goes on, or a loss that is counted."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from flows import log
from flows.kafka.reading import coordinates
from flows.records import NO_TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from confluent_kafka import Message

    from flows.kafka.cluster import Cluster
    from flows.kafka.gathered import Gathered
    from flows.kafka.reading import Reading
    from flows.records import Partition

_TRIES = 3
_RETRY_SECONDS = 1.0

_UNREADABLE = (
    KafkaError._BAD_COMPRESSION,  # noqa: SLF001
    KafkaError._BAD_MSG,  # noqa: SLF001
    KafkaError._UNSUPPORTED_FEATURE,  # noqa: SLF001
    KafkaError.INVALID_MSG,
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError._INVALID_ARG,  # noqa: SLF001
)

_log = log.get("kafka")


class Troubles:
    """What a reader does about what its consumer reports.

    Args:
        consumer: the reader's.
        partitions: those it reads, changed here.
        gathered: where losses and dead records go.
        cluster: asked where partitions begin.
    """

    def __init__(
        self, consumer: Consumer, partitions: Mapping[Partition, Reading], gathered: Gathered, cluster: Cluster
    ) -> None:
        self._consumer = consumer
        self._partitions = partitions
        self._gathered = gathered
        self._cluster = cluster
        self._retry_at = 0.0

    def tend(self) -> None:
        """Go on wherever that is possible now; called again and again."""
        self._answer_out_of_range()
        self._retry()

    def meet(self, error: KafkaError, message: Message) -> None:
        """What the consumer reports in place of a record."""
        partition, offset = coordinates(message)
        reading = self._partitions.get(partition)
        code = error.code()
        if reading is None:
            _log.warning("the broker reports trouble", error=error.str())
        elif code == KafkaError._PARTITION_EOF:  # noqa: SLF001  librdkafka's own codes have such names
            self.passed(partition, reading, offset)
            reading.position = max(reading.position, offset)
            reading.at_end, reading.error = True, ""
            self._gathered.reach(partition, reading.position)
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
        for partition, reading in self._partitions.items():
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

    def passed(self, partition: Partition, reading: Reading, offset: int) -> None:
        """Something was read beyond a batch that could not be: what lies between was in it."""
        if reading.failed_at < 0:
            return
        for lost in range(reading.failed_at, offset):
            self._gathered.dead(partition, lost, NO_TIMESTAMP, "corrupt_batch", "its batch could not be unpacked")
        reading.failed_at, reading.tries = -1, 0

    def _answer_out_of_range(self) -> None:
        """Go on at the earliest record where the ones that were next are gone, and count these."""
        for partition, reading in self._partitions.items():
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
        if 0 <= reading.failed_at <= end < reading.position:
            # Looking for what stands behind a bad batch went one further than the last there is: the batch is the last.
            self.passed(partition, reading, end)
            to = end
        elif reading.position > end:
            # A backup that was put back, or a broker elected without all records. From the beginning on, all that is
            # left would count a second time.
            _log.error("the partition is shorter than what was read of it; reading goes on at its end", **where)
            to = end
        else:
            to, lost = max(low, reading.position), max(low - reading.position, 0)
            _log.error("records were deleted before they could be read", **where, lost=lost)
            if lost:
                self._gathered.lose(partition, lost)
        reading.position, reading.failed_at, reading.tries = to, -1, 0
        self._gathered.reach(partition, to)
        self._seek(partition, to)

    def _seek(self, partition: Partition, offset: int) -> None:
        self._consumer.incremental_unassign([TopicPartition(*partition)])
        self._consumer.incremental_assign([TopicPartition(*partition, offset)])
