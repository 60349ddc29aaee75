"""What Jaeger says by tags, a span's kind and status among them, as the OpenTelemetry Collector reads it.

Two differences, both of tags that nobody makes a label of: of a repeated `otel.scope.name` the Collector drops only the
first, here all go; and it renames a process's `jaeger.version`, here it keeps its name.

Source: https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/v0.155.0/pkg/translator/jaeger
(jaegerproto_to_traces.go) and the OpenTelemetry specification, "OpenTelemetry to Jaeger Transformation".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flows.decode.batch import ERROR, KINDS
from flows.decode.wanted import SERVICE_NAME

if TYPE_CHECKING:
    from flows.decode.rows import Scalar

SPAN_KIND, ERROR_TAG, STATUS_CODE, STATUS_DESCRIPTION = (
    "span.kind",
    "error",
    "otel.status_code",
    "otel.status_description",
)
HTTP_STATUS, TRACE_STATE, SCOPE_NAME, SCOPE_VERSION = (
    "http.status_code",
    "w3c.tracestate",
    "otel.scope.name",
    "otel.scope.version",
)
HOSTNAME, HOST_NAME = "hostname", "host.name"

NO_SERVICE = "OTLPResourceNoServiceName"
"""What the Collector writes for a resource without any attribute: such a process says nothing."""

KIND_WORDS = {name.removeprefix("SPAN_KIND_").lower(): number for number, name in enumerate(KINDS) if number}
STATUS_WORDS = {"OK": 1, "ERROR": ERROR}

SERVER, CLIENT = KIND_WORDS["server"], KIND_WORDS["client"]
LARGEST_NUMBER = (1 << 63) - 1

_NUMBER = re.compile(r"[+-]?[0-9]{1,64}")


def status_of_http(code: int, kind: int) -> int:
    """The status that an HTTP status code alone gives: 4xx is the client's failure, and no server's.

    >>> status_of_http(404, CLIENT), status_of_http(404, SERVER), status_of_http(404, 1), status_of_http(302, SERVER)
    (2, 0, 2, 0)
    """
    if 400 <= code < 500 and kind == SERVER:
        return 0
    # 399 is an error there, so it is one here.
    return 0 if 100 <= code < 399 else ERROR


def _number(value: Scalar) -> int | None:
    """An HTTP status code, as a number or as text."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        number = int(value)
        return number if abs(number) <= LARGEST_NUMBER else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def settle(tags: dict[str, Scalar]) -> tuple[int, int, str]:
    """The kind, status and trace state that a span's tags say; tags that only said so are taken out.

    The `error` tag is the last word if it is true (a bool, not text), then `otel.status_code`, then `http.status_code`.

    Args:
        tags: A span's tags; of a key that repeats, the last.

    >>> tags = {"span.kind": "client", "http.status_code": 404, "peer": "db"}
    >>> settle(tags), tags
    ((3, 2, ''), {'http.status_code': 404, 'peer': 'db'})
    """
    if SCOPE_NAME in tags:
        del tags[SCOPE_NAME]
        tags.pop(SCOPE_VERSION, None)
    word = tags.pop(SPAN_KIND, "")
    kind = KIND_WORDS.get(word, 0) if isinstance(word, str) else 0
    status = 0
    if tags.get(ERROR_TAG) is True:
        status = ERROR
        del tags[ERROR_TAG]
        tags.pop(STATUS_DESCRIPTION, None)
        tags.pop(STATUS_CODE, None)
    elif STATUS_CODE in tags:
        code = tags.pop(STATUS_CODE)
        status = STATUS_WORDS.get(code.upper(), 0) if isinstance(code, str) else 0
        tags.pop(STATUS_DESCRIPTION, None)
    else:
        number = _number(tags.get(HTTP_STATUS))
        status = 0 if number is None else status_of_http(number, kind)
    state = tags.pop(TRACE_STATE, "")
    return kind, status, state if isinstance(state, str) else ""


def resource_of(service: str, tags: dict[str, Scalar]) -> dict[str, Scalar]:
    """The attributes of a process: its name unless a tag says another, and its tags.

    >>> resource_of("shop", {"hostname": "a"})
    {'service.name': 'shop', 'host.name': 'a'}
    """
    if service == NO_SERVICE:
        return {}
    attributes = {SERVICE_NAME: service, **tags} if service else dict(tags)
    if HOSTNAME in attributes and HOST_NAME not in attributes:
        attributes[HOST_NAME] = attributes.pop(HOSTNAME)
    return attributes
