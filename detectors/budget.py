"""Which threshold on a score keeps a budget of episodes.

An episode begins at a row that reaches the threshold when none did in the time before it. So each row begins one at
exactly the thresholds above the largest score of that time and up to its own, and all thresholds are counted at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from detectors.kernels import kernel

if TYPE_CHECKING:
    from collections.abc import Sequence


@kernel
def _largest_before(times_ns, score, apart_ns, found):  # type: ignore[no-untyped-def]
    """The largest score in the `apart_ns` before each row, by a queue of rows whose scores fall."""
    queue = np.empty(len(times_ns), np.int64)
    head = tail = 0
    for i in range(len(times_ns)):
        while head < tail and times_ns[i] - times_ns[queue[head]] >= apart_ns:
            head += 1
        found[i] = score[queue[head]] if head < tail else -np.inf
        if score[i] == score[i]:
            while head < tail and score[queue[tail - 1]] <= score[i]:
                tail -= 1
            queue[tail] = i
            tail += 1


def beginnings(times_ns: np.ndarray, score: np.ndarray, apart_ns: int) -> np.ndarray:
    """At which thresholds each row begins an episode: above the first and up to the second.

    Args:
        times_ns: (n,) int64, rising.
        score: (n,) float64; NaN is not strange.
        apart_ns: what is less than this apart is one episode.

    Returns:
        (n, 2) float64; the first is not below the second where a row begins none.

    >>> beginnings(np.array([0, 10, 20, 60]), np.array([0.2, 0.5, 0.4, 0.3]), 30).tolist()
    [[-inf, 0.2], [0.2, 0.5], [0.5, 0.4], [-inf, 0.3]]
    """
    before = np.empty(len(score))
    _largest_before(np.asarray(times_ns, np.int64), np.asarray(score, np.float64), apart_ns, before)
    return np.column_stack((before, score))


def least_threshold(begins: Sequence[np.ndarray], allowed: float) -> float:
    """The least threshold at which, as at all above it, no more than so many episodes begin.

    With another step down the budget is exceeded; further down there may be fewer again, as episodes grow into one.

    Args:
        begins: of each series, what `beginnings` gave for the rows that count.
        allowed: episodes of all series together.

    Returns:
        The score of a row that begins an episode, or just above the largest where even that is too low; infinity where
        there is no score.

    >>> begins = beginnings(np.array([0, 10, 20, 60]), np.array([0.2, 0.5, 0.4, 0.3]), 30)
    >>> least_threshold([begins], 1), least_threshold([begins], 2)
    (0.5, 0.2)
    """
    every = np.concatenate(begins) if len(begins) else np.zeros((0, 2))
    before, own = every[every[:, 1] > every[:, 0]].T
    scores = np.unique(own)[::-1]
    if not len(scores):
        return np.inf
    over = np.flatnonzero(_at_least(own, scores) - _at_least(before, scores) > allowed)
    if not len(over):
        return float(scores[-1])
    return float(scores[over[0] - 1]) if over[0] else float(np.nextafter(scores[0], np.inf))


def _at_least(values: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """(n_levels,) how many values are not below each level."""
    return np.asarray(len(values) - np.searchsorted(np.sort(values), levels))
