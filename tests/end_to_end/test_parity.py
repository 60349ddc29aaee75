"""Parity: the Collector's span_metrics and streamgauge read one topic and say the same, to the last count.

Both run with what makes them comparable: templates and weights off here, nothing expires there. What differs in names,
labels and writing is asserted too, and is the table of docs/comparison.md.
"""

from __future__ import annotations

import time
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from flows.generate.generator import generate
from flows.generate.scenario import Scenario
from tests.chaos.gauge import Gauge, Page, Series, eventually, read_page
from tests.end_to_end.test_recordings import frames
from tests.servers.collector import Collector
from tests.servers.server import free_ports
from tests.servers.span_metrics import RIGHT, span_metrics

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.servers.kafka import Broker

pytestmark = pytest.mark.slow

PARTITIONS = 2
CALLS = "traces_span_metrics_calls_total"
DURATION = "traces_span_metrics_duration_milliseconds"
FLUSH = "flush"
"""The service of the last spans, which close the panes of all others; its own stay open and are not compared."""

TELLS_ONLY_THE_COLLECTOR = {
    "job",
    "collector_instance_id",
    "otel_scope_name",
    "otel_scope_schema_url",
    "otel_scope_version",
}
WITHIN_SECONDS = 120.0

AS_THEY_ARE = {
    "templates": {"enabled": False},
    "sampling": {"weighted": False},
    "time": {"series_expiry": "23h"},
    "limits": {"series_per_service": 100_000},
}


