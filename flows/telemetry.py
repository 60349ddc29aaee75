"""The process's own traces and metrics over OTLP/HTTP; off by default, and then nothing of OpenTelemetry is imported.

What is sent is about streamgauge itself: an epoch, a snapshot, a page as spans; CPU, memory, threads, open files and
what was read as metrics, named as OpenTelemetry's semantic conventions name them where they do ("Process Metrics").

A receiver that is down costs nothing but what was not sent: the SDK tries again, keeps a bounded queue, and warns by
`logging`. Its own variables are respected, such as OTEL_EXPORTER_OTLP_HEADERS, where credentials go.
"""

from __future__ import annotations

import os
import resource
import threading
from contextlib import AbstractContextManager, nullcontext
from importlib import metadata
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
    from opentelemetry.sdk.resources import Resource

    from flows.config.live import TelemetrySettings

STOP_SECONDS = 2.0
"""What has not gone by then is lost: a stop must not wait for a receiver that is down."""

_EXPORT_SECONDS = 10
_PAGE_BYTES = resource.getpagesize()
_NOTHING: AbstractContextManager[None] = nullcontext()

Attribute = str | bool | int | float


class Counts(NamedTuple):
    """What a process has read since it started."""

    records: int
    spans: int


class Telemetry:
    """Sends a process's spans and numbers while it is on; made by `start`.

    >>> from flows.config.live import TelemetrySettings
    >>> telemetry = Telemetry.start(TelemetrySettings(), "worker-0")
    >>> with telemetry.span("snapshot", shards=64):
    ...     telemetry.on
    False
    """

    def __init__(self) -> None:
        self.on = False
        self._tracer: Any = None
        self._providers: list[Any] = []

    @classmethod
    def start(cls, settings: TelemetrySettings, instance: str, counts: Callable[[], Counts] | None = None) -> Telemetry:
        """Begin to send, or not, as the settings say.

        Args:
            settings: where to and how often.
            instance: which process this is, such as `worker-0`; unlike all others that send to the same place.
            counts: asked at every sending, from another thread.
        """
        telemetry = cls()
        if settings.otlp_endpoint is not None:
            telemetry._begin(settings.otlp_endpoint, settings.interval_ns // 1_000_000, instance, counts)
        return telemetry

    def _begin(self, endpoint: str, interval_ms: int, instance: str, counts: Callable[[], Counts] | None) -> None:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        version = metadata.version("streamgauge")
        about = _about(instance, version)
        traces = TracerProvider(resource=about, shutdown_on_exit=False)  # stopping is `stop`'s, within bounds
        exporter = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces", timeout=_EXPORT_SECONDS)
        traces.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=interval_ms))
        sender = OTLPMetricExporter(endpoint=f"{endpoint}/v1/metrics", timeout=_EXPORT_SECONDS)
        reader = PeriodicExportingMetricReader(sender, interval_ms, export_timeout_millis=_EXPORT_SECONDS * 1_000)
        meters = MeterProvider([reader], resource=about, shutdown_on_exit=False)
        _observe(meters, version, counts)
        self._tracer = traces.get_tracer("streamgauge", version)
        self._providers = [traces, meters]
        self.on = True

    def span(self, name: str, **attributes: Attribute) -> AbstractContextManager[object]:
        """What happens inside is a span of that name; nothing while telemetry is off."""
        if self._tracer is None:
            return _NOTHING
        span: AbstractContextManager[object] = self._tracer.start_as_current_span(name, attributes=attributes)
        return span

    def stop(self) -> None:
        """Send what is left, for at most 2 s, and end; a second call does nothing."""
        providers, self._providers = self._providers, []
        self._tracer, self.on = None, False
        # The SDK waits up to 30 s for a receiver that is down; its threads, and these, end with the process.
        ending = [threading.Thread(target=each.shutdown, name="telemetry-stop", daemon=True) for each in providers]
        for thread in ending:
            thread.start()
        until = monotonic() + STOP_SECONDS
        for thread in ending:
            thread.join(max(0.0, until - monotonic()))


OFF = Telemetry()
"""Telemetry that sends nothing: the default of whoever takes one."""


def _about(instance: str, version: str) -> Resource:
    """Who sends (semantic conventions, "Service")."""
    from opentelemetry.sdk.resources import Resource

    return Resource.create({"service.name": "streamgauge", "service.version": version, "service.instance.id": instance})


def _observe(meters: MeterProvider, version: str, counts: Callable[[], Counts] | None) -> None:
    """Name the numbers and where each comes from."""
    from opentelemetry.metrics import Observation

    def one(read: Callable[[], float]) -> Callable[[CallbackOptions], Iterable[Observation]]:
        return lambda _: [Observation(read())]

    def cpu(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(seconds, {"cpu.mode": mode}) for mode, seconds in cpu_seconds().items()]

    meter = meters.get_meter("streamgauge", version)
    began = monotonic()
    meter.create_observable_counter("process.cpu.time", [cpu], "s", "CPU time of this process.")
    meter.create_observable_up_down_counter("process.memory.usage", [one(resident_bytes)], "By", "Resident memory.")
    meter.create_observable_up_down_counter(
        "process.thread.count", [one(threading.active_count)], "{thread}", "Threads that Python knows."
    )
    meter.create_observable_up_down_counter(
        "process.unix.file_descriptor.count", [one(open_files)], "{file_descriptor}", "Open files."
    )
    meter.create_observable_gauge("process.uptime", [one(lambda: monotonic() - began)], "s", "Time since the start.")
    if counts is not None:
        meter.create_observable_counter(
            "streamgauge.records", [one(lambda: counts().records)], "{record}", "Records read since the start."
        )
        meter.create_observable_counter(
            "streamgauge.spans", [one(lambda: counts().spans)], "{span}", "Spans read since the start."
        )


def cpu_seconds() -> Mapping[str, float]:
    """CPU time of this process in seconds: `user` and `system`."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"user": used.ru_utime, "system": used.ru_stime}


def resident_bytes() -> int:
    """Resident memory of this process in bytes, now and not at its most (proc(5), statm)."""
    with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123  read at every sending: no path objects
        return int(statm.read().split()[1]) * _PAGE_BYTES


def open_files() -> int:
    """How many files and sockets this process has open."""
    return len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208  without the one that lists them
