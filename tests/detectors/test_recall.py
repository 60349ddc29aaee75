"""Alerts against faults, by loops over both."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.recall import UNSEEN, Figures, Marks, credited, figures
from detectors.spells import contains, joined, total_ns

SERVICES = st.integers(0, 2)
MARKS = st.lists(st.tuples(st.integers(0, 100), st.integers(1, 30), SERVICES), max_size=6)
Mark = tuple[int, int, int]  # from, how long, service


def marks(of: list[Mark]) -> Marks:
    rows = np.array([(begin, begin + length, service) for begin, length, service in of], np.int64).reshape(-1, 3)
    return Marks(rows[:, :2], rows[:, 2])


def owners(at: int, faults: list[Mark], aftermath: int) -> set[int]:
    """The faults that last; else those that ended last, not long ago."""
    lasting = {i for i, (begin, length, _) in enumerate(faults) if begin <= at <= begin + length}
    if lasting:
        return lasting
    ends = {i: begin + length for i, (begin, length, _) in enumerate(faults) if 0 < at - begin - length < aftermath}
    return {i for i, end in ends.items() if end == max(ends.values())}


@given(MARKS, MARKS, st.integers(0, 40))
def test_an_alert_belongs_to_the_faults_that_last_or_ended_last(
    alerts: list[Mark], faults: list[Mark], aftermath: int
) -> None:
    found = credited(marks(alerts).spells[:, 0], marks(faults).spells, aftermath)
    assert [set(np.flatnonzero(row).tolist()) for row in found] == [
        owners(begin, faults, aftermath) for begin, _, _ in alerts
    ]


def by_loops(
    alerts: list[Mark], faults: list[Mark], counted: list[bool], ordinary: np.ndarray, aftermath: int, apart: int
) -> Figures:
    own, waits = 0, []
    for number, (at, _, service) in enumerate(faults):
        mine = [each for each in alerts if number in owners(each[0], faults, aftermath)]
        if not counted[number] or not mine:
            continue
        own += any(each[2] == service for each in mine)
        waits.append(min(each[0] for each in mine) - at)
    false = 0
    for service in range(3):
        latest = -(10**9)
        for begin, length, _ in sorted(each for each in alerts if each[2] == service):
            if begin - latest >= apart:
                false += bool(contains(ordinary, np.array([begin]))[0])
            latest = max(latest, begin + length)
    return Figures(sum(counted), own, len(waits), tuple(sorted(waits)), false, total_ns(ordinary))


@given(MARKS, MARKS, MARKS, st.integers(0, 40), st.integers(1, 30), st.data())
def test_figures_are_those_of_loops(
    alerts: list[Mark], faults: list[Mark], calm: list[Mark], aftermath: int, apart: int, data: st.DataObject
) -> None:
    counted = data.draw(st.lists(st.booleans(), min_size=len(faults), max_size=len(faults)))
    ordinary = joined(marks(calm).spells)
    found = figures(marks(alerts), marks(faults), np.array(counted, np.bool_), ordinary, aftermath, apart)
    assert found == by_loops(alerts, faults, counted, ordinary, aftermath, apart)


def test_who_alerts_all_the_time_sees_nothing() -> None:
    always, fault = marks([(0, 1_000, 0)]), marks([(500, 10, 0)])
    found = figures(always, fault, np.array([True]), np.array([[100, 400]]), 30, 30)
    assert (found.seen, found.false) == (0, 0)
    assert found.median_delay_ns == found.worst_delay_ns == UNSEEN


def test_the_median_is_a_delay_that_was_seen() -> None:
    delays = (10, 20, 40, 90)
    assert Figures(4, 4, 4, delays, 0, 0).median_delay_ns == 20
    assert Figures(4, 4, 4, delays, 0, 0).worst_delay_ns == 90
