"""The supervisor: its lock, its signals, and what it does about workers that die or hang."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flows.run.dead_letters import read
from tests.chaos.broken_gauge import AT_ONCE, DEATHS, HANG_ONCE, HUNG
from tests.chaos.gauge import Gauge, Scraper, eventually, series
from tests.chaos.stream import Producing, Stream, encode, settle, stream

if TYPE_CHECKING:
    from tests.servers.kafka import Broker

pytestmark = pytest.mark.slow

BROKEN = [sys.executable, str(Path(__file__).with_name("broken_gauge.py"))]


def produce(broker: Broker, topic: str, of: Stream, first: float, last: float) -> None:
    """Produce a share of each partition's records, such as from 0.0 to 0.5."""
    for number, records in enumerate(of.partitions):
        begin, end = round(first * len(records)), round(last * len(records))
        rows = records[begin:end]
        values = [encode(record, i + 1) for i, record in enumerate(rows, begin)]
        broker.produce(topic, number, values, [record.timestamp for record in rows], compression="lz4")


def test_a_second_start_says_who_holds_the_state(broker: Broker, tmp_path: Path) -> None:
    topic = broker.create_topic("second-start", 1)
    with Gauge(tmp_path / "first", broker.bootstrap, [topic]) as first:
        first.wait_ready()
        assert stat.S_IMODE(first.state.stat().st_mode) == 0o700
        settings = {"state_directory": str(first.state)}
        with Gauge(tmp_path / "second", broker.bootstrap, [topic], settings=settings) as second:
            assert second.process.wait(20.0) == 78
            assert f"is held by process {first.process.pid} on" in second.log
            assert "Stop that one first" in second.log
        assert first.is_ready()
        assert first.stop() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_die_with_their_supervisor(broker: Broker, tmp_path: Path, workers: int) -> None:
    topic = broker.create_topic(f"orphans-{workers}", 4)
    with Gauge(tmp_path, broker.bootstrap, [topic], workers) as gauge:
        gauge.wait_ready()
        pids = gauge.worker_pids()
        assert len(pids) == workers
        gauge.process.kill()
        gauge.process.wait()
        begun = time.monotonic()
        eventually(lambda: not any(is_running(pid) for pid in pids), "the workers are gone", 5.0)
        print(f"gone after {time.monotonic() - begun:.2f} s")


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_in_the_middle_counts_nothing_twice(
    broker: Broker, tmp_path: Path, number: signal.Signals, workers: int
) -> None:
    of = stream(21)
    topic = broker.create_topic(f"stop-{number}-{workers}", 4)
    gauge = Gauge(tmp_path, broker.bootstrap, [topic], workers)
    with gauge, Scraper(gauge) as scraper, Producing(broker, topic, of, 12.0) as producing:
        while not producing.is_over:
            time.sleep(2.0)
            begun = time.monotonic()
            assert gauge.stop(number) == 0  # promised within 10 s, waited for 20
            print(f"stopped after {time.monotonic() - begun:.2f} s")
            gauge.start()
        assert settle(gauge, of, topic) == []
        assert scraper.went_back == []


def test_a_stop_during_the_start_ends_it_too(broker: Broker, tmp_path: Path) -> None:
    topic = broker.create_topic("stop-at-start", 1)
    for pause in (0.3, 0.8, 1.5):
        with Gauge(tmp_path, broker.bootstrap, [topic]) as gauge:
            eventually(lambda: "workers started" in gauge.log or gauge.process.poll() is not None, "it starts")
            time.sleep(pause)
            assert gauge.stop() == 0
            gauge._client.close()


def test_a_stop_that_hangs_ends_after_its_grace(broker: Broker, tmp_path: Path) -> None:
    of = stream(22)
    topic = broker.create_topic("stop-hangs", 4)
    settings = {"supervision": {"stop_grace": "2s"}}
    with Gauge(tmp_path, broker.bootstrap, [topic], 2, settings) as gauge:
        produce(broker, topic, of, 0.0, 0.5)
        gauge.wait_ready()
        os.kill(gauge.worker_pids()[0], signal.SIGSTOP)
        begun = time.monotonic()
        assert gauge.stop() == 75
        assert 2.0 <= time.monotonic() - begun < 8.0
        assert "a stop took too long" in gauge.log
        produce(broker, topic, of, 0.5, 1.0)
        assert settle(gauge.start(), of, topic) == []


