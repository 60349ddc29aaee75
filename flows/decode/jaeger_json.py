"""`jaeger_json`: a record is one `jaeger.api_v2.Span` as protobuf's JSON: ids in base64, times as text, enums by name.

The answers are those of `jaeger_proto` on the same span. Fields may have their lowerCamelCase or their original names;
unknown ones are passed over.

Source: https://protobuf.dev/programming-guides/json/ and jaeger-idl's `model.proto`.
"""

from __future__ import annotations

import re
from base64 import b64decode
from datetime import date
from typing import Any

from flows.decode.jaeger_tags import resource_of, settle
from flows.decode.plain import PlainDecoder, parsed
from flows.decode.rows import BrokenError, PlainSpan, Rows, Scalar, shown

_SECOND = 1_000_000_000
_LATEST = (1 << 63) - 1
_EPOCH_DAY = date(1970, 1, 1).toordinal()

_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,40}))?"
    r"(?:Z|([+-])([0-9]{2}):([0-9]{2}))"
)
_UNITS_NS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": _SECOND,
    "m": 60 * _SECOND,
    "h": 3600 * _SECOND,
}
_PART = re.compile(r"([0-9]{0,20})(?:\.([0-9]{0,20}))?(ns|us|µs|μs|ms|s|m|h)")

_TYPES = ("STRING", "BOOL", "INT64", "FLOAT64", "BINARY")
_NOT_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class JaegerJson(PlainDecoder):
    """Decodes Jaeger's spans in JSON.

    >>> from flows.records import Records
    >>> span = b'{"operationName":"GET","startTime":"1970-01-01T00:00:01Z","duration":"0.5s"'
    >>> batch = JaegerJson().decode(Records.of([span + b',"process":{"serviceName":"a"}}', b"[]"]))
    >>> batch.identity(0)
    Identity(service='a', span_name='GET', kind=0, status=0, dimensions=())
    >>> batch.end_ns.tolist(), batch.duration_ns.tolist(), [(dead.record, dead.reason) for dead in batch.dead]
    ([1500000000], [500000000], [(1, 'not_jaeger')])
    """

    def _split(self, payload: bytes) -> list[dict[str, Any]]:
        span = parsed(payload)
        if not isinstance(span, dict):
            raise BrokenError("not_jaeger", "a record is one span as a JSON object")
        if not span:
            raise BrokenError("empty", "the record holds a span that says nothing")
        return [span]

    def _read(self, span: dict[str, Any], rows: Rows) -> PlainSpan:
        start = _start_ns(_field(span, "startTime", "start_time"))
        end = start + _duration_ns(_field(span, "duration", "duration"))
        process = _field(span, "process", "process")
        if not isinstance(process, dict):
            process = {}
        tags = _tags(span, rows)
        kind, status, trace_state = settle(tags)
        return PlainSpan(
            name=_text(span, "operationName", "operation_name"),
            kind=kind,
            status=status,
            start_ns=start,
            end_ns=end,
            trace_id=_id(_field(span, "traceId", "trace_id"), (8, 16)),
            span_id=_id(_field(span, "spanId", "span_id"), (8,)),
            trace_state=trace_state,
            attributes=tags,
            scope={},
            resource=resource_of(_text(process, "serviceName", "service_name"), _tags(process, rows)),
        )


def _field(of: dict[str, Any], name: str, original: str) -> Any:
    """A field by either of its names; null is absent."""
    value = of.get(name)
    return of.get(original) if value is None else value


def _text(of: dict[str, Any], name: str, original: str) -> str:
    value = _field(of, name, original)
    if value is not None and not isinstance(value, str):
        raise BrokenError("bad_span", f"{name} is text, found {type(value).__name__}")
    return value or ""


def _id(value: Any, sizes: tuple[int, ...]) -> int:
    """An id in base64, 0 for one that is not readable."""
    try:
        raw = b64decode(value, validate=True) if isinstance(value, str) else b""
    except ValueError:
        return 0
    return int.from_bytes(raw, "big") if len(raw) in sizes else 0


