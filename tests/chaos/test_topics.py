"""Topics that lose records, grow, go, come back, fall silent; transactions; where reading begins; lag tools."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition

from tests.chaos.gauge import Gauge, Scraper, eventually, series
from tests.flows.kafka.small import (
    feed,
    idle_closures,
    kill_workers,
    lag,
    lost,
    n_records,
    partitions,
    stamp_ms,
    states,
    value,
    wait_records,
    wait_states,
    watermark,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.kafka import Broker

pytestmark = pytest.mark.slow

IDLE_LATE = series("streamgauge_late_total", signal="spans", reason="idle")


def test_records_that_were_deleted_unread_are_counted(broker: Broker, tmp_path: Path) -> None:
    topic = broker.create_topic("overrun", 2)
    feed(broker, topic, 0, range(100))
    feed(broker, topic, 1, range(100))
    with Gauge(tmp_path, broker.bootstrap, [topic]) as gauge:
        wait_records(gauge, topic, 200)
        assert gauge.stop() == 0
        feed(broker, topic, 0, range(100, 200))
        feed(broker, topic, 1, range(100, 110))
        broker.delete_records(topic, 0, 153)
        gauge.start()
        page = wait_records(gauge, topic, 200 + 47 + 10)
        eventually(lambda: lost(gauge.page() or {}, topic, 0) == 53, "the gap is counted")
        assert lost(page, topic, 1) == 0
        assert "records were deleted before they could be read" in gauge.log
        gauge.wait_ready()
        assert gauge.stop() == 0
        gauge.start().wait_ready()
        assert lost(gauge.page() or {}, topic, 0) == 53


def test_records_that_are_deleted_while_it_runs_are_counted(broker: Broker, tmp_path: Path) -> None:
    """The whole partition is emptied behind the back of a reader that is held up by an open transaction."""
    topic = broker.create_topic("overrun-running", 1)
    feed(broker, topic, 0, range(20))
    with Gauge(tmp_path, broker.bootstrap, [topic]) as gauge:
        wait_records(gauge, topic, 20)
        broker.delete_records(topic, 0, 20)  # nothing that was not read
        feed(broker, topic, 0, range(20, 30))
        page = wait_records(gauge, topic, 30)
        assert lost(page, topic, 0) == 0


def test_an_emptied_partition_keeps_no_gate_shut(broker: Broker, tmp_path: Path) -> None:
    topic = broker.create_topic("emptied", 3)
    for number in range(2):
        feed(broker, topic, number, range(10))
    with Gauge(tmp_path, broker.bootstrap, [topic]) as gauge:
        wait_records(gauge, topic, 20)
        assert gauge.stop() == 0
        broker.delete_records(topic, 0, 10)  # all read
        feed(broker, topic, 1, range(10, 15))
        broker.delete_records(topic, 1, 15)  # five never to be read
        gauge.start().wait_ready()
        page = wait_records(gauge, topic, 20)
        assert lost(page, topic, 0) == 0
        eventually(lambda: lost(gauge.page() or {}, topic, 1) == 5, "what is gone is counted")
        eventually(lambda: [lag(gauge.page() or {}, topic, each) for each in range(3)] == [0, 0, 0], "there is no lag")


def test_partitions_that_are_added_are_found_and_read_from_their_beginning(broker: Broker, tmp_path: Path) -> None:
    topic = broker.create_topic("growing", 1)
    settings = {"kafka": {"start": "latest", "idle": "3s"}}
    with Gauge(tmp_path, broker.bootstrap, [topic], settings=settings) as gauge:
        gauge.wait_ready()
        wait_states(gauge, topic, ["idle"])
        feed(broker, topic, 0, range(10))
        wait_records(gauge, topic, 10)
        broker.add_partitions(topic, 3)
        feed(broker, topic, 1, range(5), compression="gzip")  # by a client that knows of the partition
        wait_records(gauge, topic, 15)
        assert "topic has more partitions" in gauge.log
        assert lost(gauge.page() or {}, topic, 1) == 0
        # The third has nothing: it holds the watermark until its end is confirmed for as long as makes it idle.
        wait_states(gauge, topic, ["idle"] * 3)
        stood = watermark(gauge)
        assert stood is not None
        eventually(lambda: (watermark(gauge) or 0) > stood + 1, "the watermark goes on")


def test_a_partition_never_heard_from_holds_the_watermark(broker: Broker, tmp_path: Path) -> None:
    topic = broker.create_topic("never-heard", 2)
    with Gauge(tmp_path, broker.bootstrap, [topic], settings={"kafka": {"idle": "8s"}}) as gauge:
        gauge.wait_ready()
        until = time.monotonic() + 5.0
        second = 0
        while time.monotonic() < until:
            feed(broker, topic, 0, [second])
            assert watermark(gauge) is None
            second += 10
            time.sleep(0.5)
        while states(gauge, topic)[1] != "idle":
            feed(broker, topic, 0, [second])
            second += 10
            time.sleep(0.5)
            assert time.monotonic() < until + 20.0
        feed(broker, topic, 0, [second])
        eventually(lambda: watermark(gauge) == float(second), "only the partition with records counts")


def test_a_topic_that_is_removed_and_made_anew_is_read_from_its_beginning(broker: Broker, tmp_path: Path) -> None:
    topic = broker.create_topic("made-anew", 2)
    feed(broker, topic, 0, range(50))
    with Gauge(tmp_path, broker.bootstrap, [topic]) as gauge, Scraper(gauge) as scraper:
        wait_records(gauge, topic, 50)
        gauge.wait_ready()
        broker.delete_topic(topic)
        eventually(lambda: "topic does not exist" in gauge.log, "it says that the topic is gone")
        eventually(lambda: f"topic {topic} does not exist" in gauge.get("/-/ready").text, "and is not ready")
        broker.create_topic(topic, 2)
        feed(broker, topic, 0, range(50, 70))
        wait_records(gauge, topic, 70)
        gauge.wait_ready()
        assert "a topic was made anew" in gauge.log
        # This time it is gone for less than a look at the cluster takes, and has more than was read before.
        broker.delete_topic(topic)
        broker.create_topic(topic, 2)
        feed(broker, topic, 0, range(70, 80))
        wait_records(gauge, topic, 80)
        eventually(lambda: "topic was removed and made anew" in gauge.log, "it says so")
        time.sleep(3.0)
        wait_records(gauge, topic, 80)
        kill_workers(gauge)
        wait_records(gauge, topic, 80)
        assert scraper.went_back == []


def test_a_topic_made_anew_while_it_was_stopped_is_read_from_its_beginning(broker: Broker, tmp_path: Path) -> None:
    topic = broker.create_topic("made-anew-meanwhile", 1)
    feed(broker, topic, 0, range(50))
    with Gauge(tmp_path, broker.bootstrap, [topic]) as gauge:
        wait_records(gauge, topic, 50)
        assert gauge.stop() == 0
        broker.delete_topic(topic)
        broker.create_topic(topic, 1)
        feed(broker, topic, 0, range(50, 70))
        wait_records(gauge.start(), topic, 70)
        gauge.wait_ready()
        assert "a topic was made anew" in gauge.log
        assert lost(gauge.page() or {}, topic, 0) == 0


def test_a_topic_that_is_missing_at_start_is_read_when_it_comes(broker: Broker, tmp_path: Path) -> None:
    there = broker.create_topic("there", 1)
    settings = {"kafka": {"start": "latest"}}
    with Gauge(tmp_path, broker.bootstrap, [there, "not-yet"], settings=settings) as gauge:
        eventually(
            lambda: "topic not-yet does not exist" in gauge.get("/-/ready").text if gauge.status() else False, ""
        )
        wait_states(gauge, there, ["at_end"])
        feed(broker, there, 0, range(10))
        wait_records(gauge, there, 10)
        broker.create_topic("not-yet", 2)
        feed(broker, "not-yet", 0, range(5))
        wait_records(gauge, "not-yet", 5)
        gauge.wait_ready()


def test_silence_lets_time_pass_and_no_kill_takes_anything_back(broker: Broker, tmp_path: Path) -> None:
    topic = broker.create_topic("silent", 2)
    with Gauge(tmp_path, broker.bootstrap, [topic], settings={"kafka": {"idle": "2s"}}) as gauge:
        gauge.wait_ready()
        with Scraper(gauge) as scraper:
            for number in range(2):
                feed(broker, topic, number, range(61), spans=2)
            wait_records(gauge, topic, 122)
            wait_states(gauge, topic, ["idle"] * 2)
            begun, stood = time.monotonic(), watermark(gauge)
            assert stood is not None
            assert stood >= 60
            time.sleep(8.0)
            passed, moved = time.monotonic() - begun, (watermark(gauge) or 0) - stood
            assert abs(moved - passed) < 3.0
            closures = idle_closures(gauge.page() or {}, topic)
            assert closures >= 1
            kill_workers(gauge)
            eventually(lambda: idle_closures(gauge.page() or {}, topic) > closures, "silence goes on to close panes")
            # Whoever wakes now, with spans of a pane that silence has closed, is late.
            feed(broker, topic, 0, [61.0], spans=3)
            gauge.wait_for_page(lambda page: page.get(IDLE_LATE, 0) == 3, "three spans are late, for silence's sake")
            kill_workers(gauge)
            gauge.wait_for_page(lambda page: page.get(IDLE_LATE, 0) == 3, "and stay so")
            gauge.kill()
            gauge.start().wait_ready()
            gauge.wait_for_page(lambda page: page.get(IDLE_LATE, 0) == 3, "and stay so")
            assert scraper.went_back == []
            assert scraper.pages > 20


# Transactions


@pytest.fixture
def transactions(broker: Broker) -> Iterator[Producer]:
    """A transactional producer."""
    made = Producer({**broker.client_properties, "transactional.id": f"chaos-{time.monotonic_ns()}", "linger.ms": 0})
    made.init_transactions(30)
    yield made
    made.purge()
    made.flush(5)


def write(producer: Producer, topic: str, count: int) -> None:
    for second in range(count):
        producer.produce(topic, value(second), partition=0, timestamp=stamp_ms(second))
    assert producer.flush(20) == 0


def transact(producer: Producer, topic: str, count: int, *, commit: bool) -> None:
    producer.begin_transaction()
    write(producer, topic, count)
    if commit:
        producer.commit_transaction(20)
    else:
        producer.abort_transaction(20)


def test_only_committed_records_count(broker: Broker, tmp_path: Path, transactions: Producer) -> None:
    topic = broker.create_topic("transactions", 2)
    transact(transactions, topic, 10, commit=True)
    transact(transactions, topic, 5, commit=False)
    transact(transactions, topic, 7, commit=True)
    transact(transactions, topic, 3, commit=False)
    with Gauge(tmp_path, broker.bootstrap, [topic]) as gauge, Scraper(gauge) as scraper:
        wait_records(gauge, topic, 17)
        for leave in (gauge.stop, gauge.kill):
            # What stands at the end is aborted records and control records: no message ever passes them.
            eventually(lambda: lag(gauge.page() or {}, topic, 0) == 0 if gauge.page() else False, "there is no lag")
            leave()
            gauge.start().wait_ready()
            wait_records(gauge, topic, 17)
        transactions.begin_transaction()
        write(transactions, topic, 4)
        feed(broker, topic, 0, range(6))
        feed(broker, topic, 1, range(6))
        wait_records(gauge, topic, 17 + 6)  # of the other partition
        time.sleep(2.0)
        wait_records(gauge, topic, 17 + 6)
        kill_workers(gauge)  # the gate asks for what can be read, not for what stands there
        wait_records(gauge, topic, 17 + 6)
        transactions.commit_transaction(20)
        wait_records(gauge, topic, 17 + 6 + 4 + 6)
        eventually(lambda: lag(gauge.page() or {}, topic, 0) == 0, "there is no lag")
        assert scraper.went_back == []


def test_a_compacted_topic_has_gaps_and_no_losses(broker: Broker, tmp_path: Path) -> None:
    topic = broker.create_topic(
        "compacted",
        1,
        cleanup_policy="compact",
        segment_ms=100,
        min_cleanable_dirty_ratio=0.01,
        min_compaction_lag_ms=0,
        max_compaction_lag_ms=100,
    )
    values = [value(second) for second in range(40)]
    stamps = [stamp_ms(second) for second in range(40)]
    for first in range(0, 40, 10):
        chosen = slice(first, first + 10)
        broker.produce(topic, 0, values[chosen], stamps[chosen], keys=[b"same"] * 10)
        time.sleep(0.2)
    broker.produce(topic, 0, [None], [stamp_ms(40)], keys=[b"same"])  # a tombstone, the last of all

    def kept() -> int:
        return len(broker.read(topic)[0])

    eventually(lambda: kept() < 35, lambda: f"the cleaner has run; {kept()} are left", 45.0)
    with Gauge(tmp_path, broker.bootstrap, [topic]) as gauge:
        gauge.wait_ready()
        eventually(lambda: lag(gauge.page() or {}, topic, 0) == 0 if gauge.page() else False, "there is no lag")
        page = gauge.page() or {}
        assert lost(page, topic, 0) == 0
        assert n_records(page, topic) <= 34
        kill_workers(gauge)
        assert gauge.stop() == 0
        gauge.start().wait_ready()


# Where reading begins


@pytest.mark.parametrize(
    ("start", "first"), [("earliest", 20), ("latest", 0), ("2026-03-02T09:00:15Z", 5), ("2030-01-01T00:00:00Z", 0)]
)
def test_reading_begins_where_it_is_told_to(broker: Broker, tmp_path: Path, start: str, first: int) -> None:
    topic = broker.create_topic(f"start-{start[:8]}", 2)
    feed(broker, topic, 0, range(20))
    with Gauge(tmp_path, broker.bootstrap, [topic], settings={"kafka": {"start": start}}) as gauge:
        wait_states(gauge, topic, ["at_end"] * 2)
        wait_records(gauge, topic, first)
        feed(broker, topic, 0, range(20, 23))
        wait_records(gauge, topic, first + 3)
        feed(broker, topic, 1, range(20, 24))
        wait_records(gauge, topic, first + 7)


def test_a_kill_before_the_first_snapshot_loses_nothing_that_came_meanwhile(broker: Broker, tmp_path: Path) -> None:
    topic = broker.create_topic("latest-killed", 2)
    feed(broker, topic, 0, range(20))
    settings = {"kafka": {"start": "latest"}, "supervision": {"epoch": "30s", "hang": "2m"}}
    with Gauge(tmp_path, broker.bootstrap, [topic], settings=settings) as gauge:
        wait_states(gauge, topic, ["at_end"] * 2)
        feed(broker, topic, 0, range(20, 25))
        wait_records(gauge, topic, 5)
        gauge.kill()
        feed(broker, topic, 0, range(25, 35))
        feed(broker, topic, 1, range(25, 35))
        gauge.start().wait_ready()
        wait_records(gauge, topic, 25)
        assert {number: each["position"] for number, each in partitions(gauge, topic).items()} == {0: 35, 1: 10}


# For lag tools


def committed(broker: Broker, group: str, topic: str) -> int:
    asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0)])
    (answer,) = broker.admin.list_consumer_group_offsets([asked]).values()
    (found,) = answer.result(20).topic_partitions
    return int(found.offset)


def test_offsets_are_committed_two_epochs_later_and_never_read_back(broker: Broker, tmp_path: Path) -> None:
    topic = broker.create_topic("committed", 1)
    settings = {"kafka": {"group": "lag-tools"}, "supervision": {"epoch": "3s"}}
    with Gauge(tmp_path, broker.bootstrap, [topic], settings=settings) as gauge:
        gauge.wait_ready()
        feed(broker, topic, 0, range(30))
        wait_records(gauge, topic, 30)
        begun = time.monotonic()
        eventually(lambda: committed(broker, "lag-tools", topic) == 30, "the offset is committed", 30.0)
        assert time.monotonic() - begun > 4.0
        gauge.stop()
        moved = ConsumerGroupTopicPartitions("lag-tools", [TopicPartition(topic, 0, 3)])
        for answer in broker.admin.alter_consumer_group_offsets([moved]).values():
            answer.result(20)
        feed(broker, topic, 0, range(30, 35))
        gauge.start()
        wait_records(gauge, topic, 35)
        eventually(lambda: committed(broker, "lag-tools", topic) == 35, "the offset is committed", 30.0)
        assert gauge.stop() == 0


def test_a_run_without_a_group_commits_nothing(broker: Broker, tmp_path: Path) -> None:
    topic = broker.create_topic("uncommitted", 1)
    with Gauge(tmp_path, broker.bootstrap, [topic], settings={"kafka": {"group": ""}}) as gauge:
        feed(broker, topic, 0, range(5))
        wait_records(gauge, topic, 5)
        time.sleep(3.0)
        groups = broker.admin.list_consumer_groups().result(20).valid
        assert not [each for each in groups if committed(broker, each.group_id, topic) >= 0]


def test_a_kill_right_after_a_partition_wakes_takes_nothing_back(broker: Broker, tmp_path: Path) -> None:
    """What silence let close is stored with the next epoch; a kill before that must not show less."""
    topic = broker.create_topic("waking", 2)
    settings = {"kafka": {"idle": "2s"}, "supervision": {"epoch": "8s"}}
    with Gauge(tmp_path, broker.bootstrap, [topic], settings=settings) as gauge, Scraper(gauge) as scraper:
        gauge.wait_ready()
        for number in range(2):
            feed(broker, topic, number, range(30))
        wait_records(gauge, topic, 60)
        eventually(lambda: states(gauge, topic)[0] == "idle", "the first partition is silent")
        second = 30.0
        until = time.monotonic() + 20.0
        while time.monotonic() < until:  # the other one goes on, a pane a second, and the silent one holds nobody back
            feed(broker, topic, 1, [second])
            second += 2.5
            time.sleep(0.5)
            epoch_age = gauge.status()["storage"]["epoch_age_seconds"]
            if 4.0 < epoch_age < 6.0 and second > 60:
                break
        feed(broker, topic, 0, [31.0, 31.5])
        wait_records(gauge, topic, int(30 + 30 + (second - 30) / 2.5 + 2))
        time.sleep(0.5)
        kill_workers(gauge)
        gauge.wait_ready()
        time.sleep(1.0)
        assert scraper.went_back == []
