"""What alerts made of the recordings' faults, on small truths; and what the recordings have of them."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import accuracy_recordings
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge.recordings import NAMES, Recorded, Steps, recorded, whole_steps
from judge.sightings import APART_NS, Alert, alerts, first_of, sightings, time_of

from flows.backtest.labels import Fault

if TYPE_CHECKING:
    from pathlib import Path

SECOND = 10**9
PANE, STEP = 5 * SECOND, 15 * SECOND
N = 80
OPERATIONS = [("shop", "pay"), ("shop", "look"), ("bank", "book")]
FAULT = Fault(40 * STEP, 56 * STEP, "outage", "shop")


def recording(*faults: Fault, n: int = N) -> Recorded:
    """Twenty minutes without a gap, of which the first and the last pane are no whole ones."""
    panes = np.arange(-1, n * STEP // PANE + 1)
    some = np.ones((n, len(OPERATIONS)))
    steps = Steps(STEP, whole_steps(panes, PANE, STEP), OPERATIONS, some, {"p95": some, "rate": some})
    return Recorded("one", faults, panes, PANE, (steps,))


def scores(**strange: list[int]) -> np.ndarray:
    """Of all operations, 0.9 in the steps that are named by the operation, each by the number at its end."""
    found = np.zeros((N, len(OPERATIONS)))
    for at, (_, operation) in enumerate(OPERATIONS):
        found[np.array(strange.get(operation, []), np.int64) - 1, at] = 0.9
    return found


@given(st.sets(st.integers(0, 120), min_size=1))
def test_a_step_is_whole_if_it_and_a_pane_around_it_lie_between_two_cuts(recorded_panes: set[int]) -> None:
    """Against each step asked by itself: silent for no minute, with something before and after."""

    def lies_between(begin: int, end: int) -> bool:
        panes = sorted(recorded_panes)
        silent = [(a + 1, b) for a, b in pairwise(panes) if (b - a - 1) * 5 >= 60]
        outside = [(-99, panes[0]), *silent, (panes[-1] + 1, 999)]
        return all(end + 1 <= first or last <= begin - 1 for first, last in outside)

    expected = [end * 5 * SECOND for end in range(3, 130, 3) if lies_between(end - 3, end)]
    assert whole_steps(np.array(sorted(recorded_panes)), PANE, STEP).tolist() == expected


def test_one_alert_for_a_service_names_the_operation_that_was_the_strangest_first() -> None:
    (steps,) = recording().steps
    score = scores(pay=[20, 21], look=[20])
    score[19, 1] = 0.95
    (alert,) = alerts(steps, "p95", score, 0.5)
    assert alert == Alert(20 * STEP, 21 * STEP, "shop", "look", "p95")


def test_what_is_strange_within_less_than_three_minutes_is_one_alert() -> None:
    (steps,) = recording().steps
    apart = APART_NS // STEP
    assert len(list(alerts(steps, "p95", scores(pay=[20, 19 + apart]), 0.5))) == 1
    assert len(list(alerts(steps, "p95", scores(pay=[20, 20 + apart]), 0.5))) == 2


def test_an_alert_in_a_fault_sees_it_and_one_before_is_false() -> None:
    one = recording(FAULT)
    time, score = time_of(one, one.steps[0]), scores(pay=[42], book=[20, 41])
    raised = list(alerts(one.steps[0], "p95", score, 0.5))
    got = sightings(one.steps[0], time, score, raised)
    assert (got.figures.faults, got.figures.own, got.figures.seen, got.figures.false) == (1, 1, 1, 1)
    assert got.figures.delays_ns == (2 * STEP,)
    first = first_of(raised, FAULT[:2])
    assert first is not None
    assert first.service == "bank"


def test_ordinary_is_what_is_neither_fault_nor_the_first_ten_steps() -> None:
    one = recording(FAULT)
    score = scores()
    got = sightings(one.steps[0], time_of(one, one.steps[0]), score, [])
    assert got.ordinary_days * 86_400 * SECOND == (N - 10 - 17) * STEP  # the fault begins and ends with a step
    assert got.by_chance == (0, 0)


def test_a_fault_in_the_first_ten_steps_is_excluded() -> None:
    one = recording(Fault(9 * STEP, 20 * STEP, "outage", "shop"), FAULT)
    early, late = time_of(one, one.steps[0]).stretch.excluded
    assert "warm-up" in early
    assert not late


def test_by_chance_is_what_alerts_that_know_nothing_see() -> None:
    """Each step begins an alert or not, by lot, too seldom for two to be one: as many faults have one as it says."""
    one, rng = recording(FAULT, n=2_000), np.random.default_rng(3)
    (steps,) = one.steps
    time, score = time_of(one, steps), np.zeros((2_000, len(OPERATIONS)))
    seen, said = [], []
    for _ in range(3_000):
        times_ns = steps.times_ns[rng.uniform(size=2_000) < 0.005].tolist()
        got = sightings(steps, time, score, [Alert(at, at, "shop", "pay", "p95") for at in times_ns])
        seen.append(got.figures.seen)
        said.append(got.by_chance[1])
    assert np.mean(said) == pytest.approx(np.mean(seen), rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_network_delay_does_not_move_the_services_own_latency_and_a_cpu_contention_does(
    recorded_data: Path, name: str
) -> None:
    case = accuracy_recordings.cases(recorded(recorded_data / name))[-1]
    own = {"network_delay": [], "cpu_contention": []}
    for fault in case.recording.faults:
        moved = accuracy_recordings.moved(case, fault)["own p95"]
        if fault.kind in own and moved != "":
            own[fault.kind].append(moved)
    assert len(own["network_delay"]) >= 6
    assert 0.7 < min(own["network_delay"]) <= max(own["network_delay"]) < 1.3
    assert min(own["cpu_contention"]) > 5


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_default_has_no_score_within_an_hour_of_pieces(recorded_data: Path, name: str) -> None:
    default = accuracy_recordings.cases(recorded(recorded_data / name))[0]
    assert default.detector == accuracy_recordings.DEFAULT
    assert all(np.isnan(score).all() for score in default.scores.values())
