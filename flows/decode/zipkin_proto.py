"""`zipkin_proto`: a record is one `zipkin.proto3.ListOfSpans`; times in µs, ids as bytes.

Source: https://github.com/openzipkin/zipkin-api (zipkin.proto).
"""

from __future__ import annotations

from flows.decode.message import fields
from flows.decode.plain import PlainDecoder
from flows.decode.rows import PlainSpan, Rows
from flows.decode.zipkin_span import Endpoint, ZipkinSpan, plain, shortest_ip

# ListOfSpans, Span, Endpoint and the entries of a map, field number * 8 + wire type.
_SPAN = 0x0A
_TRACE_ID, _ID, _KIND, _NAME, _TIMESTAMP, _DURATION = 0x0A, 0x1A, 0x20, 0x2A, 0x31, 0x38
_LOCAL, _REMOTE, _TAG = 0x42, 0x4A, 0x5A
_SERVICE, _IPV4, _IPV6, _PORT = 0x0A, 0x12, 0x1A, 0x20
_KEY, _VALUE = 0x0A, 0x12

_KINDS = ("", "CLIENT", "SERVER", "PRODUCER", "CONSUMER")
_ENUM = (1 << 32) - 1


class ZipkinProto(PlainDecoder):
    """Decodes lists of Zipkin's spans in protobuf.

    >>> from flows.records import Records
    >>> span = bytes([0x20, 2, 0x2A, 3]) + b"get" + bytes([0x31, 7, 0, 0, 0, 0, 0, 0, 0, 0x38, 3])
    >>> batch = ZipkinProto().decode(Records.of([bytes([0x0A, len(span)]) + span + bytes([0x0A, 1, 0x0A])]))
    >>> batch.identity(0)
    Identity(service='unknown_service', span_name='get', kind=2, status=0, dimensions=())
    >>> batch.end_ns.tolist(), [(dead.reason, dead.spans) for dead in batch.dead]
    ([10000], [('truncated', 1)])
    """

    def _split(self, payload: bytes) -> list[bytes]:
        return [value for tag, value in fields(payload) if tag == _SPAN and isinstance(value, bytes)]

    def _read(self, span: bytes, rows: Rows) -> PlainSpan:
        values: dict[int, int | bytes] = {}
        ends: dict[int, dict[int, int | bytes]] = {_LOCAL: {}, _REMOTE: {}}
        entries = []
        for tag, value in fields(span):
            if tag == _TAG:
                entries.append(value)
            elif tag in ends and isinstance(value, bytes):
                ends[tag].update(fields(value))  # an endpoint that is repeated adds to what it said before
            else:
                values[tag] = value
        kind = _number(values, _KIND) & _ENUM
        return plain(
            ZipkinSpan(
                trace_id=_id(values.get(_TRACE_ID), (8, 16)),
                span_id=_id(values.get(_ID), (8,)),
                kind=_KINDS[kind] if kind < len(_KINDS) else "",
                name=_text(values, _NAME),
                timestamp_us=_number(values, _TIMESTAMP),
                duration_us=_number(values, _DURATION),
                local=_endpoint(ends[_LOCAL]),
                remote=_endpoint(ends[_REMOTE]),
                tags=dict(_entry(entry) for entry in rows.first_attributes(entries)),
            )
        )


def _number(values: dict[int, int | bytes], tag: int) -> int:
    value = values.get(tag, 0)
    return value if isinstance(value, int) else 0


def _text(values: dict[int, int | bytes], tag: int) -> str:
    value = values.get(tag, b"")
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""


def _id(value: int | bytes | None, sizes: tuple[int, ...]) -> int:
    return int.from_bytes(value, "big") if isinstance(value, bytes) and len(value) in sizes else 0


def _endpoint(values: dict[int, int | bytes]) -> Endpoint:
    ips = [values.get(tag) for tag in (_IPV6, _IPV4)]
    ip = next((shortest_ip(ip) for ip in ips if isinstance(ip, bytes) and ip), "")
    return Endpoint(_text(values, _SERVICE), ip, _number(values, _PORT) & 0xFFFF)


def _entry(data: int | bytes) -> tuple[str, str]:
    values = dict(fields(data)) if isinstance(data, bytes) else {}
    return _text(values, _KEY), _text(values, _VALUE)
