"""When the page may be seen again after a restart."""

from __future__ import annotations

from typing import Any

from flows.kafka.cluster import Ends
from flows.records import Partition
from flows.run.gate import Gate
from flows.run.link import PartitionReport, Report
from flows.series import SHARDS

ENDS = {Partition("spans", 0): Ends(0, 10), Partition("spans", 1): Ends(5, 25)}
CLOSED = {f"{shard:02d}": 7 for shard in range(SHARDS)}


def report(**fields: Any) -> Report:
    """A worker that has everything and has caught up, but for what is said otherwise."""
    return Report(**{"n_shards": SHARDS + 1, "passed": True, "closed": CLOSED, "gathered": CLOSED, **fields})


def at(number: int, position: int) -> PartitionReport:
    return PartitionReport("spans", number, "reading", position, 25, 0, -1)


def shut() -> Gate:
    gate = Gate(shut=True)
    gate.ask(ENDS)
    return gate


def test_the_very_first_start_is_seen_at_once() -> None:
    gate = Gate(shut=False)
    assert gate.is_open
    assert gate.sentence([]) == ""
    assert not gate.look([report()], 0.0)  # it did not open now


def test_it_opens_when_all_has_been_merged_and_gathered() -> None:
    gate = shut()
    assert gate.look([report()], 0.0)
    assert gate.is_open
    assert not gate.look([report()], 1.0)


def test_it_stays_shut_before_the_cluster_says_where_its_topics_end() -> None:
    gate = Gate(shut=True)
    assert not gate.look([report()], 0.0)
    assert "has not said yet" in gate.sentence([])


def test_one_worker_that_is_behind_keeps_it_shut() -> None:
    gate = shut()
    assert not gate.look([report(n_shards=33), report(n_shards=32, passed=False)], 0.0)
    assert gate.look([report(n_shards=33), report(n_shards=32)], 0.0)


def test_a_shard_that_was_not_heard_keeps_it_shut() -> None:
    gate = shut()
    assert not gate.look([report(n_shards=SHARDS)], 0.0)
    assert gate.look([report()], 0.0)


def test_what_was_not_gathered_keeps_it_shut() -> None:
    gate = shut()
    assert not gate.look([report(gathered={**CLOSED, "05": 6})], 0.0)
    assert gate.look([report()], 0.0)


def test_where_nothing_was_ever_closed_nothing_need_be_gathered() -> None:
    gate = shut()
    assert gate.look([report(n_shards=SHARDS, closed=dict.fromkeys(CLOSED, -1), gathered={})], 0.0)


def test_a_partition_whose_records_are_all_gone_asks_for_nothing() -> None:
    gate = Gate(shut=True)
    asked = gate.ask({Partition("spans", 0): Ends(10, 10), Partition("spans", 1): Ends(0, 3)})
    assert asked == {Partition("spans", 0): 0, Partition("spans", 1): 3}


def test_it_says_how_many_records_are_left() -> None:
    gate = shut()
    reports = [report(partitions=[at(0, 4)]), report(partitions=[at(1, 20)])]
    assert gate.sentence(reports) == "catching up after a restart: 11 records left"
    assert gate.sentence([]).endswith("35 records left")


def test_one_machine_of_several_waits_until_no_shard_has_turned_up_for_a_while() -> None:
    gate = Gate(shut=True, whole_cluster=False)
    gate.ask(ENDS)
    assert not gate.look([report(n_shards=20)], 0.0)
    assert not gate.look([report(n_shards=21)], 1.9)
    assert not gate.look([report(n_shards=21)], 3.8)
    assert gate.look([report(n_shards=21)], 4.0)
