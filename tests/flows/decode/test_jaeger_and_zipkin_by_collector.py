"""Every encoding against the real Collector: what it writes to Kafka we read, and what we read it reads as we do."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest
from google.protobuf.json_format import MessageToJson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from flows.decode.batch import UNKNOWN_SERVICE, Dimension, SpanBatch, Wanted
from flows.decode.encodings import ENCODINGS, decoder
from flows.decode.otlp_json import OtlpJson
from flows.records import Records
from tests.flows.decode import test_jaeger, test_zipkin
from tests.servers.collector import Collector
from tests.servers.server import free_ports, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.kafka import Broker

pytestmark = pytest.mark.slow

DIMENSIONS = (Dimension("pod", (Wanted("k8s.pod.name"),)), Dimension("route", (Wanted("http.route"),)))
CRAFTED = 500
FOREIGN = ("jaeger_proto", "jaeger_json", "zipkin_json", "zipkin_proto")


class Seen(NamedTuple):
    service: str
    name: str
    kind: int
    status: int
    duration_ns: int
    end_ns: int
    weight: int
    dimensions: tuple[str, ...]


def seen(batch: SpanBatch) -> list[Seen]:
    found = []
    for i in range(len(batch)):
        service, name, kind, status, dimensions = batch.identity(i)
        times = int(batch.duration_ns[i]), int(batch.end_ns[i]), int(batch.weight[i])
        found.append(Seen(service, name, kind, status, *times, dimensions))
    return found


class Between(NamedTuple):
    """A Collector between an OTLP port, the broker's topics and files."""

    url: str  # where it takes OTLP, each request to one topic an encoding
    broker: Broker
    outgoing: dict[str, str]  # encoding -> topic that it writes
    incoming: dict[str, str]  # encoding -> topic that it reads
    files: dict[str, Path]  # encoding -> what it makes of that

    def send(self, request: ExportTraceServiceRequest) -> None:
        """Returns when its records are in the broker: the exporters do not queue."""
        data, kind = request.SerializeToString(), {"Content-Type": "application/x-protobuf"}
        httpx.post(self.url, content=data, headers=kind, timeout=30).raise_for_status()


@pytest.fixture
def collector(
    collector_binary: Path, broker: Broker, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Between]:
    """Topics of the test's own, and a Collector that writes and reads them."""
    (port,) = free_ports(1)
    between = Between(
        f"http://127.0.0.1:{port}/v1/traces",
        broker,
        {e: broker.create_topic(f"{request.node.name}_out_{e}", 1) for e in ENCODINGS},
        {e: broker.create_topic(f"{request.node.name}_in_{e}", 1) for e in FOREIGN},
        {e: tmp_path / f"{e}.json" for e in FOREIGN},
    )
    receivers: dict[str, Any] = {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}}
    exporters: dict[str, Any] = {}
    for e, topic in between.outgoing.items():
        exporters[f"kafka/{e}"] = {
            "brokers": [broker.bootstrap],
            "sending_queue": {"enabled": False},
            "traces": {"topic": topic, "encoding": e},
        }
    pipelines = {"traces": {"receivers": ["otlp"], "exporters": list(exporters)}}
    for e, topic in between.incoming.items():
        exporters[f"file/{e}"] = {"path": str(between.files[e]), "flush_interval": "100ms"}
        receivers[f"kafka/{e}"] = {
            "brokers": [broker.bootstrap],
            "group_id": topic,
            "initial_offset": "earliest",
            "traces": {"topics": [topic], "encoding": e},
        }
        pipelines[f"traces/{e}"] = {"receivers": [f"kafka/{e}"], "exporters": [f"file/{e}"]}
    config = {"receivers": receivers, "exporters": exporters, "service": {"pipelines": pipelines}}
    with Collector(tmp_path / "collector", config):
        yield between


