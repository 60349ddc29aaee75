"""Levels, profiles and scales of the anomaly detector, against plain arithmetic."""

from __future__ import annotations

from datetime import datetime, timedelta
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.anomaly import AnomalySettings
from detectors.anomaly_levels import (
    LARGEST,
    SURE,
    accept,
    begin,
    learn_levels,
    learn_peaks,
    learn_scale,
    learn_usual,
    mixed,
    nearby,
    predict,
    spot_of,
)
from detectors.anomaly_state import (
    AWAY,
    DAY_KNOTS,
    DAY_QUICK,
    DAY_SLOW,
    ERRORS,
    FAST,
    LEVELS,
    LONG,
    MEDIUM,
    MIDDLE,
    PEAKS_UP,
    PREDICTORS,
    ROWS,
    SCALE,
    SHORT,
    SLOW,
    USUAL,
    USUAL_GAP,
    WEEK_KNOTS,
    WEEK_PROFILE,
    WEEK_QUICK,
    WEEK_SLOW,
    State,
    rates,
)

MONDAY = datetime(2026, 1, 5)
OF_DAY, OF_WEEK = (DAY_QUICK, DAY_SLOW), (WEEK_QUICK, WEEK_SLOW)
RATES = rates(AnomalySettings())

some = st.floats(-1e6, 1e6)
sizes = st.floats(1e-3, 1e3)
seeds = st.integers(0, 2**32 - 1)


def known(seed: int) -> State:
    """A series of which all is known, at random."""
    state, rng = State.empty(1), np.random.default_rng(seed)
    state.numbers[:] = rng.uniform(0.1, 10.0, state.numbers.shape)
    state.profiles[:] = rng.normal(0.0, 3.0, state.profiles.shape)
    return state


def learnt(values: list[float], state: State, limit: float = 2 * LARGEST, teaches: float = 0.0) -> None:
    """Values, rooted already, into the levels, as far as they are not those of profiles."""
    predicted = np.zeros(PREDICTORS)
    for x in values:
        predict(state.numbers, 0, 0.0, 0.0, predicted)
        learn_levels(state.numbers, state.profiles, 0, x, predicted, limit, spot_of(0.0), teaches, RATES)
        state.numbers[0, ROWS] += 1


@given(st.integers(-(10**10), 10**10))
def test_a_time_is_between_the_knots_that_the_calendar_says(second: int) -> None:
    knot, following, week_knot, week_following, *parts = spot_of(float(second))
    now = MONDAY + timedelta(seconds=second % 604_800)
    of_day = Fraction(now.hour * 3_600 + now.minute * 60 + now.second, 86_400)
    of_week = (now.weekday() + of_day) / 7
    assert knot == of_day * DAY_KNOTS // 1
    assert week_knot == WEEK_PROFILE + of_week * WEEK_KNOTS // 1
    assert following == (knot + 1 if knot < DAY_KNOTS - 1 else 0)
    assert week_following == (week_knot + 1 if week_knot < WEEK_PROFILE + WEEK_KNOTS - 1 else WEEK_PROFILE)
    assert parts[0] == pytest.approx(float(of_day * DAY_KNOTS % 1))
    assert parts[-1] == pytest.approx(float(of_week * WEEK_KNOTS % 1))


@given(seeds, some, some)
def test_only_those_that_carry_a_profile_move_with_it(seed: int, day: float, week: float) -> None:
    numbers, predicted = known(seed).numbers, np.zeros(PREDICTORS)
    predict(numbers, 0, day, week, predicted)
    for which in range(PREDICTORS):
        carried = day if which in OF_DAY else week if which in OF_WEEK else 0.0
        assert predicted[which] == numbers[0, LEVELS + which] + carried


