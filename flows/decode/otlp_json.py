"""`otlp_json`: a record is one ExportTraceServiceRequest as OTLP/JSON: lowerCamelCase, ids in hex, enums as numbers.

The convenience, not the hot path: msgspec reads the text, and spans become columns one by one. The answers are those of
`otlp_proto` on the same request.
"""

from __future__ import annotations

from typing import Any

from flows.decode.batch import KINDS, STATUSES
from flows.decode.plain import PlainDecoder, parsed
from flows.decode.rows import BrokenError, PlainSpan, Rows, Scalar, shown

_UINT64 = (1 << 64) - 1
_SCALARS = ("stringValue", "boolValue", "intValue", "doubleValue")


class OtlpJson(PlainDecoder):
    """Decodes ExportTraceServiceRequests in OTLP/JSON.

    >>> from flows.records import Records
    >>> OtlpJson().decode(Records.of([b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"GET"}]}]}]}'])).identity(0)
    Identity(service='unknown_service', span_name='GET', kind=0, status=0, dimensions=())
    """

    def _split(self, payload: bytes) -> list[tuple[Any, Any, Any]]:
        request = parsed(payload)
        if not isinstance(request, dict):
            raise BrokenError("not_otlp", "an export request is a JSON object")
        return [
            (of_resource.get("resource"), of_scope.get("scope"), span)
            for of_resource in _list(request, "resourceSpans")
            for of_scope in _list(of_resource, "scopeSpans")
            for span in _list(of_scope, "spans")
        ]

    def _read(self, span: tuple[Any, Any, Any], rows: Rows) -> PlainSpan:
        resource, scope, fields = span
        if not isinstance(fields, dict):
            raise BrokenError("bad_span", f"a span is a JSON object, found {type(fields).__name__}")
        name = fields.get("name", "")
        if not isinstance(name, str):
            raise BrokenError("bad_span", f"name is text, found {type(name).__name__}")
        status, trace_state = fields.get("status"), fields.get("traceState")
        return PlainSpan(
            name=name,
            kind=_enum(fields.get("kind"), KINDS),
            status=_enum(status.get("code") if isinstance(status, dict) else 0, STATUSES),
            start_ns=_integer(fields, "startTimeUnixNano"),
            end_ns=_integer(fields, "endTimeUnixNano"),
            trace_id=_hex(fields.get("traceId"), 16),
            span_id=_hex(fields.get("spanId"), 8),
            trace_state=trace_state if isinstance(trace_state, str) else "",
            attributes=_attributes(fields, rows),
            scope=_attributes(scope, rows),
            resource=_attributes(resource, rows),
        )


def _attributes(of: Any, rows: Rows) -> dict[str, Scalar]:
    found: dict[str, Scalar] = {}
    attributes = of.get("attributes") if isinstance(of, dict) else None
    if not isinstance(attributes, list):
        return found
    for attribute in rows.first_attributes(attributes):
        if isinstance(attribute, dict) and isinstance(attribute.get("key"), str):
            found.setdefault(attribute["key"], _scalar(attribute.get("value")))
    return found


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
        raise BrokenError("bad_span", f"{key} is a time in ns as a whole number, found {shown(value)}")
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


def _scalar(value: Any) -> Scalar:
    """An AnyValue; "" for a scalar that is not what its key says, None for what is no scalar."""
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("stringValue"), str):
        return str(value["stringValue"])
    if isinstance(value.get("boolValue"), bool):
        return bool(value["boolValue"])
    if isinstance(value.get("intValue"), str | int | float):
        return str(value["intValue"])
    if isinstance(value.get("doubleValue"), int | float):
        try:
            return float(value["doubleValue"])
        except OverflowError:
            return ""
    return "" if any(key in value for key in _SCALARS) else None
