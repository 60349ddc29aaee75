"""When alerts begin and end: the state machine by itself, then through the judge."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from detectors.evaluation import TierState
from flows.machine import Latched, Machine
from flows.slo.promise import Policy, UserTier
from tests.flows.slo.feed import MINUTE, SECOND, Feed, promised

ABOVE, BELOW, RELEASED, UNKNOWN = TierState.ABOVE, TierState.BELOW, TierState.RELEASED, TierState.UNKNOWN
OUTAGE = UserTier("outage", "critical", 10 * MINUTE, MINUTE, 43.2, 0.0432)


def steps(machine: Machine, truth: str, for_ns: int = 0, keep_ns: int = 0) -> str:
    """A step a nanosecond; `x` is so or fires."""
    found = [machine.step(at, is_so == "x", for_ns, keep_ns) for at, is_so in enumerate(truth)]
    return "".join("x" if fires else "." for fires in found)


def test_an_alert_fires_at_once_where_it_needs_not_wait() -> None:
    assert steps(Machine(), ".xx..") == ".xx.."


def test_an_alert_that_waits_fires_only_after_so_long_without_a_break() -> None:
    machine = Machine()
    assert steps(machine, "xx.xxxx", for_ns=3) == "......x"
    assert machine.starts_at_ns == 6


def test_an_alert_that_is_kept_ends_so_long_after_it_was_so_last() -> None:
    machine = Machine()
    assert steps(machine, "x..x....", keep_ns=3) == "xxxxxxx."
    assert (machine.starts_at_ns, machine.ends_at_ns) == (0, 7)


def test_a_second_alert_has_a_start_of_its_own_and_no_end() -> None:
    machine = Machine()
    steps(machine, "x.x")
    assert (machine.starts_at_ns, machine.ends_at_ns, machine.is_firing) == (2, -1, True)


def test_what_fires_again_so_soon_after_it_was_so_is_the_same_alert() -> None:
    machine = Machine()
    steps = [(at, at in (0, 5, 20)) for at in range(21)]
    fires = [at for at, is_so in steps if machine.step(at, is_so, apart_ns=10)]
    assert fires == [0, 5, 20]
    assert machine.starts_at_ns == 20
    again = Machine()
    for at, is_so in steps[:6]:
        again.step(at, is_so, apart_ns=10)
    assert (again.starts_at_ns, again.ends_at_ns) == (0, -1)


def test_a_machine_goes_on_from_its_snapshot() -> None:
    machine = Machine()
    machine.latched.step(0, [("1h", ABOVE, 60)])
    steps(machine, "xx.", keep_ns=5)
    again = Machine.restore(machine.snapshot())
    assert again == machine
    assert [again.step(at, False, keep_ns=5) for at in (6, 7)] == [True, False]


def test_a_tier_between_release_and_threshold_holds_and_does_not_start() -> None:
    latched = Latched()
    assert not latched.step(0, [("1h", BELOW, 60)])
    assert latched.step(1, [("1h", ABOVE, 60)])
    assert latched.step(2, [("1h", BELOW, 60)])
    assert not latched.step(3, [("1h", RELEASED, 60)])


def test_unknown_starts_nothing_and_holds_for_at_most_its_long_window() -> None:
    latched = Latched()
    assert not latched.step(0, [("1h", UNKNOWN, 60)])
    latched.step(10, [("1h", ABOVE, 60)])
    assert latched.step(20, [("1h", UNKNOWN, 60)])
    assert latched.step(79, [("1h", UNKNOWN, 60)])
    assert not latched.step(80, [("1h", UNKNOWN, 60)])


def test_what_is_known_again_starts_the_time_of_unknown_anew() -> None:
    latched = Latched()
    latched.step(0, [("1h", ABOVE, 60)])
    latched.step(10, [("1h", UNKNOWN, 60)])
    latched.step(60, [("1h", BELOW, 60)])
    assert latched.step(75, [("1h", UNKNOWN, 60)])


def test_any_tier_that_holds_keeps_the_alert() -> None:
    latched = Latched()
    latched.step(0, [("1h", ABOVE, 60), ("6h", ABOVE, 360)])
    assert latched.step(1, [("1h", RELEASED, 60), ("6h", BELOW, 360)])


def test_a_tier_that_is_gone_holds_no_longer() -> None:
    latched = Latched()
    latched.step(0, [("1h", ABOVE, 60), ("6h", RELEASED, 360)])
    assert not latched.step(1, [("6h", RELEASED, 360)])


def test_a_page_is_kept_ten_minutes_after_its_windows_let_go() -> None:
    feed = Feed(promised(tiers=(replace(OUTAGE, keep_firing_for_ns=10 * MINUTE),)))
    feed.minutes(60, 1_000)
    feed.minutes(3, 1_000, 1_000)
    feed.minutes(30, 1_000)
    (page,) = feed.of("SLOBurnRate")
    assert page.ends_at_ns is not None
    assert page.ends_at_ns - page.starts_at_ns == (2 + 1 + 10) * MINUTE


def test_tiers_that_wait_do_so_by_their_own_time() -> None:
    feed = Feed(promised(tiers=(replace(OUTAGE, for_ns=5 * MINUTE),)))
    feed.minutes(60, 1_000)
    broken = feed.now_ns
    feed.minutes(4, 1_000, 1_000)
    assert feed.of("SLOBurnRate") == []
    feed.minutes(4, 1_000, 1_000)
    assert feed.of("SLOBurnRate")[0].starts_at_ns == broken + 6 * MINUTE


def test_at_exactly_the_threshold_the_outage_tier_alerts_at_most_five_times_a_day() -> None:
    rng = np.random.default_rng(5)
    feed = Feed(promised(tiers=(replace(OUTAGE, keep_firing_for_ns=10 * MINUTE),)), pane_ns=15 * SECOND)
    feed.run(np.full(240, 250))
    feed.run(np.full(24 * 240, 250), rng.binomial(250, OUTAGE.threshold, 24 * 240))
    assert 1 <= len(feed.of("SLOBurnRate")) <= 5


def test_an_outage_that_becomes_silence_is_held_for_the_long_window_and_no_longer() -> None:
    feed = Feed(promised(tiers=(OUTAGE,)))
    feed.minutes(60, 1_000)
    feed.minutes(5, 1_000, 1_000)
    silent = feed.now_ns
    feed.minutes(60, 0)
    (page,) = feed.of("SLOBurnRate")
    assert page.ends_at_ns is not None
    assert 10 * MINUTE <= page.ends_at_ns - silent <= 11 * MINUTE


def test_silence_of_a_critical_promise_is_an_alert_until_there_are_events_again() -> None:
    feed = Feed(promised(policy=Policy(critical=True)))
    feed.minutes(60, 1_000)
    feed.minutes(3, 0)
    assert [each.ends_at_ns for each in feed.of("SLOAbsent")] == [None]
    feed.minutes(1, 1_000)
    assert feed.of("SLOAbsent")[0].ends_at_ns == feed.now_ns


def test_a_promise_that_never_had_events_is_not_absent() -> None:
    feed = Feed(promised(policy=Policy(critical=True)))
    feed.minutes(60, 0)
    assert feed.alerts == {}


def test_each_level_of_a_spent_budget_is_one_alert() -> None:
    """A month of 1,000 a minute may have 43,200 bad ones; what is not known of it yet counts as it has been."""
    feed = Feed(promised(tiers=()))
    feed.minutes(60, 1_000)
    spent = []
    for minutes in (21, 1, 17, 5):
        feed.minutes(minutes, 1_000, 1_000)
        spent.append({each.spent for each in feed.of("SLOBudgetSpent", "warning")})
    assert spent == [set(), {50}, {50, 90}, {50, 90, 100}]


def test_one_failure_of_three_at_night_does_not_page_and_thirty_of_ninety_do() -> None:
    for total, bad, pages in ((3, 1, 0), (90, 30, 1)):
        feed = Feed(promised())
        feed.minutes(1, 1)
        feed.minutes(12 * 60, 0)
        feed.minutes(1, total, bad)
        feed.minutes(5, 0)
        assert len(feed.of("SLOBurnRate")) == pages


@pytest.mark.parametrize(("a_minute", "earliest", "latest"), [(10_000, 43, 47), (100, 57, 59)])
def test_two_per_cent_of_errors_page_when_the_hour_is_sure(a_minute: int, earliest: int, latest: int) -> None:
    feed = Feed(promised())
    feed.minutes(24 * 60, a_minute)
    broken = feed.now_ns
    feed.minutes(60, a_minute, a_minute // 50)
    page = feed.of("SLOBurnRate")[0]
    assert earliest <= (page.starts_at_ns - broken) / MINUTE <= latest
    assert page.says["tier"] == "1h"


def test_half_a_per_cent_of_errors_is_a_ticket_after_14_4_hours_and_no_page() -> None:
    feed = Feed(promised())
    feed.minutes(3 * 24 * 60, 10_000)
    broken = feed.now_ns
    feed.minutes(16 * 60, 10_000, 50)
    (ticket,) = feed.of("SLOBurnRate", "warning")
    assert 14.4 <= (ticket.starts_at_ns - broken) / MINUTE / 60 <= 14.7
    assert feed.of("SLOBurnRate") == []


def test_an_alert_survives_a_crash_with_its_start_and_its_end() -> None:
    feed = Feed(promised(tiers=(OUTAGE,)))
    feed.minutes(60, 1_000)
    feed.minutes(5, 1_000, 1_000)
    feed.restart()
    feed.minutes(3, 1_000)
    feed.restart()
    feed.minutes(3, 1_000)
    (page,) = feed.of("SLOBurnRate")
    assert page.ends_at_ns is not None


def test_an_alert_whose_tiers_were_edited_away_ends() -> None:
    feed = Feed(promised(tiers=(OUTAGE,)))
    feed.minutes(60, 1_000)
    feed.minutes(5, 1_000, 1_000)
    feed.restart(replace(feed.promise, tiers=()))
    feed.minutes(1, 1_000, 1_000)
    (page,) = feed.of("SLOBurnRate")
    assert page.ends_at_ns == feed.now_ns


def test_crashes_at_any_moment_change_no_alert() -> None:
    """A judge that comes back looks at everything anew; one that goes on skips what cannot have changed."""
    rng = np.random.default_rng(11)
    calm, hurt = (Feed(promised(policy=Policy(critical=True))) for _ in range(2))
    for _ in range(60):
        n, bad_share = int(rng.integers(1, 40)), rng.choice([0.0, 0.0, 0.001, 0.005, 0.02, 0.05, 1.0])
        totals = np.full(n, rng.choice([0, 3, 1_000, 1_000, 1_000]))
        bads = rng.binomial(totals, bad_share)
        calm.run(totals, bads)
        for total, bad in zip(totals, bads, strict=True):
            hurt.run([total], [bad])
            hurt.restart()
    assert len(calm.alerts) >= 8
    assert calm.alerts == hurt.alerts
