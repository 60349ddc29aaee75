"""The forms of a recording's files, told apart by their first bytes.

What the OpenTelemetry Collector's file exporter writes: JSON lines or length-prefixed protobuf; either of them with
each request compressed on its own behind a length (its zstd option's default, no valid .zst file), or the whole as one
zstd stream (its `exporter.file.nativeCompression` gate).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from flows.recording.errors import RecordingError
from flows.recording.framing import PREFIX_BYTES
from flows.recording.guesses import guess
from flows.recording.zstd_stream import MAGIC, ZstdStream, is_zstd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flows.recording.inputs import Input

PROTO = "otlp_proto"
JSON = "otlp_json"

PLAIN = "none"
FRAMED = "zstd"
NATIVE = "native-zstd"

EXPECTED = "OTLP as JSON lines or as length-prefixed protobuf, plain or with zstd"
REQUEST_TAG = 0x0A  # field 1, length-delimited: what an export request begins with, whatever its signal
LOOK_BYTES = 64 * 1024
RESOURCES = re.compile(rb'"resource(Spans|Logs|Metrics)"\s*:')


class Form(NamedTuple):
    """How the bytes of one file are to be read.

    `encoding` and `signal` are None where the file does not say: a protobuf request is the same for every signal, and
    a file that is empty or cut short may say neither.
    """

    encoding: str | None
    compression: str
    signal: str | None = None


class _UnknownError(Exception):
    def __init__(self, head: bytes, where: str = "") -> None:
        super().__init__()
        self.head = head
        self.where = where


def form_of(file: Input, max_record_bytes: int) -> Form:
    """The form of a file by its first bytes.

    Raises:
        RecordingError: it is none of those that are known; says what it looks like.
    """
    try:
        return _form(file.head, max_record_bytes)
    except _UnknownError as error:
        found = guess(error.head)
        what = f"{error.where}it begins with the bytes {error.head[:8].hex(' ')} ({found.kind})"
        raise RecordingError(file.path, what, EXPECTED, found.hint) from None


def _form(head: bytes, limit: int) -> Form:
    if is_zstd(head):
        return _said(_decoded(head), NATIVE, limit, "inside of the zstd stream ")
    if len(head) > PREFIX_BYTES and MAGIC.startswith(head[PREFIX_BYTES:8]) and _length(head) <= limit:
        return _framed(head)
    return _said(head, PLAIN, limit)


def _said(head: bytes, compression: str, limit: int, where: str = "") -> Form:
    """What uncompressed bytes say of themselves, whatever they were compressed with."""
    text = head.lstrip()
    if re.match(rb"\{\s*\n", text):
        raise _UnknownError(text, where)
    if text[:1] == b"{" or (head and not text):
        return Form(JSON, compression, _json_signal(text))
    first = len(head) - len(head.lstrip(b"\0"))
    first -= first % PREFIX_BYTES  # requests without anything in them
    prefix = head[first : first + PREFIX_BYTES]
    if len(head) == first and first > PREFIX_BYTES:
        raise _UnknownError(head, where)
    if _length(prefix) > limit or head[first + PREFIX_BYTES : first + 5] not in (b"", bytes([REQUEST_TAG])):
        raise _UnknownError(head, where)
    return Form(PROTO if len(head) > first + PREFIX_BYTES else None, compression)


def _framed(head: bytes) -> Form:
    for payload in _payloads(head):
        if not (inner := _decoded(payload)):
            continue
        if inner.lstrip()[:1] == b"{":
            return Form(JSON, FRAMED, _json_signal(inner))
        if inner[0] != REQUEST_TAG:
            raise _UnknownError(inner, "inside of its first zstd frame ")
        return Form(PROTO, FRAMED)
    return Form(None, FRAMED)


def _payloads(head: bytes) -> Iterator[bytes]:
    at = 0
    while at + PREFIX_BYTES < len(head):
        size = _length(head[at:])
        yield head[at + PREFIX_BYTES : at + PREFIX_BYTES + size]
        at += PREFIX_BYTES + size


def _decoded(head: bytes) -> bytes:
    """The first decoded bytes, as far as they decode."""
    decoded = b""
    for block in ZstdStream(iter([head])):
        decoded += block
        if len(decoded) >= LOOK_BYTES:
            break
    return decoded


def _length(prefix: bytes) -> int:
    """The smallest length that a prefix, perhaps cut short, can mean."""
    return int.from_bytes(prefix[:PREFIX_BYTES].ljust(PREFIX_BYTES, b"\0"), "big")


def _json_signal(text: bytes) -> str | None:
    found = RESOURCES.search(text, 0, LOOK_BYTES)
    return None if found is None else found[1].decode().lower()
