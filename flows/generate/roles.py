"""The templates of each role a span can have: served, called, asked of a dependency, processed, done inside.

Attribute names are those of OpenTelemetry's semantic conventions 1.37. As they want it, a server span that answers 4xx
has no error status, one that answers 5xx has, and a client span has for both.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flows.generate.catalogue import Drawn, Outcomes, Pairs, split_attributes
from flows.generate.templates import (
    CLIENT,
    CONSUMER,
    ERROR,
    INTERNAL,
    PRODUCER,
    SERVER,
    UNSET,
    SpanTemplate,
    Thrown,
    Variable,
)

if TYPE_CHECKING:
    from flows.generate.platform import Dependency, DependencyOperation, Operation
    from flows.generate.scenario import Entry

TENANT = Drawn(Variable("tenant.id", is_text=True), None)


def work(service: str, operation: Operation, entry: Entry | None, tenants: bool) -> tuple[Outcomes, tuple[Drawn, ...]]:
    """The span of a service's operation; `entry` where it is a trace's root."""
    kind = CONSUMER if operation.consumes else INTERNAL if operation.internal else SERVER
    fixed, drawn = split_attributes(operation.attributes)
    if tenants and kind != INTERNAL:
        drawn = (TENANT, *drawn)
    base = _template(service, operation.span_name, kind, (*_of_operation(operation, served=True), *fixed), drawn)
    base = replace(base, is_root=entry is not None)
    thrown = Thrown(operation.error, f"{operation.error} in {service}")
    failed = replace(base, status=ERROR, attributes=(*base.attributes, ("error.type", operation.error)), thrown=thrown)
    outcomes = (_answered(base, operation, 200), _answered(failed, operation, 500))
    if entry is None or operation.http is None:
        return outcomes, drawn
    return (*outcomes, _answered(base, operation, entry.status)), drawn


def call(client: str, service: str, operation: Operation) -> tuple[Outcomes, Outcomes]:
    """The span of calling a service's operation, and that of an attempt which found nobody."""
    address = (("server.address", f"{service}.platform.internal"), ("server.port", 8080))
    attributes = (*_of_operation(operation, served=False), *address)
    base = _template(client, operation.span_name, CLIENT, attributes)
    failed = _failing(base, "500" if operation.http else "INTERNAL", "")
    lost = _failing(base, "timeout", "no answer from the other side")
    return (_answered(base, operation, 200), _answered(failed, operation, 500)), (lost, lost)


def dependency(service: str, owner: Dependency, operation: DependencyOperation) -> tuple[Outcomes, tuple[Drawn, ...]]:
    """The span of asking a dependency."""
    fixed, drawn = split_attributes({**owner.attributes, **operation.attributes})
    kind = PRODUCER if owner.kind == "producer" else CLIENT
    base = _template(service, operation.name, kind, fixed, drawn)
    return (base, _failing(base, operation.error, f"{operation.name}: {operation.error}")), drawn


def _template(service: str, name: str, kind: int, attributes: Pairs, drawn: tuple[Drawn, ...] = ()) -> SpanTemplate:
    return SpanTemplate(service, name, kind, UNSET, attributes, tuple(item.variable for item in drawn))


def _failing(base: SpanTemplate, error: str, message: str) -> SpanTemplate:
    return replace(base, status=ERROR, attributes=(*base.attributes, ("error.type", error)), message=message)


def _of_operation(operation: Operation, *, served: bool) -> Pairs:
    """What the kind of operation says, before any answer."""
    if operation.http is not None:
        method, route = operation.http.split(" ", 1)
        path = (("url.path", operation.path),) if operation.path else ()
        routed = (("http.route", route), ("url.scheme", "https")) if served else (("url.template", route),)
        return (("http.request.method", method), *routed, *path)
    if operation.rpc is not None:
        return (("rpc.system.name", "grpc"), ("rpc.method", operation.rpc))
    if operation.consumes is not None:
        topic = ("messaging.destination.name", operation.consumes)
        return (("messaging.system", "kafka"), topic, ("messaging.operation.type", "process"))
    return ()


def _answered(template: SpanTemplate, operation: Operation, status: int) -> SpanTemplate:
    """The template with the answer's status code, where the protocol has one."""
    if operation.http is not None:
        answer: Pairs = (("http.response.status_code", status),)
    elif operation.rpc is not None:
        answer = (("rpc.response.status_code", "OK" if status < 500 else "INTERNAL"),)
    else:
        return template
    return replace(template, attributes=(*template.attributes, *answer))
