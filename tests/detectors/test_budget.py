"""The threshold that keeps a budget, against counting the episodes of one threshold after the other."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.budget import beginnings, least_threshold
from detectors.episodes import raised

SCORES = st.one_of(st.integers(0, 9).map(float), st.just(float("nan")))
ROWS = st.lists(st.tuples(st.integers(1, 12), SCORES), max_size=25)
SERIES = st.lists(ROWS, min_size=1, max_size=3)


def arrays(rows: list[tuple[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Rising times and their scores."""
    return np.cumsum([step for step, _ in rows], dtype=np.int64), np.array([score for _, score in rows], np.float64)


@given(ROWS, st.integers(1, 30), st.integers(0, 10))
def test_a_row_begins_an_episode_at_the_thresholds_between_its_two_ends(
    rows: list[tuple[int, float]], apart: int, threshold: int
) -> None:
    times, scores = arrays(rows)
    before, own = beginnings(times, scores, apart).T
    assert ((before < threshold) & (threshold <= own)).tolist() == raised(times, scores, threshold, apart).tolist()


def by_stepping_down(series: list[list[tuple[int, float]]], allowed: int, apart: int) -> float:
    """The scores at which any row begins an episode are tried, the largest first, until there are too many."""
    rows = [arrays(each) for each in series]
    candidates = {
        float(score)
        for times, scores in rows
        for score in scores
        if raised(times, scores, score, apart)[scores == score].any()
    }
    kept = float("inf")
    for number, threshold in enumerate(sorted(candidates, reverse=True)):
        if sum(int(raised(times, scores, threshold, apart).sum()) for times, scores in rows) > allowed:
            return kept if number else float(np.nextafter(threshold, np.inf))
        kept = threshold
    return kept


@given(SERIES, st.integers(0, 6), st.integers(1, 30))
def test_the_threshold_is_the_one_that_stepping_down_finds(
    series: list[list[tuple[int, float]]], allowed: int, apart: int
) -> None:
    begins = [beginnings(*arrays(rows), apart) for rows in series]
    assert least_threshold(begins, allowed) == by_stepping_down(series, allowed, apart)


def test_without_a_score_no_threshold_is_ever_reached() -> None:
    assert least_threshold([], 5) == np.inf
