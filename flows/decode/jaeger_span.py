"""One `jaeger.api_v2.Span`, read from its bytes by the kernel of `jaeger_proto.py`; tags go to slots.

A slot holds the last value of a wanted key, not cut and not hashed yet: most are overwritten or not chosen.
"""

from __future__ import annotations

import numpy as np

from detectors.kernels import inlined
from flows.decode.attributes import BOOL, DOUBLE, INT, OTHER, STRING, TYPE_BITS
from flows.decode.context import (
    BITS,
    COUNTERS,
    FOUND,
    GROUPS,
    KEYS,
    LEVEL,
    LIMITED_ATTRIBUTES,
    MASK,
    MAX_ATTRIBUTES,
    META,
    N_KEYS,
    RESOURCES,
    SLOT_BYTES,
    SPANS,
)
from flows.decode.memory import add_to_word, load8, load_word, same_bytes, store_word, swapped
from flows.decode.wanted import LONGEST_TOLD_APART
from flows.decode.wire import REASONS, TRUNCATED, sized, skip, tag_at, varint

# Span, Process, KeyValue, Timestamp and Duration, field number * 8 + wire type.
_TRACE_ID, _SPAN_ID, _NAME, _START, _DURATION, _TAG, _PROCESS = 0x0A, 0x12, 0x1A, 0x32, 0x3A, 0x42, 0x52
_SERVICE, _PROCESS_TAG = 0x0A, 0x12
_KEY, _TYPE, _STR, _BOOL, _INT, _FLOAT = 0x0A, 0x10, 0x1A, 0x20, 0x28, 0x31
_SECONDS, _NANOS = 0x08, 0x10

BAD_TIME, EMPTY = len(REASONS), len(REASONS) + 1
"""Errors beside those of `wire.py`."""
SPAN_REASONS = (*REASONS, "bad_time", "empty")
"""The words for the codes, as they stand in a dead letter."""

_ENUM = (1 << 32) - 1
_HALF = 1 << 31
_BILLION = 1_000_000_000
_LATEST = (1 << 63) - 1
_MOST_SECONDS = _LATEST // _BILLION - 1
"""Seconds that int64 ns surely hold, and a nanosecond part besides."""
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799
"""Of the years 1 to 9999, which a Timestamp may name."""


@inlined
def _slot_of(key: int, size: int, level: int, context: int) -> int:
    """The address of the slot for a key, or 0 if it is not wanted at this level."""
    if (load_word(level, MASK) >> min(size, LONGEST_TOLD_APART)) & 1 == 0:
        return 0
    name = load_word(context, KEYS)
    slot = load_word(level, FOUND)
    bit = load_word(level, LEVEL)
    for _ in range(load_word(context, N_KEYS)):
        fits = load_word(name, 1) == size and (load_word(name, 2) >> bit) & 1
        if fits and same_bytes(load_word(name, 0), key, size):
            return slot
        name += 24
        slot += SLOT_BYTES
    return 0


@inlined
def _fill_slot(slot: int, value_type: int, text: int, size: int, flag: int, number: int, real: int) -> None:
    """Keep a value: its type decides, not which one is there, for a value that is its type's zero is not written."""
    if value_type == 0:
        store_word(slot, META, size << TYPE_BITS | STRING)
        store_word(slot, BITS, text)
    elif value_type == 1:
        store_word(slot, META, 8 << TYPE_BITS | BOOL)
        store_word(slot, BITS, flag)
    elif value_type == 2:
        store_word(slot, META, 8 << TYPE_BITS | INT)
        store_word(slot, BITS, number)
    elif value_type == 3:
        store_word(slot, META, 8 << TYPE_BITS | DOUBLE)
        store_word(slot, BITS, real)
    else:
        store_word(slot, META, OTHER)


@inlined
def _read_tag(at: int, end: int, level: int, context: int) -> int:
    """Put a KeyValue's value in its slot if it is wanted; 0 or an error."""
    groups = load_word(context, GROUPS)
    key, text = at, at
    key_size = text_size = value_type = flag = number = real = np.int64(0)
    while at < end:
        tag, at = tag_at(at, end)
        if at < 0:
            return at
        if tag in (_KEY, _STR):
            begin, at = sized(at, end)
            if begin < 0:
                return begin
            if tag == _KEY:
                key, key_size = begin, at - begin
            else:
                text, text_size = begin, at - begin
        elif tag in (_TYPE, _BOOL, _INT):
            value, at = varint(at, end)
            if at < 0:
                return at
            if tag == _TYPE:
                value_type = value & _ENUM
            elif tag == _BOOL:
                flag = 1 if value != 0 else 0
            else:
                number = value
        elif tag == _FLOAT:
            if end - at < 8:
                return -TRUNCATED
            real, at = np.int64(load8(at)), at + 8
        else:
            at = skip(at, end, tag, groups)
            if at < 0:
                return at
    slot = _slot_of(key, key_size, level, context)
    if slot != 0:
        _fill_slot(slot, value_type, text, text_size, flag, number, real)
    return 0