@given(
    st.lists(st.tuples(some, st.floats(0.0, 1e9)), min_size=PREDICTORS, max_size=PREDICTORS),
    st.sampled_from([(0, PREDICTORS), (DAY_QUICK, SLOW), (SLOW, PREDICTORS)]),
)
def test_predictors_are_weighed_by_the_fourth_power_of_how_good_they_were(
    told: list[tuple[float, float]], part: tuple[int, int]
) -> None:
    """By exact fractions; an error of nothing counts as 10^-12."""
    numbers, predicted = State.empty(1).numbers, np.array([said for said, _ in told])
    numbers[0, ERRORS : ERRORS + PREDICTORS] = [error for _, error in told]
    chosen = [(Fraction(said), 1 / Fraction(error + 1e-12) ** 4) for said, error in told[slice(*part)]]
    exact = sum(said * weight for said, weight in chosen) / sum(weight for _, weight in chosen)
    assert mixed(numbers, 0, predicted, *part) == pytest.approx(float(exact), rel=1e-9, abs=1e-6)


@given(seeds, st.integers(0, DAY_KNOTS - 1))
def test_a_peak_is_near_at_its_knot_and_at_both_neighbours_around_midnight_too(seed: int, knot: int) -> None:
    profiles = known(seed).profiles
    near = [at for at in range(DAY_KNOTS) if min((at - knot) % DAY_KNOTS, (knot - at) % DAY_KNOTS) <= 1]
    assert nearby(profiles, 0, PEAKS_UP, knot) == max(profiles[0, PEAKS_UP + at] for at in near)


@given(st.lists(some, min_size=1, max_size=100))
def test_slow_levels_begin_as_the_mean_of_all_values(values: list[float]) -> None:
    state = State.empty(1)
    begin(state.numbers, 0, values[0])
    learnt(values[1:], state)
    for which in (SLOW, DAY_SLOW, WEEK_SLOW):
        assert state.numbers[0, LEVELS + which] == pytest.approx(np.mean(values), rel=1e-9, abs=1e-6)


@pytest.mark.parametrize(
    ("which", "half_life"),
    [(FAST, "fast"), (MEDIUM, "medium"), (DAY_QUICK, "quick"), (WEEK_QUICK, "quick"), (SLOW, "slow")],
)
def test_in_its_half_life_a_level_goes_half_of_the_way(which: int, half_life: str) -> None:
    settings, state = AnomalySettings(), State.empty(1)
    state.numbers[0, ROWS] = 10_000
    learnt([8.0] * round(getattr(settings, half_life) / settings.step), state)
    assert state.numbers[0, LEVELS + which] == pytest.approx(4.0)


@given(seeds, st.floats(-1e30, 1e30), sizes)
def test_no_outlier_moves_a_slow_level_or_a_profile_by_more_than_the_limit_allows(
    seed: int, x: float, limit: float
) -> None:
    state = known(seed)
    before = state.take(slice(None))
    state.numbers[0, [ROWS, AWAY]] = before.numbers[0, [ROWS, AWAY]] = 10_000, 0
    learnt([x], state, limit, teaches=1.0)
    moved = np.abs(state.numbers - before.numbers)[0, LEVELS : LEVELS + PREDICTORS]
    for which, rate in ((SLOW, RATES.slow), (DAY_SLOW, RATES.slow), (WEEK_SLOW, RATES.slow), (DAY_QUICK, RATES.quick)):
        assert moved[which] <= rate * limit * 1.001
    most = 1.5 * RATES.profile * limit  # beside what float32 rounds
    assert np.abs(state.profiles - before.profiles).max() <= most * 1.001 + 1e-6


@given(seeds, st.integers(0, 604_799), some)
def test_a_profile_learns_at_the_two_knots_around_the_time_the_nearer_one_more(
    seed: int, second: int, x: float
) -> None:
    state = known(seed)
    before, predicted, spot = state.profiles.astype(float), np.zeros(PREDICTORS), spot_of(float(second))
    learn_levels(state.numbers, state.profiles, 0, x, predicted, 2 * LARGEST, spot, 1.0, RATES)
    change = (state.profiles - before)[0]
    knot, following, week_knot, week_following = spot[:4]
    elsewhere = np.delete(change, [knot, following, week_knot, week_following])
    assert not elsewhere.any()
    exact = RATES.profile * x  # of a gap of x, as nothing was predicted
    close = {"rel": 1e-4, "abs": 1e-5}  # float32
    assert change[knot] + change[following] == pytest.approx(exact, **close)
    assert change[following] == pytest.approx(exact * (second % 600) / 600, **close)
    assert change[week_knot] * x >= -1e-3
    assert change[week_following] * x >= -1e-3


