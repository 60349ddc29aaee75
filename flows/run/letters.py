"""Dead letters read back: from a file or a topic, as a table, and into the topics that they came from."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows import log
from flows.emission import DeadLetter
from flows.errors import DataError, InputError, OutputError
from flows.records import NO_TIMESTAMP
from flows.run.dead_letters import is_cut, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from confluent_kafka import Message

    from flows.config.live import Kafka

_ANSWER_SECONDS = 10.0
_DELIVERY_SECONDS = 30.0
_SILENT_SECONDS = 30.0
_SHOWN_BYTES = 24
_PIPED_WIDTH = 160
_HEADER = "streamgauge."


# Where they are


def read_file(path: Path) -> Iterator[DeadLetter]:
    """The dead letters of a file, each once.

    Raises:
        InputError: it cannot be read.
        DataError: it has lines, and none of them is a dead letter.
    """
    found = False
    try:
        for letter in read(path):
            found = True
            yield letter
        if not found and path.stat().st_size:
            raise DataError(
                f"{path}: none of its lines is a dead letter", "one JSON object a line", "Name another file."
            )
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", hint="Name a file that can be read.") from error


def read_topic(topic: str, properties: Mapping[str, str]) -> Iterator[DeadLetter]:
    """The dead letters that a topic has now, partition by partition, each once.

    Raises:
        InputError: no broker answers, or there is no such topic.
    """
    where = f"Kafka at {properties['bootstrap.servers']}, topic {topic}"
    consumer = Consumer(
        {
            **properties,
            "group.id": "streamgauge-dead-letters",  # the client wants one; nothing is committed to it
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "error_cb": _ignore,
            "logger": log.silent(),
        }
    )
    try:
        seen: set[bytes] = set()
        for message in _messages(consumer, topic, where):
            letter = _letter_of(message)
            if letter is not None and (identity := repr(letter[:3] + letter[4:6]).encode()) not in seen:
                seen.add(identity)
                yield letter
    except KafkaException as error:
        hint = "Check the address and the name, and that the broker runs."
        raise InputError(f"{where}: {error.args[0].str()}", hint=hint) from error
    finally:
        consumer.close()


def _messages(consumer: Consumer, topic: str, where: str) -> Iterator[Message]:
    found = consumer.list_topics(topic, timeout=_ANSWER_SECONDS).topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    for number in sorted(found.partitions):
        at = TopicPartition(topic, number)
        low, end = consumer.get_watermark_offsets(at, timeout=_ANSWER_SECONDS)
        if low >= end:
            continue
        consumer.assign([TopicPartition(topic, number, low)])
        heard = time.monotonic()
        while True:
            message = consumer.poll(0.5)
            if message is None:
                if time.monotonic() - heard > _SILENT_SECONDS:
                    raise InputError(f"{where}: the broker gives nothing more", hint="Check that the broker runs.")
                continue
            heard = time.monotonic()
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                break
            if error is not None:
                raise KafkaException(error)
            yield message
            if (message.offset() or 0) + 1 >= end:
                break


def _letter_of(message: Message) -> DeadLetter | None:
    """The dead letter of a record; None for a record that is none."""
    headers = {
        name.removeprefix(_HEADER): (value if isinstance(value, bytes) else str(value or "").encode()).decode()
        for name, value in dict(message.headers() or []).items()
        if name.startswith(_HEADER)
    }
    try:
        return DeadLetter(
            headers["source"],
            int(headers["partition"]),
            int(headers["offset"]),
            int(headers.get("timestamp_ms", NO_TIMESTAMP)),
            headers["reason"],
            headers["detail"],
            message.value() or b"",
            int(headers.get("spans", 0)),
            int(headers.get("size", -1)),
        )
    except (KeyError, ValueError):
        return None


# As a table


def table(letters: Iterable[DeadLetter]) -> None:
    """Show dead letters on standard output."""
    shown = Table(box=None, pad_edge=False)
    for name in ("time", "record", "reason", "detail", "spans", "begins with"):
        shown.add_column(name, overflow="fold", no_wrap=name in ("time", "reason"))
    count = 0
    for letter in letters:
        count += 1
        shown.add_row(
            when(letter.timestamp_ms),
            Text(f"{letter.source}/{letter.partition}/{letter.offset}"),
            Text(letter.reason),
            Text(letter.detail),
            f"{letter.spans:,}" if letter.spans else "all",
            Text(beginning(letter.payload)),
        )
    out = Console()
    out = out if out.is_terminal else Console(width=_PIPED_WIDTH)
    if count:
        out.print(shown)
    out.print(f"{count:,} dead letters", highlight=False)


def when(timestamp_ms: int) -> str:
    """A record's timestamp in UTC.

    >>> when(1_772_442_000_123), when(-1)
    ('2026-03-02T09:00:00.123Z', 'unknown')
    """
    if timestamp_ms < 0:
        return "unknown"
    try:
        at = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    except (ValueError, OverflowError):
        return f"{timestamp_ms} ms"
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def beginning(payload: bytes) -> str:
    r"""The first bytes: as text where they are printable, else in hex.

    >>> beginning(b'{"a":1}'), beginning(bytes([10, 255])), beginning(b"")
    ('{"a":1}', '0a ff', 'no bytes')
    """
    head = payload[:_SHOWN_BYTES]
    more = "…" if len(payload) > len(head) else ""
    if not head:
        return "no bytes"
    if all(0x20 <= byte < 0x7F for byte in head):
        return head.decode("ascii") + more
    return head.hex(" ") + more


# Into their topics again


@dataclass
class Fed:
    """What became of dead letters that were to be fed."""

    fed: Counter[str] = field(default_factory=Counter)  # delivered, by topic
    left_out: Counter[str] = field(default_factory=Counter)  # by why
    failed: int = 0
    trouble: str = ""

    def note(self, error: KafkaError | None, message: Message) -> None:
        """A record whose fate is known."""
        if error is None:
            self.fed[message.topic() or ""] += 1
        else:
            self.failed += 1
            self.trouble = self.trouble or error.str()


def feed(letters: Iterable[DeadLetter], kafka: Kafka) -> Fed:
    """Produce the records of dead letters to the topics that they came from, once each, and wait for their delivery.

    Raises:
        OutputError: no broker answers, or some were not delivered.
    """
    done = Fed()
    topics = {topic.name for topic in kafka.topics}
    where = f"Kafka at {kafka.bootstrap_servers}"
    producer = Producer(
        {
            **kafka.librdkafka(),
            "enable.idempotence": True,  # a record that is fed twice would count twice
            "message.timeout.ms": int(_DELIVERY_SECONDS * 1000),
            "error_cb": _ignore,
            "logger": log.silent(),
        }
    )
    partitions: dict[str, int] = {}
    seen: set[tuple[str, int, int]] = set()
    try:
        for letter in letters:
            why = _why_not(letter, topics)
            if letter[:3] in seen:
                continue
            seen.add(letter[:3])
            if why:
                done.left_out[why] += 1
                continue
            if letter.source not in partitions:
                partitions[letter.source] = _n_partitions(producer, letter.source, where)
            _produce(producer, letter, partitions[letter.source], done)
        producer.flush(_DELIVERY_SECONDS + 1)
    except KafkaException as error:
        hint = "Check kafka.bootstrap_servers, and that the broker runs."
        raise OutputError(f"{where}: {error.args[0].str()}", hint=hint) from error
    undelivered = done.failed + len(producer)
    if undelivered:
        found = f"{where}: {undelivered:,} of {undelivered + sum(done.fed.values()):,} records were not delivered"
        raise OutputError(found + (done.trouble and f" ({done.trouble})"), hint="Check that the broker takes records.")
    return done


def _why_not(letter: DeadLetter, topics: set[str]) -> str:
    """Why a record cannot be fed; "" where it can."""
    if letter.source not in topics:
        return f"{letter.source} is no topic of the configuration"
    if letter.spans:
        return "only some of their spans could not be read, the others were counted and would be twice"
    if is_cut(letter):
        return "only the beginning of their bytes was kept"
    if not letter.payload:
        return "they had no bytes, or none were kept"
    return ""


def _n_partitions(producer: Producer, topic: str, where: str) -> int:
    found = producer.list_topics(topic, timeout=_ANSWER_SECONDS).topics[topic]
    if found.error is not None:
        raise OutputError(f"{where}, topic {topic}: {found.error.str()}", hint="Make the topic, and run this again.")
    return len(found.partitions)


def _produce(producer: Producer, letter: DeadLetter, n_partitions: int, done: Fed) -> None:
    more: dict[str, Any] = {"on_delivery": done.note}
    if letter.timestamp_ms > 0:
        more["timestamp"] = letter.timestamp_ms
    if letter.partition < n_partitions:
        more["partition"] = letter.partition
    while True:
        try:
            producer.produce(letter.source, letter.payload, **more)
        except BufferError:
            producer.poll(0.1)
        else:
            producer.poll(0)
            return


def _ignore(_: object) -> None:
    """The client says on its own what goes wrong; here it is said once, in a sentence."""
