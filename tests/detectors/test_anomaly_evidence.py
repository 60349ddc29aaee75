"""Evidence, episodes and what is forgiven, against the whole past itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from detectors import tails as tail
from detectors.anomaly import AnomalySettings
from detectors.anomaly_evidence import (
    CALM,
    EXTREME,
    FULL,
    ORDINARY,
    RARE,
    episode_evidence,
    learn_block,
    learn_cue,
    learn_recurring,
    promised,
    unexpected,
    watch,
)
from detectors.anomaly_levels import nearby
from detectors.anomaly_state import (
    BLOCK_TAIL,
    CLUMP_ROWS,
    CLUMPS,
    DAY_KNOTS,
    HOT,
    RECURS,
    ROWS,
    WEIGHT,
    State,
    rates,
)

RATES = rates(AnomalySettings(episode=300.0))
BLOCK = 5
"""Rows of an episode, by these rates."""

evidences = st.floats(0.0, 20.0)


def fresh() -> State:
    """A series that is past its first days, of which nothing is known otherwise."""
    state = State.empty(1)
    state.numbers[0, ROWS], state.numbers[0, WEIGHT] = 100 * RATES.day, 1.0
    return state


def after(episodes: list[float]) -> State:
    """One with these strongest evidences of past episodes."""
    state = fresh()
    for most in episodes:
        tail.learn(state.tails, 0, BLOCK_TAIL, tail.place(most), 1.0)
    return state


@given(st.integers(0, 2**32 - 1), st.integers(12, 300), st.integers(0, tail.BINS - 2), st.floats(0.01, 0.99))
def test_evidence_of_an_episode_is_the_share_of_past_ones_that_were_as_strong(
    seed: int, n: int, low_bin: int, part: float
) -> None:
    """As near as the bins are narrow, where four were, and a twentieth of all; beyond, the tail is extrapolated."""
    past = np.random.default_rng(seed).exponential(1.0, n)
    edges = tail.EDGES[low_bin : low_bin + 2]
    most = edges[0] + part * (edges[1] - edges[0])
    at_least = [int((past >= edge).sum()) for edge in edges]
    assume(at_least[1] >= max(min(4, n / 3), n / 20))
    state = after(past.tolist())
    found = episode_evidence(state.numbers, state.tails, 0, most)
    low, high = (-math.log10(count / n) for count in at_least)
    assert low - 1e-4 <= found <= high + 1e-4


@given(st.lists(evidences, min_size=4, max_size=80), evidences, evidences)
def test_stronger_evidence_is_never_less_rare(past: list[float], one: float, other: float) -> None:
    state = after(past)
    weak, strong = (episode_evidence(state.numbers, state.tails, 0, most) for most in sorted((one, other)))
    assert weak <= strong + 1e-5


@given(st.lists(evidences, max_size=3), evidences)
def test_before_four_episodes_nothing_is_rare(past: list[float], most: float) -> None:
    state = after(past)
    assert episode_evidence(state.numbers, state.tails, 0, most) == 0


@given(evidences, st.floats(0.0, 50.0), st.floats(0.0, 20.0), st.integers(1, 10_000), st.floats(100.0, 1e5))
def test_no_more_is_promised_than_the_past_can_tell(
    extreme: float, clump_rows: float, clumps: float, rows: int, memory: float
) -> None:
    """The more rows come together and the fewer days there were, the larger p is; of what is rarer than one in ten
    times the rows remembered, only that it is rarer is told.
    """
    state = fresh()
    numbers = state.numbers
    numbers[0, [CLUMP_ROWS, CLUMPS, ROWS]] = clump_rows, clumps, rows
    state.tails[0, 0] = memory
    together = min(1 + (clump_rows + 2) / (clumps + 1), BLOCK)
    p = min(1.0, 10**-extreme * together * (1 + 1440 / rows) ** 3)
    rarest = 1 / (10 * float(state.tails[0, 0]))
    found = promised(numbers, state.tails, 0, extreme, RATES)
    if p >= rarest:
        assert found == pytest.approx(-math.log10(p), abs=1e-9)
    else:
        assert -math.log10(rarest) - 1e-9 <= found <= min(-math.log10(p), FULL) + 1e-9


@given(evidences, evidences, st.floats(100.0, 1e5))
def test_what_is_beyond_the_past_keeps_its_order(one: float, other: float, memory: float) -> None:
    assume(abs(one - other) > 1e-3)
    state = fresh()
    state.tails[0, 0] = memory
    less, more = (promised(state.numbers, state.tails, 0, extreme, RATES) for extreme in sorted((one, other)))
    assert less < more or more == 0
    assert more < FULL


def slow_hot(evidence: list[float]) -> list[int]:
    """How long an anomaly has gone on at each row: from the first extreme one until more than an episode was calm."""
    lasts, begin = [], -1
    for row, extreme in enumerate(evidence):
        if begin < 0 and extreme >= EXTREME:
            begin = row
        elif 0 <= begin < row - BLOCK and max(evidence[row - BLOCK : row + 1]) < CALM:
            begin = -1
        lasts.append(row - begin + 1 if begin >= 0 else 0)
    return lasts


levels = st.sampled_from([0.0, CALM - 0.1, CALM, EXTREME - 0.1, EXTREME, 9.0])


@given(st.lists(st.tuples(levels, st.integers(1, BLOCK + 2)), min_size=1, max_size=20))
def test_an_anomaly_lasts_until_an_episode_long_all_was_calm(stretches: list[tuple[float, int]]) -> None:
    evidence = [extreme for extreme, rows in stretches for _ in range(rows)]
    numbers, lasts = fresh().numbers, []
    for extreme in evidence:
        watch(numbers, 0, extreme, RATES)
        lasts.append(int(numbers[0, HOT]))
    assert lasts == slow_hot(evidence)


@pytest.mark.parametrize(
    ("rows", "more"), [(RATES.day, 0.0), (2 * RATES.day, 0.0), (RATES.day / 10, 2.0), (RATES.day / 100, 4.0)]
)
def test_on_the_first_day_an_anomaly_begins_with_more_evidence(rows: float, more: float) -> None:
    for extreme, hot in ((EXTREME + more - 0.01, 0), (EXTREME + more + 0.01, 1)):
        numbers = fresh().numbers
        numbers[0, ROWS] = rows
        watch(numbers, 0, extreme, RATES)
        assert numbers[0, HOT] == hot


@given(st.lists(st.tuples(evidences, st.booleans(), st.sampled_from([False] * 9 + [True])), max_size=60))
def test_the_strongest_of_each_episode_is_learnt_unless_an_anomaly_was_in_it(
    rows: list[tuple[float, bool, bool]],
) -> None:
    """And how many of its rows came together, the last hundred such episodes most."""
    state = fresh()
    for most, high, frozen in rows:
        learn_block(state.numbers, state.tails, 0, most, high, frozen, RATES)
    whole = [slice(begin, begin + BLOCK) for begin in range(0, len(rows) - BLOCK + 1, BLOCK)]
    calm = [rows[part] for part in whole if not any(frozen for *_, frozen in rows[part])]
    places = [tail.place(max(most for most, *_ in part)) for part in calm]
    expected = [sum(place >= low for place in places) for low in range(tail.BINS)]
    np.testing.assert_array_equal(state.tails[0, BLOCK_TAIL : BLOCK_TAIL + tail.BINS], expected)
    clumps = [together for part in calm if (together := sum(high for _, high, _ in part))]
    weights = 0.99 ** np.arange(len(clumps))[::-1]
    assert state.numbers[0, CLUMPS] == pytest.approx(weights.sum())
    assert state.numbers[0, CLUMP_ROWS] == pytest.approx((weights * (np.array(clumps) - 1)).sum())


def test_what_stays_rare_in_one_run_without_end_is_learnt_in_the_end() -> None:
    """Three of ten values are five times as large as all before: after thousands they are not one in fifty any more."""
    state = fresh()
    tail.learn(state.tails, 0, 0, tail.place(1.0), 1_000.0)
    for row in range(4_000):
        value = 5.0 if row % 10 < 3 else 1.0
        at = tail.place(value)
        found = tail.evidence(state.tails, 0, 0, value, at, 3.0, 30.0, 0.0, 1.0, 0.0)
        learn_cue(state.numbers, state.tails, 0, 0, found, at, 1.0)
    at = tail.place(5.0)
    assert tail.evidence(state.tails, 0, 0, 5.0, at, 3.0, 30.0, 0.0, 1.0, 0.0) < RARE


class Days:
    """A series by the hour: what is seen at one time of day, day by day."""

    def __init__(self) -> None:
        self.state = fresh()

    def anomaly(self, knot: int, seen: float) -> float:
        """One that begins there and is gone a row later: what is left of its evidence."""
        left = unexpected(seen, nearby(self.state.profiles, 0, RECURS, knot))
        self.state.numbers[0, HOT] = 1
        learn_recurring(self.state.numbers, self.state.profiles, 0, knot, seen, RATES.forget_peak, RATES)
        self.state.numbers[0, HOT] = 0
        return float(left)

    def calm(self, knot: int) -> None:
        """Nothing there, for the ten rows of a knot."""
        for _ in range(10):
            learn_recurring(self.state.numbers, self.state.profiles, 0, knot, 0.5, RATES.forget_peak, RATES)


@given(st.integers(0, DAY_KNOTS - 1), st.integers(-1, 1), st.floats(4.0, 9.0))
def test_the_third_anomaly_at_a_time_of_day_is_half_as_strange_at_most_and_no_earlier_one(
    knot: int, moved: int, seen: float
) -> None:
    days, near = Days(), (knot + moved) % DAY_KNOTS
    assert days.anomaly(knot, seen) == seen
    days.calm(knot)
    assert days.anomaly(near, seen) == seen
    assert ORDINARY <= days.anomaly(knot, seen) <= 0.5001 * seen
    assert Days().anomaly(knot, seen) == seen


@given(st.integers(0, DAY_KNOTS - 1), st.integers(3, DAY_KNOTS - 3))
def test_at_another_time_of_day_it_is_none_the_less_strange(knot: int, moved: int) -> None:
    days = Days()
    for _ in range(3):
        days.anomaly(knot, 6.0)
    assert days.anomaly((knot + moved) % DAY_KNOTS, 6.0) == 6.0


@given(st.integers(0, DAY_KNOTS - 1), st.floats(4.0, 9.0))
def test_what_was_forgiven_is_strange_again_after_weeks_without_it(knot: int, seen: float) -> None:
    days = Days()
    for _ in range(3):
        days.anomaly(knot, seen)
    for _ in range(28):
        days.calm(knot)
    assert days.anomaly(knot, seen) > 0.9 * seen
