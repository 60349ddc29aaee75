"""What a Kafka cluster has: topics, partitions, where these begin and end. Asked in a thread, never by a reader."""

from __future__ import annotations

import os
import threading
import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec
from confluent_kafka import (
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from flows import log
from flows.records import Partition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

_TIMEOUT_SECONDS = 10.0
_RETRY_SECONDS = 1.0
_LISTEN_SECONDS = 0.05
_MISSING = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION)  # noqa: SLF001

T = TypeVar("T")

EARLIEST, LATEST = "earliest", "latest"

_SPECS: dict[str, OffsetSpec] = {
    EARLIEST: OffsetSpec.earliest(),  # type: ignore[no-untyped-call]
    LATEST: OffsetSpec.latest(),  # type: ignore[no-untyped-call]
}

_log = log.get("kafka")


class Topic(NamedTuple):
    """A topic as the cluster has it; one that was removed and made anew has another id."""

    id: str
    n_partitions: int


class Ends(NamedTuple):
    """Where a partition begins and where what is readable ends: its last stable offset."""

    low: int
    end: int


class Found(NamedTuple):
    """What is there of a partition now."""

    topic_id: str  # "" where the topic does not exist
    ends: Ends


def slot_of(partition: Partition, n_slots: int) -> int:
    """Which slot reads a partition: its number, turned by a hash of its topic; the same in every process and release.

    >>> slot_of(Partition("otlp_spans", 3), 32) == (slot_of(Partition("otlp_spans", 2), 32) + 1) % 32
    True
    """
    return (partition.number + zlib.crc32(partition.source.encode())) % n_slots


