"""Protobuf's wire format with holes: bytes that are known beforehand, and patches for what every span has of its own.

Field numbers are those of OTLP's trace.proto, common.proto and resource.proto.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from flows.generate.slots import SlottedText, parse_slots

if TYPE_CHECKING:
    from collections.abc import Iterable

TRACE_ID, SPAN_ID, PARENT_ID, START, END, SLOT_HEX, SLOT_NUMBER = range(7)
"""What a patch writes: 16 bytes, 8 bytes, 8 bytes, two fixed64, or characters of a slot."""


class Patch(NamedTuple):
    """A hole in a template."""

    position: int
    what: int
    length: int = 0  # characters, of slots only
    salt: int = 0
    first: int = 0


class Piece(NamedTuple):
    """Bytes and the holes in them."""

    data: bytes
    patches: tuple[Patch, ...] = ()


def joined(pieces: Iterable[Piece]) -> Piece:
    """Pieces one after the other.

    >>> joined([Piece(b"ab"), Piece(b"c", (Patch(0, START),))]).patches[0].position
    2
    """
    data, patches = b"", []
    for piece in pieces:
        patches += [patch._replace(position=patch.position + len(data)) for patch in piece.patches]
        data += piece.data
    return Piece(data, tuple(patches))


def varint(value: int) -> bytes:
    """A varint of a non-negative integer below 2^64.

    >>> varint(300).hex()
    'ac02'
    """
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def tag(field: int, wire_type: int) -> bytes:
    """A field's tag."""
    return varint(field << 3 | wire_type)


def message(field: int, *pieces: Piece) -> Piece:
    """A length-delimited field around pieces."""
    body = joined(pieces)
    return joined((Piece(tag(field, 2) + varint(len(body.data))), body))


def integer(field: int, value: int) -> Piece:
    """A varint field; negative values as protobuf's int64 has them, in ten bytes."""
    return Piece(tag(field, 0) + varint(value & (1 << 64) - 1))


def hole(field: int, what: int, size: int, wire_type: int) -> Piece:
    """A field whose `size` bytes each span fills: fixed64 (wire type 1) or bytes (2)."""
    head = tag(field, wire_type) + (varint(size) if wire_type == 2 else b"")
    return Piece(head + bytes(size), (Patch(len(head), what),))


def text(field: int, value: str) -> Piece:
    """A text field, with its slots as patches."""
    slotted: SlottedText = parse_slots(value)
    patches = tuple(Patch(run.position, SLOT_HEX + run.kind, run.length, run.salt, run.first) for run in slotted.runs)
    return message(field, Piece(slotted.data, patches))


def attribute(field: int, key: str, value: str | float | bool) -> Piece:
    """A KeyValue field."""
    if isinstance(value, bool):
        inner = integer(2, int(value))
    elif isinstance(value, int):
        inner = integer(3, value)
    elif isinstance(value, float):
        inner = Piece(tag(4, 1) + struct.pack("<d", value))
    else:
        inner = text(1, value)
    return message(field, text(1, key), message(2, inner))
