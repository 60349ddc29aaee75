"""A scenario in real time, into a real topic."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from flows.generate import live
from flows.generate.generator import GeneratedRecord, generate
from flows.generate.scenario import Scenario
from tests.servers.server import free_ports, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from confluent_kafka import Message

    from tests.servers.kafka import Broker

COMMAND = [sys.executable, "-c", "from flows.cli import main; main()", "generate"]
SECOND = 1_000_000_000


def feed(scenario: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """The command, to its end."""
    return subprocess.run([*COMMAND, str(scenario), *options], capture_output=True, text=True, timeout=120, check=False)


def spans_of(message: Message) -> list[int]:
    """The event times of a record's spans, Unix ns, as protobuf reads them."""
    value = message.value()
    assert value is not None
    of_resources = ExportTraceServiceRequest.FromString(value).resource_spans
    scopes = chain.from_iterable(each.scope_spans for each in of_resources)
    return [span.end_time_unix_nano for scope in scopes for span in scope.spans]


@pytest.fixture
def demo(repository: Path) -> Path:
    """A scenario."""
    return repository / "datasets" / "demo.yaml"


@pytest.fixture
def few(demo: Path) -> list[GeneratedRecord]:
    """Records of ten seconds."""
    return list(generate(Scenario.load(demo), rate=50, duration=timedelta(seconds=10)))


class Clock:
    """A time that passes when somebody rests, and only then."""

    def __init__(self, now_ns: int) -> None:
        self.now_ns = now_ns
        self.rests: list[float] = []

    def rest(self, seconds: float) -> None:
        self.rests.append(seconds)
        self.now_ns += round(seconds * SECOND) + 1


def test_each_record_comes_at_its_time(few: list[GeneratedRecord]) -> None:
    clock = Clock(few[0].time_ns - SECOND)
    for record in live.paced(few, lambda: False, clock.rest, lambda: clock.now_ns):
        assert 0 <= clock.now_ns - record.time_ns < 1000
    assert max(clock.rests) <= 0.1  # so that an end is heard soon


def test_a_record_whose_time_is_over_comes_at_once(few: list[GeneratedRecord]) -> None:
    clock = Clock(few[-1].time_ns + SECOND)
    assert list(live.paced(few, lambda: False, clock.rest, lambda: clock.now_ns)) == few
    assert clock.rests == []


def test_an_end_is_heard_while_nothing_is_due(few: list[GeneratedRecord]) -> None:
    clock = Clock(few[0].time_ns - 3600 * SECOND)
    stopped = iter([False] * 5 + [True] * 5)
    assert list(live.paced(few, lambda: next(stopped), clock.rest, lambda: clock.now_ns)) == []
    assert len(clock.rests) == 5


