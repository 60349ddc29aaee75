"""How fast is a page of 100,000 samples, against `prometheus_client` on the same samples? And a file of a million?

And how soon do 50 scrapers have the page, who all come at once, over real connections?
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from prometheus_client import exposition
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from report import cpu_seconds, publish

from exporters import csv_samples, openmetrics
from exporters.labels import LabelSet
from exporters.names import CALLS, CLASSIC_BOUNDS_MS, DURATION_MILLISECONDS, SPAN_CALLS, SPAN_DURATION, SPAN_ERRORS
from exporters.prometheus import Registry
from exporters.samples import Samples, bucket_columns, by_label, window_columns
from exporters.server import PageServer
from exporters.status import Health, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client import Metric

SERIES = 2_858
SHARDS = 64
WINDOWS = ("1m", "5m", "1h")
QUANTILES = (0.5, 0.95, 0.99)
FILE_SERIES = 100
FILE_PANES = 286
CSV_WINDOWS = 100
SCRAPERS = 50
SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


class Parsed(Collector):
    """The families of a page as `prometheus_client` holds them, ready to be written."""

    def __init__(self, page: str) -> None:
        self.families = list(text_string_to_metric_families(page))

    def collect(self) -> Iterable[Metric]:
        """The families."""
        return self.families


def label_sets(n: int, first: int = 0) -> tuple[list[LabelSet], list[LabelSet]]:
    """The labels of n series, with the status code (counters) and without (windows)."""
    pairs = [
        [
            ("service_name", f"service-{number % 12}"),
            ("span_name", f"GET /api/v1/op{number:05d}"),
            ("span_kind", "SPAN_KIND_SERVER"),
        ]
        for number in range(first, first + n)
    ]
    return [LabelSet([*own, ("status_code", "STATUS_CODE_UNSET")]) for own in pairs], [LabelSet(own) for own in pairs]


def blocks(labels: tuple[list[LabelSet], list[LabelSet]], at_ns: int, rng: np.random.Generator) -> list[Samples]:
    """What a shard shows: 35 samples a series."""
    counters, windows = labels
    n = len(counters)
    counts = np.cumsum(rng.integers(0, 1_000, (n, len(CLASSIC_BOUNDS_MS) + 1)), axis=1)
    shown = [
        by_label(CALLS, at_ns, counters, counts[:, -1]),
        Samples(DURATION_MILLISECONDS, at_ns, counters, counts, bucket_columns(CLASSIC_BOUNDS_MS), rng.random(n) * 1e6),
    ]
    for window in WINDOWS:
        shown += [
            Samples(SPAN_DURATION, at_ns, windows, rng.random((n, 3)), window_columns(window, QUANTILES)),
            Samples(SPAN_CALLS, at_ns, windows, rng.integers(0, 1_000, (n, 1)), window_columns(window)),
            Samples(SPAN_ERRORS, at_ns, windows, rng.integers(0, 10, (n, 1)), window_columns(window)),
        ]
    return shown


def whole_page(rng: np.random.Generator) -> Registry:
    """What all shards show."""
    registry = Registry()
    size = -(-SERIES // SHARDS)
    for shard in range(SHARDS):
        first = shard * size
        registry.replace(shard, blocks(label_sets(max(0, min(size, SERIES - first)), first), START, rng))
    return registry


def pages(registry: Registry) -> list[dict[str, object]]:
    """One page of all shards, in both formats and by both writers."""
    reference = Parsed(registry.render("application/openmetrics-text")[1].decode())
    samples = sum(len(family.samples) for family in reference.families)
    contestants: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "text 0.0.4": (registry.render, lambda: exposition.generate_latest(reference)),
        "OpenMetrics 1.0": (
            lambda: registry.render("application/openmetrics-text"),
            lambda: openmetrics_exposition.generate_latest(reference),
        ),
    }
    rows: list[dict[str, object]] = []
    for name, (ours, theirs) in contestants.items():
        seconds, reference_seconds = cpu_seconds(ours), cpu_seconds(theirs, repeats=3)
        rows.append(
            {
                "what": name,
                "samples": samples,
                "CPU s": seconds,
                "samples/s": samples / seconds,
                "its CPU s": reference_seconds,
                "ratio": reference_seconds / seconds,
            }
        )
    return rows


async def scrape(port: int, encoding: str) -> list[float]:
    """Seconds from the start until each of the scrapers has all of its page."""
    begin = time.perf_counter()

    async def one() -> float:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        writer.write(f"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: {encoding}\r\n\r\n".encode())
        first = await reader.readline()
        assert first.startswith(b"HTTP/1.1 200"), first
        while await reader.read(1 << 20):
            pass
        writer.close()
        return time.perf_counter() - begin

    return await asyncio.gather(*(one() for _ in range(SCRAPERS)))


def scrapers(registry: Registry) -> list[dict[str, object]]:
    """Fifty scrapers at once, in a process of their own, of a page that nobody has rendered yet."""
    renders: list[int] = []

    def page(accept: str) -> tuple[str, bytes]:
        kind, body = registry.render(accept)
        renders.append(body.count(b"\n") - body.count(b"\n#") - 1)
        return kind, body

    server = PageServer(page, Health, lambda: Status(state="running", at_seconds=0.0), address=("127.0.0.1", 0))
    _, port = server.start()
    registry.render()
    rows: list[dict[str, object]] = []
    for encoding in ("gzip", "identity"):
        time.sleep(1.2)  # what was kept is old then
        renders.clear()
        begin = time.process_time()
        asked = [sys.executable, __file__, "scrape", str(port), encoding]
        seconds = sorted(map(float, subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()))
        rows.append(
            {
                "what": f"{SCRAPERS} scrapers at once, {encoding}",
                "samples": renders[0],
                "CPU s": time.process_time() - begin,
                "renders": len(renders),
                "half served, s": seconds[SCRAPERS // 2],
                "all served, s": seconds[-1],
            }
        )
    server.stop()
    return rows


def row(what: str, samples: int, seconds: float) -> dict[str, object]:
    """A row without an opponent."""
    return {"what": what, "samples": samples, "CPU s": seconds, "samples/s": samples / seconds}


def openmetrics_file(rng: np.random.Generator, folder: Path) -> list[dict[str, object]]:
    """A million samples spooled pane by pane, then merged."""
    labels = label_sets(FILE_SERIES)
    panes = [blocks(labels, START + 5 * pane * SECOND, rng) for pane in range(FILE_PANES)]
    begin = time.process_time()
    spool = openmetrics.OpenMetricsSpool(folder / "openmetrics")
    for pane in panes:
        for block in pane:
            spool.append(block)
    spool.close()
    spooled = time.process_time() - begin
    begin = time.process_time()
    samples = openmetrics.merge([folder / "openmetrics"], folder / "samples.om")
    merged = time.process_time() - begin
    return [row("file, spooled", samples, spooled), row("file, merged", samples, merged)]


def csv_table(rng: np.random.Generator, folder: Path) -> list[dict[str, object]]:
    """Closed windows as CSV: here a sample is a row."""
    _, labels = label_sets(SERIES)
    calls, durations = rng.integers(0, 1_000, len(labels)), rng.random((len(labels), 3))
    begin = time.process_time()
    spool = csv_samples.CsvSpool(folder / "csv", (), WINDOWS, QUANTILES)
    for window in range(CSV_WINDOWS):
        spool.append(START + 5 * window * SECOND, "1m", labels, calls, calls // 10, durations)
    spool.close()
    spooled = time.process_time() - begin
    found = [row("CSV, spooled", CSV_WINDOWS * SERIES, spooled)]
    for name in ("samples.csv", "samples.csv.gz"):
        begin = time.process_time()
        rows = csv_samples.merge([folder / "csv"], folder / name)
        found.append(row(f"{name}, merged", rows, time.process_time() - begin))
    return found


def main() -> None:
    if sys.argv[1:2] == ["scrape"]:
        print(*asyncio.run(scrape(int(sys.argv[2]), sys.argv[3])))
        return
    rng = np.random.default_rng(1)
    registry = whole_page(rng)
    with tempfile.TemporaryDirectory() as folder:
        rows = pages(registry) + openmetrics_file(rng, Path(folder)) + csv_table(rng, Path(folder))
    # Columns that only the scrapers have, empty in the rows of the others: the first row names them all.
    served = scrapers(registry)
    rows[0] |= {column: "" for column in served[0] if column not in rows[0]}
    rows += served
    publish(
        "speed_page",
        "How fast is a page of 100,000 samples, and what are written as files?",
        rows,
        'Pages: 64 shards, 35 samples a series, label texts cached, values new; best of five. "Its": prometheus_client '
        "writes the same samples from its own ready-made families. Must show: a page in 0.2 s. Files: one pass. "
        f"Scrapers: {SCRAPERS} connections of another process at once, one render for all; their own time is in it.",
    )


if __name__ == "__main__":
    main()
