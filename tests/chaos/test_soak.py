"""Full speed for long, and a backlog: memory, open files and threads stay flat, nothing is lost.

STREAMGAUGE_SOAK_SECONDS says for how long (60 by default; the figure we hold ourselves to is 600), and
STREAMGAUGE_BACKLOG_SPANS how large the backlog is (2,000,000 by default; 10,000,000 likewise).
"""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.chaos.crowd import resident_mb
from tests.chaos.endless import SPANS, Flood
from tests.chaos.gauge import Gauge, Page, eventually

if TYPE_CHECKING:
    from tests.servers.kafka import Broker

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("STREAMGAUGE_SOAK_SECONDS", "60"))
BACKLOG = int(os.environ.get("STREAMGAUGE_BACKLOG_SPANS", "2000000"))
MOST_LAG_RECORDS = 2_000


class Usage(NamedTuple):
    """What a process takes."""

    resident_mb: float
    files: int
    threads: int


def usage(pid: int) -> Usage:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    files = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return Usage(int(status["VmRSS"].split()[0]) / 1024, files, int(status["Threads"]))


def total(page: Page, name: str) -> float:
    return sum(value for key, value in page.items() if key.name == name)


def lag(gauge: Gauge) -> int:
    sources = gauge.status().get("sources", [])
    return sum(each["lag_records"] or 0 for source in sources for each in source["partitions"])


@pytest.mark.parametrize("workers", [1])
def test_full_speed_for_long_takes_no_more_and_more(broker: Broker, tmp_path: Path, workers: int) -> None:
    topic = broker.create_topic(f"soak-{workers}", 4, retention_bytes=1 << 30, segment_bytes=64 << 20)
    gauge = Gauge(tmp_path, broker.bootstrap, [topic], workers)
    gauge.config["supervision"] = {}  # epochs and limits as they are by default
    with gauge, Flood(broker.client_properties, topic, 4) as flood:
        gauge.wait_ready()
        pids = {"supervisor": gauge.process.pid} | {f"worker {i}": pid for i, pid in enumerate(gauge.worker_pids())}
        samples: dict[str, list[Usage]] = {name: [] for name in pids}
        begun = time.monotonic()
        scrape_at = begun
        while time.monotonic() < begun + SECONDS:
            time.sleep(0.5)
            behind = lag(gauge)
            if behind > MOST_LAG_RECORDS:
                flood.pause.set()
            elif behind < MOST_LAG_RECORDS / 2:
                flood.pause.clear()
            for name, pid in pids.items():
                samples[name].append(usage(pid))
            if time.monotonic() > scrape_at:
                gauge.page()
                scrape_at += 5.0
        flood.pause.set()
        spent = time.monotonic() - begun
        time.sleep(1.0)
        sent = flood.produced
        eventually(
            lambda: total(gauge.page() or {}, "streamgauge_records_total") == sent,
            lambda: f"all {sent} records are read, of {total(gauge.page() or {}, 'streamgauge_records_total')}",
            60.0,
        )
        page = gauge.page()
        assert page is not None
        assert total(page, "streamgauge_spans_total") == sent * SPANS
        assert total(page, "streamgauge_late_total") == 0
        assert total(page, "streamgauge_data_loss_records_total") == 0
        assert total(page, "streamgauge_worker_restarts_total") == 0
        print(f"{sent * SPANS / spent / 1e6:.2f} M spans/s for {spent:.0f} s")
        for name, found in samples.items():
            assert_flat(name, found)
        assert gauge.stop() == 0


def assert_flat(name: str, found: list[Usage]) -> None:
    """The last quarter takes no more than the second: the first one warms up."""
    quarter = len(found) // 4
    early = [statistics.median(column) for column in zip(*found[quarter : 2 * quarter], strict=True)]
    late = [statistics.median(column) for column in zip(*found[-quarter:], strict=True)]
    for what, before, after in zip(("MB resident", "files", "threads"), early, late, strict=True):
        print(f"{name}: {before:.0f} → {after:.0f} {what}")
    assert late[0] <= 1.15 * early[0] + 30
    assert late[1] <= early[1] + 4
    assert late[2] <= early[2] + 2


def test_a_backlog_is_read_in_bounded_memory(broker: Broker, tmp_path: Path) -> None:
    records = BACKLOG // SPANS // 4 * 4
    topic = broker.create_topic("backlog", 4)
    with Flood(broker.client_properties, topic, 4, records, step_ns=200_000_000) as flood:
        flood.wait(300.0)
    assert flood.produced == records
    with Gauge(tmp_path, broker.bootstrap, [topic]) as gauge:
        gauge.config["supervision"] = {}
        begun = time.monotonic()
        eventually(
            lambda: total(gauge.page() or {}, "streamgauge_records_total") == records,
            lambda: f"all {records} records are read; {gauge.log[-2000:]}",
            120.0 + BACKLOG / 200_000,
        )
        spent = time.monotonic() - begun
        peak = resident_mb(gauge)
        print(f"{records * SPANS / spent / 1e6:.2f} M spans/s with the start, {peak:.0f} MB resident at most")
        page = gauge.page()
        assert page is not None
        assert total(page, "streamgauge_spans_total") == records * SPANS
        assert total(page, "streamgauge_late_total") == 0
        assert peak < 600