@given(seeds, some)
def test_what_teaches_nothing_leaves_the_profiles_alone(seed: int, x: float) -> None:
    state = known(seed)
    before = state.profiles.copy()
    learnt([x], state, teaches=0.0)
    np.testing.assert_array_equal(state.profiles, before)


@given(st.lists(some, min_size=1, max_size=SURE))
def test_a_scale_begins_as_the_mean_absolute_gap(gaps: list[float]) -> None:
    numbers = State.empty(1).numbers
    for rows, gap in enumerate(gaps, 1):
        numbers[0, ROWS] = rows
        learn_scale(numbers, 0, SCALE, gap, 0.0, 1 / rows)
    assert numbers[0, SCALE] == pytest.approx(np.abs(gaps).mean())


@given(sizes, st.floats(-1e30, 1e30), sizes, st.floats(0.0, 1.0))
def test_an_outlier_counts_as_six_scales_however_far_it_is(now: float, gap: float, floor: float, rate: float) -> None:
    numbers = State.empty(1).numbers
    numbers[0, ROWS], numbers[0, SCALE] = SURE + 1, now
    learn_scale(numbers, 0, SCALE, gap, floor, rate)
    assert now * (1 - rate) * 0.999 <= numbers[0, SCALE] <= (now * (1 + 5 * rate) + rate * floor) * 1.001


@given(st.lists(some, min_size=1, max_size=SURE))
def test_the_usual_begins_as_the_mean_of_all_values(values: list[float]) -> None:
    numbers = State.empty(1).numbers
    for rows, x in enumerate(values, 1):
        numbers[0, ROWS] = rows
        learn_usual(numbers, 0, x, 0.0, 1 / rows)
    assert numbers[0, USUAL] == pytest.approx(np.mean(values), rel=1e-9, abs=1e-6)


@given(some, sizes, st.floats(-1e30, 1e30), st.floats(0.0, 1.0))
def test_an_outlier_moves_the_usual_by_no_more_than_six_of_its_gaps(
    usual: float, gap: float, x: float, rate: float
) -> None:
    numbers = State.empty(1).numbers
    numbers[0, ROWS], numbers[0, USUAL], numbers[0, USUAL_GAP] = SURE + 1, usual, gap
    learn_usual(numbers, 0, x, 0.0, rate)
    assert abs(numbers[0, USUAL] - usual) <= 6 * gap * rate * 1.001 + 1e-9
    assert (numbers[0, USUAL] - usual) * (x - usual) >= 0


@given(st.lists(st.floats(-50.0, 300.0), min_size=1, max_size=60), st.floats(0.001, 0.5))
def test_of_peaks_the_highest_is_remembered_each_less_the_longer_it_is_ago(
    surprises: list[float], forget: float
) -> None:
    """Within what one row forgets."""
    profiles = State.empty(1).profiles
    for surprise in surprises:
        learn_peaks(profiles, 0, PEAKS_UP, 3, surprise, forget)
    over = [min(max(surprise - 4, 0.0), 200.0) for surprise in surprises]
    highest = max(size * (1 - forget) ** ago for ago, size in enumerate(reversed(over)))
    assert highest * (1 - forget) - 1e-3 <= profiles[0, PEAKS_UP + 3] <= highest + 1e-3


@given(seeds, some, some)
def test_once_it_is_accepted_every_predictor_says_the_new_level(seed: int, day: float, week: float) -> None:
    numbers, predicted, again = known(seed).numbers, np.zeros(PREDICTORS), np.zeros(PREDICTORS)
    predict(numbers, 0, day, week, predicted)
    fast, new = numbers[0, LEVELS + FAST], numbers[0, LEVELS + MEDIUM]
    away = numbers[0, USUAL] - predicted[DAY_SLOW]
    accept(numbers, 0, predicted)
    predict(numbers, 0, day, week, again)
    assert again == pytest.approx([fast] + [new] * (PREDICTORS - 1), abs=1e-6)
    assert predicted == pytest.approx(again, abs=1e-6)
    assert numbers[0, USUAL] - new == pytest.approx(away, abs=1e-6)
    assert [numbers[0, cue] for cue in (SHORT, MIDDLE, LONG)] == [0, 0, 0]
