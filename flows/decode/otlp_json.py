"""`otlp_json`: a record is one ExportTraceServiceRequest as OTLP/JSON: lowerCamelCase, ids in hex, enums as numbers.

The convenience, not the hot path: msgspec reads the text, and spans become columns one by one. The answers are those of
`otlp_proto` on the same request.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from flows.decode.batch import (
    KINDS,
    STATUSES,
    UNKNOWN_SERVICE,
    WEIGHT_MAX,
    WEIGHT_ONE,
    DeadRecord,
    Decoder,
    Dimension,
    Identity,
    Level,
    Limits,
    SpanBatch,
    Text,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flows.records import Records

_LARGEST = np.iinfo(np.int64).max
_UINT64 = (1 << 64) - 1
_THRESHOLD_DIGITS = 14


class _BrokenSpanError(ValueError):
    """One span is not what OTLP says; carries a sentence."""


class _Known(Text):
    """Identities are made while decoding, once for each that differs."""

    def __init__(self, identities: list[Identity]) -> None:
        self._identities = identities

    def identity(self, index: int, kind: int, status: int) -> Identity:
        return self._identities[index]


class OtlpJson(Decoder):
    """Bytes of OTLP/JSON → columns.

    Args:
        dimensions: attributes wanted as labels.
        limits: what one record may hold.
        weighted: whether sampled spans count for what they stand for.
    """

    def __init__(
        self, dimensions: Sequence[Dimension] = (), limits: Limits | None = None, weighted: bool = True
    ) -> None:
        self._dimensions = tuple(dimensions)
        self._limits = limits or Limits()
        self._weighted = weighted
        self._numbers: dict[Identity, int] = {}
        self._seed = int.from_bytes(os.urandom(8), "little")

    def decode(self, records: Records) -> SpanBatch:
        """All spans that can be decoded; see `Decoder`."""
        rows: list[tuple[int, ...]] = []
        identities: list[Identity] = []
        limited: dict[str, int] = {}
        dead: list[DeadRecord] = []
        clamped = 0
        for number in range(len(records)):
            try:
                request = msgspec.json.decode(records.payload(number))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                dead.append(DeadRecord(number, "not_json", str(error)))
                continue
            except RecursionError:
                dead.append(DeadRecord(number, "too_deep", "JSON is nested too deeply"))
                continue
            if not isinstance(request, dict):
                dead.append(DeadRecord(number, "not_otlp", "an export request is a JSON object"))
                continue
            taken = 0
            for resource, scope, span in _spans(request):
                if taken >= self._limits.spans_per_record:
                    limited["spans"] = limited.get("spans", 0) + 1
                    continue
                try:
                    row, identity, negative = self._span(number, resource, scope, span, limited)
                except _BrokenSpanError as error:
                    dead.append(DeadRecord(number, "bad_span", str(error), 1))
                    continue
                taken += 1
                clamped += negative
                rows.append(row)
                identities.append(identity)
        return self._batch(rows, identities, clamped, limited, dead)

    def _batch(
        self,
        rows: list[tuple[int, ...]],
        identities: list[Identity],
        clamped: int,
        limited: dict[str, int],
        dead: list[DeadRecord],
    ) -> SpanBatch:
        dtypes = ("i4", "i8", "i8", "u1", "u1", "u8", "u8", "u8", "i8")
        columns = zip(*rows, strict=True) if rows else ([] for _ in dtypes)
        arrays = [np.array(list(column), np.dtype(dtype)) for column, dtype in zip(columns, dtypes, strict=True)]
        keys = np.array([self._numbers.setdefault(identity, len(self._numbers)) for identity in identities], np.uint64)
        # The seed keeps these keys apart from another decoder's; the number alone tells identities apart.
        key_hi = np.full(len(keys), self._seed, np.uint64)
        key_lo = keys * np.uint64(0x9E3779B97F4A7C15)
        return SpanBatch(*(*arrays, key_hi, key_lo, _Known(identities), clamped, limited, dead))

    def _span(
        self, record: int, resource: Any, scope: Any, span: Any, limited: dict[str, int]
    ) -> tuple[tuple[int, ...], Identity, bool]:
        if not isinstance(span, dict):
            raise _BrokenSpanError(f"a span is a JSON object, found {type(span).__name__}")
        start, end = _integer(span, "startTimeUnixNano"), _integer(span, "endTimeUnixNano")
        kind = _enum(span.get("kind"), KINDS)
        status_object = span.get("status")
        status = _enum(status_object.get("code") if isinstance(status_object, dict) else 0, STATUSES)
        trace_id = _hex(span.get("traceId"), 16)
        levels = {
            Level.SPAN: self._attributes(span, limited),
            Level.SCOPE: self._attributes(scope, limited),
            Level.RESOURCE: self._attributes(resource, limited),
        }
        service = self._cut(_text(levels[Level.RESOURCE].get("service.name")), limited) or UNKNOWN_SERVICE
        name = span.get("name", "")
        if not isinstance(name, str):
            raise _BrokenSpanError(f"name is text, found {type(name).__name__}")
        dimensions = tuple(self._cut(self._value(dimension, levels), limited) for dimension in self._dimensions)
        row = (
            record,
            min(end, _LARGEST),
            min(max(end - start, 0), _LARGEST),
            kind,
            status,
            trace_id >> 64,
            trace_id & _UINT64,
            _hex(span.get("spanId"), 8),
            self._weight(span.get("traceState"), limited),
        )
        return row, Identity(service, self._cut(name, limited), kind, status, dimensions), end < start

    def _attributes(self, of: Any, limited: dict[str, int]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        attributes = of.get("attributes") if isinstance(of, dict) else None
        if not isinstance(attributes, list):
            return found
        most = self._limits.attributes_per_span
        if len(attributes) > most:
            limited["attributes"] = limited.get("attributes", 0) + len(attributes) - most
        for attribute in attributes[:most]:
            if isinstance(attribute, dict) and isinstance(attribute.get("key"), str):
                found.setdefault(attribute["key"], attribute.get("value"))
        return found

    def _value(self, dimension: Dimension, levels: Mapping[Level, dict[str, Any]]) -> str:
        for place in dimension.places:
            for level in place.levels:
                value = levels[level].get(place.attribute)
                if isinstance(value, dict) and any(key in value for key in _SCALARS):
                    return _text(value)
        return ""

    def _cut(self, text: str, limited: dict[str, int]) -> str:
        raw = text.encode("utf-8", "surrogatepass")
        if len(raw) <= self._limits.string_bytes:
            return text
        limited["string_bytes"] = limited.get("string_bytes", 0) + 1
        return raw[: self._limits.string_bytes].decode("utf-8", "ignore")

    def _weight(self, trace_state: Any, limited: dict[str, int]) -> int:
        if not self._weighted or not isinstance(trace_state, str) or "ot=" not in trace_state:
            return WEIGHT_ONE
        for member in trace_state.split(","):
            vendor, _, value = member.strip().partition("=")
            if vendor != "ot":
                continue
            for pair in value.split(";"):
                key, _, digits = pair.partition(":")
                if key == "th" and 0 < len(digits) <= _THRESHOLD_DIGITS and set(digits) <= set("0123456789abcdef"):
                    threshold = int(digits.ljust(_THRESHOLD_DIGITS, "0"), 16)
                    left = (1 << 56) - threshold
                    weight = ((WEIGHT_ONE << 56) + left // 2) // left
                    if weight > WEIGHT_MAX:
                        limited["weight"] = limited.get("weight", 0) + 1
                    return min(weight, WEIGHT_MAX)
        return WEIGHT_ONE


_SCALARS = ("stringValue", "boolValue", "intValue", "doubleValue")


def _spans(request: dict[str, Any]) -> Any:
    for of_resource in _list(request, "resourceSpans"):
        for of_scope in _list(of_resource, "scopeSpans"):
            for span in _list(of_scope, "spans"):
                yield of_resource.get("resource"), of_scope.get("scope"), span


def _list(of: Any, key: str) -> list[Any]:
    found = of.get(key) if isinstance(of, dict) else None
    return [item for item in found if isinstance(item, dict) or key == "spans"] if isinstance(found, list) else []


def _integer(span: dict[str, Any], key: str) -> int:
    value = span.get(key, 0)
    try:
        number = int(value) if isinstance(value, str | int) and not isinstance(value, bool) else None
    except ValueError:
        number = None
    if number is None or not 0 <= number <= _UINT64:
        raise _BrokenSpanError(f"{key} is a time in ns as a whole number, found {str(value)[:40]!r}")
    return number


def _enum(value: Any, names: tuple[str, ...]) -> int:
    if isinstance(value, str) and value in names:
        return names.index(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(names) else 0


def _hex(value: Any, size: int) -> int:
    if not isinstance(value, str) or len(value) != 2 * size:
        return 0
    try:
        return int.from_bytes(bytes.fromhex(value), "big")
    except ValueError:
        return 0


def _text(value: Any) -> str:
    """An AnyValue as text; "" for what is none."""
    if not isinstance(value, dict):
        return ""
    if isinstance(value.get("stringValue"), str):
        return str(value["stringValue"])
    if isinstance(value.get("boolValue"), bool):
        return "true" if value["boolValue"] else "false"
    if "intValue" in value:
        return str(value["intValue"])
    if "doubleValue" in value:
        return repr(float(value["doubleValue"])) if isinstance(value["doubleValue"], int | float) else ""
    return ""
