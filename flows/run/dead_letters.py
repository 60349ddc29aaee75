"""Where records go that could not be decoded: a bounded file, or a Kafka topic; at least once, told apart by offset."""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from confluent_kafka import KafkaException, Producer

from flows import log
from flows.emission import PAYLOAD_BYTES, DeadLetter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flows.config import Config

_PART = "dead-letters"
_FLUSH_SECONDS = 10.0

_log = log.get("dead_letters")


class DeadLetterSink(FixedPartitionedSink[DeadLetter, bytes]):
    """One place for the dead letters of the whole cluster.

    Args:
        config: where, and how many are kept.
    """

    def __init__(self, config: Config) -> None:
        self._config = config

    def list_parts(self) -> list[str]:
        """Any worker can write; one does."""
        return [_PART]

    def build_part(
        self, step_id: str, for_part: str, resume_state: bytes | None
    ) -> StatefulSinkPartition[DeadLetter, bytes]:
        """Open the place."""
        settings = self._config.dead_letters
        if settings.topic is not None:
            assert self._config.kafka is not None
            return _Topic(settings.topic, self._config.kafka.librdkafka())
        return _File(dead_letter_file(self._config), settings.count, settings.bytes_each)


def dead_letter_file(config: Config) -> Path:
    """The file that dead letters are written to, where they go to one."""
    return config.dead_letters.file or config.state_directory / "dead_letters.jsonl"


def as_json(letter: DeadLetter, bytes_each: int) -> bytes:
    """A dead letter as a JSON object: its coordinates, why, and the beginning of its bytes in base64."""
    plain = letter._asdict()
    plain["payload"] = b64encode(letter.payload[:bytes_each]).decode()
    return msgspec.json.encode(plain)


class _Stored(msgspec.Struct):
    source: str
    partition: int
    offset: int
    timestamp_ms: int
    reason: str
    detail: str
    payload: str
    spans: int = 0
    size: int = -1


_decoder = msgspec.json.Decoder(_Stored)


def read(path: Path) -> Iterator[DeadLetter]:
    """The dead letters of a file, each once; what came twice (a crash between two snapshots) is left out.

    A last line that a crash cut short is left out too.
    """
    seen: set[tuple[str, int, int, str, str]] = set()
    with path.open("rb") as file:
        for line in file:
            try:
                plain = _decoder.decode(line)
            except msgspec.DecodeError:
                continue
            identity = (plain.source, plain.partition, plain.offset, plain.reason, plain.detail)
            if identity not in seen:
                seen.add(identity)
                yield DeadLetter(
                    plain.source,
                    plain.partition,
                    plain.offset,
                    plain.timestamp_ms,
                    plain.reason,
                    plain.detail,
                    b64decode(plain.payload),
                    plain.spans,
                    plain.size,
                )


def is_cut(letter: DeadLetter) -> bool:
    """Whether only the beginning of its record was kept."""
    if letter.size < 0:  # written before sizes were
        return len(letter.payload) >= PAYLOAD_BYTES
    return letter.size > len(letter.payload)


class _File(StatefulSinkPartition[DeadLetter, bytes]):
    """A file of JSON lines; further letters are only counted when it has as many as it may."""

    def __init__(self, path: Path, count: int, bytes_each: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        path.chmod(0o600)
        with path.open("rb") as written:
            self._left = count - sum(1 for _ in written)
            written.seek(max(written.tell() - 1, 0))
            if written.read() not in (b"", b"\n"):
                self._file.write(b"\n")  # a crash cut the last line: the next letter must not be joined to it
        self._bytes_each = bytes_each

    def write_batch(self, items: list[DeadLetter]) -> None:
        """Append what there is room for. A full disk keeps letters, not the flow, from going on."""
        kept = items[: max(self._left, 0)]
        if len(kept) < len(items) and self._left > 0:
            _log.warning("the file of dead letters is full; further ones are only counted", file=self._file.name)
        self._left -= len(items)
        try:
            self._file.write(b"".join(as_json(letter, self._bytes_each) + b"\n" for letter in kept))
        except OSError as error:
            _log.error("dead letters cannot be written", file=self._file.name, why=error.strerror)

    def snapshot(self) -> bytes:
        """Nothing; but what was written is on the disk before the offsets behind it are stored."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            _log.error("dead letters cannot be stored", file=self._file.name, why=error.strerror)
        return b""

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class _Topic(StatefulSinkPartition[DeadLetter, bytes]):
    """A Kafka topic: the record's own bytes, its coordinates and the reason as headers."""

    def __init__(self, topic: str, properties: dict[str, str]) -> None:
        self._topic = topic
        self._undelivered = 0
        self._producer = Producer({**properties, "linger.ms": 50, "enable.idempotence": True, "logger": log.silent()})

    def write_batch(self, items: list[DeadLetter]) -> None:
        """Hand the letters to the producer."""
        for letter in items:
            headers = {
                "streamgauge.source": letter.source,
                "streamgauge.partition": str(letter.partition),
                "streamgauge.offset": str(letter.offset),
                "streamgauge.reason": letter.reason,
                "streamgauge.detail": letter.detail,
                "streamgauge.timestamp_ms": str(letter.timestamp_ms),
                "streamgauge.spans": str(letter.spans),
                "streamgauge.size": str(letter.size),
            }
            key = f"{letter.source}/{letter.partition}/{letter.offset}"
            try:
                self._producer.produce(
                    self._topic, letter.payload, key, headers=list(headers.items()), on_delivery=self._delivered
                )
            except (BufferError, KafkaException) as error:
                self._undelivered += 1
                _log.error("a dead letter cannot be sent", topic=self._topic, why=str(error))
        self._producer.poll(0)

    def _delivered(self, error: object, _message: object) -> None:
        if error is not None:
            self._undelivered += 1
            _log.error("a dead letter was not delivered", topic=self._topic, why=str(error))

    def snapshot(self) -> bytes:
        """Nothing; but what was sent has arrived before the offsets behind it are stored, if the broker answers."""
        left = self._producer.flush(_FLUSH_SECONDS)
        if left:
            _log.error("dead letters wait for the broker", topic=self._topic, waiting=left)
        return b""

    def close(self) -> None:
        """Wait for what is on its way."""
        self._producer.flush(_FLUSH_SECONDS)
