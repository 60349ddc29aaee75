"""From a real broker to a page: spans per CPU-second against the OpenTelemetry Collector, and what a live run costs.

    python benchmarks/speed_kafka.py [--quick] [peer] [checkpoint] [resume] [workers] [scrapers]

Both programs are started on a topic that has a few records, and stopped (SIGSTOP) when they have shown these; then the
topic is filled. Measured is one at a time, from its SIGCONT until everything is read and shown: so start-up and the
waking of caches count for nobody, and neither sees the topic grow.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the tests' servers

import httpx
import kafka_load
from kafka_load import FLUSH, Load
from processes import Tree
from report import publish

from tests.chaos.gauge import Gauge, eventually
from tests.servers.collector import Collector
from tests.servers.kafka import Broker
from tests.servers.server import free_ports
from tests.servers.span_metrics import RIGHT, span_metrics

_WARM_RECORDS = 60  # enough event time for panes to close: then every kernel is loaded
_LONG = "1h"
_CALLS = "traces_span_metrics_calls_total"


class Sizes(NamedTuple):
    """How much is measured."""

    spans: int = 3_000_000
    recorded_share: float = 1.0
    repeats: int = 2
    series_spans: int = 16_000_000
    scraped_spans: int = 6_000_000


QUICK = Sizes(400_000, 0.1, 1, 400_000, 400_000)


class Measured(NamedTuple):
    """What reading a topic took."""

    cpu_seconds: float
    wall_seconds: float
    peak_mb: float


class Ours:
    """A live run."""

    def __init__(self, folder: Path, broker: Broker, topic: str, workers: int = 1, epoch: str = "5s") -> None:
        settings = {"supervision": {"epoch": epoch, "hang": "3h"}, "limits": {"series_per_service": 5_000}}
        self.gauge = Gauge(folder, broker.bootstrap, [topic], workers, settings)

    def start(self, stack: ExitStack) -> None:
        """Start it, to be ended with the stack."""
        stack.enter_context(self.gauge.start())

    def read(self) -> int:
        """Spans it has read."""
        page = self.gauge.page() or {}
        return int(sum(value for key, value in page.items() if key.name == "streamgauge_spans_total"))

    def shown(self) -> int:
        """Spans it shows."""
        return _calls(self.gauge.get("/metrics").text)

    @property
    def pid(self) -> int:
        """The process that the others descend from."""
        return self.gauge.process.pid


class Theirs:
    """A Collector that does the same, with the option that makes its counts right."""

    def __init__(self, folder: Path, broker: Broker, topic: str) -> None:
        (port,) = free_ports(1)
        self._url = f"http://127.0.0.1:{port}/metrics"
        # Its page is as fresh as a usual scrape; a pause must not throw it out of its group, or it reads twice.
        connector = {**RIGHT, "metrics_flush_interval": "15s"}
        receiver = {"session_timeout": "5m"}
        self._collector = Collector(folder, span_metrics(broker.bootstrap, topic, port, connector, receiver))

    def start(self, stack: ExitStack) -> None:
        """Start it, to be ended with the stack."""
        stack.enter_context(self._collector)

    def read(self) -> int:
        """Spans it has read, as it shows them."""
        return self.shown()

    def shown(self) -> int:
        """Spans it shows."""
        return _calls(httpx.get(self._url, timeout=30).text)

    @property
    def pid(self) -> int:
        """The process that the others descend from."""
        return self._collector.pid


def _calls(page: str) -> int:
    lines = (line for line in page.splitlines() if line.startswith(_CALLS) and f'"{FLUSH}"' not in line)
    return int(sum(float(line.rpartition(" ")[2]) for line in lines))


def measure(broker: Broker, topic: str, load: Load, contestants: list[Ours | Theirs]) -> list[Measured]:
    """One after the other over the same topic; it is removed at the end."""
    broker.create_topic(topic, kafka_load.PARTITIONS)
    load.fill(broker, topic, 0, _WARM_RECORDS)
    warm = load.spans_of_first(_WARM_RECORDS)
    found = []
    with ExitStack() as stack:
        for each in contestants:
            each.start(stack)
        trees = []
        for each in contestants:
            eventually(lambda each=each: _has_read(each, warm), f"{warm} spans are read", 60.0)
            trees.append(Tree(each.pid))
        for tree in trees:
            tree.pause()
        load.fill(broker, topic, _WARM_RECORDS)
        for each, tree in zip(contestants, trees, strict=True):
            tree.resume()
            cpu, wall = tree.work(lambda each=each: each.shown() >= load.n_spans)
            assert each.shown() == load.n_spans, f"{each.shown()} of {load.n_spans} spans"
            found.append(Measured(cpu, wall, tree.peak_mb()))
            tree.pause()
        for tree in trees:
            tree.resume()
    broker.delete_topic(topic)
    return found


def _has_read(each: Ours | Theirs, n_spans: int) -> bool:
    try:
        return each.read() >= n_spans
    except httpx.HTTPError:
        return False


def against_the_collector(broker: Broker, folder: Path, sizes: Sizes) -> list[dict[str, object]]:
    """Spans per CPU-second of both, and their memory."""
    loads = [kafka_load.with_attributes(sizes.spans), kafka_load.recorded(5, sizes.recorded_share)]
    rows: list[dict[str, object]] = []
    for load in filter(None, loads):
        for turn in range(sizes.repeats):
            name = f"peer-{load.bytes_a_span}-{turn}"
            ours, theirs = Ours(folder / name / "ours", broker, name), Theirs(folder / name / "theirs", broker, name)
            order: list[Ours | Theirs] = [ours, theirs] if turn % 2 == 0 else [theirs, ours]
            by_one = dict(zip(order, measure(broker, name, load, order), strict=True))
            mine, other = by_one[ours], by_one[theirs]
            rows.append(
                {
                    "spans": load.name,
                    "bytes a span": load.bytes_a_span,
                    "M spans": load.n_spans / 1e6,
                    "M spans/CPU s": load.n_spans / mine.cpu_seconds / 1e6,
                    "Collector's": load.n_spans / other.cpu_seconds / 1e6,
                    "times": other.cpu_seconds / mine.cpu_seconds,
                    "M spans/s": load.n_spans / mine.wall_seconds / 1e6,
                    "peak MB": mine.peak_mb,
                    "Collector's MB": other.peak_mb,
                }
            )
    return rows


def run_alone(broker: Broker, folder: Path, name: str, load: Load, **options: Any) -> Measured:
    """A live run alone over a topic of its own."""
    return measure(broker, name, load, [Ours(folder / name, broker, name, **options)])[0]


def checkpoints(broker: Broker, folder: Path, sizes: Sizes) -> list[dict[str, object]]:
    """What storing state every 5 s costs, with 20,000 series of 10 spans a minute."""
    load = kafka_load.of_series(20_000, sizes.series_spans, sizes.series_spans / 200_000 * 60)
    rows: list[dict[str, object]] = []
    for turn in range(sizes.repeats):
        never = run_alone(broker, folder, f"never-{turn}", load, epoch=_LONG)
        often = run_alone(broker, folder, f"often-{turn}", load, epoch="5s")
        rows.append(
            {
                "M spans": load.n_spans / 1e6,
                "s, epoch 1h": never.wall_seconds,
                "s, epoch 5s": often.wall_seconds,
                "cost %": 100 * (often.wall_seconds / never.wall_seconds - 1),
                "CPU s, epoch 1h": never.cpu_seconds,
                "CPU s, epoch 5s": often.cpu_seconds,
                "CPU cost %": 100 * (often.cpu_seconds / never.cpu_seconds - 1),
            }
        )
    return rows


def resumes(broker: Broker, folder: Path, sizes: Sizes) -> list[dict[str, object]]:
    """Kill -9 with that state; how long until the first new record is read."""
    load = kafka_load.of_series(20_000, sizes.series_spans, sizes.series_spans / 200_000 * 60)
    topic = broker.create_topic("resume", kafka_load.PARTITIONS)
    half = load.n_spans // kafka_load.SPANS_PER_RECORD // kafka_load.PARTITIONS // 2
    load.fill(broker, topic, 0, half)
    ours = Ours(folder / "resume", broker, topic, epoch="5s")
    with ExitStack() as stack:
        ours.start(stack)
        wanted = half * kafka_load.PARTITIONS * kafka_load.SPANS_PER_RECORD
        eventually(lambda: _has_read(ours, wanted), "half of it is read", 120.0)
        time.sleep(12.0)  # two epochs
        rows: list[dict[str, object]] = []
        for what in ("supervisor", "worker"):
            before = _positions(ours.gauge)
            if what == "supervisor":
                ours.gauge.kill()
            load.fill(broker, topic, half, half + 10)
            half += 10
            begun = time.monotonic()
            if what == "supervisor":
                ours.gauge.start()
            else:
                ours.gauge.kill_workers()
            eventually(lambda before=before: _positions(ours.gauge) > before, "a new record", 60.0)
            first = time.monotonic() - begun
            eventually(ours.gauge.is_ready, "it shows its page", 60.0)
            state = sum(file.stat().st_size for file in ours.gauge.state.rglob("*") if file.is_file())
            rows.append(
                {
                    "killed": what,
                    "state MB": state / 1e6,
                    "s to the first new record": first,
                    "s to the page": time.monotonic() - begun,
                }
            )
            time.sleep(12.0)
    broker.delete_topic(topic)
    return rows


def _positions(gauge: Gauge) -> int:
    return sum(
        partition["position"] or 0 for source in gauge.status().get("sources", []) for partition in source["partitions"]
    )


def two_workers(broker: Broker, folder: Path, sizes: Sizes) -> list[dict[str, object]]:
    """Wall time of one worker and of two, the broker on the same cores."""
    load = kafka_load.with_attributes(sizes.spans)
    rows: list[dict[str, object]] = []
    for turn in range(sizes.repeats):
        one = run_alone(broker, folder, f"one-{turn}", load)
        two = run_alone(broker, folder, f"two-{turn}", load, workers=2)
        rows.append(
            {
                "s, one worker": one.wall_seconds,
                "s, two": two.wall_seconds,
                "times as fast": one.wall_seconds / two.wall_seconds,
                "CPU s, one": one.cpu_seconds,
                "CPU s, two": two.cpu_seconds,
                "peak MB, one": one.peak_mb,
                "peak MB, two": two.peak_mb,
            }
        )
    return rows


class Scrapers:
    """Fifty scrapers, each every 15 s, spread over that time, in one thread; they begin when the page is there."""

    def __init__(self, gauge: Gauge, n: int = 50, every: float = 15.0) -> None:
        self.pages = self.refused = self.samples = 0
        self._gauge, self._pause = gauge, every / n
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._scrape, daemon=True)

    def __enter__(self) -> Scrapers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _scrape(self) -> None:
        while not self._stop.wait(self._pause):
            try:
                answer = self._gauge.get("/metrics", **{"accept-encoding": "gzip"})
            except (httpx.HTTPError, OSError):
                continue  # it has not started yet, or stands still
            self.pages += answer.status_code == 200
            self.refused += answer.status_code != 200
            self.samples = max(self.samples, answer.content.count(b"\n"))


def scraped(broker: Broker, folder: Path, sizes: Sizes) -> list[dict[str, object]]:
    """Throughput with 50 scrapers of a page of 100,000 samples and without."""
    load = kafka_load.of_series(2_900, sizes.scraped_spans, 900)
    rows: list[dict[str, object]] = []
    for turn in range(sizes.repeats):
        alone = run_alone(broker, folder, f"alone-{turn}", load)
        name = f"scraped-{turn}"
        ours = Ours(folder / name, broker, name)
        with Scrapers(ours.gauge) as scrapers:
            with_them = measure(broker, name, load, [ours])[0]
        rows.append(
            {
                "samples": scrapers.samples,
                "pages": scrapers.pages,
                "M spans/s": load.n_spans / alone.wall_seconds / 1e6,
                "scraped": load.n_spans / with_them.wall_seconds / 1e6,
                "drop %": 100 * (1 - alone.wall_seconds / with_them.wall_seconds),
            }
        )
    return rows


QUESTIONS = {
    "peer": ("Kafka to page, against the Collector", against_the_collector),
    "checkpoint": ("Storing state every 5 s, 20,000 series", checkpoints),
    "resume": ("After kill -9, 20,000 series", resumes),
    "workers": ("Two workers against one", two_workers),
    "scrapers": ("50 scrapers of a page of 100,000 samples", scraped),
}


def _load() -> str:
    """Processes that wanted a core in the last minute, on average: with more than there are cores, times are long."""
    return f"{os.getloadavg()[0]:.1f}"


def main() -> None:
    """Measure, print, write the results."""
    sizes = QUICK if "--quick" in sys.argv else Sizes()
    asked = [each for each in sys.argv[1:] if not each.startswith("-")] or [*QUESTIONS]
    with tempfile.TemporaryDirectory() as folder, Broker(Path(folder) / "broker") as broker:
        for name in asked:
            title, question = QUESTIONS[name]
            rows = question(broker, Path(folder), sizes)
            file = "speed_kafka" if name == "peer" else f"speed_kafka_{name}"
            publish(file + ("_quick" if sizes is QUICK else ""), title, rows, f"Load of the machine: {_load()}")


if __name__ == "__main__":
    main()