def generated(seed: int) -> tuple[ExportTraceServiceRequest, list[Seen]]:
    """A request of some hundred spans, and what they are."""
    rng = random.Random(seed)
    request, expected = ExportTraceServiceRequest(), []
    for service in ("Checkout", "payment", "pläne", None):
        of_resource = request.resource_spans.add()
        attributes = of_resource.resource.attributes
        if service is not None:
            attributes.add(key="service.name").value.string_value = service
        attributes.add(key="k8s.pod.name").value.string_value = f"{service}-7"
        of_scope = of_resource.scope_spans.add()
        of_scope.scope.name = "some.library"
        for _ in range(100):
            name, kind, status = rng.choice(["GET /cart", "charge", "λ"]), rng.randint(0, 5), rng.randint(0, 2)
            start, duration = 1_700_000_000_000_000_000 + rng.randrange(10**12), rng.choice([0, 7, 999_500, 1_234_567])
            span = of_scope.spans.add(trace_id=rng.randbytes(16), span_id=rng.randbytes(8), name=name, kind=kind)
            span.start_time_unix_nano, span.end_time_unix_nano = start, start + duration
            span.status.code = status
            span.attributes.add(key="http.route").value.string_value = "/cart"
            weight = 1 << 20
            if rng.random() < 0.2:
                span.trace_state, weight = "ot=th:8", 2 << 20
            pod = f"{service}-7"
            expected.append(
                Seen(service or UNKNOWN_SERVICE, name, kind, status, duration, start + duration, weight, (pod, "/cart"))
            )
    return request, expected


def as_zipkin(span: Seen, encoding: str) -> Seen:
    """What the Collector's Zipkin exporter leaves of a span.

    Times are in µs: the start is rounded; the duration is rounded in JSON (below 1 µs up) and cut in protobuf. JSON has
    names in small letters. Without a service there is no resource, so its attributes are gone.
    """
    micros = span.duration_ns // 1000
    if encoding == "zipkin_json":
        micros = (span.duration_ns + 500) // 1000 if span.duration_ns >= 1000 else int(span.duration_ns > 0)
        lower = span.service if span.service == UNKNOWN_SERVICE else span.service.lower()
        span = span._replace(service=lower, name=span.name.lower())
    if span.service == UNKNOWN_SERVICE:
        span = span._replace(dimensions=("", *span.dimensions[1:]))
    start = (span.end_ns - span.duration_ns + 500) // 1000
    # The exact duration has been used up; the end follows from what is left of both.
    return span._replace(duration_ns=1000 * micros, end_ns=1000 * (start + micros))


def test_what_the_collector_writes_is_the_same_spans_in_every_encoding(collector: Between) -> None:
    request, expected = generated(1)
    collector.send(request)
    for encoding in ENCODINGS:
        values = [message.value() for message in collector.broker.read(collector.outgoing[encoding])[0]]
        batch = decoder(encoding, DIMENSIONS).decode(Records.of(values))
        left = [as_zipkin(span, encoding) for span in expected] if encoding.startswith("zipkin") else expected
        assert Counter(seen(batch)) == Counter(left), encoding
        assert not batch.dead
        assert len(values) == (400 if encoding.startswith("jaeger") else 1)


def test_we_read_hand_made_records_as_the_collector_does(collector: Between) -> None:
    """Tags of all kinds and in all combinations; what the Collector made of them is read from its file."""
    jaeger = [
        message
        for message in test_jaeger.generated(CRAFTED, 11)
        # Of a repeated scope name or version the Collector drops only the first.
        if max(Counter(tag.key for tag in message.tags if tag.key.startswith("otel.scope")).values(), default=0) < 2
    ]
    zipkin = test_zipkin.generated(CRAFTED, 12)
    for message in zipkin:
        del message.spans[1:]  # of several spans the Collector gives all the resource of the first
    crafted = {
        "jaeger_proto": [message.SerializeToString() for message in jaeger],
        "jaeger_json": [MessageToJson(message).encode() for message in jaeger],
        "zipkin_proto": [message.SerializeToString() for message in zipkin],
        "zipkin_json": [json.dumps([test_zipkin.as_json(message.spans[0])]).encode() for message in zipkin],
    }
    for encoding, values in crafted.items():
        collector.broker.produce(collector.incoming[encoding], 0, values)
    for encoding, values in crafted.items():
        dimensions = (test_jaeger if encoding.startswith("jaeger") else test_zipkin).DIMENSIONS
        path = collector.files[encoding]

        def theirs(path: Path = path, dimensions: tuple[Dimension, ...] = dimensions) -> SpanBatch:
            lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
            return OtlpJson(dimensions).decode(Records.of([line for line in lines if line.endswith(b"\n")]))

        wait_until(
            lambda theirs=theirs, values=values: len(theirs()) >= len(values), f"the Collector has read {encoding}"
        )
        ours = decoder(encoding, dimensions).decode(Records.of(values))
        assert not ours.dead
        assert len(ours) > CRAFTED // 2
        assert len({span.status for span in seen(ours)}) == 3
        assert Counter(seen(ours)) == Counter(seen(theirs())), encoding
