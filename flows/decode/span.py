"""One span's fields, read from its bytes."""

from __future__ import annotations

import numpy as np

from detectors.kernels import inlined
from flows.decode.attributes import read_attribute
from flows.decode.batch import KINDS, STATUSES, WEIGHT_ONE
from flows.decode.context import (
    COUNTERS,
    GROUPS,
    LIMITED_ATTRIBUTES,
    MASK,
    MAX_ATTRIBUTES,
    SPANS,
)
from flows.decode.memory import add_to_word, load1, load8, load_word, swapped
from flows.decode.sampling import weight_at
from flows.decode.wire import FIXED64, LENGTH, TRUNCATED, VARINT, sized, skip, tag_at, varint

# Span and Status, field number * 8 + wire type.
_TRACE_ID, _SPAN_ID, _TRACE_STATE, _NAME, _KIND = 0x0A, 0x12, 0x1A, 0x2A, 0x30
_START, _END, _ATTRIBUTE, _STATUS, _CODE = 0x39, 0x41, 0x4A, 0x7A, 0x18

_N_KINDS, _N_STATUSES = len(KINDS), len(STATUSES)
_HEAD = 2
"""Bytes of the tag and of the size of an attribute shorter than 128 bytes."""

_ENUM = (1 << 32) - 1
"""Enums are 32 bits wide on the wire's receiving side: what is above is dropped before it is compared."""


@inlined
def _status_code(at: int, end: int, code: int, groups: int) -> tuple[int, int]:
    """The code of a Status on top of what was read of it before, and 0 or an error."""
    while at < end:
        tag, at = tag_at(at, end)
        if at > 0:
            if tag == _CODE:
                value, at = varint(at, end)
                value &= _ENUM
                code = value if value < _N_STATUSES else 0
            else:
                at = skip(at, end, tag, groups)
        if at < 0:
            return code, at
    return code, 0


@inlined
def _pass_attributes(at: int, end: int) -> tuple[int, int]:
    """How many attributes of the usual size follow, and the address behind them; nobody asked for them."""
    number = 0
    while end - at >= _HEAD and load1(at) == _ATTRIBUTE:
        size = load1(at + 1)
        if size >= 0x80 or size > end - at - _HEAD:
            break
        at += _HEAD + size
        number += 1
    return number, at


@inlined
def read_span(  # noqa: C901 - one flat loop over a span's fields is what the hot path is
    at: int, end: int, context: int
) -> tuple[int, np.uint64, np.uint64, int, int, int, int, np.uint64, np.uint64, np.uint64, int]:
    """A span between two addresses; its wanted attributes go to their slots, which must be clear.

    Returns:
        0 or an error; start and end in Unix ns; kind; status; address and size of the name; the trace id's halves; the
        span id; the weight.
    """
    groups = load_word(context, GROUPS)
    level = load_word(context, SPANS)
    wanted = load_word(level, MASK)
    most = load_word(context, MAX_ATTRIBUTES)
    start_ns = end_ns = trace_high = trace_low = span_id = np.uint64(0)
    kind = status = name = name_end = state = state_end = n_attributes = error = np.int64(0)
    while at < end:
        tag = load1(at)
        at += 1
        if tag >= 0x80 or tag < 8:
            tag, at = tag_at(at - 1, end)
            if at < 0:
                error = at
                break
        wire = tag & 7
        if wire == LENGTH:
            begin, at = sized(at, end)
            if begin < 0:
                error = begin
                break
            if tag == _ATTRIBUTE:
                n_attributes += 1
                if wanted == 0:
                    n_more, at = _pass_attributes(at, end)
                    n_attributes += n_more
                elif n_attributes <= most:
                    error = read_attribute(begin, at, level, context)
                    if error < 0:
                        break
            elif tag == _TRACE_ID:
                whole = at - begin == 16
                trace_high = swapped(load8(begin)) if whole else np.uint64(0)
                trace_low = swapped(load8(begin + 8)) if whole else np.uint64(0)
            elif tag == _SPAN_ID:
                span_id = swapped(load8(begin)) if at - begin == 8 else np.uint64(0)
            elif tag == _NAME:
                name, name_end = begin, at
            elif tag == _STATUS:
                status, error = _status_code(begin, at, status, groups)
                if error < 0:
                    break
            elif tag == _TRACE_STATE:
                state, state_end = begin, at
        elif wire == FIXED64:
            if end - at < 8:
                error = -TRUNCATED
                break
            if tag == _START:
                start_ns = load8(at)
            elif tag == _END:
                end_ns = load8(at)
            at += 8
        elif wire == VARINT:
            value, at = varint(at, end)
            if at < 0:
                error = at
                break
            if tag == _KIND:
                value &= _ENUM
                kind = value if value < _N_KINDS else 0
        else:
            at = skip(at, end, tag, groups)
            if at < 0:
                error = at
                break
    weight = WEIGHT_ONE
    if error == 0:
        weight = weight_at(state, state_end, context)
        if n_attributes > most:
            add_to_word(load_word(context, COUNTERS), LIMITED_ATTRIBUTES, n_attributes - most)
    return error, start_ns, end_ns, kind, status, name, name_end - name, trace_high, trace_low, span_id, weight
