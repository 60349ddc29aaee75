"""A Zipkin v2 span, whatever it was written in, as the OpenTelemetry Collector reads it.

Two differences, on purpose. The Collector takes a resource's attributes from the first span of a service in a record,
and drops the others'; here each span has its own, so that a record's order and cuts change nothing. And it does not
know its own mark for "no service" again once its JSON exporter has put it in small letters; here it is no service.

Source: https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/v0.155.0/pkg/translator/zipkin
(zipkinv2/to_translator.go) and the OpenTelemetry specification, "OpenTelemetry to Zipkin Transformation".
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, NamedTuple

from flows.decode.batch import ERROR
from flows.decode.rows import PlainSpan
from flows.decode.wanted import SERVICE_NAME

if TYPE_CHECKING:
    from flows.decode.rows import Scalar

KIND_WORDS = {"SERVER": 2, "CLIENT": 3, "PRODUCER": 4, "CONSUMER": 5}
_INTERNAL = 1

_STATUS_WORDS = {
    "STATUS_CODE_OK": 1,
    "STATUS_CODE_ERROR": ERROR,
    "Ok": 1,
    "Error": ERROR,
}

NO_SERVICE = frozenset({"", "OTLPResourceNoServiceName", "otlpresourcenoservicename"})
"""None, and what the Collector writes for a resource without one: in protobuf as it is, in JSON in small letters."""

_SERVICE_SOURCE = "otlp.service.name.source"
"""The tag that names the attribute which stood in for a missing service name."""

_SCOPE_TAGS = ("otel.library.name", "otel.library.version", "otel.scope.name", "otel.scope.version")

_GROUPS = {
    "aws.ecs": "cluster.arn container.arn launchtype task.arn task.family task.revision",
    "aws": "eks.cluster.arn log.group.arns log.group.names log.stream.arns log.stream.names",
    "cloud": "account.id availability_zone platform provider region resource_id",
    "container": "id image.name image.tag name runtime",
    "deployment": "environment",
    "device": "id manufacturer model.identifier model.name",
    "faas": "id instance max_memory name version",
    "host": "arch id image.id image.name image.version name type",
    "k8s": "cluster.name container.name container.restart_count cronjob.name cronjob.uid daemonset.name daemonset.uid "
    "deployment.name deployment.uid job.name job.uid namespace.name node.name node.uid pod.name pod.uid "
    "replicaset.name replicaset.uid statefulset.name statefulset.uid",
    "opencensus": "exporterversion resourcetype starttime",
    "os": "description name type version",
    "process": "command command_args command_line executable.name executable.path owner pid runtime.description "
    "runtime.name runtime.version",
    "service": "instance.id name namespace version",
    "telemetry": "auto.version sdk.language sdk.name sdk.version",
    "webengine": "description name version",
}
RESOURCE_TAGS = frozenset(f"{group}.{name}" for group, names in _GROUPS.items() for name in names.split())
"""Tags that are attributes of the resource, not of the span: OpenTelemetry's conventions, as the Collector has them."""


class Endpoint(NamedTuple):
    """One end of a call; "" and 0 for what is not known."""

    service: str = ""
    ip: str = ""  # in its shortest form; version 6 where both are known
    port: int = 0


class ZipkinSpan(NamedTuple):
    """A span's fields; times in µs, 0 for what is absent."""

    trace_id: int
    span_id: int
    kind: str  # CLIENT, SERVER, PRODUCER, CONSUMER; anything else is none of these
    name: str
    timestamp_us: int
    duration_us: int
    local: Endpoint
    remote: Endpoint
    tags: dict[str, str]  # used up by `plain`


def plain(span: ZipkinSpan) -> PlainSpan:
    """The span as every encoding has it.

    >>> local = Endpoint("shop", "10.0.0.1")
    >>> read = plain(ZipkinSpan(1, 2, "CLIENT", "get", 5, 3, local, Endpoint(), {"error": "", "host.name": "a"}))
    >>> read.kind, read.status, read.end_ns, read.attributes, read.resource["host.name"]
    (3, 2, 8000, {'error': '', 'network.local.address': '10.0.0.1'}, 'a')
    """
    tags = span.tags
    trace_state = tags.pop("w3c.tracestate", "")
    resource = _resource(span.local.service, tags)
    kind = KIND_WORDS.get(span.kind, 0)
    if kind == 0 and tags.pop("span.kind", "") == "internal":
        kind = _INTERNAL
    status = _status(tags)
    for tag in _SCOPE_TAGS:
        tags.pop(tag, None)
    attributes: dict[str, Scalar] = {key: value for key, value in tags.items() if key not in RESOURCE_TAGS}
    attributes.pop(_SERVICE_SOURCE, None)
    _add_endpoint(attributes, span.local, "network.local.address", "net.host.port")
    _add_endpoint(attributes, span.remote, "network.peer.address", "net.peer.port")
    if span.remote.service:
        attributes["service.peer.name"] = span.remote.service
    start = 1000 * span.timestamp_us
    return PlainSpan(
        name=span.name,
        kind=kind,
        status=status,
        start_ns=start,
        end_ns=start + 1000 * span.duration_us,
        trace_id=span.trace_id,
        span_id=span.span_id,
        trace_state=trace_state,
        attributes=attributes,
        scope={},
        resource=resource,
    )


def _status(tags: dict[str, str]) -> int:
    """The status; any `error` tag is one, whatever it says, also "false" and nothing."""
    status = 0
    if "otel.status_code" in tags:
        status = _STATUS_WORDS.get(tags.pop("otel.status_code"), 0)
        tags.pop("otel.status_description", None)
    if "error" in tags:
        status = ERROR
        if tags["error"] == "true":
            del tags["error"]
    return status


def _resource(service: str, tags: dict[str, str]) -> dict[str, Scalar]:
    """The resource's attributes; a span without a service has none at all."""
    if service in NO_SERVICE:
        return {}
    found: dict[str, Scalar] = {tags.get(_SERVICE_SOURCE) or SERVICE_NAME: service}
    found.update({key: value for key, value in tags.items() if key in RESOURCE_TAGS})
    return found


def _add_endpoint(attributes: dict[str, Scalar], endpoint: Endpoint, address: str, port: str) -> None:
    """As the Collector names them by default: addresses by the newer convention, ports by the older."""
    if endpoint.ip:
        attributes[address] = endpoint.ip
    if endpoint.port:
        attributes[port] = endpoint.port


@lru_cache(maxsize=4096)
def shortest_ip(address: str | bytes) -> str:
    """An address in its shortest form, a version 4 one within version 6 as such; "" for what is none.

    >>> shortest_ip("::ffff:10.0.0.1"), shortest_ip(bytes([10, 0, 0, 1])), shortest_ip("2001:db8:0::1")
    ('10.0.0.1', '10.0.0.1', '2001:db8::1')
    """
    try:
        found = ip_address(address)
    except ValueError:
        return ""
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(found)
