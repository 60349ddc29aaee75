"""Tiers: the tables' figures, and which are left out or refused, with which words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from detectors.burn_rate import seconds_to_fire
from detectors.tiers import DAY_NS, HOUR_NS, MINUTE_NS, check, default_tiers, tier, usable

PERIODS = {7: 5, 28: 5, 30: 5, 90: 5}


def test_thirty_days_are_the_workbooks_table_and_an_outage_tier_in_front() -> None:
    """Severity, windows and factor, to the last digit."""
    assert [(t.severity, t.long_ns, t.short_ns, t.share, t.factor) for t in default_tiers(30 * DAY_NS)] == [
        ("critical", 10 * MINUTE_NS, MINUTE_NS, 0.01, 43.2),
        ("critical", HOUR_NS, 5 * MINUTE_NS, 0.02, 14.4),
        ("critical", 6 * HOUR_NS, 30 * MINUTE_NS, 0.05, 6.0),
        ("warning", DAY_NS, 2 * HOUR_NS, 0.1, 3.0),
        ("warning", 3 * DAY_NS, 6 * HOUR_NS, 0.1, 1.0),
    ]


def test_ninety_days_have_the_factors_of_thirty_at_a_third_of_the_shares() -> None:
    for month, quarter in zip(default_tiers(30 * DAY_NS), default_tiers(90 * DAY_NS), strict=True):
        assert quarter.factor == month.factor
        assert quarter.share == pytest.approx(month.share / 3)


@pytest.mark.parametrize("days", PERIODS)
def test_every_default_tier_is_usable_at_three_nines(days: int) -> None:
    """No factor below 0.9, no window beyond the period."""
    tiers = default_tiers(days * DAY_NS)
    assert usable(tiers, 0.999, days * DAY_NS) == (tiers, ())
    for each in tiers:
        check(each, 0.999, days * DAY_NS)


def test_a_total_outage_trips_the_outage_tier_twice_as_fast_as_the_workbooks_fastest() -> None:
    """26 s against 52 s."""
    outage, fastest = default_tiers(30 * DAY_NS)[:2]
    assert seconds_to_fire(1.0, outage.threshold(0.999), outage.long_ns) == pytest.approx(25.92)
    assert seconds_to_fire(1.0, fastest.threshold(0.999), fastest.long_ns) == pytest.approx(51.84)


def test_default_tiers_that_can_never_fire_are_left_out_with_a_note() -> None:
    """At 90 % no burn rate exceeds 10."""
    kept, notes = usable(default_tiers(30 * DAY_NS), 0.9, 30 * DAY_NS)
    assert [t.name for t in kept] == ["6h", "1d", "3d"]
    assert [note.split(" fires")[0] for note in notes] == ["tier outage", "tier 1h"]


def test_a_tier_of_exactly_the_highest_burn_rate_is_left_out() -> None:
    """An alert fires above its threshold, and no ratio is above 1."""
    ten = tier("x", "critical", HOUR_NS, 5 * MINUTE_NS, 30 * DAY_NS, burn=10.0)
    assert usable([ten], 0.9, 30 * DAY_NS)[0] == ()
    assert usable([replace(ten, factor=9.999)], 0.9, 30 * DAY_NS)[1] == ()


def test_default_tiers_that_do_not_fit_the_period_are_left_out_with_a_note() -> None:
    kept, notes = usable(default_tiers(30 * DAY_NS), 0.999, DAY_NS)
    assert [t.name for t in kept] == ["outage", "1h", "6h", "1d"]
    assert notes == ("tier 3d has a window of 72 h, longer than the period of 24 h: choose one that fits",)


def test_a_default_below_a_burn_of_nine_tenths_is_left_out_and_a_users_is_not() -> None:
    """What a scaled table would make of 7 days: a ticket at 0.23."""
    scaled = tier("3d", "warning", 3 * DAY_NS, 6 * HOUR_NS, 7 * DAY_NS, share=0.1)
    kept, notes = usable([scaled], 0.999, 7 * DAY_NS)
    assert not kept
    assert "above a burn rate of 0.233" in notes[0]
    check(scaled, 0.999, 7 * DAY_NS)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"factor": 14.4}, r"none exceeds 10: it needs one above 0\.93056"),
        ({"factor": 0.0}, "write the burn rate above which it fires"),
        ({"long_ns": 31 * DAY_NS}, "longer than the period of 720 h"),
        ({"short_ns": HOUR_NS}, "the short one must be the shorter"),
        ({"short_ns": 0}, "the short one must be the shorter"),
    ],
)
def test_a_users_tier_that_makes_no_sense_is_refused(change: dict[str, float], says: str) -> None:
    good = tier("mine", "critical", HOUR_NS, 5 * MINUTE_NS, 30 * DAY_NS, burn=5.0)
    check(good, 0.9, 30 * DAY_NS)
    with pytest.raises(ValueError, match=says):
        check(replace(good, **change), 0.9, 30 * DAY_NS)


def test_a_window_of_fewer_than_five_timeslices_is_left_out() -> None:
    """Slices of one minute: not the outage tier, whose short window has a single one."""
    kept, notes = usable(default_tiers(30 * DAY_NS), 0.99, 30 * DAY_NS, slice_ns=MINUTE_NS)
    assert [t.name for t in kept] == ["1h", "6h", "1d", "3d"]
    assert "a window needs 5 timeslices, which are 5 min" in notes[0]


@pytest.mark.parametrize("given", [{}, {"burn": 1.0, "share": 0.1}])
def test_a_tier_needs_a_factor_or_a_share(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="give one of the two"):
        tier("x", "critical", HOUR_NS, MINUTE_NS, DAY_NS, **given)