def _start_ns(value: Any) -> int:
    """RFC 3339 with any fraction as Unix ns, within ± 292 years; 0 where there is none.

    >>> _start_ns("2017-01-26T16:46:31.639875+01:00")
    1485445591639875000
    """
    if value is None:
        return 0
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise BrokenError("bad_time", f"startTime is RFC 3339 text, found {shown(value)}")
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    sign, zone = found[8], 3600 * int(found[9] or 0) + 60 * int(found[10] or 0)
    try:
        days = date(year, month, day).toordinal() - _EPOCH_DAY
    except ValueError as error:
        raise BrokenError("bad_time", f"startTime {value[:40]!r} is no day: {error}") from error
    if hour > 23 or minute > 59 or second > 59:
        raise BrokenError("bad_time", f"startTime {value[:40]!r} is no time of day")
    seconds = 86400 * days + 3600 * hour + 60 * minute + second + (zone if sign == "-" else -zone)
    nanos = int((found[7] or "")[:9].ljust(9, "0"))
    return min(max(seconds * _SECOND + nanos, -_LATEST), _LATEST)


def _duration_ns(value: Any) -> int:
    """A duration as Go writes it, such as "0.000250s" or "1m2.5s"; 0 where there is none.

    >>> _duration_ns("0.000250s"), _duration_ns("-1m2.5s"), _duration_ns(None)
    (250000, -62500000000, 0)
    """
    if value is None or value == "0":
        return 0
    total, at = 0, 0
    text = value if isinstance(value, str) else ""
    digits = text[1:] if text[:1] in ("-", "+") else text
    while at < len(digits):
        part = _PART.match(digits, at)
        if part is None or not (part[1] or part[2]):
            break
        unit, fraction = _UNITS_NS[part[3]], part[2] or "0"
        total += int(part[1] or 0) * unit + int(fraction) * unit // 10 ** len(fraction)
        at = part.end()
    if not digits or at < len(digits) or total > _LATEST:
        raise BrokenError("bad_time", f"duration is text such as '0.25s', found {shown(value)}")
    return -total if text[0] == "-" else total


def _tags(of: dict[str, Any], rows: Rows) -> dict[str, Scalar]:
    """The tags of a span or process; the last of a key counts."""
    found: dict[str, Scalar] = {}
    tags = of.get("tags")
    if not isinstance(tags, list):
        return found
    for tag in rows.first_attributes(tags):
        if isinstance(tag, dict):
            key = tag.get("key", "")
            if isinstance(key, str):
                found[key] = _scalar(tag)
    return found


def _scalar(tag: dict[str, Any]) -> Scalar:
    """A tag's value by its type; None for binary ones, unknown types and values that are not of their type."""
    kind = _field(tag, "vType", "v_type")
    if isinstance(kind, int) and 0 <= kind < len(_TYPES):
        kind = _TYPES[kind]
    if kind is None or kind == "STRING":
        value = _field(tag, "vStr", "v_str")
        return "" if value is None else (value if isinstance(value, str) else None)
    if kind == "BOOL":
        value = _field(tag, "vBool", "v_bool")
        return False if value is None else (value if isinstance(value, bool) else None)
    if kind == "INT64":
        return _int64(_field(tag, "vInt64", "v_int64"))
    return _double(_field(tag, "vFloat64", "v_float64")) if kind == "FLOAT64" else None


def _int64(value: Any) -> int | None:
    """A whole number, or text of one: JSON's numbers are too short for 64 bits."""
    if value is None:
        return 0
    try:
        number = int(value) if isinstance(value, str | int) and not isinstance(value, bool) else None
    except ValueError:
        return None
    return number if number is not None and -_LATEST - 1 <= number <= _LATEST else None


def _double(value: Any) -> float | None:
    if value is None:
        return 0.0
    if isinstance(value, str):
        return _NOT_FINITE.get(value)
    try:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    except OverflowError:
        return None
