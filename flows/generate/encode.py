"""Spans → OTLP export requests: templates copied, holes filled, lengths put in front.

Nothing is built per span. A span is its template's head, the attributes it draws, its template's tail; a request is one
pod's resource and scope around its spans. Fields stand in the order of their numbers, as OpenTelemetry's SDKs write
them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from detectors.kernels import inlined, kernel
from flows.generate import wire

if TYPE_CHECKING:
    from flows.generate.batches import Batches
    from flows.generate.catalogue import Catalogue
    from flows.generate.instances import Fleet, Instance

LARGEST_VARIABLE = 16
"""Bytes that a drawn attribute takes at most, besides its key and a text: tags, lengths and a ten-byte varint."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Byte strings one after the other: number i is `data[bounds[i]:bounds[i + 1]]`."""

    data: np.ndarray  # uint8
    bounds: np.ndarray  # (n + 1,) int64

    @classmethod
    def of(cls, values: list[bytes]) -> Pool:
        """A pool of byte strings."""
        bounds = np.cumsum([0, *(len(value) for value in values)], dtype=np.int64)
        return cls(np.frombuffer(b"".join(values) or b"\0", np.uint8), bounds)

    @property
    def sizes(self) -> np.ndarray:
        """Their lengths."""
        return np.diff(self.bounds)


class ProtoEncoder:
    """Writes batches as protobuf."""

    def __init__(self, catalogue: Catalogue, fleet: Fleet) -> None:
        heads = [template.head() for template in catalogue.templates]
        tails = [template.tail() for template in catalogue.templates]
        whole = [wire.joined((head, tail)) for head, tail in zip(heads, tails, strict=True)]
        self._bodies = Pool.of([piece.data for piece in whole])
        self._heads = np.array([len(head.data) for head in heads], np.int64)
        self._patches = _rows([[tuple(patch) for patch in piece.patches] for piece in whole], 5)
        variables = [template.variables for template in catalogue.templates]
        keys = list(dict.fromkeys(variable.key for each in variables for variable in each))
        self._variables = _rows([[(keys.index(v.key), int(v.is_text)) for v in each] for each in variables], 2)
        self._keys = Pool.of([wire.text(1, key).data for key in keys])
        self._texts = Pool.of([text.encode() for text in catalogue.texts])
        self._resources = Pool.of([_resource(instance) for instance in fleet.instances])
        self._scopes = Pool.of([_scope(instance) for instance in fleet.instances])
        self._ahead = np.array([instance.ahead_ns for instance in fleet.instances], np.int64)
        self._most = self._most_bytes([template.variables for template in catalogue.templates])

    def _most_bytes(self, variables: list[tuple[object, ...]]) -> np.ndarray:
        """The most bytes a span of each template may take, with its own tag and length."""
        longest = int(max(self._keys.sizes, default=0)) + int(max(self._texts.sizes, default=0)) + LARGEST_VARIABLE
        return self._bodies.sizes + np.array([len(each) for each in variables], np.int64) * longest + 12

    def encode(self, batches: Batches) -> list[bytes]:
        """The request of each batch."""
        spans = batches.spans
        if len(spans) == 0:
            return []
        instance = spans.instance[batches.starts[:-1]]
        around = self._resources.sizes[instance] + self._scopes.sizes[instance] + 36
        out = np.empty(int(self._most[spans.template].sum() + around.sum()), np.uint8)
        ends = np.empty(len(batches), np.int64)
        encode_requests(
            *(batches.starts, instance, spans.template, spans.trace_hi, spans.trace_lo, spans.span_id, spans.parent_id),
            *(spans.start_ns + self._ahead[spans.instance], spans.end_ns + self._ahead[spans.instance], spans.values),
            *(self._bodies.data, self._bodies.bounds, self._heads, *self._patches, *self._variables),
            *(self._keys.data, self._keys.bounds, self._texts.data, self._texts.bounds),
            *(self._resources.data, self._resources.bounds, self._scopes.data, self._scopes.bounds, out, ends),
        )
        written, start, requests = out.data, 0, []
        for end in ends.tolist():
            requests.append(bytes(written[start:end]))
            start = end
        return requests


