"""What a recording of a topic shows when it is replayed is what the live run showed of it."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import msgspec
import pytest

from flows.decode.batch import WEIGHT_ONE
from flows.record.appending import blocks
from flows.recording.index import Entry
from flows.recording.naming import index_of
from flows.records import Partition
from flows.series import SeriesLabels
from tests.chaos.gauge import Gauge, Page, eventually, series
from tests.chaos.stream import SECOND_NS, Producing, encode, expected, fates, settle, stream
from tests.oracle import Record, Span

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.servers.kafka import Broker

pytestmark = pytest.mark.slow


class Recording:
    """One `streamgauge record` as a process."""

    def __init__(self, config: Path, out: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "flows.cli", "record", "--config", str(config), str(out), *arguments]
        self._log = out.with_name(f"{out.name}.log")
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def end(self, number: int = signal.SIGINT) -> str:
        """End it as a person does; what it said."""
        self.process.send_signal(number)
        said, _ = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, self._log.read_text()
        return said


def replayed(parts: Sequence[Path], config: Path, folder: Path) -> tuple[dict[str, Any], Path, Path]:
    """The summary of a replay, its windows, its samples."""
    samples, metrics = folder / "windows.csv", folder / "history.om"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "flows.cli", "replay", *parts, "--config", config),
            *("--json", "--step", "5s", "--samples", samples, "--openmetrics", metrics),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), samples, metrics


def windows_at(samples: Path, at_ns: int) -> dict[tuple[str, str, str], tuple[float, ...]]:
    """(service, span name, window) → calls, errors and quantiles, of the windows that end there."""
    stamp = datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    with samples.open() as file:
        return {
            (row["service_name"], row["span_name"], row["window"]): tuple(
                float(row[column]) for column in ("calls", "errors", "p50", "p95", "p99") if row[column]
            )
            for row in csv.DictReader(file)
            if row["timestamp"] == stamp
        }


def windows_on(page: Page, windows: Sequence[str]) -> dict[tuple[str, str, str], tuple[float, ...]]:
    """The same of a page."""
    found: dict[tuple[str, str, str], tuple[float, ...]] = {}
    for name, labels in page:
        if name != "streamgauge_span_calls":
            continue
        named = dict(labels)
        if named["window"] not in windows:
            continue
        values = [page[series(name, **named)], page[series("streamgauge_span_errors", **named)]]
        for quantile in ("0.5", "0.95", "0.99"):
            value = page.get(series("streamgauge_span_duration_seconds", quantile=quantile, **named))
            values += [] if value is None else [float(f"{value:.6g}")]
        found[named["service_name"], named["span_name"], named["window"]] = tuple(values)
    return found


def config_of(gauge: Gauge) -> Path:
    return gauge.folder / "streamgauge.yaml"


def recorded_offsets(broker: Broker, topic: str, said: str) -> bool:
    return f"{sum(broker.end_offsets(topic).values()):,} records" in said


def test_a_replay_shows_the_windows_that_the_live_run_showed(broker: Broker, tmp_path: Path) -> None:
    of = stream(31)
    late = fates(of)["late"]
    assert late > 20
    topic = broker.create_topic("recorded", 4)
    out = tmp_path / "recorded" / "traces.pb.zst"
    out.parent.mkdir()
    with Gauge(tmp_path, broker.bootstrap, [topic]) as gauge, Recording(config_of(gauge), out) as recording:
        with Producing(broker, topic, of, 3.0):
            pass
        assert settle(gauge, of, topic) == []
        page = gauge.page()
        assert page is not None
        eventually(lambda: frames_in(out) == of.n_records, lambda: f"all is recorded; {frames_in(out)}")
        said = recording.end()
        assert gauge.stop() == 0
    assert f"{of.n_records:,} records" in said
    assert f"streamgauge replay {out}" in said
    found, samples, metrics = replayed([out], config_of(gauge), tmp_path)
    assert found["accounting"]["late"] == late
    assert page[series("streamgauge_late_total", signal="spans", reason="out_of_order")] == late
    stop_ns = of.stop * 5 * SECOND_NS
    short = {key: value for key, value in windows_at(samples, stop_ns).items() if key[2] != "1h"}
    assert short == windows_on(page, ("1m", "5m"))
    assert len(short) >= 30
    hours = windows_at(samples, stop_ns // (60 * SECOND_NS) * 60 * SECOND_NS)
    assert {key: value for key, value in hours.items() if key[2] == "1h"} == windows_on(page, ("1h",))
    calls = counters_at(metrics, stop_ns // SECOND_NS)
    wanted = {key: value for key, value in expected(of).items() if key.name == "traces_span_metrics_calls_total"}
    assert {key: calls.get(key) for key in wanted} == wanted


def frames_in(*parts: Path) -> int:
    """Requests in a recording, as far as it is stored."""
    count = 0
    for part in parts:
        for block in blocks(part):
            at = 0
            while at < len(block.data):
                at += 4 + int.from_bytes(block.data[at : at + 4], "big")
                count += 1
    return count


def counters_at(metrics: Path, at_s: int) -> Page:
    """The calls that an OpenMetrics file says at a time."""
    found: Page = {}
    for line in metrics.read_text().splitlines():
        match = re.fullmatch(r"(traces_span_metrics_calls_total)\{(.*)\} (\S+) (\S+)", line)
        if match is not None and float(match[4]) == at_s:
            found[series(match[1], **dict(re.findall(r'(\w+)="([^"]*)"', match[2])))] = float(match[3])
    return found


def test_what_idleness_closed_live_is_closed_when_it_is_replayed(broker: Broker, tmp_path: Path) -> None:
    """One partition falls silent, the others go on, and it wakes with spans of panes that were closed meanwhile."""
    begin = 1_772_442_000 * SECOND_NS
    topic = broker.create_topic("silent-partition", 2)

    def produce(number: int, seconds: Sequence[float], name: str) -> None:
        labels = SeriesLabels("shop", name, 2, 0, ())
        ends = [begin + int(second * SECOND_NS) for second in seconds]
        records = [Record(end // 1_000_000 + 1, (Span(end, 1_000_000, labels, WEIGHT_ONE),)) for end in ends]
        broker.produce(topic, number, [encode(each) for each in records], [each.timestamp for each in records])

    def late(page: Page) -> float:
        return page.get(series("streamgauge_late_total", signal="spans", reason="idle"), 0.0)

    out = tmp_path / "traces.pb.zst"
    settings = {"kafka": {"idle": "2s"}}
    with (
        Gauge(tmp_path, broker.bootstrap, [topic], settings=settings) as gauge,
        Recording(config_of(gauge), out) as recording,
    ):
        for number in (0, 1):
            produce(number, [1, 2, 3], "GET /a")
        gauge.wait_ready()
        eventually(lambda: frames_in(out) == 6, "the first records are in the recording")
        produce(0, [70, 140, 210], "GET /a")
        eventually(lambda: frames_in(out) == 9, "the next ones, too")
        shown = series("traces_span_metrics_calls_total", **CALLS)
        gauge.wait_for_page(lambda page: page.get(shown, 0.0) >= 8, "the silent partition holds nobody", 60)
        eventually(lambda: silence_in(out, Partition(topic, 1)) > 6_000, "the recording knows of the silence")
        produce(1, [80, 81, 82], "GET /a")
        page = gauge.wait_for_page(lambda page: late(page) == 3, "it woke too late", 60)
        eventually(lambda: frames_in(out) == 12, "all is in the recording")
        recording.end()
        gauge.stop()
    assert late(page) == 3
    at, which = begin + 90 * SECOND_NS, ("shop", "GET /a", "1m")
    _, samples, _ = replayed([out], config_of(gauge), tmp_path)
    assert windows_at(samples, at)[which][0] == 1  # what came too late is in no window
    index_of(str(out)).unlink()
    _, samples, _ = replayed([out], config_of(gauge), tmp_path)
    assert windows_at(samples, at)[which][0] == 4  # nobody knows of the silence any more


CALLS = {
    "service_name": "shop",
    "span_name": "GET /a",
    "span_kind": "SPAN_KIND_SERVER",
    "status_code": "STATUS_CODE_UNSET",
}


def silence_in(out: Path, of: Partition) -> int:
    """For how many ms a partition was silent, as far as the index is stored."""
    entries = [
        msgspec.json.decode(line, type=Entry)
        for block in blocks(index_of(str(out)))
        for line in block.data.splitlines()
    ]
    return sum(entry.elapsed_ms for entry in entries if entry.idle and of in entry.idle)
