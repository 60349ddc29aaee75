"""Other numbers of workers, and two machines: every count stays what it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.gauge import Gauge, Scraper, eventually, series
from tests.chaos.stream import Producing, settle, stream
from tests.servers.server import free_ports

if TYPE_CHECKING:
    from pathlib import Path

    from tests.chaos.gauge import Page
    from tests.servers.kafka import Broker

pytestmark = pytest.mark.slow


def test_one_two_three_and_one_worker_keep_every_count(broker: Broker, tmp_path: Path) -> None:
    of = stream(31, seconds=300)
    topic = broker.create_topic("rescale", 4)
    with (
        Gauge(tmp_path, broker.bootstrap, [topic]) as gauge,
        Scraper(gauge) as scraper,
        Producing(broker, topic, of, 25.0),
    ):
        for workers in (2, 3, 1):
            gauge.wait_ready()
            before = gauge.wait_for_page(lambda page: read(page, topic) > 0, "spans are read")[_spans(topic)]
            gauge.wait_for_page(lambda page, least=before: read(page, topic) > least, "more spans are read")  # type: ignore[misc]
            assert gauge.stop() == 0
            gauge.workers = workers
            gauge.start().wait_ready()
            assert len(gauge.worker_pids()) == workers
        assert settle(gauge, of, topic) == []
        assert scraper.went_back == []


def test_two_machines_share_the_work_and_go_on_after_a_kill_of_both(broker: Broker, tmp_path: Path) -> None:
    """Two supervisors on two loopback addresses, one state directory on a volume that both have."""
    of = stream(32, seconds=300)
    topic = broker.create_topic("machines", 4)
    first, second = free_ports(2)
    addresses = f"127.0.0.1:{first},127.0.0.2:{second}"
    settings = {"state_directory": str(tmp_path / "state")}
    machines = [
        Gauge(
            tmp_path / str(machine),
            broker.bootstrap,
            [topic],
            settings=settings,
            arguments=["--machine", str(machine), "--addresses", addresses],
        )
        for machine in range(2)
    ]
    one, two = machines
    with one, two, Producing(broker, topic, of, 12.0):
        eventually(lambda: one.is_ready() and two.is_ready(), lambda: one.log[-2000:] + two.log[-2000:], 60.0)
        one.kill()
        two.kill()
        for machine in machines:
            machine.start()
        eventually(lambda: one.is_ready() and two.is_ready(), lambda: one.log[-2000:] + two.log[-2000:], 60.0)
        both = _Both(one, two)
        assert settle(both, of, topic) == []  # type: ignore[arg-type]
        mine, theirs = one.page(), two.page()
        assert mine is not None
        assert theirs is not None
        shared = [
            key for key in mine.keys() & theirs.keys() if key.name.startswith(("traces_", "streamgauge_span_calls"))
        ]
        assert shared == [], "no series is on two pages"
        assert len(mine) > 100
        assert len(theirs) > 100
        codes = stop_both(one, two)
        assert codes == [0, 0]


class _Both:
    """Two machines' pages, added up where both count."""

    def __init__(self, one: Gauge, two: Gauge) -> None:
        self._both = one, two
        self.process = one.process

    @property
    def log(self) -> str:
        return "".join(gauge.log for gauge in self._both)

    def page(self) -> Page | None:
        pages = [gauge.page() for gauge in self._both]
        if pages[0] is None or pages[1] is None:
            return None
        total = dict(pages[0])
        for key, value in pages[1].items():
            total[key] = total[key] + value if key in total else value
        return total


def stop_both(*gauges: Gauge) -> list[int]:
    for gauge in gauges:
        gauge.process.terminate()
    return [gauge.process.wait(20) for gauge in gauges]


def _spans(topic: str):
    return series("streamgauge_spans_total", source=topic)


def read(page: Page, topic: str) -> float:
    return page.get(_spans(topic), 0.0)
