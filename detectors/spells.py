"""Stretches of time: arrays of (n, 2) int64 nanoseconds, from (included) and to (excluded), sorted and apart."""

from __future__ import annotations

import numpy as np


def joined(spells: np.ndarray, apart_ns: int = 1) -> np.ndarray:
    """Spells in any order as those that are apart: what begins less than `apart_ns` after another's end is part of it.

    >>> joined(np.array([[40, 50], [0, 10], [5, 20], [20, 30]])).tolist()
    [[0, 30], [40, 50]]
    >>> joined(np.array([[0, 10], [5, 7], [29, 30], [60, 60]]), apart_ns=30).tolist()
    [[0, 30], [60, 60]]
    """
    if not len(spells):
        return np.zeros((0, 2), np.int64)
    spells = spells[np.argsort(spells[:, 0], kind="stable")]
    latest = np.maximum.accumulate(spells[:, 1])
    firsts = np.flatnonzero(np.concatenate(([True], spells[1:, 0] - latest[:-1] >= apart_ns)))
    lasts = np.concatenate((firsts[1:] - 1, [len(spells) - 1]))
    return np.column_stack((spells[firsts, 0], latest[lasts]))


def without(spells: np.ndarray, others: np.ndarray) -> np.ndarray:
    """What is left of spells where others are cut out; both sorted and apart.

    >>> without(np.array([[0, 100]]), np.array([[-5, 10], [20, 30], [90, 120]])).tolist()
    [[10, 20], [30, 90]]
    """
    left = []
    for begin, end in spells.tolist():
        for cut_begin, cut_end in others.tolist():
            if cut_end <= begin or cut_begin >= end:
                continue
            if cut_begin > begin:
                left.append((begin, cut_begin))
            begin = cut_end
        if begin < end:
            left.append((begin, end))
    return np.array(left, np.int64).reshape(-1, 2)


def within(spells: np.ndarray, begin_ns: int, end_ns: int) -> np.ndarray:
    """The parts of spells between two times.

    >>> within(np.array([[0, 10], [20, 30]]), 5, 25).tolist()
    [[5, 10], [20, 25]]
    """
    cut = np.clip(spells, begin_ns, end_ns)
    return np.asarray(cut[cut[:, 0] < cut[:, 1]])


def contains(spells: np.ndarray, times_ns: np.ndarray) -> np.ndarray:
    """(n_times,) bool: which times lie in one of the spells, sorted and apart.

    >>> contains(np.array([[0, 10], [20, 30]]), np.array([-1, 0, 10, 29])).tolist()
    [False, True, False, True]
    """
    if not len(spells):
        return np.zeros(len(times_ns), np.bool_)
    last = np.searchsorted(spells[:, 0], times_ns, side="right") - 1
    return np.asarray((last >= 0) & (times_ns < spells[last, 1]))


def total_ns(spells: np.ndarray) -> int:
    """How long they are together.

    >>> total_ns(np.array([[0, 10], [20, 30]]))
    20
    """
    return int((spells[:, 1] - spells[:, 0]).sum())
