"""Protobuf's wire format: varints, lengths, and the skipping of what nobody asked for.

Helpers take an address and the bound it must not reach, and give the address behind what they read. A negative address
is an error: minus one of the codes below. Where protobuf's parsers differ the more lenient one is followed: tags and
lengths may be padded to ten bytes.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from detectors.kernels import inlined
from flows.decode.memory import load1, load_word, store_word

VARINT, FIXED64, LENGTH, GROUP, END_GROUP, FIXED32 = range(6)

TRUNCATED, BAD_VARINT, BAD_TAG, BAD_GROUP, BAD_RESOURCE, BAD_SCOPE = range(1, 7)
REASONS = ("", "truncated", "bad_varint", "bad_tag", "bad_group", "bad_resource", "bad_scope")
"""The words for the codes, as they stand in a dead letter."""

DETAILS = (
    "",
    "a length or a value reaches beyond the message that holds it",
    "a varint is longer than ten bytes",
    "a field number is 0 or above 2^29-1, or a wire type is none of protobuf's",
    "a group is not closed, closed by another's end, or nested deeper than 100",
    "the resource of these spans is not readable",
    "the scope of these spans is not readable",
)

MAX_GROUPS = 100
"""How deep groups may nest; protobuf's own parsers stop at 100 levels, messages included."""

_MAX_TAG = (1 << 32) - 1


@inlined
def varint(at: int, end: int) -> tuple[int, int]:
    """A varint as int64 (wrapping, as protobuf has it) and the address behind it."""
    if at >= end:
        return 0, -TRUNCATED
    value = load1(at)
    if value < 0x80:
        return value, at + 1
    return _long_varint(value & 0x7F, at + 1, end)


@inlined
def _long_varint(value: int, at: int, end: int) -> tuple[int, int]:
    """The rest of a varint of more than one byte."""
    shift = 7
    while at < end:
        byte = load1(at)
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            return 0, -BAD_VARINT
    return 0, -TRUNCATED


@inlined
def tag_at(at: int, end: int) -> tuple[int, int]:
    """A field's tag (field number * 8 + wire type) and the address behind it; its field number is valid."""
    tag, at = varint(at, end)
    if at > 0 and (tag < 8 or tag > _MAX_TAG):
        return 0, -BAD_TAG
    return tag, at


@inlined
def sized(at: int, end: int) -> tuple[int, int]:
    """Start and end of what a length stands before; the start is negative on an error."""
    size, start = varint(at, end)
    if start < 0:
        return start, start
    if size < 0 or size > end - start:
        return -TRUNCATED, -TRUNCATED
    return start, start + size


@inlined
def skip(at: int, end: int, tag: int, stack: int) -> int:
    """The address behind the value of a field whose tag has been read; `stack` is a table of MAX_GROUPS words."""
    wire = tag & 7
    if wire == VARINT:
        return varint(at, end)[1]
    if wire == LENGTH:
        return sized(at, end)[1]
    if wire == FIXED64:
        return at + 8 if end - at >= 8 else -TRUNCATED
    if wire == FIXED32:
        return at + 4 if end - at >= 4 else -TRUNCATED
    if wire == GROUP:
        return _skip_group(at, end, tag, stack)
    return -BAD_GROUP if wire == END_GROUP else -BAD_TAG


@inlined
def _skip_group(at: int, end: int, tag: int, stack: int) -> int:
    """The address behind a group, groups within it included; a loop, so that no input can exhaust the stack."""
    store_word(stack, 0, tag >> 3)
    depth = 1
    while depth > 0:
        tag, at = varint(at, end)
        if at < 0:
            return at
        if tag < 0 or tag > _MAX_TAG:
            return -BAD_TAG
        wire = tag & 7
        if wire == GROUP:
            if depth == MAX_GROUPS:
                return -BAD_GROUP
            store_word(stack, depth, tag >> 3)
            depth += 1
        elif wire == END_GROUP:
            depth -= 1
            if load_word(stack, depth) != tag >> 3:
                return -BAD_GROUP
        else:
            if wire == VARINT:
                at = varint(at, end)[1]
            elif wire == LENGTH:
                at = sized(at, end)[1]
            elif wire == FIXED64:
                at = at + 8 if end - at >= 8 else -TRUNCATED
            elif wire == FIXED32:
                at = at + 4 if end - at >= 4 else -TRUNCATED
            else:
                at = -BAD_TAG
            if at < 0:
                return at
    return at