class Cluster:
    """Keeps asking a cluster about some topics.

    Args:
        properties: librdkafka's, at least `bootstrap.servers`.
        topics: their names.
        refresh_seconds: how often to ask; failures are tried again after a second.
        start: where partitions found at the very first look are read from: "earliest", "latest", or Unix ms.
        starts_file: where these offsets are written, once, so that a crash before the first snapshot changes nothing.
    """

    def __init__(
        self,
        properties: Mapping[str, str],
        topics: Sequence[str],
        refresh_seconds: float = 30.0,
        start: str | int = EARLIEST,
        starts_file: Path | None = None,
    ) -> None:
        self._names = tuple(topics)
        self._refresh_seconds = refresh_seconds
        self._start = start
        self._starts_file = starts_file
        self._starts: dict[Partition, int] | None = None
        self._properties: dict[str, Any] = {**properties, "error_cb": self._on_error, "logger": log.silent()}
        self._stopped = threading.Event()
        self._hurry = threading.Event()
        self._pool = ThreadPoolExecutor(1, "kafka-admin")
        self._thread = threading.Thread(target=self._watch, name="kafka-metadata", daemon=True)
        self._admin: AdminClient | None = None
        self.topics: dict[str, Topic | None] | None = None  # None: never heard; a topic that is None does not exist
        self.heard_at = -1.0  # monotonic seconds of the last answer
        self.trouble = ""  # why there is no answer
        self._connection_trouble = ""

    def begin(self) -> None:
        """Start asking."""
        self._admin = AdminClient(self._properties)
        self._thread.start()

    def stop(self) -> None:
        """Stop asking; answers on their way are not waited for."""
        self._stopped.set()
        self._hurry.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def look_now(self) -> None:
        """Ask about the topics at once, not when it is time for it."""
        self._hurry.set()

    def _on_error(self, error: KafkaError) -> None:
        """What is wrong with a connection, while an answer is waited for; the next answer takes it back."""
        _log.debug("cluster connection", error=error.str())
        self._connection_trouble = error.str()

    def _answer(self, asked: Future[T]) -> T:
        """Wait for an answer, and meanwhile learn from the client why it does not come."""
        assert self._admin is not None
        until = monotonic() + 2 * _TIMEOUT_SECONDS
        while not asked.done():
            if self._stopped.is_set() or monotonic() > until:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001
            self._admin.poll(_LISTEN_SECONDS)
            if not asked.done() and self._connection_trouble:
                self.trouble = self._connection_trouble
        return asked.result()

    # Topics

    def partitions(self) -> list[Partition] | None:
        """Every partition of the topics that exist; None before the first answer."""
        if self.topics is None:
            return None
        return [
            Partition(name, number)
            for name, topic in self.topics.items()
            if topic is not None
            for number in range(topic.n_partitions)
        ]

    def _watch(self) -> None:
        while not self._stopped.is_set():
            self._connection_trouble = ""
            try:
                topics = self._describe()
                if self.topics is None and self._starts is None:
                    self._starts = self._first_offsets(topics)
                self._note(topics)
                self.trouble = ""
                self.heard_at = monotonic()
                pause = self._refresh_seconds
            except KafkaException as error:
                if self._stopped.is_set():
                    return
                self.trouble = self._connection_trouble or error.args[0].str()
                _log.warning("the cluster does not answer", why=self.trouble)
                pause = _RETRY_SECONDS
            except OSError as error:
                self.trouble = f"{error.filename}: {error.strerror}"
                _log.warning("start offsets cannot be kept", why=self.trouble)
                pause = _RETRY_SECONDS
            self._hurry.wait(pause)
            self._hurry.clear()

    def _describe(self) -> dict[str, Topic | None]:
        assert self._admin is not None
        found: dict[str, Topic | None] = {}
        asked = self._admin.describe_topics(TopicCollection([*self._names]), request_timeout=_TIMEOUT_SECONDS)
        for name, answer in asked.items():
            try:
                description = self._answer(answer)
            except KafkaException as error:
                if error.args[0].code() not in _MISSING:
                    raise
                found[name] = None
            else:
                found[name] = Topic(str(description.topic_id), len(description.partitions))
        return found

    def _note(self, topics: dict[str, Topic | None]) -> None:
        before = self.topics or {}
        for name, topic in topics.items():
            was = before.get(name)
            if topic is None and (was is not None or name not in before):
                _log.warning("topic does not exist", topic=name)
            elif topic is not None and was is not None and topic.id != was.id:
                _log.warning("topic was removed and made anew", topic=name, partitions=topic.n_partitions)
            elif topic is not None and was is not None and topic.n_partitions != was.n_partitions:
                _log.info("topic has more partitions", topic=name, before=was.n_partitions, now=topic.n_partitions)
            elif topic is not None and was is None:
                _log.info("topic found", topic=name, partitions=topic.n_partitions)
        self.topics = topics

    # Offsets

    def start_of(self, partition: Partition, *, first_look: bool) -> Future[int]:
        """Where to begin with a partition that has no position yet.

        Args:
            partition: the partition.
            first_look: whether nothing was ever read: then the configured start counts; a later partition is read
                from its beginning.
        """
        if first_look and self._starts is not None and partition in self._starts:
            known: Future[int] = Future()
            known.set_result(self._starts[partition])
            return known
        return self.ask(lambda: self.offsets([partition], EARLIEST)[partition])

    def find(self, partition: Partition) -> Future[Found]:
        """Ask, in the background, where a partition begins and ends now, and of which topic it is."""

        def found() -> Found:
            topic = self._describe()[partition.source]
            return Found("" if topic is None else topic.id, self.ends([partition])[partition])

        return self.ask(found)

    def ask(self, question: Callable[[], T]) -> Future[T]:
        """Run something that asks the cluster in the background."""
        return self._pool.submit(question)

    def ends(self, partitions: Iterable[Partition]) -> dict[Partition, Ends]:
        """Where partitions begin and end now; blocks.

        Raises:
            KafkaException: the cluster does not answer.
        """
        wanted = list(partitions)
        lows, ends = self.offsets(wanted, EARLIEST), self.offsets(wanted, LATEST)
        return {partition: Ends(lows[partition], ends[partition]) for partition in wanted}

    def offsets(self, partitions: Sequence[Partition], at: str | int) -> dict[Partition, int]:
        """The earliest or the latest stable offset, or the first at or after a time (Unix ms); blocks.

        Raises:
            KafkaException: the cluster does not answer.
        """
        assert self._admin is not None
        if not partitions:
            return {}
        spec = OffsetSpec.for_timestamp(at) if isinstance(at, int) else _SPECS[at]
        asked = self._admin.list_offsets(
            {TopicPartition(*partition): spec for partition in partitions},
            isolation_level=IsolationLevel.READ_COMMITTED,
            request_timeout=_TIMEOUT_SECONDS,
        )
        found = {Partition(tp.topic, tp.partition): self._answer(answer) for tp, answer in asked.items()}
        offsets = {partition: result.offset for partition, result in found.items()}
        beyond = [partition for partition, offset in offsets.items() if offset < 0]  # nothing is as young as that
        return {**offsets, **(self.offsets(beyond, LATEST) if beyond else {})}

    def _first_offsets(self, topics: dict[str, Topic | None]) -> dict[Partition, int]:
        """The start offsets of all partitions, as they were at the very first look."""
        if self._starts_file is not None and self._starts_file.exists():
            rows = msgspec.json.decode(self._starts_file.read_bytes(), type=list[tuple[str, int, int]])
            return {Partition(source, number): offset for source, number, offset in rows}
        there = [
            Partition(name, n) for name, topic in topics.items() if topic is not None for n in range(topic.n_partitions)
        ]
        starts = self.offsets(there, self._start)
        if self._starts_file is not None:
            partial = self._starts_file.with_suffix(f".{os.getpid()}")
            partial.write_bytes(msgspec.json.encode([[*partition, offset] for partition, offset in starts.items()]))
            try:
                os.link(partial, self._starts_file)
            except FileExistsError:
                return self._first_offsets(topics)  # another worker was first: all use its answer
            finally:
                partial.unlink()
        return starts
