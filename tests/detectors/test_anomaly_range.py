"""What other days of its kind had at a time of day, against ranges that are kept in dictionaries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.anomaly import AnomalyBank, AnomalySettings
from detectors.anomaly_evidence import ORDINARY
from detectors.anomaly_range import NEW_DAYS, SLACK, is_known, kind_of, learn_range, unexplained
from detectors.anomaly_state import KIND_ROWS, RANGE_KNOTS, ROWS, State, rates

DAY, HOUR, WEEK = 86_400, 3_600, 604_800
P = rates(AnomalySettings())
MONDAY_NS = 1_767_571_200 * 10**9


def slow_learn(ranges: dict[tuple[int, int], list[float]], x: float, local: float) -> None:
    """A value into the range of its half hour, on days of its kind."""
    key = int(local // DAY % 7 >= 5), int(local % DAY // 1_800)
    low, high = ranges.get(key, [x, x])
    ranges[key] = [min(x, low + P.narrow * (x - low)), max(x, high - P.narrow * (high - x))]


def slow_known(ranges: dict[tuple[int, int], list[float]], x: float, local: float) -> bool:
    """Whether it is between the lowest and the highest of three half hours."""
    kind, knot = int(local // DAY % 7 >= 5), int(local % DAY // 1_800)
    own = ranges.get((kind, knot), [0.0, 0.0])
    near = [own, *(ranges.get((kind, (knot + shift) % RANGE_KNOTS), own) for shift in (-1, 1))]
    low, high = min(each[0] for each in near), max(each[1] for each in near)
    slack = SLACK * (high - low)
    return low < high and low - slack <= x <= high + slack


@given(
    st.lists(st.tuples(st.floats(-50, 50, width=16), st.integers(0, 4 * WEEK // 60)), min_size=1, max_size=60),
    st.floats(-60, 60, width=16),
)
def test_a_value_is_known_where_other_days_of_its_kind_were(rows: list[tuple[float, int]], asked: float) -> None:
    state, ranges = State.empty(1), dict[tuple[int, int], list[float]]()
    for x, minute in rows:
        local = 60.0 * minute
        learn_range(state.numbers, state.profiles, 0, x, local, frozen=False, p=P)
        if x != 0 or (int(local // DAY % 7 >= 5), int(local % DAY // 1_800)) in ranges:
            slow_learn(ranges, x, local)
    near = [slow_known(ranges, asked + little, local) for little in (-1e-4, 0.0, 1e-4)]
    if len(set(near)) == 1:  # ranges are kept in single precision
        assert is_known(state.profiles, 0, asked, kind_of(local), local) == near[0]


@pytest.mark.parametrize(
    ("day", "x", "rows", "left"),
    [
        (0, 10.0, 10, ORDINARY),  # a Monday within what workdays were
        (0, 30.0, 10, 6.0),  # and one that is not
        (0, 3.0, 10, 6.0),  # what weekends had too is no change of days
        (2, 10.0, 10, 6.0),  # nor is a Wednesday
        (0, 10.0, NEW_DAYS + 1, 6.0),  # the week is known
        (5, 3.0, 5.5, ORDINARY + 2.0),  # the first Saturday
        (5, 10.0, 5.5, 6.0),  # within what workdays were
        (0, 10.0, 1, 6.0),  # there was no other day
    ],
)
def test_a_change_of_days_explains_what_other_such_days_had(day: int, x: float, rows: float, left: float) -> None:
    state, noon = State.empty(1), 12 * HOUR
    for kind, (low, high) in ((0, (9.0, 11.0)), (5, (2.0, 4.0))):
        for value in (low, high):
            learn_range(state.numbers, state.profiles, 0, value, kind * DAY + noon, frozen=False, p=P)
    workdays = min(rows, 5.0)
    state.numbers[0, KIND_ROWS : KIND_ROWS + 2] = np.array([workdays, rows - workdays]) * P.day
    state.numbers[0, ROWS] = rows * P.day
    assert unexplained(state.numbers, state.profiles, 0, x, day * DAY + noon, 6.0, P) == left


def test_days_are_of_two_kinds() -> None:
    assert [kind_of(day * DAY + 1.0) for day in range(7)] == [0, 0, 0, 0, 0, 1, 1]


def test_the_second_weekend_of_traffic_and_mondays_alert_seldom() -> None:
    """The first is like nothing before."""
    rng = np.random.default_rng(4)
    minutes = np.arange(15 * DAY // 60)
    shape = 1 + 0.6 * np.sin(2 * np.pi * (minutes % 1_440) / 1_440 - 2)
    level = 200 * shape * np.where(minutes // 1_440 % 7 >= 5, 0.5, 1.0)
    values = rng.poisson(level[:, None], (len(minutes), 8)).astype(float)
    judged = AnomalyBank(AnomalySettings(), 8).run(MONDAY_NS + minutes * 60 * 10**9, values)
    strange = np.nan_to_num(judged.score) >= 0.45
    weekends = np.isin(minutes // 1_440, (7, 12, 13, 14))
    assert strange[weekends].mean() < 0.01
