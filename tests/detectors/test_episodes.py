"""Which rows raise an alert, against a loop over rows."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.episodes import episodes, raised

SCORES = st.one_of(st.floats(0, 1), st.just(float("nan")))


def by_loop(times: list[int], scores: list[float], threshold: float, apart: int) -> list[bool]:
    latest, found = None, []
    for at, score in zip(times, scores, strict=True):
        is_strange = score >= threshold
        found.append(is_strange and (latest is None or at - latest >= apart))
        if is_strange:
            latest = at if latest is None else max(at, latest)
    return found


@given(st.lists(st.tuples(st.integers(0, 100), SCORES)), st.integers(1, 20))
def test_the_first_row_of_each_episode_raises_an_alert(rows: list[tuple[int, float]], apart: int) -> None:
    """Stamps may go back: what is earlier than the last strange row is of its episode."""
    times, scores = [at for at, _ in rows], [score for _, score in rows]
    found = raised(np.array(times, np.int64), np.array(scores, np.float64), 0.5, apart)
    assert found.tolist() == by_loop(times, scores, 0.5, apart)


@given(st.lists(st.tuples(st.integers(0, 100), SCORES)), st.integers(1, 20))
def test_an_episode_lasts_from_its_alert_to_its_last_strange_row(rows: list[tuple[int, float]], apart: int) -> None:
    rows = sorted(rows, key=lambda row: row[0])
    times, scores = [at for at, _ in rows], [score for _, score in rows]
    expected: list[list[int]] = []
    for at, score, begins in zip(times, scores, by_loop(times, scores, 0.5, apart), strict=True):
        if begins:
            expected.append([at, at])
        elif score >= 0.5:
            expected[-1][1] = at
    assert episodes(np.array(times, np.int64), np.array(scores, np.float64), 0.5, apart).tolist() == expected