def test_a_live_scenario_begins_now_and_does_not_end_with_the_scenario(demo: Path) -> None:
    scenario = Scenario.load(demo)
    before_ns = time.time_ns()
    start, records = live.live_records(scenario, rate=1.0)
    start_ns = int(start.timestamp() * 1e6) * 1000
    assert before_ns - 1000 <= start_ns <= time.time_ns()
    assert any(record.time_ns > start_ns + scenario.duration for record in records)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ((), "neither OUT nor --kafka"),
        (("out", "--kafka", "127.0.0.1:9092"), "both OUT (out) and --kafka"),
        (("out", "--topic", "spans"), "--topic without --kafka"),
        (("--kafka", "127.0.0.1:9092", "--format", "json-zstd"), "--format json-zstd with --kafka"),
    ],
)
def test_options_that_do_not_go_together_are_a_sentence(demo: Path, options: tuple[str, ...], found: str) -> None:
    done = feed(demo, *options)
    assert done.returncode == 2
    assert done.stderr.startswith(f"streamgauge: {found}; ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_broker_that_does_not_answer_is_a_sentence(demo: Path) -> None:
    (port,) = free_ports(1)
    done = feed(demo, "--kafka", f"127.0.0.1:{port}")
    assert done.returncode == 73
    assert done.stderr.startswith(f"streamgauge: Kafka at 127.0.0.1:{port}, topic otlp_spans: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.fixture(scope="module")
def fed(broker: Broker, repository: Path) -> tuple[float, float, str, dict[int, list[Message]]]:
    """When a feed of ten seconds at 3,000 spans a second began and ended, what it said, and what the topic has."""
    options = ("--kafka", broker.bootstrap, "--topic", "fed", "--rate", "3000", "--duration", "10s")
    began = time.time()
    done = feed(repository / "datasets" / "demo.yaml", *options)
    assert done.returncode == 0, done.stderr
    return began, time.time(), done.stdout, broker.read("fed")


Fed = tuple[float, float, str, dict[int, list["Message"]]]


@pytest.mark.slow
def test_a_topic_is_made_with_four_partitions_that_get_records_in_turn(fed: Fed) -> None:
    sizes = [len(messages) for messages in fed[3].values()]
    assert len(sizes) == 4
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.slow
def test_the_rate_is_what_was_asked_for(fed: Fed) -> None:
    """Requests come by chance, some 25 spans each: a tenth is three standard deviations."""
    spans = sum(len(spans_of(message)) for message in chain.from_iterable(fed[3].values()))
    assert f"fed at {fed[2].split()[2]} {spans:,} spans in " in fed[2]
    assert spans == pytest.approx(30_000, rel=0.1)


@pytest.mark.slow
def test_event_times_are_now(fed: Fed) -> None:
    """Records are stamped as they are sent, and their spans ended in the seconds before, but for a few late ones."""
    began, ended, _, topic = fed
    ages = Counter[bool]()
    for message in chain.from_iterable(topic.values()):
        sent = message.timestamp()[1] / 1000
        assert began < sent < ended
        ages.update(0 <= sent - end_ns / 1e9 < 15 for end_ns in spans_of(message))
    assert ages[True] / ages.total() > 0.98


@pytest.mark.slow
def test_ctrl_c_ends_a_feed_cleanly_and_says_how_many_spans_went(broker: Broker, demo: Path) -> None:
    topic = broker.create_topic("interrupted", 2)
    options = ["--kafka", broker.bootstrap, "--topic", topic, "--rate", "1000", "--format", "json"]
    command = [*COMMAND, str(demo), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until(lambda: sum(broker.end_offsets(topic).values()) > 20, "records come", 60.0)
            process.send_signal(signal.SIGINT)
            began = time.monotonic()
            out, _ = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0
    assert time.monotonic() - began < 3
    records = list(chain.from_iterable(broker.read(topic).values()))
    spans = sum((message.value() or b"").count(b'"endTimeUnixNano"') for message in records)
    assert out == f"{topic} at {broker.bootstrap}: {spans:,} spans in {len(records):,} records\n"


@pytest.mark.slow
def test_records_that_are_not_delivered_end_in_a_sentence(broker: Broker, demo: Path) -> None:
    topic = broker.create_topic("refuses", 1, max_message_bytes=2_000)
    done = feed(demo, "--kafka", broker.bootstrap, "--topic", topic, "--rate", "1000", "--duration", "3s")
    assert done.returncode == 73
    assert "records (" in done.stderr
    assert "were not delivered, the first because of: Broker: Message size too large" in done.stderr


@pytest.mark.slow
def test_a_broker_that_goes_away_for_a_while_loses_nothing(broker_factory: Callable[..., Broker], demo: Path) -> None:
    own = broker_factory()
    feeding = live.Feed(own.bootstrap, "away")
    feeding.open()
    _, records = live.live_records(Scenario.load(demo), rate=500, duration=timedelta(seconds=8))
    sent = 0

    def counted(records: Iterator[GeneratedRecord]) -> Iterator[GeneratedRecord]:
        nonlocal sent
        for number, record in enumerate(records):
            sent += record.spans
            if number == 20:
                own.kill()
            elif number == 40:
                own.start()
            yield record

    for _ in feeding.send(counted(records), lambda: False):
        pass
    assert feeding.fed.spans == sent
    found = chain.from_iterable(own.read("away").values())
    assert sum(len(spans_of(message)) for message in found) == sent
