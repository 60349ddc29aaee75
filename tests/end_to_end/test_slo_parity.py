"""Error ratios of a generated incident beside Prometheus' own, from the same counters; exact counts say who is right.

Ours are ratios of counts, equal to the oracle's at every minute. So are Prometheus' where its samples lie on the ends
of the window; between them `rate()` extrapolates, and the counters themselves agree with the oracle.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from flows.generate.generator import generate
from flows.generate.scenario import Lateness, Scenario
from flows.recording.writer import RecordingWriter
from tests.servers.prometheus import Prometheus

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

pytestmark = pytest.mark.slow

MINUTE = 60
WINDOWS = {"5m": 5 * MINUTE, "30m": 30 * MINUTE, "1h": 60 * MINUTE}
SERVED = 'span_kind=~"SPAN_KIND_SERVER|SPAN_KIND_CONSUMER"'
SLO = """
apiVersion: openslo/v1
kind: SLO
metadata: {name: served}
spec:
  service: platform
  indicator:
    metadata: {name: served}
    spec:
      ratioMetric:
        counter: true
        bad: {metricSource: {type: streamgauge, spec: {status_code: error}}}
        total: {metricSource: {type: streamgauge, spec: {span_kind: [server, consumer]}}}
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{displayName: "99.9", target: 0.999}]
"""


class Truth(NamedTuple):
    """(bad, all) served spans of every second of event time."""

    counts: dict[int, list[int]]

    @classmethod
    def of(cls, requests: Iterable[bytes]) -> Truth:
        counts: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        for data in requests:
            for resource in ExportTraceServiceRequest.FromString(data).resource_spans:
                for span in (span for scope in resource.scope_spans for span in scope.spans):
                    if span.kind in (2, 5):
                        second = counts[span.end_time_unix_nano // 10**9]
                        second[0] += span.status.code == 2
                        second[1] += 1
        return cls(dict(counts))

    def ratio(self, at: int, window: int) -> float:
        """Of the seconds at − window … at − 1."""
        inside = [self.counts.get(second, (0, 0)) for second in range(at - window, at)]
        total = sum(n for _, n in inside)
        return sum(bad for bad, _ in inside) / total if total else math.nan


def by_minute(prometheus: Prometheus, expression: str, first: int, last: int) -> dict[int, float]:
    """The values of an expression with one series, where it has one."""
    found = prometheus.api("query_range", query=expression, start=first, end=last, step=MINUTE)["result"]
    assert len(found) <= 1, found
    return {int(at): float(value) for each in found for at, value in each["values"]}


def test_ratios_are_those_of_exact_counts_and_of_prometheus_but_for_what_it_extrapolates(
    repository: Path, prometheus_binary: Path, promtool_binary: Path, tmp_path: Path
) -> None:
    scenario = Scenario.load(repository / "datasets" / "error_burst.yaml")
    scenario = scenario.model_copy(update={"late": Lateness(share=0.0)})  # late ones count when they come in a counter
    requests = [each.request for each in generate(scenario, duration=timedelta(minutes=80), rate=20.0)]
    with RecordingWriter(tmp_path / "traces.pb.zst") as recording:
        for request in requests:
            recording.write(request)
    (tmp_path / "slo.yaml").write_text(SLO)
    replayed = subprocess.run(
        [
            *(sys.executable, "-m", "flows.cli", "replay", tmp_path / "traces.pb.zst", "--json"),
            *("--slos", tmp_path / "slo.yaml", "--openmetrics", tmp_path / "history.om", "--step", "1m"),
        ],
        capture_output=True,
        text=True,
    )
    assert replayed.returncode == 0, replayed.stderr
    assert json.loads(replayed.stdout)
    data = tmp_path / "prometheus" / "data"
    data.mkdir(parents=True)
    blocks = [promtool_binary, "tsdb", "create-blocks-from", "openmetrics", tmp_path / "history.om", data]
    made = subprocess.run(blocks, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr

    truth = Truth.of(requests)
    begin = min(truth.counts) // MINUTE * MINUTE
    end = max(truth.counts) // MINUTE * MINUTE
    with Prometheus(tmp_path / "prometheus") as prometheus:
        for name, window in WINDOWS.items():
            ours = by_minute(
                prometheus, f'streamgauge_slo_error_ratio{{slo="served",window="{name}"}}', begin + MINUTE, end
            )
            calls = f"traces_span_metrics_calls_total{{{SERVED}%s}}[{name}]"
            bad, total = calls % ', status_code="STATUS_CODE_ERROR"', calls % ""
            theirs = by_minute(prometheus, f"sum(rate({bad})) / sum(rate({total}))", begin + MINUTE, end)
            exact = {at: truth.ratio(at, window) for at in range(begin + MINUTE, end + 1, MINUTE)}
            assert len(ours) >= 75
            assert {at: value for at, value in exact.items() if at in ours} == pytest.approx(ours, abs=1e-12)
            assert theirs == pytest.approx({at: exact[at] for at in theirs}, abs=1e-9)
            assert max(exact.values()) > 0.02  # there was something to agree about
            # Half a minute later rate() has one sample less and extrapolates, each series by itself.
            first, last = begin + window + MINUTE + 30, begin + 60 * MINUTE  # later some series are idle and end
            if last < first:
                continue
            estimates = by_minute(prometheus, f"sum(rate({bad})) / sum(rate({total}))", first, last)
            off = [abs(ratio - truth.ratio(at, window)) for at, ratio in estimates.items()]
            print(f"{name}: between samples rate() is off by up to {max(off, default=0):.4f}")
            if name == "5m":
                assert max(off) > 0.001
            # That the same counters are right there shows without it: differences of what they were at both ends.
            ends = f"(sum(%s) - sum(%s offset {window - MINUTE}s))"
            of_bad, of_all = (ends % ((each.partition("[")[0],) * 2) for each in (bad, total))
            counted = by_minute(prometheus, f"{of_bad} / {of_all}", first, last)
            assert counted
            assert counted == pytest.approx({at: truth.ratio(at - 30, window - MINUTE) for at in counted}, abs=1e-9)
