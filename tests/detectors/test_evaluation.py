"""States of tiers, one rule a test."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.evaluation import TierState, evaluate
from detectors.rings import RingRules, Rings
from detectors.tiers import DAY_NS, default_tiers

THRESHOLD = 0.0144
MANY = 100_000


def counts(bad: float, total: float) -> np.ndarray:
    return np.array([[total * 2**20, bad * 2**20, total, bad]])


def state(
    long: np.ndarray,
    short: np.ndarray,
    threshold: float = THRESHOLD,
    armed: bool = True,
    guarded: bool = True,
) -> TierState:
    """Of one SLO."""
    found = evaluate(long, short, np.array([threshold]), np.array([armed]), np.array([guarded]))
    return TierState(found.state[0])


ABOVE, HOLDING, RELEASED, EMPTY = counts(2_000, MANY), counts(1_300, MANY), counts(1_000, MANY), counts(0, 0)


@pytest.mark.parametrize(
    ("long", "short", "wanted"),
    [
        (ABOVE, ABOVE, TierState.ABOVE),
        (ABOVE, HOLDING, TierState.BELOW),
        (HOLDING, ABOVE, TierState.BELOW),
        (ABOVE, RELEASED, TierState.RELEASED),
        (RELEASED, ABOVE, TierState.RELEASED),
        (ABOVE, EMPTY, TierState.UNKNOWN),
        (EMPTY, EMPTY, TierState.UNKNOWN),
        (RELEASED, EMPTY, TierState.RELEASED),
    ],
)
def test_both_windows_start_and_either_ends(long: np.ndarray, short: np.ndarray, wanted: TierState) -> None:
    """Above needs both; released needs one that is known; no events are no news."""
    assert state(long, short) == wanted


def test_exactly_the_threshold_is_not_above() -> None:
    for bad, wanted in ((1_440, TierState.BELOW), (1_441, TierState.ABOVE)):
        assert state(counts(bad, MANY), counts(bad, MANY), guarded=False) == wanted


def test_eight_tenths_of_the_threshold_do_not_release_and_less_does() -> None:
    """1.152 % of 1.44 %, less a hair for rounding."""
    assert state(counts(1_153, MANY), ABOVE) == TierState.BELOW
    assert state(counts(1_151, MANY), ABOVE) == TierState.RELEASED


def test_too_few_events_are_guarded_where_the_guard_applies() -> None:
    assert state(counts(1, 3), counts(1, 3)) == TierState.GUARDED
    assert state(counts(1, 3), counts(1, 3), guarded=False) == TierState.ABOVE


def test_the_guard_looks_at_raw_counts_and_the_ratio_at_weights() -> None:
    """Three sampled failures that stand for three thousand are still three."""
    sampled = np.array([[9_000 << 20, 3_000 << 20, 9, 3]])
    assert state(sampled, sampled) == TierState.GUARDED


def test_an_unarmed_tier_says_so_instead_of_above_and_nothing_else_changes() -> None:
    assert state(ABOVE, ABOVE, armed=False) == TierState.UNARMED
    assert state(counts(1, 3), counts(1, 3), armed=False) == TierState.UNARMED
    assert state(ABOVE, RELEASED, armed=False) == TierState.RELEASED


def test_an_slo_without_the_tier_is_never_above() -> None:
    assert state(ABOVE, ABOVE, threshold=float("nan")) == TierState.BELOW


def test_rows_do_not_touch_each_other() -> None:
    """All states in one call, each with a floor of its own, are those of single calls."""
    rng = np.random.default_rng(1)
    n = 500
    total = rng.integers(1, 200, n) * (rng.random(n) < 0.9)
    bad = rng.binomial(total, rng.choice([0.0, 0.01, 0.1, 1.0], n))
    both = np.stack((total << 20, bad << 20, total, bad), axis=1)
    threshold, armed, guarded = rng.choice([0.0144, 0.1], n), rng.random(n) < 0.8, rng.random(n) < 0.5
    floor = rng.integers(0, 20, n)
    found = evaluate(both, both, threshold, armed, guarded, floor)
    for i in range(n):
        one = slice(i, i + 1)
        alone = evaluate(both[one], both[one], threshold[one], armed[one], guarded[one], floor[one])
        assert alone.state[0] == found.state[i]
    assert set(found.state.tolist()) >= {0, 1, 3, 4, 5}


def panes_to_page(per_pane: list[int], error_ratio: float, guarded: bool) -> int:
    """How many panes of errors, after a day without any, until the first page tier is above; traffic repeats."""
    tiers = [tier for tier in default_tiers(30 * DAY_NS) if tier.severity == "critical"]
    windows = tuple({ns for tier in tiers for ns in (tier.long_ns, tier.short_ns)})
    begin = 17_280 * 20_000
    rings = Rings(RingRules(30 * DAY_NS, windows), begin)
    row = rings.add_rows(1)
    rings.advance(begin + 17_280)
    panes = np.arange(begin, begin + 17_280)
    raw = np.resize(per_pane, 17_280)
    rings.add(np.zeros(17_280, np.int64), panes, np.stack((raw << 20, 0 * raw, raw, 0 * raw), axis=1))
    carried = 0.0
    for pane in range(17_280):
        now = rings.position
        rings.advance(now + 1)
        total = per_pane[pane % len(per_pane)]
        carried += total * error_ratio
        bad, carried = int(carried), carried % 1
        rings.add(row, [now], np.array([[total << 20, bad << 20, total, bad]]))
        for tier in tiers:
            limit = np.array([tier.threshold(0.999)])
            long, short = rings.filled(tier.long_ns)[row], rings.window(tier.short_ns)[row]
            found = evaluate(long, short, limit, rings.armed(tier.long_ns)[row], np.array([guarded]))
            if found.state[0] == TierState.ABOVE:
                return pane + 1
    raise AssertionError("no page in a day")


@pytest.mark.parametrize(("guarded", "seconds"), [(False, 30), (True, 45)])
def test_a_total_outage_at_a_hundred_requests_a_minute_pages_within_a_minute(guarded: bool, seconds: int) -> None:
    """At objective 99.9 %; with the lateness of 5 s and the way to Alertmanager that is less than 60 s."""
    assert panes_to_page([8, 8, 9], 1.0, guarded) * 5 <= seconds


@pytest.mark.parametrize(("per_pane", "least", "most"), [([833], 43, 47), ([8, 8, 9], 47, 60)])
def test_two_per_cent_of_errors_page_after_three_quarters_of_an_hour(
    per_pane: list[int],
    least: float,
    most: float,
) -> None:
    """At 10,000 requests a minute; at 100 the guard waits for certainty."""
    assert least <= panes_to_page(per_pane, 0.02, guarded=True) / 12 <= most
