"""A peer to beat: five cues, each against its own past, their evidence summed; found by a search on NAB.

Low value, level shift, two left discords and the same row of the day; a generalised Pareto tail above the top 5 % of
each cue's whole past. Its sorted pasts grow without bound.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

CUES = 5
REACH = 4000


@njit
def _evidence(past: np.ndarray, held: int, x: float) -> float:
    """−log10 of how rare x is among its past, which then holds it."""
    at = np.searchsorted(past[:held], x)
    p = 1.0
    if held >= 60:
        tail = min(max(int(0.05 * held), 10), held // 2)
        above = held - at
        p = (above + 0.5) / (held + 1.0)
        if above < tail:
            cut = past[held - tail - 1]
            over = past[held - tail : held] - cut
            mean = over.mean()
            variance = (over * over).mean() - mean * mean
            if mean <= 1e-300:
                p = 0.5e-3 / (held + 1.0) if x > cut else p
            else:
                shape = 0.5 * (1 - mean * mean / variance) if variance > 0 else 0.0
                shape = min(0.4, max(0.0, shape))
                scale, y = mean * (1 - shape), x - cut
                rest = math.exp(-min(600.0, y / scale)) if shape < 1e-6 else (1 + shape * y / scale) ** (-1 / shape)
                p = max(1e-30, tail / held * rest)
    for j in range(held, at, -1):
        past[j] = past[j - 1]
    past[at] = x
    return min(30.0, -math.log10(max(p, 1e-30)))


@njit
def _discord(x: np.ndarray, row: int, length: int, nearest: int) -> float:
    """Distance of the last values to the nearest, second, … earlier window, NaN before there are so many."""
    if row < 2 * length + (nearest if nearest > 1 else 0):
        return math.nan
    best = np.full(nearest, 1e300)
    for end in range(row - length, max(length - 1, row - REACH) - 1, -1):
        total = 0.0
        for j in range(length):
            gap = x[row - j] - x[end - j]
            total += gap * gap
            if total >= best[nearest - 1]:
                break
        if total < best[nearest - 1]:
            i = nearest - 1
            while i > 0 and best[i - 1] > total:
                best[i] = best[i - 1]
                i -= 1
            best[i] = total
    return math.sqrt(best[nearest - 1])


@njit
def _scores(x: np.ndarray, day: int, out: np.ndarray) -> None:
    n = len(x)
    pasts, held = np.empty((CUES, n + 1)), np.zeros(CUES, np.int64)
    means, counts = np.zeros(max(day, 1)), np.zeros(max(day, 1))
    slow, total, cue = 0.0, 0.0, np.zeros(CUES)
    for row in range(n):
        total += x[row] - (x[row - 48] if row >= 48 else 0.0)
        recent = total / min(row + 1, 48)
        cue[0] = -x[row]
        cue[1] = abs(recent - slow) if row else 0.0
        slow += (max(2 / 1001.0, 1.0 / (row + 1)) if row else 1.0) * (recent - slow)
        cue[2] = _discord(x, row, 4, 1)
        cue[3] = _discord(x, row, 24, 3)
        cue[4] = 0.0
        if day and row >= 11:
            k = row % day
            if counts[k] >= 1:
                cue[4] = abs(x[row] - means[k])
            counts[k] += 1
            means[k] += max(0.2, 1 / counts[k]) * (x[row] - means[k])
        for which in range(CUES):
            if not math.isnan(cue[which]):
                out[row] += _evidence(pasts[which], held[which], cue[which])
                held[which] += 1


class FiveCues:
    """The detector for one spacing.

    Args:
        day: Rows of a day, 0 where it cannot be told.
    """

    def __init__(self, day: int) -> None:
        self.day = day

    def scores(self, values: np.ndarray) -> np.ndarray:
        """(n,) summed evidence; 0 where there is no value."""
        some = ~np.isnan(values)
        found, out = np.zeros(int(some.sum())), np.zeros(len(values))
        _scores(np.ascontiguousarray(values[some]), self.day, found)
        out[some] = found
        return out


def rested(evidence: np.ndarray, alert: float = 1.83, rest: int = 50, growth: float = 0.03) -> np.ndarray:
    """(n,) the same with its refractory rule, which grows with the stream: what it was searched with on NAB."""
    out = evidence.copy()
    until, last = -1, 0.0
    for row, found in enumerate(evidence.tolist()):
        if row < until and found < 1.3 * last:
            out[row] = 0.0
        elif found >= alert:
            until, last = row + int(rest + growth * row), found
    return out
