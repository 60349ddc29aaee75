"""Rings against a list of all events, over random streams with late events, any cuts and snapshots."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.ring_rules import RingRules
from detectors.rings import BAD, RAW_BAD, RAW_TOTAL, TOTAL, Rings
from detectors.tiers import DAY_NS, HOUR_NS, MINUTE_NS, default_tiers
from flows.snapshot import pack, unpack

SECOND_NS = 1_000_000_000
TIER_WINDOWS = tuple({ns for tier in default_tiers(30 * DAY_NS) for ns in (tier.long_ns, tier.short_ns)})


def step_of(window_ns: int, rules: RingRules) -> int:
    """The alignment rule, said once more: the step, in panes, of the finest ring that holds a window."""
    table = ((rules.pane_ns, 10 * MINUTE_NS), (MINUTE_NS, 6 * HOUR_NS), (15 * MINUTE_NS, 3 * DAY_NS))
    return next((step for step, length in table if window_ns <= length), HOUR_NS) // rules.pane_ns


class Oracle:
    """Every event in a list; a window is a sum over those in it."""

    def __init__(self, rules: RingRules, n: int) -> None:
        self.rules, self.n = rules, n
        self.rows, self.panes = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self.counts = np.zeros((0, 4), np.int64)

    def add(self, rows: np.ndarray, panes: np.ndarray, counts: np.ndarray) -> None:
        self.rows, self.panes = np.concatenate((self.rows, rows)), np.concatenate((self.panes, panes))
        self.counts = np.concatenate((self.counts, counts))

    def window(self, window_ns: int, position: int) -> np.ndarray:
        step = step_of(window_ns, self.rules)
        start = (position - window_ns // self.rules.pane_ns) // step * step
        total = np.zeros((self.n, 4), np.int64)
        mine = (self.panes >= start) & (self.panes < position)
        np.add.at(total, self.rows[mine], self.counts[mine])
        return total


def events(rng: np.random.Generator, n: int, rows: int, position: int, reach: int) -> tuple[np.ndarray, ...]:
    """Events of closed panes: half of them of the last ones, half as old as the reach."""
    age = np.where(rng.random(n) < 0.5, rng.integers(1, 4, n), rng.integers(1, reach, n))
    raw = rng.integers(1, 50, n)
    bad = rng.integers(0, raw + 1)
    which = rng.integers(0, rows, n)
    # Row 0 is sampled, the others are not.
    weight, bad_weight = (
        np.where(which == 0, count * rng.integers(1, 1 << 30, n), count << 20) for count in (raw, bad)
    )
    return which, position - age, np.stack((weight, bad_weight, raw, bad), axis=1)


@settings(max_examples=15)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([5, 6, 10, 60]),
    st.sampled_from([HOUR_NS, DAY_NS, 7 * DAY_NS, 30 * DAY_NS, 90 * DAY_NS]),
)
def test_every_window_equals_the_sum_over_all_events_in_it(seed: int, pane_seconds: int, period_ns: int) -> None:
    """Late events, gaps of any length, cuts anywhere, a snapshot before any step."""
    rng = np.random.default_rng(seed)
    pane_ns = pane_seconds * SECOND_NS
    wanted = (*TIER_WINDOWS, 7 * HOUR_NS, 90 * MINUTE_NS, 7 * MINUTE_NS)
    rules = RingRules(period_ns, tuple(ns for ns in wanted if ns <= period_ns and ns % pane_ns == 0), pane_ns)
    position = int(rng.integers(10**6, 10**8))
    rings, oracle = Rings(rules, position), Oracle(rules, 3)
    rings.add_rows(3)
    reach = 2 * period_ns // pane_ns
    for _ in range(30):
        gap = rng.choice([1, 2, 11, 12, 13, 200, 1_000, period_ns // pane_ns, 3 * period_ns // pane_ns])
        position += int(rng.integers(1, gap + 1))
        rings.advance(position)
        batch = events(rng, int(rng.integers(0, 20)), 3, position, reach)
        oracle.add(*batch)
        cut = int(rng.integers(0, len(batch[0]) + 1))
        rings.add(*(column[:cut] for column in batch))
        if rng.random() < 0.3:
            state = unpack(pack("rings", 1, rings.snapshot()), "rings", 1)
            rings = Rings.restore(state, rules.windows_ns)
        rings.add(*(column[cut:] for column in batch))
        for window_ns in rules.windows_ns:
            assert (rings.window(window_ns)[:3] == oracle.window(window_ns, position)).all(), window_ns
            step = step_of(window_ns, rules)
            assert rings.start(window_ns) == (position - window_ns // pane_ns) // step * step


def test_one_long_gap_is_the_same_as_many_single_panes() -> None:
    """Closing in one call what others close one by one."""
    rules = RingRules(7 * DAY_NS, TIER_WINDOWS)
    rng = np.random.default_rng(5)
    slow, fast = Rings(rules, 1_000), Rings(rules, 1_000)
    for rings in (slow, fast):
        rings.add_rows(2)
        rings.advance(1_050)
    batch = events(rng, 100, 2, 1_050, 50)
    slow.add(*batch)
    fast.add(*batch)
    for position in range(1_051, 6_000):
        slow.advance(position)
        if position % 997 == 0:
            fast.advance(position)
            assert all((slow.window(ns) == fast.window(ns)).all() for ns in rules.windows_ns)


def test_a_late_event_is_in_every_window_that_covers_it_and_in_the_budget() -> None:
    """Forty minutes late: out of the 30 m window, in the 1 h one and all longer."""
    rings = Rings(RingRules(30 * DAY_NS, TIER_WINDOWS), 1_000_000)
    rings.add_rows(1)
    rings.advance(1_000_001)
    rings.add([0], [1_000_000 - 480], np.array([[1, 1, 1, 1]]))
    seen = {ns for ns in rings.rules.windows_ns if rings.window(ns)[0, RAW_BAD] == 1}
    assert seen == {ns for ns in rings.rules.windows_ns if ns >= HOUR_NS}
    assert rings.period()[0, RAW_TOTAL] == 1


def test_an_event_of_an_open_pane_is_refused() -> None:
    """It would be cleared when its slot is entered."""
    rings = Rings(RingRules(HOUR_NS), 100)
    rings.add_rows(1)
    with pytest.raises(ValueError, match="pane 100 is not closed at position 100: advance before adding"):
        rings.add([0], [100], np.ones((1, 4), np.int64))


def test_panes_do_not_open_again() -> None:
    rings = Rings(RingRules(HOUR_NS), 100)
    with pytest.raises(ValueError, match="before the present one, 100"):
        rings.advance(99)


def test_a_removed_row_leaves_nothing_to_the_one_that_gets_its_number() -> None:
    """And the others keep theirs."""
    rings = Rings(RingRules(HOUR_NS, (MINUTE_NS,)), 100)
    rows = rings.add_rows(3)
    rings.advance(103)
    rings.add([0, 1, 2], [101, 102, 102], np.full((3, 4), 7))
    rings.remove_rows([1])
    rings.advance(110)
    again = rings.add_rows(1)
    assert again.tolist() == [1]
    assert rings.window(MINUTE_NS)[rows, TOTAL].tolist() == [7, 0, 7]
    assert rings.history_ns().tolist() == [50 * SECOND_NS, 0, 50 * SECOND_NS]
    rings.advance(112)
    rings.add([1, 1], [110, 111], np.full((2, 4), 3))
    assert rings.window(MINUTE_NS)[:, BAD].tolist() == [7, 6, 7]


def test_rows_added_later_see_the_same_as_rows_that_were_there() -> None:
    """Growing the bank moves every slot."""
    rings = Rings(RingRules(DAY_NS, (MINUTE_NS, HOUR_NS)), 5_000)
    rng = np.random.default_rng(2)
    oracle = Oracle(rings.rules, 40)
    for n in range(40):
        rings.add_rows(1)
        rings.advance(5_000 + 50 * n + 50)
        batch = events(rng, 10, n + 1, rings.position, 40)
        rings.add(*batch)
        oracle.add(*batch)
    for ns in rings.rules.windows_ns:
        assert (rings.window(ns)[:40] == oracle.window(ns, rings.position)).all()
    assert rings.used.sum() == 40


@pytest.mark.parametrize(("days", "kib"), [(7, 48), (28, 48), (30, 48), (90, 96)])
@pytest.mark.parametrize("n", [1, 100])
def test_memory_per_slo_stays_within_its_bound(days: int, kib: int, n: int) -> None:
    """All windows of the tiers and the period, sums and all."""
    rings = Rings(RingRules(days * DAY_NS, TIER_WINDOWS), 1_000_000)
    rings.add_rows(n)
    assert rings.nbytes / n <= kib * 1024


def test_a_snapshot_of_spans_that_are_not_sampled_takes_a_fifth() -> None:
    """Thousands of events a minute, a full day of them; and it is the same bank again."""
    rng = np.random.default_rng(6)
    rings = Rings(RingRules(30 * DAY_NS, TIER_WINDOWS), 0)
    rings.add_rows(10)
    rings.advance(17_280)
    rows, panes = np.tile(np.arange(10), 17_280), np.repeat(np.arange(17_280), 10)
    raw = rng.integers(0, 500, len(rows))
    bad = rng.binomial(raw, 0.01)
    rings.add(rows, panes, np.stack((raw << 20, bad << 20, raw, bad), axis=1))
    stored = pack("rings", 1, rings.snapshot())
    assert len(stored) * 4 <= rings.nbytes
    again = Rings.restore(unpack(stored, "rings", 1), rings.rules.windows_ns)
    for bank in (rings, again):
        bank.advance(17_281 + 700)
    assert all((again.window(ns) == rings.window(ns)).all() for ns in rings.rules.windows_ns)


def test_a_tier_is_armed_once_history_covers_half_its_long_window() -> None:
    rings = Rings(RingRules(30 * DAY_NS, TIER_WINDOWS), 1_000_000)
    rings.add_rows(1)
    half = HOUR_NS // 2 // rings.rules.pane_ns
    rings.advance(1_000_000 + half - 1)
    assert not rings.armed(HOUR_NS)[0]
    rings.advance(1_000_000 + half)
    assert rings.armed(HOUR_NS)[0]
    assert not rings.armed(6 * HOUR_NS)[0]


def test_missing_history_is_the_mean_traffic_without_errors() -> None:
    """A quarter of the hour is known: the hour has four times its events, and its errors once."""
    rings = Rings(RingRules(30 * DAY_NS, TIER_WINDOWS), 720_000)
    rings.add_rows(1)
    rings.advance(720_180)
    rings.add([0], [720_100], np.array([[400, 40, 100, 10]]))
    assert rings.filled(HOUR_NS)[0].tolist() == [1600.0, 40.0, 400.0, 10.0]
    assert rings.filled(10 * MINUTE_NS)[0].tolist() == [400.0, 40.0, 100.0, 10.0]


def test_a_row_primed_by_a_seed_goes_on_as_if_it_had_been_there() -> None:
    """A day of another bank; its slots lie where they lay, counted from the end."""
    rules = RingRules(7 * DAY_NS, TIER_WINDOWS)
    rng = np.random.default_rng(3)
    seed, rings = Rings(rules, 0), Rings(rules, 1_036_800)
    seed.add_rows(2)
    seed.advance(DAY_NS // rules.pane_ns)
    seed.add(*events(rng, 500, 2, seed.position, 17_280))
    rings.add_rows(3)
    rings.prime([2, 0], seed, [0, 1])
    for ns in rules.windows_ns:
        assert (rings.window(ns)[[2, 0]] == seed.window(ns)[[0, 1]]).all()
        assert not rings.window(ns)[1].any()
    assert (rings.history_ns()[:3] == np.array([DAY_NS, 0, DAY_NS])).all()
    rings.advance(rings.position + 1_000)
    seed.advance(seed.position + 1_000)
    assert all((rings.window(ns)[2] == seed.window(ns)[0]).all() for ns in rules.windows_ns)


def test_a_seed_of_other_rings_is_refused() -> None:
    with pytest.raises(ValueError, match="make one with these settings"):
        Rings(RingRules(DAY_NS), 0).prime([], Rings(RingRules(7 * DAY_NS), 0), [])


@pytest.mark.parametrize(
    ("period_ns", "windows_ns", "pane_ns", "says"),
    [
        (DAY_NS, (), 7 * SECOND_NS, "does not divide a minute"),
        (DAY_NS, (2 * DAY_NS,), 5 * SECOND_NS, "at most the period"),
        (DAY_NS, (7 * SECOND_NS,), 5 * SECOND_NS, "a multiple of the pane"),
    ],
)
def test_windows_that_no_ring_can_hold_are_refused(
    period_ns: int,
    windows_ns: tuple[int, ...],
    pane_ns: int,
    says: str,
) -> None:
    with pytest.raises(ValueError, match=says):
        RingRules(period_ns, windows_ns, pane_ns)


def test_a_window_that_is_not_kept_is_refused() -> None:
    with pytest.raises(ValueError, match="no window of 60000000000 ns is kept"):
        Rings(RingRules(DAY_NS), 0).window(MINUTE_NS)


def test_a_snapshot_of_another_version_is_refused() -> None:
    state = Rings(RingRules(DAY_NS), 0).snapshot() | {"version": 2}
    with pytest.raises(ValueError, match="rings of version 2 were found"):
        Rings.restore(state, ())
