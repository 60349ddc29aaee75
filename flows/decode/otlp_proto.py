"""`otlp_proto`: a record is one ExportTraceServiceRequest, as the Collector's Kafka and file exporters write it.

A compiled kernel walks each record twice: `frames.py` notes where its spans are, then `span.py` reads each of them and
`attributes.py` what is wanted of it. No Python object is made per span, and the GIL is free meanwhile.

More lenient than protobuf's own parser, on purpose: text need not be UTF-8; a span that is broken inside costs that
span only; what nobody asked for (events, links, attributes that are no dimension, arrays) is passed over, not checked;
tags and lengths may be padded to ten bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from detectors.kernels import inlined, kernel
from flows.decode.arena import Arena
from flows.decode.attributes import NOTHING, OTHER, STRING, TYPE_MASK, clear_slots, cut, read_attributes_of
from flows.decode.batch import DeadRecord, Decoder, Dimension, Limits, SpanBatch
from flows.decode.columns import Columns
from flows.decode.context import (
    BITS,
    CLAMPED,
    COUNTERS,
    DIGEST_HIGH,
    DIGEST_LOW,
    FOUND,
    LIMITED_SPANS,
    MASK,
    META,
    RESOURCES,
    SCOPES,
    SEEDS,
    SLOT_BYTES,
    SLOTS,
    SPANS,
    Context,
)
from flows.decode.frames import (
    RESOURCE_END,
    RESOURCE_NUMBER,
    RESOURCE_START,
    SCOPE_END,
    SCOPE_START,
    SCOPE_WORDS,
    SPAN_END,
    SPAN_SCOPE,
    SPAN_START,
    SPAN_WORDS,
    frame_request,
)
from flows.decode.hashing import absorb, absorb_words, start
from flows.decode.memory import add_to_word, load8, load_word
from flows.decode.span import read_span
from flows.decode.wanted import WantedTable
from flows.decode.wire import BAD_RESOURCE, BAD_SCOPE, DETAILS, REASONS

if TYPE_CHECKING:
    from flows.records import Records

_LATEST = (1 << 63) - 1

_BYTES_PER_SPAN = 64
"""A guess at the smallest usual span, for the first size of the columns; a wrong guess costs a copy of them."""

_SMALLEST_SPAN = 2
"""Bytes of a span without any field: its tag and its length."""


@inlined
def _is_label(slot: int) -> bool:
    """Whether a slot holds a value that a label can show."""
    kind = load_word(slot, META) & TYPE_MASK
    return kind != NOTHING and kind != OTHER


@inlined
def _hash_slot(high: np.uint64, low: np.uint64, slot: int, context: int) -> tuple[np.uint64, np.uint64]:
    """The lanes after the value in a slot; two zero words stand for slot 0, no value."""
    left = right = np.uint64(0)
    if slot != 0:
        left, right = load8(slot + 8 * DIGEST_HIGH), load8(slot + 8 * DIGEST_LOW)
    return absorb_words(high, low, left, right, load_word(context, SEEDS))


@inlined
def _hash_service(slot: int, context: int) -> tuple[np.uint64, np.uint64]:
    """The lanes that all spans of a resource start from; an empty service name is none."""
    high, low = start(load_word(context, SEEDS))
    if load_word(slot, META) == STRING or not _is_label(slot):
        slot = 0
    return _hash_slot(high, low, slot, context)


@kernel
def _decode(  # type: ignore[no-untyped-def]
    starts,  # (n_records,) int64: addresses
    ends,  # (n_records,) int64: addresses
    begin,  # int: the first record to decode
    n_spans,  # int: rows filled before it
    max_spans,  # int: of one record
    words,  # (n,) int64: the context
    slots,  # (n_places,) int64: the slots of all dimensions
    slot_starts,  # (n_dimensions + 1,) int64: where each dimension's are
    span_frames,  # (spans of a record or more, SPAN_WORDS) int64, scratch
    scope_frames,  # (one more, SCOPE_WORDS) int64, scratch
    columns,  # Columns, filled here
    faults,  # (n_records,) uint8, filled here: why a record is dead
    dead_spans,  # (n_records, n_reasons) int32, counted here
):
    """Decode records until all are done or the columns are full: the next record, and the rows filled."""
    context = np.int64(words.ctypes.data)
    spans, scopes = np.int64(span_frames.ctypes.data), np.int64(scope_frames.ctypes.data)
    secrets, counters, found = load_word(context, SEEDS), load_word(context, COUNTERS), load_word(context, SLOTS)
    span_level, scope_level = load_word(context, SPANS), load_word(context, SCOPES)
    resource_level = load_word(context, RESOURCES)
    service = load_word(resource_level, FOUND)  # of the wanted names the service's is the first
    service_high, service_low = start(secrets)
    n_dimensions = len(slot_starts) - 1
    for index in range(begin, len(starts)):
        total = frame_request(starts[index], ends[index], spans, scopes, max_spans, context)
        if total < 0:
            faults[index] = -total
            continue
        framed = min(total, max_spans)
        if n_spans + framed > len(columns.end_ns):
            return index, n_spans
        add_to_word(counters, LIMITED_SPANS, total - framed)
        scope = resource = owner = owner_error = resource_error = np.int64(0)
        for row in range(framed):
            if span_frames[row, SPAN_SCOPE] != scope:
                scope = span_frames[row, SPAN_SCOPE]
                if load_word(scope, RESOURCE_NUMBER) != resource:
                    resource = load_word(scope, RESOURCE_NUMBER)
                    resource_error = read_attributes_of(
                        load_word(scope, RESOURCE_START), load_word(scope, RESOURCE_END), resource_level, context
                    )
                    service_high, service_low = _hash_service(service, context)
                    owner = n_spans
                    columns.service_meta[owner] = load_word(service, META)
                    columns.service_bits[owner] = load_word(service, BITS)
                owner_error = BAD_RESOURCE if resource_error < 0 else 0
                if load_word(scope_level, MASK) != 0 and owner_error == 0:
                    scope_error = read_attributes_of(
                        load_word(scope, SCOPE_START), load_word(scope, SCOPE_END), scope_level, context
                    )
                    owner_error = BAD_SCOPE if scope_error < 0 else 0
            if owner_error != 0:
                dead_spans[index, owner_error] += 1
                continue
            if load_word(span_level, MASK) != 0:
                clear_slots(span_level, context)
            error, start_ns, end_ns, kind, status, name, size, trace_high, trace_low, span_id, weight = read_span(
                span_frames[row, SPAN_START], span_frames[row, SPAN_END], context
            )
            if error < 0:
                dead_spans[index, -error] += 1
                continue
            size = cut(name, size, context)
            high, low = absorb(service_high, service_low, name, size, size << 16 | kind << 8 | status, secrets)
            for dimension in range(n_dimensions):
                chosen = 0
                for place in range(slot_starts[dimension], slot_starts[dimension + 1]):
                    slot = found + slots[place] * SLOT_BYTES
                    if _is_label(slot):
                        chosen = slot
                        break
                high, low = _hash_slot(high, low, chosen, context)
                columns.dimension_meta[n_spans, dimension] = load_word(chosen, META) if chosen != 0 else NOTHING
                columns.dimension_bits[n_spans, dimension] = load_word(chosen, BITS) if chosen != 0 else 0
            if end_ns < start_ns:
                add_to_word(counters, CLAMPED, 1)
                start_ns = end_ns
            columns.record[n_spans] = index
            columns.end_ns[n_spans] = min(end_ns, np.uint64(_LATEST))
            columns.duration_ns[n_spans] = min(end_ns - start_ns, np.uint64(_LATEST))
            columns.kind[n_spans] = kind
            columns.status[n_spans] = status
            columns.trace_hi[n_spans] = trace_high
            columns.trace_lo[n_spans] = trace_low
            columns.span_id[n_spans] = span_id
            columns.weight[n_spans] = weight
            columns.key_hi[n_spans] = high
            columns.key_lo[n_spans] = low
            columns.name_at[n_spans] = name
            columns.name_size[n_spans] = size
            columns.service[n_spans] = owner
            n_spans += 1
    return len(starts), n_spans


class OtlpProto(Decoder):
    """Decodes ExportTraceServiceRequests in protobuf.

    Args:
        dimensions: What to take from attributes, in the order in which `Identity.dimensions` has it.
        limits: What one record may hold.
        weighted: Whether a sampled span counts for those it stands for (`sampling.py`).

    >>> from flows.records import Records
    >>> span = bytes.fromhex("2a03474554 3904000000000000 00410900000000000000".replace(" ", ""))
    >>> scope_spans = bytes([0x12, len(span)]) + span
    >>> resource_spans = bytes([0x12, len(scope_spans)]) + scope_spans
    >>> batch = OtlpProto().decode(Records.of([bytes([0x0A, len(resource_spans)]) + resource_spans, b"?"]))
    >>> batch.identity(0)
    Identity(service='unknown_service', span_name='GET', kind=0, status=0, dimensions=())
    >>> batch.end_ns.tolist(), batch.duration_ns.tolist(), [(dead.record, dead.reason) for dead in batch.dead]
    ([9], [5], [(1, 'bad_tag')])
    """

    def __init__(
        self, dimensions: tuple[Dimension, ...] = (), limits: Limits = Limits(), weighted: bool = True
    ) -> None:
        self._wanted = WantedTable(dimensions)
        self._limits = limits
        self._weighted = weighted
        self._arena = Arena()

    def decode(self, records: Records) -> SpanBatch:
        """See `Decoder`. The batch keeps the records' bytes alive, as its text stands in them."""
        n_records = len(records)
        context = Context(self._wanted, self._limits, self._weighted)
        largest = int((records.ends - records.starts).max(initial=0)) // _SMALLEST_SPAN
        framed = min(self._limits.spans_per_record, largest)
        span_frames = np.empty((framed, SPAN_WORDS), np.int64)
        scope_frames = np.empty((framed + 1, SCOPE_WORDS), np.int64)
        faults = np.zeros(n_records, np.uint8)
        dead_spans = np.zeros((n_records, len(REASONS)), np.int32)
        room = records.n_bytes // _BYTES_PER_SPAN + framed
        columns = Columns.empty(room, len(self._wanted.dimensions), self._arena)
        done = n_spans = 0
        while True:
            done, n_spans = _decode(
                records.starts,
                records.ends,
                done,
                n_spans,
                self._limits.spans_per_record,
                context.words,
                self._wanted.slots,
                self._wanted.slot_starts,
                span_frames,
                scope_frames,
                columns,
                faults,
                dead_spans,
            )
            if done == n_records:
                break
            room *= 2
            columns = columns.grown(n_spans, room, self._arena)
        batch = columns.batch(n_spans, records.kept, int(context.counters[CLAMPED]), context)
        batch.dead.extend(_dead(faults, dead_spans))
        return batch


def _dead(faults: np.ndarray, dead_spans: np.ndarray) -> list[DeadRecord]:
    """Why records, or some of their spans, could not be decoded; in the order of the records."""
    whole = [(int(record), int(faults[record]), 0) for record in np.flatnonzero(faults)]
    parts = [(int(record), int(code), int(dead_spans[record, code])) for record, code in np.argwhere(dead_spans)]
    return [DeadRecord(record, REASONS[code], DETAILS[code], spans) for record, code, spans in sorted(whole + parts)]
