"""Attributes: the wanted ones of a message are found by their key's bytes; the others are passed over."""

from __future__ import annotations

import numpy as np

from detectors.kernels import inlined
from flows.decode.context import (
    ATTRIBUTE,
    BITS,
    COUNTERS,
    DIGEST_HIGH,
    DIGEST_LOW,
    FOUND,
    GROUPS,
    HOLDER,
    KEYS,
    LEVEL,
    LIMITED_ATTRIBUTES,
    LIMITED_STRINGS,
    MASK,
    MAX_ATTRIBUTES,
    MAX_STRING,
    META,
    N_KEYS,
    SEEDS,
    SLOT_BYTES,
)
from flows.decode.hashing import absorb, start
from flows.decode.memory import add_to_word, load1, load8, load_word, same_bytes, store_word
from flows.decode.wanted import LONGEST_TOLD_APART
from flows.decode.wire import TRUNCATED, sized, skip, tag_at, varint

NOTHING, STRING, BOOL, INT, DOUBLE, OTHER = range(6)
"""Types of values; OTHER is present, but holds nothing a label could say (bytes, arrays, maps, an empty value)."""

TYPE_BITS = 3
"""A value's meta is its size in bytes shifted by this, and its type."""
TYPE_MASK = (1 << TYPE_BITS) - 1

# KeyValue and AnyValue, field number * 8 + wire type.
_KEY, _VALUE = 0x0A, 0x12
_STRING, _BOOL, _INT, _DOUBLE = 0x0A, 0x10, 0x18, 0x21
_ARRAY, _MAP, _BYTES, _INDEX = 0x2A, 0x32, 0x3A, 0x40


@inlined
def cut(at: int, size: int, context: int) -> int:
    """The size that is left of a string under the limit; it ends where a character does, and is counted if shorter."""
    limit = load_word(context, MAX_STRING)
    if size <= limit:
        return size
    add_to_word(load_word(context, COUNTERS), LIMITED_STRINGS, 1)
    left = limit
    while left > 0 and limit - left < 3 and (load1(at + left) & 0xC0) == 0x80:
        left -= 1
    return left


@inlined
def clear_slots(level: int, context: int) -> None:
    """Forget what was found at a level."""
    slot = load_word(level, FOUND)
    for _ in range(load_word(context, N_KEYS)):
        store_word(slot, META, NOTHING)
        slot += SLOT_BYTES


@inlined
def _read_value(at: int, end: int, kind: int, bits: int, size: int, groups: int) -> tuple[int, int, int, int]:
    """An AnyValue on top of what was read of it before: type, bits (or the address of a string), size, error."""
    while at < end:
        tag, at = tag_at(at, end)
        if at < 0:
            return kind, bits, size, at
        if tag == _STRING:
            begin, stop = sized(at, end)
            if begin < 0:
                return kind, bits, size, begin
            kind, bits, size, at = STRING, begin, stop - begin, stop
        elif tag == _DOUBLE:
            if end - at < 8:
                return kind, bits, size, -TRUNCATED
            kind, bits, size, at = DOUBLE, np.int64(load8(at)), 8, at + 8
        elif tag in (_BOOL, _INT, _INDEX):
            value, at = varint(at, end)
            if at < 0:
                return kind, bits, size, at
            kind = BOOL if tag == _BOOL else (INT if tag == _INT else OTHER)
            bits = (1 if value != 0 else 0) if tag == _BOOL else value
            size = 8
        else:
            at = skip(at, end, tag, groups)
            if at < 0:
                return kind, bits, size, at
            if tag in (_ARRAY, _MAP, _BYTES):
                kind, bits, size = OTHER, 0, 0
    return kind, bits, size, 0


@inlined
def _slot_of(key: int, size: int, level: int, context: int) -> int:
    """The address of the empty slot for a key, or 0: it is not wanted here, or its first value is known."""
    if (load_word(level, MASK) >> min(size, LONGEST_TOLD_APART)) & 1 == 0:
        return 0
    name = load_word(context, KEYS)
    slot = load_word(level, FOUND)
    bit = load_word(level, LEVEL)
    for _ in range(load_word(context, N_KEYS)):
        fits = load_word(name, 1) == size and (load_word(name, 2) >> bit) & 1
        if fits and same_bytes(load_word(name, 0), key, size):
            return slot if load_word(slot, META) == NOTHING else 0
        name += 24
        slot += SLOT_BYTES
    return 0


