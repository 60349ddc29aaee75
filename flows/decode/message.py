"""Protobuf messages walked in plain Python: the twin of `wire.py` for encodings that need no kernel.

As lenient as that: unknown fields are passed over, tags and lengths may be padded, text need not be UTF-8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.decode.rows import BrokenError
from flows.decode.wire import (
    BAD_GROUP,
    BAD_TAG,
    BAD_VARINT,
    DETAILS,
    END_GROUP,
    FIXED32,
    FIXED64,
    GROUP,
    LENGTH,
    MAX_GROUPS,
    REASONS,
    TRUNCATED,
    VARINT,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_WORD = (1 << 64) - 1
_MAX_TAG = (1 << 32) - 1


def _broken(code: int) -> BrokenError:
    return BrokenError(REASONS[code], DETAILS[code])


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A varint as uint64, and the offset behind it."""
    value = shift = 0
    while True:
        if at >= len(data):
            raise _broken(TRUNCATED)
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _WORD, at
        shift += 7
        if shift > 63:
            raise _broken(BAD_VARINT)


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Tags (field number * 8 + wire type) and values of a message, in their order.

    Varints and fixed numbers are uint64, lengths bytes; groups are passed over.

    Raises:
        BrokenError: the message is not readable from here on.

    >>> list(fields(bytes([8, 5, 18, 1, 65])))
    [(8, 5), (18, b'A')]
    """
    at, end = 0, len(data)
    groups: list[int] = []
    while at < end:
        tag = data[at]
        at += 1
        if tag >= 0x80:
            tag, at = _varint(data, at - 1)
        wire = tag & 7
        if tag > _MAX_TAG or (tag < 8 and not groups):
            raise _broken(BAD_TAG)
        value: int | bytes
        if wire == LENGTH:
            if at < end and data[at] < 0x80:
                size, at = data[at], at + 1
            else:
                size, at = _varint(data, at)
            if size > end - at:
                raise _broken(TRUNCATED)
            value = data[at : at + size]
            at += size
        elif wire == VARINT:
            value, at = _varint(data, at)
        elif wire in (FIXED64, FIXED32):
            size = 8 if wire == FIXED64 else 4
            if size > end - at:
                raise _broken(TRUNCATED)
            value = int.from_bytes(data[at : at + size], "little")
            at += size
        elif wire == GROUP:
            if len(groups) == MAX_GROUPS:
                raise _broken(BAD_GROUP)
            groups.append(tag >> 3)
            continue
        elif wire == END_GROUP:
            if not groups or groups.pop() != tag >> 3:
                raise _broken(BAD_GROUP)
            continue
        else:
            raise _broken(BAD_TAG)
        if not groups:
            yield tag, value
    if groups:
        raise _broken(TRUNCATED)