class Input(NamedTuple):
    """Requests in the order in which they are produced, and how many spans they have."""

    requests: list[bytes]
    ends_ms: list[int]  # the largest span end of each, its record's timestamp
    services: Counter[str]

    @classmethod
    def of(cls, requests: Iterable[bytes]) -> Input:
        kept, ends, services = [], [], Counter[str]()
        for data in requests:
            request = ExportTraceServiceRequest.FromString(data)
            spans = [span for r in request.resource_spans for s in r.scope_spans for span in s.spans]
            if not spans:
                continue
            for of_resource in request.resource_spans:
                names = [a.value.string_value for a in of_resource.resource.attributes if a.key == "service.name"]
                services[names[0]] += sum(len(s.spans) for s in of_resource.scope_spans)
            kept.append(data)
            ends.append(-(-max(span.end_time_unix_nano for span in spans) // 1_000_000))
        return cls(kept, ends, services)

    @property
    def n_spans(self) -> int:
        return sum(self.services.values())


def flush(at_ms: int) -> bytes:
    """One span that ends then."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = FLUSH
    end_ns = at_ms * 1_000_000
    resource.scope_spans.add().spans.add(name=FLUSH, start_time_unix_nano=end_ns - 1, end_time_unix_nano=end_ns)
    return request.SerializeToString()


def produce(broker: Broker, topic: str, of: Input) -> None:
    """All requests over the partitions, and a last one in each that is younger by minutes."""
    last = max(of.ends_ms) + 300_000
    for number in range(PARTITIONS):
        requests = [*of.requests[number::PARTITIONS], flush(last)]
        broker.produce(topic, number, requests, [*of.ends_ms[number::PARTITIONS], last], compression="lz4")


def read(text: str) -> Page:
    """Calls and durations of a page, `le` as a number's shortest text, without what only the Collector has."""
    found: Page = {}
    for (name, labels), value in read_page(text).items():
        kept = {key: value for key, value in labels if key not in TELLS_ONLY_THE_COLLECTOR}
        if name.startswith((CALLS, DURATION)) and kept["service_name"] != FLUSH:
            if "le" in kept:
                kept["le"] = f"{float(kept['le']):g}"
            key = Series(name, frozenset(kept.items()))
            assert key not in found, f"{key} stands there twice"
            found[key] = value
    return found


def calls(page: Page) -> float:
    return sum(value for key, value in page.items() if key.name == CALLS)


def shown_by_streamgauge(folder: Path, broker: Broker, topic: str, n_spans: int) -> str:
    """Its page when all is shown."""
    with Gauge(folder, broker.bootstrap, [topic], settings=AS_THEY_ARE) as gauge:

        def is_complete() -> bool:
            page = gauge.page() or {}
            return sum(value for key, value in page.items() if _is_compared(key)) >= n_spans

        eventually(is_complete, lambda: f"{n_spans} calls; its log: {gauge.log[-3000:]}", WITHIN_SECONDS)
        text = gauge.get("/metrics").text
        assert gauge.stop() == 0
    return text


def _is_compared(key: Series) -> bool:
    return key.name == CALLS and ("service_name", FLUSH) not in key.labels


def shown_by_the_collector(folder: Path, broker: Broker, topic: str, n_spans: int, *, right: bool = True) -> str:
    """Its page when all is shown; with its defaults, when its page stays as it is for some seconds."""
    (port,) = free_ports(1)
    connector = {"metrics_flush_interval": "1s", **(RIGHT if right else {})}
    with Collector(folder, span_metrics(broker.bootstrap, topic, port, connector)):
        until, seen, same = time.monotonic() + WITHIN_SECONDS, -1.0, 0
        while True:
            assert time.monotonic() < until, f"{seen} calls of {n_spans}"
            time.sleep(1.0)
            text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
            now = calls(read(text)) if text.strip() else -1.0
            same = same + 1 if now == seen > 0 else 0
            seen = now
            if now >= n_spans or (not right and same >= 5):
                return text


def compare(ours: Page, theirs: Page, n_spans: int) -> None:
    """Every sample of one is in the other, counts equal, sums to what adding floats allows."""
    assert set(ours) == set(theirs)
    assert calls(ours) == n_spans
    for key, value in theirs.items():
        if key.name.endswith("_sum"):
            # They add n floats one after the other: an error of n units in the last place at most.
            n = theirs[Series(key.name.removesuffix("_sum") + "_count", key.labels)]
            assert ours[key] == pytest.approx(value, rel=max(n, 4) * 2.3e-16, abs=1e-12), key
        else:
            assert ours[key] == value, key


@pytest.mark.parametrize("name", ["train-ticket-2023-01-30", "online-boutique-2022-08-22"])
def test_a_recording_gives_what_the_collector_counts(
    name: str, recorded_data: Path, broker: Broker, collector_binary: Path, tmp_path: Path
) -> None:
    of = Input.of(frames(recorded_data / name / "traces.pb.zst"))
    topic = broker.create_topic(f"parity-{name}", PARTITIONS)
    produce(broker, topic, of)
    ours = read(shown_by_streamgauge(tmp_path / "ours", broker, topic, of.n_spans))
    theirs = read(shown_by_the_collector(tmp_path / "theirs", broker, topic, of.n_spans))
    compare(ours, theirs, of.n_spans)


@pytest.fixture(scope="module")
def two_pods(repository: Path) -> Input:
    """A minute of the demo, whose services have two pods and more; without their ids, as many deployments have it."""
    scenario = Scenario.load(repository / "datasets" / "demo.yaml")
    requests = []
    for record in generate(scenario, rate=200, duration=timedelta(minutes=1)):
        request = ExportTraceServiceRequest.FromString(record.request)
        for of_resource in request.resource_spans:
            attributes = of_resource.resource.attributes
            kept = [each for each in attributes if each.key != "service.instance.id"]
            del attributes[:]
            attributes.extend(kept)
        requests.append(request.SerializeToString())
    return Input.of(requests)


def test_two_pods_of_a_service_are_added_up_where_the_collector_must_be_told_to(
    two_pods: Input, broker: Broker, collector_binary: Path, tmp_path: Path
) -> None:
    """By default its page has one pod's count in place of all."""
    topic = broker.create_topic("parity-two-pods", PARTITIONS)
    produce(broker, topic, two_pods)
    text = shown_by_streamgauge(tmp_path / "ours", broker, topic, two_pods.n_spans)
    told = shown_by_the_collector(tmp_path / "told", broker, topic, two_pods.n_spans)
    ours = read(text)
    compare(ours, read(told), two_pods.n_spans)

    by_default = read(shown_by_the_collector(tmp_path / "default", broker, topic, two_pods.n_spans, right=False))
    assert set(by_default) == set(ours)
    assert calls(by_default) < 0.8 * two_pods.n_spans
    assert all(by_default[key] <= value for key, value in ours.items() if key.name == CALLS)

    # What is written otherwise, as docs/comparison.md says.
    def labels(page: str) -> set[str]:
        return {key for found in read_page(page) if found.name.startswith("traces_") for key, _ in found.labels}

    assert labels(told) - labels(text) == TELLS_ONLY_THE_COLLECTOR
    assert labels(text) == {"service_name", "span_name", "span_kind", "status_code", "le"}
    assert 'le="2"' in told
    assert 'le="2.0"' in text
    assert {found.name for found in read_page(told)} <= {found.name for found in read_page(text)}
