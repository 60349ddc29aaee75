"""How fast are bytes turned into columns, against protobuf's own parser in the same run?

Every row is a function over the same records that answers how many spans it saw. To add one, write the function and put
it into `CONTESTANTS`; the first of them is what the others are compared with.
"""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING, NamedTuple

import zstandard
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from report import cpu_seconds, publish, recorded_data

from flows.decode.batch import Dimension, Level, Wanted
from flows.decode.otlp_proto import OtlpProto
from flows.records import Records

if TYPE_CHECKING:
    from collections.abc import Callable

OPERATIONS = 1_000
SPANS_PER_REQUEST = 100
REQUESTS = 200
RECORDED_REQUESTS = 250

DIMENSIONS = (
    Dimension("http.method", (Wanted("http.request.method"), Wanted("http.method"))),
    Dimension("http.status", (Wanted("http.response.status_code", (Level.SPAN,)), Wanted("http.status_code"))),
    Dimension("deployment.environment", (Wanted("deployment.environment", (Level.RESOURCE,)),)),
)


class Input(NamedTuple):
    """Records, and the dimensions that are looked for in them."""

    label: str
    requests: list[bytes]
    dimensions: tuple[Dimension, ...]


def generated_request(rng: random.Random) -> bytes:
    """A request of 100 spans with 10 attributes, some 400 bytes each, as HTTP servers' instrumentation writes them."""
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    service = rng.randrange(10)
    resource = {
        "service.name": f"service-{service}",
        "service.version": "1.4.2",
        "deployment.environment": "production",
    }
    for key, text in resource.items():
        resource_spans.resource.attributes.add(key=key).value.string_value = text
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = "io.opentelemetry.http"
    for _ in range(SPANS_PER_REQUEST):
        operation = rng.randrange(OPERATIONS // 10)
        start = 1_700_000_000_000_000_000 + rng.randrange(60_000_000_000)
        span = scope_spans.spans.add(
            trace_id=rng.randbytes(16),
            span_id=rng.randbytes(8),
            parent_span_id=rng.randbytes(8),
            name=f"GET /api/v1/op{operation:03d}",
            kind=2,
            start_time_unix_nano=start,
            end_time_unix_nano=start + rng.randrange(200_000_000),
        )
        texts = {
            "http.request.method": "GET",
            "url.scheme": "https",
            "url.path": f"/api/v1/op{operation:03d}/{rng.randrange(10**6):06d}",
            "server.address": "shop.example.org",
            "network.protocol.version": "1.1",
            "user_agent.original": "Mozilla/5.0 (X11; Linux)",
            "http.route": f"/api/v1/op{operation:03d}/:id",
            "thread.name": f"worker-{rng.randrange(8)}",
        }
        for key, text in texts.items():
            span.attributes.add(key=key).value.string_value = text
        span.attributes.add(key="http.response.status_code").value.int_value = rng.choice((200, 200, 200, 404, 500))
        span.attributes.add(key="network.peer.port").value.int_value = 40_000 + rng.randrange(10_000)
        span.status.code = 0
    return request.SerializeToString()


def generated() -> Input:
    """The generated requests, the same in every run."""
    rng = random.Random(3)
    return Input("generated, 10 attributes", [generated_request(rng) for _ in range(REQUESTS)], DIMENSIONS)


def recorded() -> Input | None:
    """The first requests of the recorded Online Boutique, None where the data is absent."""
    path = recorded_data() / "online-boutique-2022-08-22" / "traces.pb.zst"
    if not path.exists():
        return None
    requests = []
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
        while len(requests) < RECORDED_REQUESTS and (size := stream.read(4)):
            requests.append(stream.read(struct.unpack(">I", size)[0]))
    return Input("recorded Online Boutique", requests, ())


def parse_only(source: Input) -> Callable[[], int]:
    """Protobuf's parser (upb, in C): messages, nothing of them looked at."""

    def work() -> int:
        return sum(len(ExportTraceServiceRequest.FromString(request).resource_spans) for request in source.requests)

    return work


def parse_and_touch(source: Input) -> Callable[[], int]:
    """Protobuf's parser, and the fields of each span that our columns hold, read in Python."""
    wanted = {place.attribute for dimension in source.dimensions for place in dimension.places}

    def work() -> int:
        spans = 0
        for request in source.requests:
            for resource_spans in ExportTraceServiceRequest.FromString(request).resource_spans:
                [a.value.string_value for a in resource_spans.resource.attributes if a.key == "service.name"]
                for scope_spans in resource_spans.scope_spans:
                    for span in scope_spans.spans:
                        _ = (span.name, span.kind, span.status.code, span.trace_id, span.span_id, span.trace_state)
                        _ = (span.end_time_unix_nano, span.end_time_unix_nano - span.start_time_unix_nano)
                        _ = wanted and [a.value.WhichOneof("value") for a in span.attributes if a.key in wanted]
                        spans += 1
        return spans

    return work


def decode_proto(source: Input) -> Callable[[], int]:
    """Our kernel, otlp_proto."""
    decoder, records = OtlpProto(source.dimensions), Records.of(source.requests)
    return lambda: len(decoder.decode(records))


def decode_proto_without_dimensions(source: Input) -> Callable[[], int]:
    """Our kernel, when attributes are not asked for."""
    return decode_proto(source._replace(dimensions=()))


CONTESTANTS: dict[str, Callable[[Input], Callable[[], int]]] = {
    "protobuf (upb), parse and touch the same fields": parse_and_touch,
    "protobuf (upb), parse only": parse_only,
    "otlp_proto": decode_proto,
    "otlp_proto, no dimensions": decode_proto_without_dimensions,
}


def main() -> None:
    """Measure every contestant on every input."""
    rows: list[dict[str, object]] = []
    for source in filter(None, (generated(), recorded())):
        spans = len(OtlpProto().decode(Records.of(source.requests)))
        size = sum(map(len, source.requests))
        first = 0.0
        for name, contestant in CONTESTANTS.items():
            if name.endswith("no dimensions") and not source.dimensions:
                continue
            seconds = cpu_seconds(contestant(source), repeats=3)
            first = first or seconds
            rows.append(
                {
                    "input": source.label,
                    "bytes a span": round(size / spans),
                    "decoder": name,
                    "ns a span": seconds / spans * 1e9,
                    "M spans/s": spans / seconds / 1e6,
                    "MB/s": size / seconds / 1e6,
                    "times the first": first / seconds,
                }
            )
    publish("speed_decode", "How fast are bytes turned into columns, on one core?", rows, "CPU time, best of 3.")


if __name__ == "__main__":
    main()
