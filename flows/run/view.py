"""What a machine shows of itself: the page of all its workers, whether it is ready, and its status."""

from __future__ import annotations

import platform
import socket
import threading
from collections import Counter
from importlib import metadata
from time import monotonic, time, time_ns
from typing import TYPE_CHECKING

import numpy as np
import prometheus_client

from exporters import names
from exporters.labels import LabelSet
from exporters.prometheus import Registry
from exporters.samples import by_label, single
from exporters.server import PageServer
from exporters.status import (
    Health,
    PartitionStatus,
    SourceStatus,
    StateStatus,
    Status,
    WatermarkStatus,
    WorkerStatus,
)
from exporters.web_config import WebConfig
from flows import log
from flows.errors import UsageError
from flows.telemetry import OFF, Telemetry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.config import Config
    from flows.run.alerting import Alerting
    from flows.run.gate import Gate
    from flows.run.life import Run
    from flows.run.link import PageReader, Report
    from flows.run.state import StateDirectory

_REFRESH_SECONDS = 1.0

_log = log.get("page")


class View:
    """Takes what the workers show, and serves it.

    Args:
        config: the settings.
        alerting: whose alerts are shown too.
    """

    def __init__(self, config: Config, alerting: Alerting) -> None:
        self.restarts = 0
        self._config = config
        self._alerting = alerting
        self._registry = Registry()
        self._registry.attach(prometheus_client.REGISTRY)
        self._lock = threading.Lock()  # a restart changes the page and the gate at once
        self._state: StateDirectory | None = None
        self._server: PageServer | None = None
        self._run: Run | None = None
        self._gate: Gate | None = None
        self._paused = "the workers have not started yet"
        self._owners: set[tuple[int, str, str]] = set()
        self._refreshed_at = -_REFRESH_SECONDS
        self._sizes = (0, 0)
        self._begun = time()
        self._telemetry = OFF

    # Its life

    def serve(self, state: StateDirectory) -> None:
        """Listen.

        Raises:
            UsageError: the address is taken, or the web configuration cannot be used.
        """
        self._state = state
        config = self._config
        self._telemetry = Telemetry.start(config.telemetry, f"{socket.gethostname()}/supervisor")
        try:
            web = None if config.web_config is None else WebConfig.load(config.web_config)
            self._server = PageServer(
                self._render,
                self.health,
                self.status,
                address=config.listen_address,
                web_config=web,
                version=metadata.version("streamgauge"),
                documents={"/alerts": self._alerting.alerts_json, "/slos": self._alerting.slos_json},
            )
            host, port = self._server.start()
        except OSError as error:
            raise UsageError(str(error.strerror or error)) from error
        except ValueError as error:
            raise UsageError(str(error)) from error
        _log.info("the page is served", address=f"{host}:{port}")

    def _render(self, accept: str) -> tuple[str, bytes]:
        with self._telemetry.span("page"):
            return self._registry.render(accept)

    def close(self) -> None:
        """Serve no more."""
        if self._server is not None:
            self._server.stop()
        self._telemetry.stop()

    # A run of the workers

    def begin(self, run: Run, gate: Gate) -> None:
        """Forget what the workers before these have shown."""
        with self._lock:
            for owner in self._owners:
                self._registry.remove(owner)
            self._owners.clear()
            self._run, self._gate, self._paused = run, gate, ""

    def pause(self, why: str) -> None:
        """There are no workers for a while."""
        with self._lock:
            self._run, self._gate, self._paused = None, None, f"starting again: {why}"

    def take(self, worker: int, message: bytes, reader: PageReader) -> None:
        """Show what a worker says."""
        (key, part), blocks = reader.decode(message)
        owner = (worker, key, part)
        self._owners.add(owner)
        self._registry.replace(owner, blocks)

    def refresh(self) -> None:
        """Bring what is shown of the process itself up to date, once a second."""
        now = monotonic()
        if now - self._refreshed_at < _REFRESH_SECONDS or self._run is None or self._state is None:
            return
        self._refreshed_at = now
        self._sizes = self._state.size_bytes(), self._state.free_bytes()
        reports, at_ns = self._run.reports, time_ns()
        partitions = [each for report in reports for each in report.partitions]
        labels = [
            LabelSet([(names.SOURCE, each.source), (names.PARTITION, str(each.partition))]) for each in partitions
        ]
        frontiers = np.array([each.frontier_ns / 1e9 if each.frontier_ns >= 0 else np.nan for each in partitions])
        lags = np.array([max(each.end - each.position, 0) if each.end >= 0 else np.nan for each in partitions])
        versions = {
            "version": metadata.version("streamgauge"),
            "python": platform.python_version(),
            "bytewax": metadata.version("bytewax"),
        }
        self._registry.replace(
            "supervisor",
            [
                by_label(names.WATERMARK, at_ns, labels, frontiers),
                by_label(names.SOURCE_LAG, at_ns, labels, lags),
                single(names.EPOCH_AGE, at_ns, max((report.epoch_age for report in reports), default=np.nan)),
                single(names.STATE_BYTES, at_ns, self._sizes[0]),
                single(names.STATE_FREE_BYTES, at_ns, self._sizes[1]),
                single(names.WORKER_RESTARTS, at_ns, self.restarts),
                single(names.BUILD_INFO, at_ns, 1, LabelSet(versions.items())),
                *self._alerting.samples(at_ns),
            ],
        )

    # What it says

    def health(self) -> Health:
        """Whether the page may be shown, and whether all is well."""
        with self._lock:
            run, gate, paused = self._run, self._gate, self._paused
        if run is None or gate is None:
            return Health(gate=paused)
        return Health(gate=gate.sentence(run.reports), reasons=tuple(self._reasons(run.reports)))

    def _reasons(self, reports: Sequence[Report]) -> list[str]:
        reasons = []
        if not all(report.started for report in reports):
            reasons.append("the workers are starting")
        trouble = next((report.cluster_trouble for report in reports if report.cluster_trouble), "")
        assert self._config.kafka is not None
        cluster = f"the Kafka cluster at {self._config.kafka.bootstrap_servers}"
        if trouble:
            reasons.append(f"{cluster} does not answer: {trouble}")
        elif any(not report.heard_cluster for report in reports):
            reasons.append(f"{cluster} has not answered yet")
        reasons += [f"topic {name} does not exist" for name in sorted({n for r in reports for n in r.missing_topics})]
        partitions = [each for report in reports for each in report.partitions]
        reasons += [f"{p.source}/{p.partition} cannot be read: {p.state}" for p in partitions if p.state.isupper()]
        unknown = [f"{p.source}/{p.partition}" for p in partitions if p.state == "unknown"]
        if unknown:
            reasons.append(f"no answer from where {', '.join(unknown[:5])} is read")
        if self._sizes[0] and self._sizes[1] < self._config.supervision.free_space:
            reasons.append(f"only {self._sizes[1]:,} bytes are free under the state directory")
        return reasons

    def status(self) -> Status:
        """How things are."""
        health = self.health()
        with self._lock:
            run = self._run
        reports = run.reports if run is not None else []
        tallies: Counter[str] = Counter()
        overflow: Counter[str] = Counter()
        for report in reports:
            overflow.update(report.overflow)
            for tally in report.tallies.values():
                tallies.update(tally)
        least = min((r for r in reports if r.n_shards), key=lambda r: r.watermark_ns, default=None)
        return Status(
            state="catching up" if health.gate else "degraded" if health.reasons else "running",
            at_seconds=time(),
            reasons=list(health.unready),
            version=metadata.version("streamgauge"),
            started_seconds=self._begun,
            watermark=WatermarkStatus(
                timestamp_seconds=least.watermark_ns / 1e9 if least is not None and least.watermark_ns >= 0 else None,
                held_by="" if least is None else "nobody: all are idle" if least.all_idle else least.holding,
            ),
            sources=self._sources(reports),
            storage=StateStatus(
                directory=str(self._config.state_directory),
                size_bytes=self._sizes[0],
                free_bytes=self._sizes[1],
                epoch_age_seconds=max((report.epoch_age for report in reports), default=None),
            ),
            workers=[
                WorkerStatus(
                    worker=number,
                    state="running" if report.started else "starting",
                    pid=run.pids[number] if run is not None else None,
                    resident_bytes=report.rss_bytes,
                    restarts=self.restarts,
                )
                for number, report in enumerate(reports)
            ],
            alerts=self._alerting.alerts(),
            slos=self._alerting.slos(),
            late_by_reason=_by_label(tallies, "late"),
            dead_letters_by_reason=_by_label(tallies, "dead"),
            overflow_by_service=dict(overflow),
        )

    def _sources(self, reports: Sequence[Report]) -> list[SourceStatus]:
        assert self._config.kafka is not None
        now = time()
        found = {
            topic.name: SourceStatus(topic=topic.name, signal=topic.signal, encoding=topic.encoding)
            for topic in self._config.kafka.topics
        }
        partitions = sorted((p for report in reports for p in report.partitions), key=lambda p: (p.source, p.partition))
        for each in partitions:
            found[each.source].partitions.append(
                PartitionStatus(
                    partition=each.partition,
                    state=each.state,
                    lag_records=max(each.end - each.position, 0) if each.end >= 0 else None,
                    position=each.position,
                    frontier_seconds=each.frontier_ns / 1e9 if each.frontier_ns >= 0 else None,
                    idle_since_seconds=now - each.idle_ns / 1e9 if each.idle_ns >= 0 else None,
                )
            )
        return list(found.values())


def _by_label(tallies: Counter[str], what: str) -> dict[str, int]:
    """The counts of `what`, by label."""
    return {key.partition("/")[2]: count for key, count in tallies.items() if key.startswith(f"{what}/")}
