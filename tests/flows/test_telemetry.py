"""The process's own telemetry, against a real HTTP listener that decodes what OTLP says."""

from __future__ import annotations

import gzip
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic, sleep
from typing import TYPE_CHECKING

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from flows import log
from flows.config import parse
from flows.config.live import TelemetrySettings
from flows.telemetry import OFF, Counts, Telemetry, cpu_seconds, open_files, resident_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.proto.common.v1.common_pb2 import KeyValue
    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
    from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Receiver:
    """An OTLP receiver over HTTP that keeps what it got."""

    def __init__(self) -> None:
        self.traces: list[ExportTraceServiceRequest] = []
        self.metrics: list[ExportMetricsServiceRequest] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
                if self.path == "/base/v1/traces":
                    receiver.traces.append(ExportTraceServiceRequest.FromString(body))
                elif self.path == "/base/v1/metrics":
                    receiver.metrics.append(ExportMetricsServiceRequest.FromString(body))
                else:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}/base"

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def spans(self) -> dict[str, Span]:
        return {
            span.name: span
            for request in self.traces
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        }

    def latest_metrics(self) -> dict[str, Metric]:
        return {
            metric.name: metric
            for resource in self.metrics[-1].resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver, ended afterwards."""
    receiver = Receiver()
    yield receiver
    receiver.stop()


def plain(attributes: Iterator[KeyValue]) -> dict[str, object]:
    return {each.key: getattr(each.value, str(each.value.WhichOneof("value"))) for each in attributes}


def test_spans_arrive_with_names_attributes_parents_and_who_sent_them(receiver: Receiver) -> None:
    telemetry = Telemetry.start(TelemetrySettings(otlp_endpoint=receiver.endpoint), "worker-1")
    assert telemetry.on
    with telemetry.span("epoch", number=7), telemetry.span("snapshot", shards=64, last=True):
        sleep(0.01)
    telemetry.stop()
    spans = receiver.spans()
    assert set(spans) == {"epoch", "snapshot"}
    assert plain(iter(spans["snapshot"].attributes)) == {"shards": 64, "last": True}
    assert spans["snapshot"].parent_span_id == spans["epoch"].span_id
    assert spans["snapshot"].end_time_unix_nano - spans["snapshot"].start_time_unix_nano >= 10_000_000
    resource = plain(iter(receiver.traces[0].resource_spans[0].resource.attributes))
    assert (resource["service.name"], resource["service.instance.id"]) == ("streamgauge", "worker-1")


def test_a_span_in_which_something_is_raised_is_an_error_and_lets_it_pass(receiver: Receiver) -> None:
    telemetry = Telemetry.start(TelemetrySettings(otlp_endpoint=receiver.endpoint), "worker-0")
    with pytest.raises(ZeroDivisionError), telemetry.span("page"):
        _ = 1 / 0
    telemetry.stop()
    assert receiver.spans()["page"].status.code == 2


def test_the_process_numbers_arrive_with_what_was_read(receiver: Receiver) -> None:
    telemetry = Telemetry.start(TelemetrySettings(otlp_endpoint=receiver.endpoint), "worker-0", lambda: Counts(5, 900))
    telemetry.stop()
    metrics = receiver.latest_metrics()
    modes = {
        str(plain(iter(p.attributes))["cpu.mode"]): p.as_double for p in metrics["process.cpu.time"].sum.data_points
    }
    assert 0 < modes["user"] <= cpu_seconds()["user"]
    memory = metrics["process.memory.usage"].sum.data_points[0].as_int
    assert memory == pytest.approx(resident_bytes(), rel=0.5)
    assert metrics["streamgauge.records"].sum.data_points[0].as_int == 5
    assert metrics["streamgauge.spans"].sum.data_points[0].as_int == 900
    assert metrics["streamgauge.spans"].sum.is_monotonic
    assert {"process.thread.count", "process.unix.file_descriptor.count", "process.uptime"} <= set(metrics)


def test_both_are_sent_again_and_again(receiver: Receiver) -> None:
    telemetry = Telemetry.start(TelemetrySettings(otlp_endpoint=receiver.endpoint, interval_ns=1_000_000_000), "w")
    with telemetry.span("epoch"):
        pass
    until = monotonic() + 10
    while not (receiver.metrics and receiver.traces) and monotonic() < until:
        sleep(0.05)
    assert receiver.spans().keys() == {"epoch"}
    assert receiver.metrics
    telemetry.stop()


def test_a_receiver_that_is_down_delays_no_stop_and_is_a_line_in_the_log() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
    read, write = os.pipe()
    log.configure("json", to=write)
    try:
        telemetry = Telemetry.start(TelemetrySettings(otlp_endpoint=endpoint), "worker-0")
        with telemetry.span("epoch"):
            pass
        began = monotonic()
        telemetry.stop()
        assert monotonic() - began < 4
        assert "opentelemetry" in os.read(read, 1 << 16).decode()
    finally:
        log.release()
        os.close(read)
        os.close(write)


def test_a_receiver_that_accepts_and_never_answers_delays_no_stop() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        endpoint = f"http://127.0.0.1:{mute.getsockname()[1]}"
        telemetry = Telemetry.start(TelemetrySettings(otlp_endpoint=endpoint), "worker-0")
        with telemetry.span("epoch"):
            pass
        began = monotonic()
        telemetry.stop()
        assert monotonic() - began < 4


def test_after_a_stop_spans_are_nothing_and_a_second_stop_too(receiver: Receiver) -> None:
    telemetry = Telemetry.start(TelemetrySettings(otlp_endpoint=receiver.endpoint), "worker-0")
    telemetry.stop()
    with telemetry.span("too late"):
        pass
    telemetry.stop()
    assert "too late" not in receiver.spans()
    assert not telemetry.on


def test_off_is_the_default_and_imports_nothing_of_opentelemetry() -> None:
    assert parse("").telemetry.otlp_endpoint is None
    program = (
        "import sys; from flows.config.live import TelemetrySettings; from flows.telemetry import Telemetry\n"
        "telemetry = Telemetry.start(TelemetrySettings(), 'worker-0', lambda: 1 / 0)\n"
        "with telemetry.span('epoch', number=1): pass\n"
        "telemetry.stop()\n"
        "sys.exit([name for name in sys.modules if name.startswith(('opentelemetry', 'requests'))] and 1 or 0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_off_makes_no_object_per_span() -> None:
    assert OFF.span("epoch") is OFF.span("snapshot")


def test_open_files_are_counted_as_they_open_and_close() -> None:
    before = open_files()
    read, write = os.pipe()
    assert open_files() == before + 2
    os.close(read)
    os.close(write)
    assert open_files() == before
