"""The columns that every decoder fills: spans as arrays, no Python object per span."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from flows.records import Records

KINDS = (
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
)
"""OTLP span kinds by their number; an unknown number is decoded as 0."""

STATUSES = ("STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR")
"""OTLP status codes by their number; an unknown number is decoded as 0."""

ERROR = 2

WEIGHT_BITS = 20
WEIGHT_ONE = 1 << WEIGHT_BITS
"""Weights are fixed-point numbers in units of 2^-20: a span that was not sampled away from others weighs this."""
WEIGHT_MAX = 1 << (2 * WEIGHT_BITS)
"""No span stands for more than 2^20 others; a heavier one is capped and counted as limited."""

UNKNOWN_SERVICE = "unknown_service"
"""The service of spans whose resource has no (or an empty) `service.name`, as the OpenTelemetry SDKs call it."""


class Level(IntEnum):
    """Where an attribute stands."""

    SPAN = 0
    SCOPE = 1
    RESOURCE = 2


class Wanted(NamedTuple):
    """One place to look for a dimension's value."""

    attribute: str
    levels: tuple[Level, ...] = (Level.SPAN, Level.SCOPE, Level.RESOURCE)


class Dimension(NamedTuple):
    """A label taken from attributes: the first place that has one gives the value."""

    label: str
    places: tuple[Wanted, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one record may hold; the rest is dropped and counted by name in `streamgauge_limited_total`."""

    spans_per_record: int = 100_000
    attributes_per_span: int = 1_024
    string_bytes: int = 1_024


class Identity(NamedTuple):
    """What tells one series from another, as text, before templates and budgets."""

    service: str
    span_name: str
    kind: int
    status: int
    dimensions: tuple[str, ...]  # (n_dimensions,), "" where absent


class DeadRecord(NamedTuple):
    """A record, or the spans of it that are broken for one reason, that could not be decoded.

    One for each reason and record, however many spans it is about: a hostile record must not become a million objects.
    """

    record: int  # index into the Records
    reason: str  # a word for the metric's label, e.g. "truncated", "not_json"
    detail: str = ""  # a sentence for a person
    spans: int = 0  # how many spans are lost; 0 where the record itself cannot be read, so nobody can tell


@dataclass(slots=True)
class SpanBatch:
    """Spans decoded from one `Records`, in the order in which they stand there.

    All columns have length n_spans. `(key_hi, key_lo)` is a 128-bit hash of everything in `identity(i)`: two spans of a
    process with the same identity bytes have the same key, others differ; two keys may have the same text (a dimension
    that is the number 1 or the string "1", text that was not UTF-8 in two ways). It is seeded per process, so nobody
    outside can make two collide; it must not leave the process.
    """

    record: np.ndarray  # int32: index into the Records
    end_ns: np.ndarray  # int64: event time, Unix ns; beyond int64 it is clamped
    duration_ns: np.ndarray  # int64, >= 0: a negative one is clamped to 0 and counted in `clamped`
    kind: np.ndarray  # uint8: index into KINDS
    status: np.ndarray  # uint8: index into STATUSES
    trace_hi: np.ndarray  # uint64: first 8 bytes of the trace id, big-endian; 0 where it is not 16 bytes long
    trace_lo: np.ndarray  # uint64: last 8 bytes
    span_id: np.ndarray  # uint64, big-endian; 0 where it is not 8 bytes long
    weight: np.ndarray  # int64: spans it stands for, units of 2^-20, WEIGHT_ONE .. WEIGHT_MAX
    key_hi: np.ndarray  # uint64
    key_lo: np.ndarray  # uint64
    text: Text
    clamped: int = 0
    limited: dict[str, int] = field(default_factory=dict)  # what -> how many
    dead: list[DeadRecord] = field(default_factory=list)
    unweighted: int = 0  # spans that a sampler kept without leaving its threshold: they weigh one, and stand for more

    def __len__(self) -> int:
        return len(self.end_ns)

    def identity(self, index: int) -> Identity:
        """The text of one span's series; slow, called once per key a process has not seen."""
        return self.text.identity(index, int(self.kind[index]), int(self.status[index]))


class Text:
    """How a decoder finds the text of a span again; each decoder has its own."""

    def identity(self, index: int, kind: int, status: int) -> Identity:
        """The identity of span `index`."""
        raise NotImplementedError


class Decoder:
    """Bytes → columns for one signal and encoding. Never raises on data."""

    def decode(self, records: Records) -> SpanBatch:
        """All spans of the records that can be decoded; what cannot is in the batch's `dead` and `limited`."""
        raise NotImplementedError
