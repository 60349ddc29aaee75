"""`zipkin_json`: a record is an array of Zipkin v2 spans as JSON; times in µs, ids in hex.

Source: https://zipkin.io/zipkin-api/ (zipkin2-api.yaml).
"""

from __future__ import annotations

from typing import Any

from flows.decode.plain import PlainDecoder, parsed
from flows.decode.rows import BrokenError, PlainSpan, Rows, shown
from flows.decode.zipkin_span import Endpoint, ZipkinSpan, plain, shortest_ip

_UINT64 = (1 << 64) - 1
_HEX = frozenset("0123456789abcdefABCDEF")


class ZipkinJson(PlainDecoder):
    """Decodes arrays of Zipkin's spans in JSON.

    >>> from flows.records import Records
    >>> span = b'{"name":"get","kind":"SERVER","timestamp":7,"duration":3,"localEndpoint":{"serviceName":"shop"}}'
    >>> batch = ZipkinJson().decode(Records.of([b"[" + span + b",5]"]))
    >>> batch.identity(0)
    Identity(service='shop', span_name='get', kind=2, status=0, dimensions=())
    >>> batch.end_ns.tolist(), [(dead.reason, dead.spans) for dead in batch.dead]
    ([10000], [('bad_span', 1)])
    """

    def _split(self, payload: bytes) -> list[Any]:
        spans = parsed(payload)
        if not isinstance(spans, list):
            raise BrokenError("not_zipkin", "a record is an array of spans")
        return spans

    def _read(self, span: Any, rows: Rows) -> PlainSpan:
        if not isinstance(span, dict):
            raise BrokenError("bad_span", f"a span is a JSON object, found {type(span).__name__}")
        name = span.get("name")
        if name is not None and not isinstance(name, str):
            raise BrokenError("bad_span", f"name is text, found {type(name).__name__}")
        kind = span.get("kind")
        return plain(
            ZipkinSpan(
                trace_id=_hex(span.get("traceId"), 32),
                span_id=_hex(span.get("id"), 16),
                kind=kind if isinstance(kind, str) else "",
                name=name or "",
                timestamp_us=_micros(span, "timestamp"),
                duration_us=_micros(span, "duration"),
                local=_endpoint(span.get("localEndpoint")),
                remote=_endpoint(span.get("remoteEndpoint")),
                tags=_tags(span.get("tags"), rows),
            )
        )


def _micros(span: dict[str, Any], key: str) -> int:
    value = span.get(key)
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _UINT64:
        raise BrokenError("bad_time", f"{key} is a whole number of µs, found {shown(value)}")
    return value


def _hex(value: Any, most: int) -> int:
    """An id of at most so many digits, 0 for one that is not readable."""
    if not isinstance(value, str) or not 0 < len(value) <= most or not _HEX.issuperset(value):
        return 0
    return int(value, 16)


def _endpoint(value: Any) -> Endpoint:
    if not isinstance(value, dict):
        return Endpoint()
    service, port = value.get("serviceName"), value.get("port")
    ips = [value.get(key) for key in ("ipv6", "ipv4")]
    return Endpoint(
        service if isinstance(service, str) else "",
        next((shortest_ip(ip) for ip in ips if isinstance(ip, str) and ip), ""),
        port if isinstance(port, int) and not isinstance(port, bool) and 0 < port < 1 << 16 else 0,
    )


def _tags(value: Any, rows: Rows) -> dict[str, str]:
    """Tags as text; numbers and bools, which some clients write, as JSON writes them."""
    if not isinstance(value, dict):
        return {}
    found = {}
    for key, tag in rows.first_attributes(list(value.items())):
        if isinstance(tag, str):
            found[key] = tag
        elif isinstance(tag, bool):
            found[key] = "true" if tag else "false"
        elif isinstance(tag, int | float):
            found[key] = repr(tag)
    return found
