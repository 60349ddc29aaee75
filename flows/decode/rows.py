"""Columns from spans that a decoder in plain Python reads one by one: the convenience, not the hot path.

What all such decoders share stands here: limits, labels, weights, keys, and where what is broken goes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from flows.decode.batch import (
    UNKNOWN_SERVICE,
    WEIGHT_ONE,
    DeadRecord,
    Dimension,
    Identity,
    Level,
    Limits,
    SpanBatch,
    Text,
)
from flows.decode.sampling import weight_of
from flows.decode.wanted import SERVICE_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

Scalar = str | bool | int | float | None
"""An attribute's value; None is present, but holds nothing a label could say (bytes, arrays, maps)."""

Attributes = Mapping[str, Scalar]

Item = TypeVar("Item")

_LATEST = (1 << 63) - 1
_UINT64 = (1 << 64) - 1
_SEED = os.urandom(32)
"""Of the keys of identities, so that nobody outside can make two collide; it never leaves the process."""

_TYPES = ("i4", "i8", "i8", "u1", "u1", "u8", "u8", "u8", "i8")
"""Of the columns of a `SpanBatch` before its keys."""


class BrokenError(ValueError):
    """A record or a span is not what its encoding says: a reason for the metric's label, and a sentence."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


class PlainSpan(NamedTuple):
    """One span as it was read; times are whole numbers of any size, the columns clamp them."""

    name: str
    kind: int  # index into KINDS
    status: int  # index into STATUSES
    start_ns: int
    end_ns: int
    trace_id: int  # 128 bits, 0 if not readable
    span_id: int  # 64 bits, 0 if not readable
    trace_state: str
    attributes: Attributes
    scope: Attributes
    resource: Attributes  # with `service.name`, if the span has one


class _Known(Text):
    """Identities are made while decoding."""

    def __init__(self, identities: list[Identity]) -> None:
        self._identities = identities

    def identity(self, index: int, kind: int, status: int) -> Identity:
        return self._identities[index]


class Rows:
    """The spans of one call of a decoder, as rows first; `batch` makes columns of them."""

    def __init__(self, dimensions: tuple[Dimension, ...], limits: Limits, weighted: bool) -> None:
        self._dimensions = dimensions
        self._limits = limits
        self._weighted = weighted
        self._rows: list[tuple[int, ...]] = []
        self._identities: list[Identity] = []
        self._limited: dict[str, int] = {}
        self._dead: dict[tuple[int, str], DeadRecord] = {}
        self._clamped = 0
        self._unweighted = 0
        self._record = -1
        self._taken = 0

    def begin(self, record: int) -> None:
        """What follows stands in this record."""
        self._record = record
        self._taken = 0

    def has_room(self) -> bool:
        """Whether the record may hold one more span; one that it may not is counted."""
        if self._taken < self._limits.spans_per_record:
            return True
        self._limit("spans", 1)
        return False

    def first_attributes(self, items: Sequence[Item]) -> Sequence[Item]:
        """As many attributes as one level of a span may have; the others are counted."""
        most = self._limits.attributes_per_span
        if len(items) > most:
            self._limit("attributes", len(items) - most)
            return items[:most]
        return items

    def lose(self, broken: BrokenError, spans: int = 0) -> None:
        """The record, or so many spans of it, cannot be read."""
        at = self._record, broken.reason
        before = self._dead.get(at)
        if before is None:
            self._dead[at] = DeadRecord(self._record, broken.reason, broken.detail, spans)
        else:
            self._dead[at] = before._replace(spans=before.spans + spans)

    def take(self, span: PlainSpan) -> None:
        """Add a span."""
        levels = {Level.SPAN: span.attributes, Level.SCOPE: span.scope, Level.RESOURCE: span.resource}
        service = self._label(span.resource.get(SERVICE_NAME)) or UNKNOWN_SERVICE
        dimensions = tuple(self._label(_value(dimension, levels)) for dimension in self._dimensions)
        duration = span.end_ns - span.start_ns
        self._taken += 1
        self._clamped += duration < 0
        self._identities.append(Identity(service, self._cut(span.name), span.kind, span.status, dimensions))
        self._rows.append(
            (
                self._record,
                min(max(span.end_ns, 0), _LATEST),
                min(max(duration, 0), _LATEST),
                span.kind,
                span.status,
                span.trace_id >> 64,
                span.trace_id & _UINT64,
                span.span_id,
                self._weight(span.trace_state),
            )
        )

    def batch(self) -> SpanBatch:
        """All spans taken so far as columns."""
        columns = zip(*self._rows, strict=True) if self._rows else ([] for _ in _TYPES)
        arrays = [np.array(list(column), np.dtype(kind)) for column, kind in zip(columns, _TYPES, strict=True)]
        known = {identity: _key(identity) for identity in set(self._identities)}
        keys = np.frombuffer(b"".join(known[identity] for identity in self._identities), np.uint64).reshape(-1, 2)
        text = _Known(self._identities)
        dead = list(self._dead.values())
        return SpanBatch(
            *(*arrays, keys[:, 0].copy(), keys[:, 1].copy(), text, self._clamped, dict(self._limited), dead),
            unweighted=self._unweighted,
        )

    def _limit(self, what: str, count: int) -> None:
        self._limited[what] = self._limited.get(what, 0) + count

    def _label(self, value: Scalar) -> str:
        """A value as a label shows it; a float as its repr: 1.0 is "1.0" and never looks like the integer 1."""
        if isinstance(value, str):
            return self._cut(value)
        if isinstance(value, bool):
            return "true" if value else "false"
        return "" if value is None else repr(value)

    def _cut(self, text: str) -> str:
        if 4 * len(text) <= self._limits.string_bytes:
            return text
        raw = text.encode("utf-8", "surrogatepass")
        if len(raw) <= self._limits.string_bytes:
            return text
        self._limit("string_bytes", 1)
        return raw[: self._limits.string_bytes].decode("utf-8", "ignore")

    def _weight(self, trace_state: str) -> int:
        if not self._weighted or not trace_state:
            return WEIGHT_ONE
        found = weight_of(trace_state)
        if found.is_capped:
            self._limit("weight", 1)
        self._unweighted += found.is_unsaid
        return found.weight


def shown(value: Any) -> str:
    """A value as an error's sentence shows it; what is nested only by its type, for it may be deep."""
    return repr(str(value)[:40]) if isinstance(value, str | int | float) else type(value).__name__


def _key(identity: Identity) -> bytes:
    """16 bytes: the representation tells any two identities apart, and it escapes what UTF-8 cannot say."""
    return blake2b(repr(identity).encode(), digest_size=16, key=_SEED).digest()


def _value(dimension: Dimension, levels: Mapping[Level, Attributes]) -> Scalar:
    for place in dimension.places:
        for level in place.levels:
            value = levels[level].get(place.attribute)
            if value is not None:
                return value
    return None