def _rows(lists: list[list[tuple[int, ...]]], width: int) -> tuple[np.ndarray, np.ndarray]:
    """Lists of rows as one table (n, width) uint64 and the bounds of each list in it."""
    rows = [row for each in lists for row in each]
    table = np.array(rows, np.uint64).reshape(len(rows), width)
    return table, np.cumsum([0, *(len(each) for each in lists)], dtype=np.int64)


def _resource(instance: Instance) -> bytes:
    """The resource field of ResourceSpans."""
    return wire.message(1, *(wire.attribute(1, key, value) for key, value in instance.resource)).data


def _scope(instance: Instance) -> bytes:
    """The scope field of ScopeSpans."""
    name, version = instance.scope
    return wire.message(1, wire.text(1, name), wire.text(2, version)).data


@inlined
def varint_size(value):  # type: ignore[no-untyped-def]
    """Bytes of a varint; value is uint64."""
    size = 1
    while value > np.uint64(127):
        value >>= np.uint64(7)
        size += 1
    return size


@inlined
def slot_character(what, trace_lo, salt, index):  # type: ignore[no-untyped-def]
    """One character of a slot, as `slots.SlottedText.fill` has it."""
    x = (trace_lo ^ salt) + np.uint64(index // 16) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x = x ^ (x >> np.uint64(31))
    digit = np.int64((x >> np.uint64(4 * (index % 16))) & np.uint64(15))
    if what == wire.SLOT_HEX:
        return 48 + digit if digit < 10 else 87 + digit
    return 49 + digit % 9 if index == 0 else 48 + digit % 10


@inlined
def put_varint(out, at, value):  # type: ignore[no-untyped-def]
    """Write a varint (uint64) at a place; the place behind it."""
    while value > np.uint64(127):
        out[at] = np.uint8((value & np.uint64(127)) | np.uint64(128))
        value >>= np.uint64(7)
        at += 1
    out[at] = np.uint8(value)
    return at + 1


@inlined
def put_bytes(out, at, data, start, end):  # type: ignore[no-untyped-def]
    """Copy bytes to a place; the place behind them."""
    for i in range(end - start):
        out[at + i] = data[start + i]
    return at + end - start


@inlined
def value_sizes(is_text, value, texts):  # type: ignore[no-untyped-def]
    """Bytes of an AnyValue without its tag and length."""
    if is_text:
        size = texts[value + 1] - texts[value]
        return 1 + varint_size(np.uint64(size)) + size
    return 1 + varint_size(np.uint64(value))


@kernel
def encode_requests(  # type: ignore[no-untyped-def]  # noqa: C901  one loop over bytes, by need
    starts,
    instances,
    template,
    trace_hi,
    trace_lo,
    span_id,
    parent_id,
    start_ns,
    end_ns,
    values,
    bodies,
    body_bounds,
    heads,
    patches,
    patch_bounds,
    variables,
    variable_bounds,
    keys,
    key_bounds,
    texts,
    text_bounds,
    resources,
    resource_bounds,
    scopes,
    scope_bounds,
    out,
    ends,
):
    """Write all requests one after the other into `out`, and where each ends into `ends`.

    Request i has spans `starts[i]:starts[i + 1]` of pod `instances[i]`; the rest are the columns of `Spans` and the
    encoder's tables. `out` is large enough by the encoder's own count.
    """
    sizes = np.empty(len(template), np.int64)
    at = 0
    for request in range(len(instances)):
        first, last, pod = starts[request], starts[request + 1], instances[request]
        scope_size = scope_bounds[pod + 1] - scope_bounds[pod]
        resource_size = resource_bounds[pod + 1] - resource_bounds[pod]
        for i in range(first, last):
            t = template[i]
            size = body_bounds[t + 1] - body_bounds[t]
            for v in range(variable_bounds[t], variable_bounds[t + 1]):
                key = np.int64(variables[v, 0])
                inner = value_sizes(variables[v, 1] == 1, values[i, v - variable_bounds[t]], text_bounds)
                pair = key_bounds[key + 1] - key_bounds[key] + 1 + varint_size(np.uint64(inner)) + inner
                size += 1 + varint_size(np.uint64(pair)) + pair
            sizes[i] = size
            scope_size += 1 + varint_size(np.uint64(size)) + size
        resource_size += 1 + varint_size(np.uint64(scope_size)) + scope_size
        out[at] = 0x0A  # ExportTraceServiceRequest.resource_spans
        at = put_varint(out, at + 1, np.uint64(resource_size))
        at = put_bytes(out, at, resources, resource_bounds[pod], resource_bounds[pod + 1])
        out[at] = 0x12  # ResourceSpans.scope_spans
        at = put_varint(out, at + 1, np.uint64(scope_size))
        at = put_bytes(out, at, scopes, scope_bounds[pod], scope_bounds[pod + 1])
        for i in range(first, last):
            t = template[i]
            out[at] = 0x12  # ScopeSpans.spans
            at = put_varint(out, at + 1, np.uint64(sizes[i]))
            head, begin = heads[t], at
            at = put_bytes(out, at, bodies, body_bounds[t], body_bounds[t] + head)
            for v in range(variable_bounds[t], variable_bounds[t + 1]):
                key, value = np.int64(variables[v, 0]), values[i, v - variable_bounds[t]]
                inner = value_sizes(variables[v, 1] == 1, value, text_bounds)
                pair = key_bounds[key + 1] - key_bounds[key] + 1 + varint_size(np.uint64(inner)) + inner
                out[at] = 0x4A  # Span.attributes
                at = put_varint(out, at + 1, np.uint64(pair))
                at = put_bytes(out, at, keys, key_bounds[key], key_bounds[key + 1])
                out[at] = 0x12  # KeyValue.value
                at = put_varint(out, at + 1, np.uint64(inner))
                if variables[v, 1] == 1:
                    out[at] = 0x0A  # AnyValue.string_value
                    at = put_varint(out, at + 1, np.uint64(text_bounds[value + 1] - text_bounds[value]))
                    at = put_bytes(out, at, texts, text_bounds[value], text_bounds[value + 1])
                else:
                    out[at] = 0x18  # AnyValue.int_value
                    at = put_varint(out, at + 1, np.uint64(value))
            drawn = at - begin - head
            at = put_bytes(out, at, bodies, body_bounds[t] + head, body_bounds[t + 1])
            for p in range(patch_bounds[t], patch_bounds[t + 1]):
                place = begin + np.int64(patches[p, 0])
                if np.int64(patches[p, 0]) >= head:
                    place += drawn
                what = np.int64(patches[p, 1])
                if what >= wire.SLOT_HEX:
                    index = np.int64(patches[p, 4])
                    for i_digit in range(np.int64(patches[p, 2])):
                        digit = slot_character(what, trace_lo[i], patches[p, 3], index + i_digit)
                        out[place + i_digit] = np.uint8(digit)
                elif what == wire.START or what == wire.END:
                    time = np.uint64(start_ns[i] if what == wire.START else end_ns[i])
                    for byte in range(8):
                        out[place + byte] = np.uint8((time >> np.uint64(8 * byte)) & np.uint64(255))
                else:
                    word = trace_hi[i]
                    if what == wire.SPAN_ID:
                        word = span_id[i]
                    elif what == wire.PARENT_ID:
                        word = parent_id[i]
                    for byte in range(8):
                        out[place + byte] = np.uint8((word >> np.uint64(56 - 8 * byte)) & np.uint64(255))
                    if what == wire.TRACE_ID:
                        for byte in range(8):
                            shift = np.uint64(56 - 8 * byte)
                            out[place + 8 + byte] = np.uint8((trace_lo[i] >> shift) & np.uint64(255))
        ends[request] = at
