"""The end of an alert whose promise was edited away is told, once it is not the same alert any more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from detectors.tiers import MINUTE_NS as MINUTE
from exporters.links import Links
from flows.slo.announce import announce, bid_farewell
from flows.slo.judge import SloJudge, SloRules
from flows.slo.promise import GroupBy, Indicator, Policy
from flows.snapshot import pack, unpack
from tests.flows.slo.feed import FAILED, SHOP, Feed, promised
from tests.flows.test_machine import OUTAGE

LABELS = {
    "alertname": "SLOBurnRate",
    "severity": "critical",
    "service": "shop",
    "slo": "availability",
    "objective": "0.999",
    "team": "store",
}


def burning(**other: Any) -> Feed:
    """A promise whose page fires."""
    feed = Feed(promised(tiers=(OUTAGE,), labels=(("team", "store"),), **other))
    feed.minutes(60, 1_000)
    feed.minutes(5, 1_000, 1_000)
    return feed


def told(feed: Feed) -> list[tuple[dict[str, str], str]]:
    """All that leaves: labels and status."""
    assert feed.shown is not None
    alerts = [*announce(feed.shown.alerts, Links({}), feed.now_ns), *bid_farewell(feed.shown.farewells)]
    return [(dict(each.labels), each.status) for each in alerts]


OTHER = promised(name="other", indicator=Indicator("ratio", SHOP, good=FAILED))  # it counts something else


def test_a_removed_promise_ends_its_alert_where_the_judge_stood() -> None:
    feed = burning()
    (page,) = feed.of("SLOBurnRate")
    stood = feed.now_ns
    feed.restart(OTHER)
    feed.minutes(1, 0)
    assert told(feed) == [(LABELS, "resolved")]
    assert feed.shown is not None
    (farewell,) = feed.shown.farewells
    assert (farewell.starts_at_ns, farewell.ends_at_ns) == (page.starts_at_ns, stood)


@pytest.mark.parametrize(
    "edit",
    [
        {"objective": 0.998, "objective_name": "0.998"},
        {"labels": (("team", "checkout"),)},
        {"service": "store"},
        {"mode": "shadow"},
    ],
)
def test_an_edit_that_makes_it_another_alert_ends_the_one_before(edit: dict[str, Any]) -> None:
    feed = burning()
    feed.restart(replace(feed.promise, **edit))
    feed.minutes(1, 1_000, 1_000)
    assert [status for labels, status in told(feed) if labels == LABELS] == ["resolved"]


@pytest.mark.parametrize(
    "edit", [{}, {"title": "Shop"}, {"runbook": "https://r.test"}, {"policy": Policy(guard=False)}]
)
def test_an_edit_that_leaves_it_the_same_alert_goes_on_with_it(edit: dict[str, Any]) -> None:
    feed = burning()
    feed.restart(replace(feed.promise, **edit))
    feed.minutes(1, 1_000, 1_000)
    assert told(feed) == [(LABELS, "firing")]


def test_an_end_is_told_again_after_a_crash_and_forgotten_after_a_while() -> None:
    feed = burning()
    feed.restart(OTHER)
    feed.restart()
    feed.minutes(19, 0)
    feed.restart()
    feed.minutes(1, 0)
    assert told(feed) == [(LABELS, "resolved")]
    feed.minutes(1, 0)
    assert told(feed) == []


def test_nothing_is_told_of_a_group_that_begins_anew_until_it_fires_again() -> None:
    feed = burning(group_by=GroupBy("tenant"))
    feed.restart(replace(feed.promise, group_by=GroupBy("region")))
    feed.minutes(1, 0)
    assert [status for _, status in told(feed)] == ["resolved"]


@pytest.mark.parametrize("before", [{"mode": "shadow"}, {"policy": Policy(alert_when_resolved=False)}])
def test_whose_end_nobody_would_be_told_has_none(before: dict[str, Any]) -> None:
    feed = burning(**before)
    feed.restart(OTHER)
    feed.minutes(1, 0)
    assert told(feed) == []


def test_the_state_of_a_release_without_farewells_is_read() -> None:
    feed = burning()
    fields = unpack(feed.judge.snapshot(), "slos", 2)
    assert len(fields.pop("told")) == 1
    old = pack("slos", 1, fields)
    (page,) = SloJudge.restore(SloRules((feed.promise,), MINUTE), old).alerts()
    assert page.ends_at_ns is None
