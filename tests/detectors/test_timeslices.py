"""Timeslices in rings against a list of all events, judged slice by slice."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.ring_rules import RingRules
from detectors.rings import RAW_BAD, RAW_TOTAL, Rings
from detectors.tiers import DAY_NS, HOUR_NS, MINUTE_NS
from detectors.timeslices import Timeslices, slice_counts
from flows.snapshot import pack, unpack

WINDOWS = (5 * MINUTE_NS, HOUR_NS, 6 * HOUR_NS)
TARGETS = np.array([0.9, 0.5, 1.0])


def expected(events: dict[tuple[int, int], list[int]], row: int, start: int, position: int, panes: int) -> list[int]:
    """Slices that end in the window: all, with events, bad."""
    all_, some, bad = 0, 0, 0
    for number in range(start // panes - 1, position // panes + 1):
        if not start <= (number + 1) * panes - 1 < position:
            continue
        total, failed = events.get((row, number), [0, 0])
        all_ += 1
        some += total > 0
        bad += total > 0 and (total - failed) / total < TARGETS[row]
    return [all_, some, bad]


@settings(max_examples=12)
@given(st.integers(0, 2**32 - 1), st.sampled_from([12, 60]))
def test_slices_of_a_window_are_those_that_end_in_it_each_judged_on_all_its_events(seed: int, panes: int) -> None:
    """Late events within the slices kept, gaps beyond them, cuts and snapshots anywhere."""
    rng = np.random.default_rng(seed)
    position = 1_000_003
    rings, slices = Rings(RingRules(DAY_NS, WINDOWS), position), Timeslices(panes, position)
    slices.set(rings.add_rows(3), TARGETS)
    events: dict[tuple[int, int], list[int]] = {}
    for _ in range(60):
        position += int(rng.choice([1, 1, 1, panes, 5 * panes, 40 * panes]))
        rings.advance(position)
        slices.advance(position)
        n = int(rng.integers(0, 12))
        reach = (position - 1) % panes + 31 * panes + 1
        rows, when = rng.integers(0, 3, n), position - np.where(rng.random(n) < 0.6, 1, rng.integers(1, reach + 1, n))
        raw = rng.integers(1, 10, n)
        failed = rng.binomial(raw, 0.15)
        for row, pane, total, bad in zip(rows.tolist(), when.tolist(), raw.tolist(), failed.tolist(), strict=True):
            entry = events.setdefault((row, pane // panes), [0, 0])
            entry[0] += total
            entry[1] += bad
        counts = np.stack((raw << 20, failed << 20, raw, failed), axis=1)
        cut = int(rng.integers(0, n + 1))
        slices.add(rows[:cut], when[:cut], counts[:cut])
        if rng.random() < 0.3:
            rings.add(*slices.judge())
        if rng.random() < 0.3:
            slices = Timeslices.restore(unpack(pack("slices", 1, slices.snapshot()), "slices", 1))
        slices.add(rows[cut:], when[cut:], counts[cut:])
        rings.add(*slices.judge())
        for ns in WINDOWS:
            window, start = rings.window(ns), rings.start(ns)
            whole = slice_counts(window, start, position, panes)
            for row in range(3):
                found = [int(whole[row, RAW_TOTAL]), int(window[row, RAW_TOTAL]), int(window[row, RAW_BAD])]
                assert found == expected(events, row, start, position, panes)
    assert slices.too_late == 0


def test_a_slice_that_exactly_meets_its_target_is_good() -> None:
    """One bad of ten at 0.9: no rounding error decides."""
    slices = Timeslices(12, 0)
    slices.set([0, 1], np.array([0.9, 0.9]))
    slices.advance(12)
    slices.add([0, 1], [0, 0], np.array([[10 << 20, 1 << 20, 10, 1], [9 << 20, 1 << 20, 9, 1]]))
    assert slices.judge().counts[:, RAW_BAD].tolist() == [0, 1]


def test_an_open_slice_is_not_judged() -> None:
    slices = Timeslices(12, 0)
    slices.set([0], np.array([0.9]))
    slices.advance(11)
    slices.add([0], [0], np.ones((1, 4), np.int64))
    assert not len(slices.judge().rows)
    slices.advance(12)
    assert slices.judge().rows.tolist() == [0]
    assert not len(slices.judge().rows)


def test_events_later_than_the_slices_kept_are_counted_and_change_nothing() -> None:
    slices = Timeslices(12, 0, kept=4)
    slices.set([0], np.array([0.9]))
    slices.advance(12 * 100)
    slices.add([0], [12 * 96 - 1], np.array([[7 << 20, 7 << 20, 7, 7]]))
    assert slices.too_late == 7
    assert not len(slices.judge().rows)


def test_a_forgotten_row_is_judged_no_more() -> None:
    slices = Timeslices(12, 0)
    slices.set([0, 1], np.array([0.9, 0.9]))
    slices.advance(11)
    slices.add([0, 1], [3, 3], np.ones((2, 4), np.int64))
    slices.forget([0])
    slices.advance(12)
    assert slices.judge().rows.tolist() == [1]
