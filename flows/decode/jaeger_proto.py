"""`jaeger_proto`: a record is one `jaeger.api_v2.Span` in protobuf, as Jaeger and the Collector write them.

A compiled kernel reads each record once (`jaeger_span.py`), then settles what its tags say of kind and status
(`jaeger_settle.py`). As lenient as `otlp_proto`: text need not be UTF-8, ids of another size
are 0, unknown fields are passed over. A record that is broken anywhere in what is read is one dead letter.

Source: jaeger-idl's `model.proto`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from detectors.kernels import inlined, kernel
from flows.decode.arena import Arena
from flows.decode.attributes import NOTHING, OTHER, STRING, TYPE_BITS, clear_slots, cut
from flows.decode.batch import (
    DeadRecord,
    Decoder,
    Dimension,
    Limits,
    SpanBatch,
)
from flows.decode.columns import Columns
from flows.decode.context import (
    BITS,
    CLAMPED,
    COUNTERS,
    FOUND,
    META,
    RESOURCES,
    SEEDS,
    SLOT_BYTES,
    SLOTS,
    SPANS,
    Context,
)
from flows.decode.hashing import absorb, absorb_words, start
from flows.decode.jaeger_settle import SETTLED, settle_process, settle_span, type_of
from flows.decode.jaeger_span import BAD_TIME, EMPTY, SPAN_REASONS, read_span
from flows.decode.jaeger_tags import NO_SERVICE
from flows.decode.memory import add_to_word, load_word
from flows.decode.wanted import WantedTable
from flows.decode.wire import DETAILS

if TYPE_CHECKING:
    from flows.records import Records

_DETAILS = (*DETAILS, "start time or duration is out of protobuf's range for it", "the record holds no bytes")

_NO_SERVICE = np.frombuffer(NO_SERVICE.encode(), np.uint8)


@inlined
def _absorb_value(high: np.uint64, low: np.uint64, slot: int, context: int) -> tuple[np.uint64, np.uint64, int]:
    """The lanes after the value in a slot, cut to its limit, and its meta; slot 0 is no value.

    The keys are those of `otlp_proto` for the same identity.
    """
    secrets = load_word(context, SEEDS)
    if slot == 0:
        high, low = absorb_words(high, low, np.uint64(0), np.uint64(0), secrets)
        return high, low, NOTHING
    at, size = slot + 8 * BITS, load_word(slot, META) >> TYPE_BITS
    if type_of(slot) == STRING:
        at = load_word(slot, BITS)
        size = cut(at, size, context)
    meta = size << TYPE_BITS | type_of(slot)
    left, right = start(secrets)
    left, right = absorb(left, right, at, size, meta, secrets)
    high, low = absorb_words(high, low, left, right, secrets)
    return high, low, meta


@kernel
def _decode(  # type: ignore[no-untyped-def]
    starts,  # (n_records,) int64: addresses
    ends,  # (n_records,) int64: addresses
    words,  # (n,) int64: the context
    slots,  # (n_places,) int64: the slots of all dimensions
    slot_starts,  # (n_dimensions + 1,) int64: where each dimension's are
    settled_slots,  # (10,) int64: the slots of `SETTLED`
    no_service,  # (n,) uint8: the name that is none
    columns,  # Columns for n_records, filled here
    faults,  # (n_records,) uint8, filled here: why a record is dead
):
    """Decode all records; the rows filled."""
    context = np.int64(words.ctypes.data)
    nothing = np.int64(no_service.ctypes.data)
    secrets, counters, found = load_word(context, SEEDS), load_word(context, COUNTERS), load_word(context, SLOTS)
    span_level, resource_level = load_word(context, SPANS), load_word(context, RESOURCES)
    service = load_word(resource_level, FOUND)  # of the wanted names the service's is the first
    addresses = found + settled_slots * SLOT_BYTES
    settled = np.int64(addresses.ctypes.data)
    n_dimensions = len(slot_starts) - 1
    n_spans = 0
    for index in range(len(starts)):
        if starts[index] == ends[index]:
            faults[index] = EMPTY
            continue
        clear_slots(span_level, context)
        clear_slots(resource_level, context)
        error, end_ns, duration, name, size, process, process_size, trace_high, trace_low, span_id = read_span(
            starts[index], ends[index], context
        )
        if error < 0:
            faults[index] = -error
            continue
        settle_process(settled, service, process, process_size, nothing, context)
        kind, status, weight = settle_span(settled, context)
        high, low = start(secrets)
        unnamed = type_of(service) in (NOTHING, OTHER) or load_word(service, META) == STRING
        high, low, service_meta = _absorb_value(high, low, 0 if unnamed else service, context)
        size = cut(name, size, context)
        high, low = absorb(high, low, name, size, size << 16 | kind << 8 | status, secrets)
        for dimension in range(n_dimensions):
            chosen = 0
            for place in range(slot_starts[dimension], slot_starts[dimension + 1]):
                slot = found + slots[place] * SLOT_BYTES
                if type_of(slot) not in (NOTHING, OTHER):
                    chosen = slot
                    break
            high, low, meta = _absorb_value(high, low, chosen, context)
            columns.dimension_meta[n_spans, dimension] = meta
            columns.dimension_bits[n_spans, dimension] = load_word(chosen, BITS) if chosen != 0 else 0
        if duration < 0:
            add_to_word(counters, CLAMPED, 1)
            duration = 0
        columns.record[n_spans] = index
        columns.end_ns[n_spans] = end_ns
        columns.duration_ns[n_spans] = duration
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
        columns.service[n_spans] = n_spans
        columns.service_meta[n_spans] = service_meta
        columns.service_bits[n_spans] = load_word(service, BITS)
        n_spans += 1
    return n_spans


class JaegerProto(Decoder):
    """Decodes Jaeger's spans in protobuf.

    Args:
        dimensions: What to take from tags, in the order in which `Identity.dimensions` has it; a process's tags are its
            resource's attributes.
        limits: What one record may hold.
        weighted: Whether a sampled span counts for those it stands for (`sampling.py`).

    >>> from flows.records import Records
    >>> span = bytes.fromhex("1a03474554 32020804 3a020801 52030a0161".replace(" ", ""))
    >>> batch = JaegerProto().decode(Records.of([span, b"?"]))
    >>> batch.identity(0)
    Identity(service='a', span_name='GET', kind=0, status=0, dimensions=())
    >>> batch.end_ns.tolist(), batch.duration_ns.tolist(), [(dead.record, dead.reason) for dead in batch.dead]
    ([5000000000], [1000000000], [(1, 'bad_tag')])
    """

    def __init__(
        self, dimensions: tuple[Dimension, ...] = (), limits: Limits = Limits(), weighted: bool = True
    ) -> None:
        self._wanted = WantedTable((*dimensions, SETTLED))
        self._slots, self._settled = np.split(self._wanted.slots, self._wanted.slot_starts[-2:-1])
        self._slot_starts = self._wanted.slot_starts[:-1]
        self._limits = limits
        self._weighted = weighted
        self._arena = Arena()

    def decode(self, records: Records) -> SpanBatch:
        """See `Decoder`. The batch keeps the records' bytes alive, as its text stands in them."""
        context = Context(self._wanted, self._limits, self._weighted)
        columns = Columns.empty(len(records), len(self._slot_starts) - 1, self._arena)
        faults = np.zeros(len(records), np.uint8)
        n_spans = _decode(
            records.starts,
            records.ends,
            context.words,
            self._slots,
            self._slot_starts,
            self._settled,
            _NO_SERVICE,
            columns,
            faults,
        )
        batch = columns.batch(n_spans, records.kept, int(context.counters[CLAMPED]), context)
        batch.dead.extend(_dead(record, int(faults[record])) for record in np.flatnonzero(faults).tolist())
        return batch


def _dead(record: int, code: int) -> DeadRecord:
    """Only where the record's fields could be read is it known to be one span."""
    return DeadRecord(record, SPAN_REASONS[code], _DETAILS[code], int(code == BAD_TIME))
