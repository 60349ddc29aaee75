"""Watermarks over idle, unknown and ended partitions."""

from __future__ import annotations

from flows.records import Partition
from flows.watermark import ACTIVE, NEVER, UNKNOWN, PartitionProgress, Progress, TimeRules, Watermark

RULES = TimeRules(pane_ns=10, lateness_ns=10)


def standing(number: int, frontier_ns: int, idle_ns: int = ACTIVE) -> PartitionProgress:
    pane = frontier_ns // 10 if frontier_ns >= 0 else NEVER
    return PartitionProgress(Partition("t", number), frontier_ns, pane, pane, 0, idle_ns)


def watermark_of(*partitions: PartitionProgress) -> Watermark:
    watermark = Watermark(1, RULES)
    watermark.hear(Progress(0, partitions))
    watermark.closable()
    return watermark


def test_an_idle_partition_holds_nobody_back():
    assert watermark_of(standing(0, 20), standing(1, 200)).ns == 20
    assert watermark_of(standing(0, 20, idle_ns=0), standing(1, 200)).ns == 200


def test_a_partition_never_heard_from_holds_until_its_end_is_confirmed():
    assert watermark_of(standing(0, 200), standing(1, NEVER, UNKNOWN)).closable() == NEVER
    assert watermark_of(standing(0, 200), standing(1, NEVER, idle_ns=0)).ns == 200


def test_a_broker_that_does_not_answer_is_not_idle():
    watermark = watermark_of(standing(0, 20, UNKNOWN), standing(1, 200, idle_ns=500))
    assert watermark.ns == 20


def test_when_all_are_idle_time_passes_from_the_newest_frontier():
    watermark = watermark_of(standing(0, 20, idle_ns=30), standing(1, 200, idle_ns=50))
    assert watermark.ns == 230


def test_after_the_broker_was_away_time_goes_on_from_where_it_stood():
    watermark = watermark_of(standing(0, 200, idle_ns=50))
    watermark.hear(Progress(0, (standing(0, 200, UNKNOWN),)))
    watermark.closable()
    assert watermark.ns == 250
    watermark.hear(Progress(0, (standing(0, 200, idle_ns=7),)))
    watermark.closable()
    assert watermark.ns == 257


def test_a_restart_while_all_are_idle_neither_stops_nor_repeats_the_time_that_passed():
    before = watermark_of(standing(0, 200, idle_ns=50))
    after = Watermark(1, RULES)
    after.restore(before.snapshot())
    after.hear(Progress(0, (standing(0, 200, UNKNOWN),)))
    after.closable()
    assert after.ns == 250
    after.hear(Progress(0, (standing(0, 200, idle_ns=80),)))
    after.closable()
    assert after.ns == 280


def test_a_restart_after_a_snapshot_that_knew_of_no_idleness_gets_as_far_as_before():
    """Silence began after the snapshot; what was shown of it before the crash is reached again at once."""
    undisturbed = watermark_of(standing(0, 200))
    resumed = Watermark(1, RULES)
    resumed.restore(undisturbed.snapshot())
    for watermark in (undisturbed, resumed):
        watermark.hear(Progress(0, (standing(0, 200, idle_ns=40),)))
        watermark.closable()
    assert resumed.ns == undisturbed.ns == 240


def test_a_partition_that_wakes_holds_the_watermark_where_it_stood():
    watermark = watermark_of(standing(0, 20, idle_ns=500), standing(1, 200))
    assert watermark.ns == 200
    watermark.hear(Progress(0, (standing(0, 25), standing(1, 300))))
    watermark.closable()
    assert watermark.ns == 200


def test_slots_that_ended_hold_nobody_back():
    watermark = Watermark(2, RULES)
    watermark.hear(Progress(0, (standing(0, 20),), ended=True))
    watermark.hear(Progress(1, (standing(1, 200),)))
    watermark.closable()
    assert watermark.ns == 200
    watermark.hear(Progress(1, (standing(1, 200),), ended=True))
    assert watermark.closable() == 21


def test_a_cluster_without_partitions_closes_nothing_and_is_not_at_its_end():
    watermark = watermark_of()
    assert watermark.closable() == NEVER
    assert not watermark.done()
