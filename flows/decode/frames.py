"""Framing: where each span of a request stands, and which scope and resource it belongs to.

This pass looks at tags and lengths only. What it accepts, the later passes may walk in any order: a resource may stand
behind its spans, and a span that is broken inside is found by its neighbours' lengths.
"""

from __future__ import annotations

import numpy as np

from detectors.kernels import inlined
from flows.decode.context import GROUPS
from flows.decode.memory import fetch_ahead, load_word, store_word
from flows.decode.wire import sized, skip, tag_at

# Request, ResourceSpans and ScopeSpans: field number * 8 + wire type.
_RESOURCE_SPANS = 0x0A
RESOURCE, _SCOPE_SPANS = 0x0A, 0x12
SCOPE, _SPAN = 0x0A, 0x12

# Words of a span's frame.
SPAN_START, SPAN_END, SPAN_SCOPE = range(3)
SPAN_WORDS = 3

# Words of a scope's frame: from the first to the last byte of what holds its resource, and its scope; 0, 0 without any.
RESOURCE_START, RESOURCE_END, SCOPE_START, SCOPE_END, RESOURCE_NUMBER = range(5)
SCOPE_WORDS = 5

_AHEAD, _LINE = 4096, 64
"""How far ahead bytes are fetched, and how many come at once."""


@inlined
def _fetch_ahead(begin: int, end: int) -> None:
    """While a span is noted, fetch as many bytes that stand some spans further on.

    Where the next span begins is known when this one's length was read: else each would wait for memory by itself.
    """
    for line in range(begin + _AHEAD, end + _AHEAD, _LINE):
        fetch_ahead(line)


@inlined
def _frame_scope(at: int, end: int, spans: int, scope: int, n_spans: int, limit: int, context: int) -> tuple[int, int]:
    """Note the spans of one ScopeSpans; how many spans are noted now, and 0 or an error."""
    groups = load_word(context, GROUPS)
    row = spans + n_spans * SPAN_WORDS * 8
    first, last = 0, 0
    while at < end:
        before = at
        tag, at = tag_at(at, end)
        if at < 0:
            return n_spans, at
        if tag == _SPAN:
            begin, at = sized(at, end)
            if begin < 0:
                return n_spans, begin
            _fetch_ahead(begin, at)
            if n_spans < limit:
                store_word(row, SPAN_START, begin)
                store_word(row, SPAN_END, at)
                store_word(row, SPAN_SCOPE, scope)
                row += SPAN_WORDS * 8
            n_spans += 1
        else:
            at = skip(at, end, tag, groups)
            if at < 0:
                return n_spans, at
            if tag == SCOPE:
                first = first if first != 0 else before
                last = at
    store_word(scope, SCOPE_START, first)
    store_word(scope, SCOPE_END, last)
    return n_spans, 0


@inlined
def _frame_resource(
    at: int, end: int, spans: int, scope: int, number: int, n_spans: int, limit: int, context: int
) -> tuple[int, int, int]:
    """Note the spans of one ResourceSpans; how many now, the next free scope, and 0 or an error."""
    groups = load_word(context, GROUPS)
    first_scope, first, last = scope, 0, 0
    while at < end:
        before = at
        tag, at = tag_at(at, end)
        if at < 0:
            return n_spans, scope, at
        if tag == _SCOPE_SPANS:
            begin, at = sized(at, end)
            if begin < 0:
                return n_spans, scope, begin
            n_before = n_spans
            n_spans, error = _frame_scope(begin, at, spans, scope, n_spans, limit, context)
            if error < 0:
                return n_spans, scope, error
            if n_before < min(n_spans, limit):
                scope += SCOPE_WORDS * 8
        else:
            at = skip(at, end, tag, groups)
            if at < 0:
                return n_spans, scope, at
            if tag == RESOURCE:
                first = first if first != 0 else before
                last = at
    while first_scope < scope:
        store_word(first_scope, RESOURCE_START, first)
        store_word(first_scope, RESOURCE_END, last)
        store_word(first_scope, RESOURCE_NUMBER, number)
        first_scope += SCOPE_WORDS * 8
    return n_spans, scope, 0


@inlined
def frame_request(at: int, end: int, spans: int, scope: int, limit: int, context: int) -> int:
    """Note the spans of an ExportTraceServiceRequest between two addresses.

    Args:
        at: Where the request starts.
        end: The address behind it.
        spans: Address of a table of `limit` rows of SPAN_WORDS.
        scope: Address of a table of `limit + 1` rows of SCOPE_WORDS.
        limit: Spans beyond it are counted only.
        context: See `context.py`.

    Returns:
        How many spans there are, or a negative error: then none counts, the framing is not to be trusted.
    """
    groups = load_word(context, GROUPS)
    n_spans = number = np.int64(0)
    while at < end:
        tag, at = tag_at(at, end)
        if at < 0:
            return at
        if tag == _RESOURCE_SPANS:
            begin, at = sized(at, end)
            if begin < 0:
                return begin
            number += 1
            n_spans, scope, error = _frame_resource(begin, at, spans, scope, number, n_spans, limit, context)
            if error < 0:
                return error
        else:
            at = skip(at, end, tag, groups)
            if at < 0:
                return at
    return n_spans