@inlined
def _read_seconds(at: int, end: int, seconds: int, nanos: int, groups: int) -> tuple[int, int, int]:
    """A Timestamp or a Duration on top of what was read of it before: seconds, nanoseconds, 0 or an error."""
    while at < end:
        tag, at = tag_at(at, end)
        if at > 0:
            if tag == _SECONDS:
                seconds, at = varint(at, end)
            elif tag == _NANOS:
                value, at = varint(at, end)
                nanos = ((value + _HALF) & _ENUM) - _HALF
            else:
                at = skip(at, end, tag, groups)
        if at < 0:
            return seconds, nanos, at
    return seconds, nanos, 0


@inlined
def _read_process(at: int, end: int, name: int, size: int, n_tags: int, context: int) -> tuple[int, int, int, int]:
    """A Process on top of what was read before: address and size of its name, its number of tags, 0 or an error."""
    groups = load_word(context, GROUPS)
    level = load_word(context, RESOURCES)
    while at < end:
        tag, at = tag_at(at, end)
        if at < 0:
            return name, size, n_tags, at
        if tag in (_SERVICE, _PROCESS_TAG):
            begin, at = sized(at, end)
            if begin < 0:
                return name, size, n_tags, begin
            if tag == _SERVICE:
                name, size = begin, at - begin
            else:
                n_tags += 1
                if n_tags <= load_word(context, MAX_ATTRIBUTES):
                    error = _read_tag(begin, at, level, context)
                    if error < 0:
                        return name, size, n_tags, error
        else:
            at = skip(at, end, tag, groups)
            if at < 0:
                return name, size, n_tags, at
    return name, size, n_tags, 0


@inlined
def _times(seconds: int, nanos: int, length: int, length_nanos: int) -> tuple[int, int, int]:
    """End in Unix ns, not before 0; duration in ns; 0 or an error. What is beyond int64 is clamped."""
    if seconds < _FIRST_SECOND or seconds > _LAST_SECOND or nanos < 0 or nanos >= _BILLION:
        return 0, 0, -BAD_TIME
    if length < -_MOST_SECONDS or length > _MOST_SECONDS or length_nanos <= -_BILLION or length_nanos >= _BILLION:
        return 0, 0, -BAD_TIME
    if (length < 0 and length_nanos > 0) or (length > 0 and length_nanos < 0):
        return 0, 0, -BAD_TIME
    duration = length * _BILLION + length_nanos
    if seconds > _MOST_SECONDS:
        begin = _LATEST
    elif seconds < -_MOST_SECONDS:
        begin = -_LATEST
    else:
        begin = seconds * _BILLION + nanos
    if duration > 0 and begin > _LATEST - duration:
        return _LATEST, duration, 0
    if begin < 0 and duration < 0:
        return 0, duration, 0
    return max(begin + duration, 0), duration, 0


@inlined
def read_span(
    at: int, end: int, context: int
) -> tuple[int, int, int, int, int, int, int, np.uint64, np.uint64, np.uint64]:
    """A Span between two addresses; its wanted tags and its process's go to their slots, which must be clear.

    Returns:
        0 or an error; its end in Unix ns; its duration, which may be negative; address and size of its name, and of
        its process's; the trace id's halves; the span id.
    """
    groups = load_word(context, GROUPS)
    level = load_word(context, SPANS)
    most = load_word(context, MAX_ATTRIBUTES)
    trace_high = trace_low = span_id = np.uint64(0)
    name, service = at, at
    size = service_size = n_tags = n_process_tags = error = np.int64(0)
    seconds = nanos = length = length_nanos = np.int64(0)
    while at < end and error == 0:
        tag, at = tag_at(at, end)
        if at < 0:
            error = at
        elif tag & 7 != 2:
            at = skip(at, end, tag, groups)
            error = min(at, 0)
        else:
            begin, at = sized(at, end)
            if begin < 0:
                error = begin
            elif tag == _TAG:
                n_tags += 1
                if n_tags <= most:
                    error = _read_tag(begin, at, level, context)
            elif tag == _TRACE_ID:
                trace_high = swapped(load8(begin)) if at - begin == 16 else np.uint64(0)
                whole = at - begin == 8 or at - begin == 16
                trace_low = swapped(load8(at - 8)) if whole else np.uint64(0)
            elif tag == _SPAN_ID:
                span_id = swapped(load8(begin)) if at - begin == 8 else np.uint64(0)
            elif tag == _NAME:
                name, size = begin, at - begin
            elif tag == _START:
                seconds, nanos, error = _read_seconds(begin, at, seconds, nanos, groups)
            elif tag == _DURATION:
                length, length_nanos, error = _read_seconds(begin, at, length, length_nanos, groups)
            elif tag == _PROCESS:
                service, service_size, n_process_tags, error = _read_process(
                    begin, at, service, service_size, n_process_tags, context
                )
    end_ns = duration = np.int64(0)
    if error == 0:
        end_ns, duration, error = _times(seconds, nanos, length, length_nanos)
    if error == 0:
        beyond = max(n_tags - most, 0) + max(n_process_tags - most, 0)
        add_to_word(load_word(context, COUNTERS), LIMITED_ATTRIBUTES, beyond)
    return error, end_ns, duration, name, size, service, service_size, trace_high, trace_low, span_id
