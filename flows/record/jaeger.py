"""`jaeger_proto` read in plain Python, with all its attributes: the live decoder keeps only those that are wanted.

Source: jaeger-idl's `model.proto`.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from flows.decode.jaeger_tags import resource_of, settle
from flows.decode.message import fields
from flows.decode.plain import PlainDecoder
from flows.decode.rows import BrokenError, PlainSpan, Rows, Scalar

if TYPE_CHECKING:
    from collections.abc import Sequence

# Span, Process, KeyValue, and Timestamp or Duration: field number * 8 + wire type.
_TRACE_ID, _SPAN_ID, _NAME, _START, _DURATION, _TAG, _PROCESS = 0x0A, 0x12, 0x1A, 0x32, 0x3A, 0x42, 0x52
_SERVICE, _PROCESS_TAG = 0x0A, 0x12
_KEY, _TYPE, _STRING, _BOOL, _INT, _FLOAT = 0x0A, 0x10, 0x1A, 0x20, 0x28, 0x31
_SECONDS, _NANOS = 0x08, 0x10

_SECOND = 1_000_000_000
_LATEST = (1 << 63) - 1
MOST_SECONDS = _LATEST // _SECOND - 1
FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799
"""The years 1 to 9999, as protobuf's Timestamp has them."""
_BAD_TIME = "start time or duration is out of protobuf's range for it"

Fields = list[tuple[int, int | bytes]]


class PlainJaegerProto(PlainDecoder):
    """Decodes Jaeger's spans in protobuf, one by one; the answers are those of `JaegerProto`."""

    def _split(self, payload: bytes) -> list[Fields]:
        if not payload:
            raise BrokenError("empty", "the record holds no bytes")
        return [list(fields(payload))]

    def _read(self, span: Fields, rows: Rows) -> PlainSpan:
        process = list(fields(_merged(span, _PROCESS)))
        start = _start_ns(_merged(span, _START))
        tags = _tags(span, _TAG)
        kind, status, trace_state = settle(tags)
        return PlainSpan(
            name=_text(_last(span, _NAME)),
            kind=kind,
            status=status,
            start_ns=start,
            end_ns=start + _duration_ns(_merged(span, _DURATION)),
            trace_id=_id(_last(span, _TRACE_ID), (8, 16)),
            span_id=_id(_last(span, _SPAN_ID), (8,)),
            trace_state=trace_state,
            attributes=tags,
            scope={},
            resource=resource_of(_text(_last(process, _SERVICE)), _tags(process, _PROCESS_TAG)),
        )


def _last(of: Fields, tag: int) -> int | bytes:
    return next((value for known, value in reversed(of) if known == tag), b"")


def _merged(of: Fields, tag: int) -> bytes:
    """A nested message; a repeated one adds to what it said before, which in protobuf is to stand behind it."""
    return b"".join(value for known, value in of if known == tag and isinstance(value, bytes))


def _text(value: int | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""


def _id(value: int | bytes, sizes: Sequence[int]) -> int:
    return int.from_bytes(value, "big") if isinstance(value, bytes) and len(value) in sizes else 0


def _start_ns(data: bytes) -> int:
    """A Timestamp in Unix ns, within ± 292 years."""
    seconds, nanos = _seconds_and_nanos(data)
    if not FIRST_SECOND <= seconds <= LAST_SECOND or not 0 <= nanos < _SECOND:
        raise BrokenError("bad_time", _BAD_TIME)
    return min(max(seconds * _SECOND + nanos, -_LATEST), _LATEST)


def _duration_ns(data: bytes) -> int:
    """A Duration in ns."""
    seconds, nanos = _seconds_and_nanos(data)
    if abs(seconds) > MOST_SECONDS or abs(nanos) >= _SECOND or seconds * nanos < 0:
        raise BrokenError("bad_time", _BAD_TIME)
    return seconds * _SECOND + nanos


def _seconds_and_nanos(data: bytes) -> tuple[int, int]:
    seconds = nanos = 0
    for tag, value in fields(data):
        if tag == _SECONDS and isinstance(value, int):
            seconds = _signed(value, 64)
        elif tag == _NANOS and isinstance(value, int):
            nanos = _signed(value, 32)
    return seconds, nanos


def _signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def _tags(of: Fields, tag: int) -> dict[str, Scalar]:
    """The tags of a span or process; the last of a key counts."""
    found: dict[str, Scalar] = {}
    for known, value in of:
        if known == tag and isinstance(value, bytes):
            tag_fields = list(fields(value))
            found[_text(_last(tag_fields, _KEY))] = _scalar(dict(tag_fields))
    return found


def _scalar(tag: dict[int, int | bytes]) -> Scalar:
    """A tag's value by its type; None for binary ones and unknown types."""
    kind = tag.get(_TYPE, 0)
    if kind == 0:
        return _text(tag.get(_STRING, b""))
    if kind == 1:
        return bool(tag.get(_BOOL, 0))
    number = tag.get(_INT if kind == 2 else _FLOAT, 0)
    if kind == 2:
        return _signed(number, 64) if isinstance(number, int) else 0
    if kind == 3:
        return float(struct.unpack("<d", struct.pack("<Q", number))[0]) if isinstance(number, int) else 0.0
    return None
