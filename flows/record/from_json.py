"""OTLP/JSON → OTLP in protobuf, every field of its spans; as lenient as the decoder.

The descriptors of opentelemetry-proto say which fields there are. protobuf's own JSON reader cannot be used: OTLP
writes ids in hex, not base64, and one broken field would cost the whole record.
"""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor import FieldDescriptor  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from flows.decode.otlp_json import OtlpJson
from flows.record.frames import Framing, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.message import Message  # type: ignore[import-untyped]
    from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans

    from flows.decode.rows import PlainSpan

_IDS = {"traceId", "spanId", "parentSpanId"}
_DEEPEST = 32
"""Attributes that are nested deeper are left out: what reads a recording may not follow them."""

_MESSAGE, _BYTES, _STRING, _ENUM, _BOOL = (
    FieldDescriptor.TYPE_MESSAGE,
    FieldDescriptor.TYPE_BYTES,
    FieldDescriptor.TYPE_STRING,
    FieldDescriptor.TYPE_ENUM,
    FieldDescriptor.TYPE_BOOL,
)
_FLOATS = (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT)


class FullOtlpJson(Framing, OtlpJson):
    """Frames of OTLP/JSON.

    >>> request = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"GET","spanId":"00000000000000ff"}]}]}]}'
    >>> frame = FullOtlpJson().frame(request)
    >>> ExportTraceServiceRequest.FromString(frame.request).resource_spans[0].scope_spans[0].spans[0].span_id.hex()
    '00000000000000ff'
    """

    def _request(self, spans: Sequence[tuple[Any, PlainSpan]]) -> ExportTraceServiceRequest:
        request = ExportTraceServiceRequest()
        last_resource: Any = request  # of which the two below are; no value of the record
        last_scope: Any = request
        of_resource: ResourceSpans
        of_scope: ScopeSpans
        for (resource, scope, fields), _ in spans:
            if resource is not last_resource:
                of_resource = request.resource_spans.add()
                _fill_if_object(of_resource.resource, resource)
                last_resource, last_scope = resource, request
            if scope is not last_scope:
                of_scope = of_resource.scope_spans.add()
                _fill_if_object(of_scope.scope, scope)
                last_scope = scope
            _fill(of_scope.spans.add(), fields, 0)
        return request


def _fill_if_object(message: Message, values: Any) -> None:
    if isinstance(values, dict):
        _fill(message, values, 0)


def _fill(message: Message, values: dict[str, Any], depth: int) -> None:
    """Set the fields of a message that the values have; what is not of its field's type is left out."""
    fields = message.DESCRIPTOR.fields_by_camelcase_name
    for name, value in values.items():
        field = fields.get(name)
        if field is None or value is None or depth > _DEEPEST:
            continue
        if field.is_repeated:
            if isinstance(value, list):
                _extend(getattr(message, field.name), field, value, depth)
        elif field.type == _MESSAGE:
            if isinstance(value, dict):
                inner = getattr(message, field.name)
                inner.SetInParent()
                _fill(inner, value, depth + 1)
        else:
            try:
                setattr(message, field.name, _scalar(field, value))
            except (TypeError, ValueError):
                continue


def _extend(items: Any, field: FieldDescriptor, values: list[Any], depth: int) -> None:
    for value in values:
        if field.type == _MESSAGE:
            if isinstance(value, dict):
                _fill(items.add(), value, depth + 1)
        else:
            try:
                items.append(_scalar(field, value))
            except (TypeError, ValueError):
                continue


def _scalar(field: FieldDescriptor, value: Any) -> Any:
    """A value as its field takes it.

    Raises:
        TypeError, ValueError: it is not of its type.
    """
    if field.type == _STRING:
        if not isinstance(value, str):
            raise TypeError
        return text(value)
    if field.type == _BOOL:
        if not isinstance(value, bool):
            raise TypeError
        return value
    if field.type == _BYTES:
        return bytes.fromhex(value) if field.camelcase_name in _IDS else b64decode(value)
    if field.type in _FLOATS:
        return float(value)
    if field.type == _ENUM and isinstance(value, str):
        assert field.enum_type is not None
        known = field.enum_type.values_by_name.get(value)
        if known is None:
            raise ValueError
        return known.number
    if isinstance(value, bool):
        raise TypeError
    return int(value)
