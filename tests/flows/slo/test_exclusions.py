"""Maintenance: what happens in it pages nobody and costs no budget, and its silence is no absence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flows.config import Config
from flows.config.exclusions import exclusions
from flows.config.load import parse
from flows.config.reference import as_yaml
from flows.errors import ConfigError, ConfigErrors
from flows.rules import Rules
from flows.slo.exclusions import Exclusion, check_exclusions
from flows.slo.promise import GroupBy, Indicator, Policy
from tests.flows.slo.feed import BEGIN_NS, FAILED, MINUTE, SECOND, SHOP, Feed, promised
from tests.flows.test_machine import OUTAGE

MAINTENANCE = (Exclusion((("slo", "availability"),), BEGIN_NS + 60 * MINUTE, BEGIN_NS + 90 * MINUTE),)
CRITICAL = promised(tiers=(OUTAGE,), policy=Policy(critical=True))


def test_an_outage_in_maintenance_pages_nobody_and_costs_no_budget() -> None:
    feed = Feed(CRITICAL, exclusions=MAINTENANCE)
    feed.minutes(60, 1_000)
    feed.minutes(30, 1_000, 1_000)
    feed.minutes(30, 1_000)
    assert feed.alerts == {}
    (figures,) = feed.judge.figures()
    assert figures.budget_remaining == 1.0
    assert figures.windows[-1].events == 90_000


def test_an_outage_that_outlasts_maintenance_pages_after_it() -> None:
    feed = Feed(CRITICAL, exclusions=MAINTENANCE)
    feed.minutes(60, 1_000)
    feed.minutes(35, 1_000, 1_000)
    (page,) = feed.of("SLOBurnRate")
    assert page.starts_at_ns > MAINTENANCE[0].to_ns


def test_silence_in_maintenance_is_no_absence_and_is_counted_from_its_end() -> None:
    feed = Feed(CRITICAL, exclusions=MAINTENANCE)
    feed.minutes(60, 1_000)
    feed.minutes(30, 0)
    assert feed.alerts == {}
    feed.minutes(3, 0)
    (absent,) = feed.of("SLOAbsent")
    assert MAINTENANCE[0].to_ns < absent.starts_at_ns <= MAINTENANCE[0].to_ns + 2 * MINUTE


def test_an_absence_ends_when_maintenance_begins() -> None:
    feed = Feed(CRITICAL, exclusions=MAINTENANCE)
    feed.minutes(50, 1_000)
    feed.minutes(12, 0)
    (absent,) = feed.of("SLOAbsent")
    assert absent.ends_at_ns == MAINTENANCE[0].from_ns + MINUTE


def test_a_promise_that_never_had_events_is_not_absent_after_maintenance() -> None:
    feed = Feed(CRITICAL, exclusions=(Exclusion((), BEGIN_NS, BEGIN_NS + 10 * MINUTE),))
    feed.minutes(60, 0)
    assert feed.alerts == {}


def test_what_was_excluded_stays_out_when_the_exclusion_is_gone_and_what_counted_stays_in() -> None:
    feed = Feed(CRITICAL, exclusions=MAINTENANCE)
    feed.minutes(90, 1_000)
    feed.exclusions = ()
    feed.restart()
    feed.minutes(10, 1_000)
    feed.exclusions = (Exclusion((), BEGIN_NS, feed.now_ns),)
    feed.restart()
    feed.minutes(10, 1_000)
    (figures,) = feed.judge.figures()
    assert figures.windows[-1].events == 80_000


@pytest.mark.parametrize(
    ("match", "is_matched"),
    [
        ({}, True),
        ({"slo": "availability"}, True),
        ({"service": "shop", "team": "store"}, True),
        ({"service": "shop", "team": "other"}, False),
        ({"nowhere": "x"}, False),
    ],
)
def test_an_slo_matches_by_all_its_labels(match: dict[str, str], is_matched: bool) -> None:
    exclusion = Exclusion(tuple(match.items()), 0, 1)
    assert exclusion.matches(promised(labels=(("team", "store"),)), "") == is_matched


def test_a_promise_for_each_service_is_matched_by_the_service_of_its_group() -> None:
    grouped = promised(group_by=GroupBy("service_name"))
    basket = Exclusion((("service", "basket"),), 0, 1)
    assert [basket.matches(grouped, group) for group in ("basket", "shop")] == [True, False]
    assert check_exclusions([basket], [grouped]) == []


def test_an_exclusion_that_is_about_nothing_is_warned_of() -> None:
    assert check_exclusions([Exclusion((("slo", "availabilty"),), 0, 1)], [CRITICAL]) == [
        "exclusions[0] matches no SLO"
    ]
    assert check_exclusions([Exclusion((("anomaly", "web"),), 0, 1)], [CRITICAL], is_scored=True) == []


def test_of_two_slos_that_count_the_same_not_one_alone_can_be_excluded() -> None:
    same, other = (
        replace(CRITICAL, name="strict"),
        promised(name="other", indicator=Indicator("ratio", SHOP, good=FAILED)),
    )
    with pytest.raises(ConfigError, match=r"exclusions\[0\]\.match is availability without strict"):
        check_exclusions(MAINTENANCE, [CRITICAL, same, other])
    assert check_exclusions(MAINTENANCE, [CRITICAL, other]) == []


TEXT = "exclusions: [{match: {service: shop, slo: a}, from: 2026-03-02T22:00:00Z, to: '2026-03-03T01:30:00+01:00'}]"


def test_the_configuration_says_when_and_of_what() -> None:
    (found,) = exclusions(parse(TEXT).exclusions)
    assert found.match == (("service", "shop"), ("slo", "a"))
    assert (found.from_ns, found.to_ns - found.from_ns) == (1_772_488_800 * SECOND, 150 * MINUTE)
    assert parse(as_yaml(parse(TEXT))) == parse(TEXT)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{match: {}, from: 2026-03-02T22:00:00Z, to: 2026-03-02T22:00:00Z}", "exclusions[0].to"),
        ("{match: {}, from: yesterday, to: 2026-03-02T22:00:00Z}", "exclusions[0].from"),
        ("{match: {}, from: 5, to: 2026-03-02T22:00:00Z}", "exclusions[0].from"),
        ("{match: {slo: ''}, from: 2026-03-02, to: 2026-03-03}", "exclusions[0].match.slo"),
        ("{from: 2026-03-02, to: 2026-03-03}", "exclusions[0].match"),
    ],
)
def test_what_is_no_time_or_no_match_is_refused(text: str, why: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        parse(f"exclusions: [{text}]")
    assert why in str(caught.value)


def test_the_same_exclusions_hold_live_and_in_a_replay() -> None:
    """Both are made of `Rules`."""
    rules = Rules.of(parse(TEXT), promises=(CRITICAL,))
    assert rules.slo is not None
    assert rules.slo.exclusions == exclusions(parse(TEXT).exclusions)
    plain = Rules.of(Config(), promises=(CRITICAL,))
    assert plain.slo is not None
    assert plain.slo.exclusions == ()