def test_a_worker_that_hangs_is_restarted_and_its_stacks_are_in_the_log(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HUNG, str(tmp_path / "hung"))
    of = stream(23)
    topic = broker.create_topic("hangs", 4)
    settings = {"supervision": {"hang": "3s"}}
    with Gauge(tmp_path, broker.bootstrap, [topic], 1, settings, command=BROKEN) as gauge:
        produce(broker, topic, of, 0.0, 0.5)
        gauge.wait_ready()
        broker.produce(topic, 1, [HANG_ONCE], [of.partitions[1][0].timestamp])
        eventually(lambda: "stored no state for" in gauge.log, "the hanging worker is noticed", 20.0)
        assert "in dies" in gauge.log  # the function that hangs, in its stack
        produce(broker, topic, of, 0.5, 1.0)
        page = gauge.wait_for_page(is_dead("malformed"), "the mark, no record at all, is set aside")
        assert page[series("streamgauge_worker_restarts_total")] == 1
        assert [line for line in settle(gauge, of, topic) if "records_total" not in line] == []


def is_dead(_reason: str):  # type: ignore[no-untyped-def]
    return lambda page: any(key.name == "streamgauge_dead_letters_total" and value for key, value in page.items())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stopped_worker_is_taken_for_hanging_and_replaced(broker: Broker, tmp_path: Path, workers: int) -> None:
    of = stream(24)
    topic = broker.create_topic(f"stopped-{workers}", 4)
    settings = {"supervision": {"hang": "3s"}}
    gauge = Gauge(tmp_path, broker.bootstrap, [topic], workers, settings)
    with gauge, Scraper(gauge) as scraper, Producing(broker, topic, of, 10.0):
        gauge.wait_ready()
        time.sleep(2.0)
        pids = gauge.worker_pids()
        os.kill(pids[-1], signal.SIGSTOP)
        eventually(lambda: "stored no state for" in gauge.log, "the stopped worker is noticed", 20.0)
        eventually(lambda: not any(is_running(pid) for pid in pids), "it is gone, and the others with it")
        assert settle(gauge, of, topic) == []
        assert scraper.went_back == []


@pytest.mark.parametrize(("death", "workers"), [("exit", 1), ("segfault", 2), ("exception", 1)])
def test_a_record_that_workers_die_of_is_set_aside(broker: Broker, tmp_path: Path, death: str, workers: int) -> None:
    assert death in DEATHS
    of = stream(25)
    topic = broker.create_topic(f"poison-{death}", 4)
    gauge = Gauge(tmp_path, broker.bootstrap, [topic], workers, command=BROKEN)
    with gauge, Scraper(gauge) as scraper:
        produce(broker, topic, of, 0.0, 0.5)
        gauge.wait_ready()
        [offset] = broker.produce(topic, 2, [f"die-by-{death}".encode()], [of.partitions[2][0].timestamp])
        produce(broker, topic, of, 0.5, 1.0)
        begun = time.monotonic()
        eventually(lambda: "it is set aside" in gauge.log, lambda: f"it is named; {gauge.log[-3000:]}", 40.0)
        print(f"named after {time.monotonic() - begun:.1f} s")
        assert settle(gauge, of, topic) == []
        assert scraper.went_back == []
        page = gauge.page()
        assert page is not None
        dead = {key: value for key, value in page.items() if key.name == "streamgauge_dead_letters_total" and value}
        assert dead == {series("streamgauge_dead_letters_total", reason="crashed"): 1.0}
        assert 3 <= page[series("streamgauge_worker_restarts_total")] <= 5
        assert gauge.stop() == 0
        [letter] = read(gauge.state / "dead_letters.jsonl")
        assert (letter.source, letter.partition, letter.offset, letter.reason) == (topic, 2, offset, "crashed")
        assert letter.payload == f"die-by-{death}".encode()
        # A new supervisor still knows of it, and of nothing else.
        assert json.loads((gauge.state / "crashes.json").read_text())["skip"] == [[topic, 2, offset]]
        assert settle(gauge.start(), of, topic) == []


def test_workers_that_die_for_no_records_sake_end_the_run(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(AT_ONCE, "1")
    topic = broker.create_topic("dies-at-once", 1)
    with Gauge(tmp_path, broker.bootstrap, [topic], command=BROKEN) as gauge:
        assert gauge.process.wait(60.0) == 70
        assert 3 <= gauge.log.count("workers started") <= 6
        assert "for no record's sake" in gauge.log


def test_a_restart_before_anything_was_shown_is_ready(broker: Broker, tmp_path: Path) -> None:
    topic = broker.create_topic("restart-empty", 2)
    with Gauge(tmp_path, broker.bootstrap, [topic]) as gauge:
        for _ in range(2):
            gauge.wait_ready()
            assert gauge.stop() == 0
            gauge.start()
        gauge.wait_ready(20.0)
