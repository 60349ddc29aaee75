"""What stands in the records: every compression, several encodings, nothing at all, what cannot be unpacked."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Producer
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from flows.run.dead_letters import read
from tests.chaos.gauge import Gauge, eventually, series
from tests.flows.kafka.small import dead, feed, kill_workers, lag, lost, stamp_ms, value, wait_records

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers.kafka import Broker

pytestmark = pytest.mark.slow

COMPRESSIONS = ("none", "gzip", "snappy", "lz4", "zstd")


def as_json(request: bytes) -> bytes:
    """A request in OTLP's JSON: ids in hex, enums as numbers."""
    message = ExportTraceServiceRequest.FromString(request)
    plain: dict[str, Any] = MessageToDict(message, use_integers_for_enums=True)
    for resource in plain["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                for key in ("traceId", "spanId"):
                    span[key] = base64.b64decode(span[key]).hex()
    return json.dumps(plain).encode()


def test_every_compression_and_two_encodings_at_once(broker: Broker, tmp_path: Path) -> None:
    proto = broker.create_topic("in-proto", len(COMPRESSIONS))
    plain = broker.create_topic("in-json", len(COMPRESSIONS))
    for number, compression in enumerate(COMPRESSIONS):
        feed(broker, proto, number, range(20), spans=3, service=f"proto-{compression}", compression=compression)
        values = [as_json(value(second, 2, f"json-{compression}")) for second in range(20)]
        broker.produce(plain, number, values, [stamp_ms(second) for second in range(20)], compression=compression)
        for topic in (proto, plain):
            feed(broker, topic, number, [90])
    # In the topic of JSON that last record is none, and there are records without a value in both.
    for topic, count in ((proto, 3), (plain, 4)):
        broker.produce(topic, 0, [None] * count, [stamp_ms(91)] * count)
    for number in range(len(COMPRESSIONS)):
        broker.produce(plain, number, [as_json(value(92))], [stamp_ms(92)])
    topics = [
        {"name": proto, "signal": "spans", "encoding": "otlp_proto"},
        {"name": plain, "signal": "spans", "encoding": "otlp_json"},
    ]
    with Gauge(tmp_path, broker.bootstrap, topics) as gauge:
        wait_records(gauge, proto, 5 * 21)
        wait_records(gauge, plain, 5 * 22)

        def calls() -> dict[str, float]:
            page = gauge.page() or {}
            return {
                dict(key.labels)["service_name"]: count
                for key, count in page.items()
                if key.name == "traces_span_metrics_calls_total" and dict(key.labels)["service_name"] != "web"
            }

        wanted = {f"proto-{each}": 60.0 for each in COMPRESSIONS} | {f"json-{each}": 40.0 for each in COMPRESSIONS}
        eventually(lambda: calls() == wanted, lambda: f"{wanted} are counted, not {calls()}")
        page = gauge.page() or {}
        assert dead(page, "null_value") == 7
        assert sum(count for key, count in page.items() if key.name == "streamgauge_dead_letters_total") == 7 + 5
        assert page[series("streamgauge_spans_total", source=proto)] == 5 * 61
        assert page[series("streamgauge_spans_total", source=plain)] == 5 * 41
        assert gauge.stop() == 0
        letters = list(read(gauge.state / "dead_letters.jsonl"))
        assert sum(letter.reason == "null_value" for letter in letters) == 7


def one_batch(broker: Broker, topic: str, values: list[bytes], compression: str) -> None:
    """Produce records that the client puts into one batch."""
    producer = Producer(
        {
            **broker.client_properties,
            "compression.type": compression,
            "linger.ms": 500,
            "batch.size": 60 << 20,
            "message.max.bytes": 60 << 20,
            "enable.idempotence": True,
        }
    )
    for number, each in enumerate(values):
        producer.produce(topic, each, partition=0, timestamp=stamp_ms(number))
    assert producer.flush(20) == 0


def test_a_batch_that_unpacks_to_more_than_is_allowed_is_passed(broker: Broker, tmp_path: Path) -> None:
    topic = broker.create_topic("bomb", 2)
    feed(broker, topic, 0, range(10))
    one_batch(broker, topic, [bytes(1 << 20)] * 20, "zstd")
    feed(broker, topic, 0, range(10, 15))
    feed(broker, topic, 1, range(15))
    small = {"message.max.bytes": 1_000_000, "fetch.max.bytes": 1_000_000, "receive.message.max.bytes": 1_100_000}
    with Gauge(tmp_path, broker.bootstrap, [topic], settings={"kafka": {"properties": small}}) as gauge:
        page = wait_records(gauge, topic, 30, 50.0)
        assert dead(page, "corrupt_batch") == 20
        assert lost(page, topic, 0) == 0
        assert "a batch cannot be unpacked" in gauge.log
        gauge.wait_ready()
        assert gauge.stop() == 0
        where = [(each.source, each.partition, each.offset) for each in read(gauge.state / "dead_letters.jsonl")]
        assert where == [(topic, 0, offset) for offset in range(10, 30)]
        # The batch is behind: nothing of it comes again.
        gauge.start().wait_ready()
        assert dead(wait_records(gauge, topic, 30), "corrupt_batch") == 20


@pytest.mark.parametrize("last", [False, True])
def test_a_batch_whose_bytes_have_rotted_is_passed(
    broker_factory: Callable[..., Broker], tmp_path: Path, *, last: bool
) -> None:
    own = broker_factory()
    topic = own.create_topic("rotten", 1)
    feed(own, topic, 0, range(10), compression="none")
    marked = [b"\x0a\xff rotten " + bytes([65 + number]) * 2000 for number in range(8)]
    one_batch(own, topic, marked, "lz4")
    if not last:
        feed(own, topic, 0, range(10, 20), compression="none")
    own.stop()
    (segment,) = (own.folder / "data" / f"{topic}-0").glob("*.log")
    content = bytearray(segment.read_bytes())
    at = content.index(b"\x04\x22\x4d\x18")  # where a frame of LZ4 begins
    content[at + 20 : at + 60] = b"\xff" * 40
    segment.write_bytes(content)
    own.start()
    with Gauge(tmp_path, own.bootstrap, [topic]) as gauge:
        page = wait_records(gauge, topic, 10 if last else 20)
        if last:
            page = gauge.wait_for_page(lambda page: dead(page, "corrupt_batch") > 0, "the batch is passed")
        assert dead(page, "corrupt_batch") == 8
        eventually(lambda: lag(gauge.page() or {}, topic, 0) == 0, "there is no lag")
        kill_workers(gauge)
        assert dead(gauge.page() or {}, "corrupt_batch") == 8
