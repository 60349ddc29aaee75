"""kill -9 at any moment: nothing is lost, nothing counted twice, no scrape sees a counter go back."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import pytest

from tests.chaos.gauge import Gauge, Scraper
from tests.chaos.stream import Producing, fates, settle, stream

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.kafka import Broker

pytestmark = pytest.mark.slow


def test_an_undisturbed_run_says_what_the_oracle_says(broker: Broker, tmp_path: Path) -> None:
    of = stream(1)
    assert fates(of)["late"] > 20
    assert fates(of)["future"] > 10
    topic = broker.create_topic("undisturbed", 4)
    with Producing(broker, topic, of, 3.0), Gauge(tmp_path, broker.bootstrap, [topic]) as gauge:
        assert settle(gauge, of, topic) == []
        assert gauge.stop() == 0


@pytest.mark.parametrize(("workers", "seed"), [(1, 11), (2, 12)])
def test_twenty_kills_change_nothing(broker: Broker, tmp_path: Path, workers: int, seed: int) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    of = stream(seed, seconds=600)
    topic = broker.create_topic(f"kills-{workers}", 4)
    gauge = Gauge(tmp_path, broker.bootstrap, [topic], workers).start()
    kills = 0
    with gauge, Scraper(gauge) as scraper, Producing(broker, topic, of, 42.0) as producing:
        until = time.monotonic() + 50.0
        while time.monotonic() < until and (kills < 20 or not producing.is_over):
            if kills % 4 == 3:
                shown_again(gauge, 6.0)
            victim = rng.choice(["one", "all", "supervisor", "snapshot", "snapshot"])
            if victim == "snapshot":
                wait_for_snapshot(gauge, rng.random() * 2.0)
                time.sleep(rng.random() * 0.02)
            else:
                time.sleep(rng.random() * 2.0)
            if victim == "supervisor" or gauge.process.poll() is not None:
                gauge.kill()
                gauge.start()
            else:
                gauge.kill_workers(1 if victim == "one" else 99)
            kills += 1
        producing.wait()
        assert settle(gauge, of, topic) == []
        assert scraper.went_back == []
        assert kills >= 20
        assert scraper.pages >= 5


def shown_again(gauge: Gauge, most: float) -> None:
    """Until the page is shown, or so long."""
    until = time.monotonic() + most
    while time.monotonic() < until and gauge.page() is None:
        time.sleep(0.1)


def wait_for_snapshot(gauge: Gauge, most: float) -> None:
    """Until the engine writes state, or so long."""
    until = time.monotonic() + most
    before = written(gauge)
    while time.monotonic() < until and written(gauge) == before:
        time.sleep(0.002)


def written(gauge: Gauge) -> list[tuple[str, int, int]]:
    found = []
    for file in sorted((gauge.state / "recovery").glob("*")):
        try:
            stat = file.stat()
        except FileNotFoundError:
            continue
        found.append((file.name, stat.st_size, stat.st_mtime_ns))
    return found
