"""Frames: what becomes of records; and OTLP requests made of spans as decoders in plain Python read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from flows.decode.batch import Limits
from flows.decode.plain import PlainDecoder
from flows.decode.rows import BrokenError, PlainSpan, Rows, Scalar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans

_UNLIMITED = Limits(1 << 62, 1 << 62, 1 << 62)
"""What is over a limit is dropped, and counted, by the decoder that reads the recording."""

_LATEST = (1 << 63) - 1


class Frame(NamedTuple):
    """What becomes of a record: a request, or the reason for having none."""

    request: bytes
    reason: str = ""
    lost_spans: int = 0  # spans of it that could not be read


class Framing(PlainDecoder):
    """A decoder that makes a frame of each record; mixed into the decoder of an encoding."""

    def frame(self, payload: bytes) -> Frame:
        """The frame of a record. Never raises on data."""
        rows = Rows((), _UNLIMITED, weighted=False)
        found: list[tuple[Any, PlainSpan]] = []
        lost: list[BrokenError] = []
        try:
            for span in self._split(payload):
                try:
                    found.append((span, self._read(span, rows)))
                except BrokenError as broken:
                    lost.append(broken)
        except BrokenError as broken:
            return Frame(b"", broken.reason)
        if lost and not found:
            return Frame(b"", lost[0].reason)
        return Frame(self._request(found).SerializeToString(), lost_spans=len(lost))

    def _request(self, spans: Sequence[tuple[Any, PlainSpan]]) -> ExportTraceServiceRequest:
        """The request of some spans: as they stand in the record, and as they were read."""
        return request_of([span for _, span in spans])


def request_of(spans: Sequence[PlainSpan]) -> ExportTraceServiceRequest:
    """An OTLP request with these spans, those of one resource and scope together."""
    request = ExportTraceServiceRequest()
    scopes: dict[tuple[object, ...], ScopeSpans] = {}
    for span in spans:
        key = (_identity(span.resource), _identity(span.scope))
        scope = scopes.get(key)
        if scope is None:
            resource = request.resource_spans.add()
            resource.resource.attributes.extend(_attributes(span.resource))
            scope = scopes[key] = resource.scope_spans.add()
            scope.scope.attributes.extend(_attributes(span.scope))
        _add(scope, span)
    return request


def _identity(attributes: Mapping[str, Scalar]) -> tuple[object, ...]:
    """What tells attributes apart; True is no 1 here."""
    return tuple((key, type(value), repr(value)) for key, value in attributes.items())


def _add(scope: ScopeSpans, span: PlainSpan) -> None:
    end = min(max(span.end_ns, 0), _LATEST)
    written = scope.spans.add(
        name=text(span.name),
        kind=span.kind,
        end_time_unix_nano=end,
        # A span that ends before it begins goes on doing so; one that begins before 1970 begins then.
        start_time_unix_nano=min(max(end - (span.end_ns - span.start_ns), 0), _LATEST),
        trace_id=span.trace_id.to_bytes(16, "big") if span.trace_id else b"",
        span_id=span.span_id.to_bytes(8, "big") if span.span_id else b"",
        trace_state=text(span.trace_state),
    )
    if span.status:
        written.status.code = span.status
    written.attributes.extend(_attributes(span.attributes))


def _attributes(attributes: Mapping[str, Scalar]) -> list[KeyValue]:
    return [_attribute(key, value) for key, value in attributes.items()]


def _attribute(key: str, value: Scalar) -> KeyValue:
    written = KeyValue(key=text(key))
    if isinstance(value, bool):
        written.value.bool_value = value
    elif isinstance(value, str):
        written.value.string_value = text(value)
    elif isinstance(value, int):
        if -_LATEST - 1 <= value <= _LATEST:
            written.value.int_value = value
        else:
            written.value.string_value = repr(value)
    elif isinstance(value, float):
        written.value.double_value = value
    else:
        written.value.bytes_value = b""  # present, but nothing that a label could say
    return written


def text(value: str) -> str:
    """Text that UTF-8 can say: JSON may hold halves of characters."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode()
