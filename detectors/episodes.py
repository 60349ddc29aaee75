"""When an alert is raised: scores over a threshold that are close together are one episode."""

from __future__ import annotations

import numpy as np

from detectors.spells import joined


def raised(times_ns: np.ndarray, score: np.ndarray, threshold: float, apart_ns: int) -> np.ndarray:
    """Rows at which an alert is raised: the first of each episode.

    A row is strange when its score is at least the threshold; strange rows less than `apart_ns` apart are one episode.

    Args:
        times_ns: (n,) int64, in any order; a row that is earlier than the last strange one belongs to its episode.
        score: (n,) float64; NaN is not strange.
        threshold: the least strange score.
        apart_ns: between episodes, ns.

    Returns:
        (n,) bool.

    >>> minutes = np.array([0, 1, 20, 60]) * 60 * 10**9
    >>> raised(minutes, np.array([0.5, 0.5, 0.5, 0.6]), 0.45, 30 * 60 * 10**9).tolist()
    [True, False, False, True]
    """
    begins = np.zeros(len(score), np.bool_)
    strange = np.flatnonzero(score >= threshold)
    latest = np.maximum.accumulate(times_ns[strange])
    begins[strange] = True
    begins[strange[1:]] = times_ns[strange[1:]] - latest[:-1] >= apart_ns
    return begins


def episodes(times_ns: np.ndarray, score: np.ndarray, threshold: float, apart_ns: int) -> np.ndarray:
    """The same as stretches of time.

    Args:
        times_ns: (n,) int64, in any order.
        score: (n,) float64; NaN is not strange.
        threshold: the least strange score.
        apart_ns: between episodes, ns.

    Returns:
        (n_episodes, 2) int64, when its first and its last strange row are.

    >>> minutes = np.array([0, 1, 20, 60])
    >>> episodes(minutes, np.array([0.5, 0.5, 0.5, 0.6]), 0.45, 30).tolist()
    [[0, 20], [60, 60]]
    """
    strange = times_ns[score >= threshold]
    return joined(np.column_stack((strange, strange)), apart_ns)