@inlined
def _fill_slot(slot: int, kind: int, bits: int, size: int, context: int) -> None:
    """Keep a value: the first of its key, so nothing is there yet."""
    if kind in (NOTHING, OTHER):
        store_word(slot, META, OTHER)
        return
    store_word(slot, BITS, bits)
    at = slot + 8 * BITS
    if kind == STRING:
        size = cut(bits, size, context)
        at = bits
    meta = size << TYPE_BITS | kind
    secrets = load_word(context, SEEDS)
    high, low = start(secrets)
    high, low = absorb(high, low, at, size, meta, secrets)
    store_word(slot, META, meta)
    store_word(slot, DIGEST_HIGH, np.int64(high))
    store_word(slot, DIGEST_LOW, np.int64(low))


@inlined
def _usual_key(at: int, end: int) -> int:
    """The end of the key of a KeyValue that is one short key and then one value; 0 for one of any other layout."""
    if end - at < 4 or load1(at) != _KEY:
        return 0
    size = load1(at + 1)
    if size >= 0x80 or end - at < size + 4 or load1(at + 2 + size) != _VALUE:
        return 0
    value, value_end = sized(at + size + 3, end)
    return at + 2 + size if value > 0 and value_end == end else 0


@inlined
def read_attribute(at: int, end: int, level: int, context: int) -> int:
    """Take a KeyValue between two addresses into its slot if it is wanted; 0 or an error.

    Its fields may stand in any order and repeat; the layout that every encoder writes is refused by its key alone.
    """
    usual = _usual_key(at, end)
    if usual != 0 and _slot_of(at + 2, usual - at - 2, level, context) == 0:
        return 0
    groups = load_word(context, GROUPS)
    key, key_size = at, np.int64(0)
    kind = bits = size = np.int64(NOTHING)
    while at < end:
        tag, at = tag_at(at, end)
        if at < 0:
            return at
        if tag in (_KEY, _VALUE):
            begin, stop = sized(at, end)
            if begin < 0:
                return begin
            at = stop
            if tag == _KEY:
                key, key_size = begin, stop - begin
            else:
                kind, bits, size, error = _read_value(begin, stop, kind, bits, size, groups)
                if error < 0:
                    return error
        else:
            at = skip(at, end, tag, groups)
            if at < 0:
                return at
    slot = _slot_of(key, key_size, level, context)
    if slot != 0:
        _fill_slot(slot, kind, bits, size, context)
    return 0


@inlined
def read_attributes_of(at: int, end: int, level: int, context: int) -> int:
    """Collect the attributes of all messages between two addresses that hold a level's, as if merged; 0 or an error.

    What else stands there is passed over.
    """
    groups = load_word(context, GROUPS)
    most = load_word(context, MAX_ATTRIBUTES)
    clear_slots(level, context)
    number = 0
    stop = at
    while at < end:
        # Within a message that holds attributes `stop` is its end; outside of one it is where we are.
        if at == stop:
            tag, at = tag_at(at, end)
            if at < 0:
                return at
            if tag == load_word(level, HOLDER):
                at, stop = sized(at, end)
            else:
                at = skip(at, end, tag, groups)
                stop = at
            if at < 0:
                return at
            continue
        tag, begin = tag_at(at, stop)
        if begin < 0:
            return begin
        at = skip(begin, stop, tag, groups)
        if at < 0:
            return at
        if tag == load_word(level, ATTRIBUTE):
            number += 1
            if number <= most:
                begin, _ = sized(begin, stop)
                error = read_attribute(begin, at, level, context)
                if error < 0:
                    return error
    if number > most:
        add_to_word(load_word(context, COUNTERS), LIMITED_ATTRIBUTES, number - most)
    return 0
