"""Spans → OTLP/JSON export requests: the same content as `encode.py`, as text.

Ids are hexadecimal, enums integers, 64-bit integers decimal text, names lowerCamelCase.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import msgspec

from flows.generate.slots import parse_slots

if TYPE_CHECKING:
    from flows.generate.batches import Batches
    from flows.generate.catalogue import Catalogue
    from flows.generate.instances import Fleet
    from flows.generate.templates import SpanTemplate


class JsonEncoder:
    """Writes batches as JSON, span by span."""

    def __init__(self, catalogue: Catalogue, fleet: Fleet) -> None:
        self._templates = catalogue.templates
        self._texts = list(catalogue.texts)
        self._instances = fleet.instances

    def encode(self, batches: Batches) -> list[bytes]:
        """The request of each batch, on one line."""
        starts = batches.starts.tolist()
        return [self._request(batches, first, last) for first, last in pairwise(starts)]

    def _request(self, batches: Batches, first: int, last: int) -> bytes:
        instance = self._instances[batches.spans.instance[first]]
        name, version = instance.scope
        spans = [self._span(batches, i, instance.ahead_ns) for i in range(first, last)]
        resource = {"attributes": [_pair(key, value) for key, value in instance.resource]}
        scoped = [{"scope": {"name": name, "version": version}, "spans": spans}]
        return msgspec.json.encode({"resourceSpans": [{"resource": resource, "scopeSpans": scoped}]})

    def _span(self, batches: Batches, i: int, ahead_ns: int) -> dict[str, Any]:
        spans = batches.spans
        template = self._templates[spans.template[i]]
        trace_lo, end = int(spans.trace_lo[i]), str(int(spans.end_ns[i]) + ahead_ns)
        fixed = [_pair(key, _filled(value, trace_lo)) for key, value in template.attributes]
        span: dict[str, Any] = {
            "traceId": f"{spans.trace_hi[i]:016x}{trace_lo:016x}",
            "spanId": f"{spans.span_id[i]:016x}",
        }
        if not template.is_root:
            span["parentSpanId"] = f"{spans.parent_id[i]:016x}"
        return {
            **span,
            "name": template.slotted_name.fill(trace_lo),
            "kind": template.kind,
            "startTimeUnixNano": str(int(spans.start_ns[i]) + ahead_ns),
            "endTimeUnixNano": end,
            "attributes": fixed + self._drawn(template, spans.values[i].tolist()),
            **_outcome(template, end),
            "flags": template.flags,
        }

    def _drawn(self, template: SpanTemplate, values: list[int]) -> list[dict[str, Any]]:
        return [
            _pair(variable.key, self._texts[value] if variable.is_text else value)
            for variable, value in zip(template.variables, values, strict=False)
        ]


def _outcome(template: SpanTemplate, end: str) -> dict[str, Any]:
    """Events and status, where the template has them."""
    outcome: dict[str, Any] = {}
    if template.thrown:
        details = [_pair("exception.type", template.thrown.type), _pair("exception.message", template.thrown.message)]
        outcome["events"] = [{"timeUnixNano": end, "name": "exception", "attributes": details}]
    if template.status:
        message = {"message": template.message} if template.message else {}
        outcome["status"] = {**message, "code": template.status}
    return outcome


def _filled(value: str | float, trace_lo: int) -> str | float:
    return parse_slots(value).fill(trace_lo) if isinstance(value, str) and "<" in value else value


def _pair(key: str, value: str | float) -> dict[str, Any]:
    """A KeyValue."""
    if isinstance(value, bool):
        return {"key": key, "value": {"boolValue": value}}
    if isinstance(value, int):
        return {"key": key, "value": {"intValue": str(value)}}
    if isinstance(value, float):
        return {"key": key, "value": {"doubleValue": value}}
    return {"key": key, "value": {"stringValue": value}}
