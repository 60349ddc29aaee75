"""What a tier says about each SLO at one moment: a state, from the ratios of its two windows.

Pure and without memory: whether an alert is pending, firing or resolved, and for how long it is kept, is decided by who
has these states one after the other.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from detectors.guard import CONFIDENCE, MIN_EVENTS, passes
from detectors.rings import BAD, RAW_BAD, RAW_TOTAL, TOTAL


class TierState(IntEnum):
    """What a tier says. Only ABOVE may start an alert; only RELEASED may end one at once."""

    UNKNOWN = 0
    """One of the windows has no events. It starts nothing, and holds what fires for at most the long window."""
    RELEASED = 1
    """One of the ratios is below 0.8 of the threshold."""
    BELOW = 2
    """Not above, and not yet so far below as to release: what fires goes on."""
    ABOVE = 3
    """Both ratios are above the threshold."""
    GUARDED = 4
    """Above, but too few events to be sure: starts nothing, and what fires goes on."""
    UNARMED = 5
    """Above, but history does not cover half of the long window: likewise."""


RELEASE = 0.8
"""The part of the threshold below which a ratio releases: at exactly the threshold an alert else flaps."""


class Evaluation(NamedTuple):
    """What one tier says about n SLOs."""

    state: np.ndarray
    """(n,) int8, a `TierState`."""
    long_ratio: np.ndarray
    """(n,) float64, NaN where there are no events."""
    short_ratio: np.ndarray
    """(n,) likewise."""


def error_ratio(counts: np.ndarray) -> np.ndarray:
    """The weighted error ratio of windows; NaN where there are no events, for no news is not good news.

    Args:
        counts: (n, 4) as `detectors.rings` gives them.

    >>> error_ratio(np.array([[8 << 20, 2 << 20, 8, 2], [0, 0, 0, 0]])).tolist()
    [0.25, nan]
    """
    total = counts[:, TOTAL]
    ratio = np.full(len(counts), np.nan)
    np.divide(counts[:, BAD], total, out=ratio, where=total > 0)
    return ratio


def evaluate(
    long: np.ndarray,
    short: np.ndarray,
    threshold: np.ndarray,
    armed: np.ndarray,
    guarded: np.ndarray,
    min_events: np.ndarray | int = MIN_EVENTS,
    confidence: float = CONFIDENCE,
) -> Evaluation:
    """The state of one tier for n SLOs.

    Args:
        long: (n, 4) counts of the long window, missing history filled (`Rings.filled`).
        short: (n, 4) counts of the short window.
        threshold: (n,) error ratio above which the tier fires; NaN where an SLO has no such tier: BELOW or UNKNOWN.
        armed: (n,) bool, `Rings.armed` of the long window.
        guarded: (n,) bool, whether the guard and the floor apply.
        min_events: (n,) or one for all, the floor.
        confidence: Of the guard.

    >>> count = lambda bad, total: np.array([[total << 20, bad << 20, total, bad]])
    >>> yes, limit = np.array([True]), np.array([0.0144])
    >>> found = evaluate(count(30, 90), count(30, 90), limit, yes, yes)
    >>> TierState(found.state[0]).name, round(float(found.long_ratio[0]), 3)
    ('ABOVE', 0.333)
    >>> TierState(evaluate(count(1, 3), count(1, 3), limit, yes, yes).state[0]).name
    'GUARDED'
    >>> TierState(evaluate(count(1, 3), count(0, 0), limit, yes, yes).state[0]).name
    'UNKNOWN'
    """
    long_ratio, short_ratio = error_ratio(long), error_ratio(short)
    # Comparisons with NaN are False: what is unknown is neither above nor released.
    above = (long_ratio > threshold) & (short_ratio > threshold)
    released = (long_ratio < RELEASE * threshold) | (short_ratio < RELEASE * threshold)
    state = np.full(len(long), TierState.BELOW, np.int8)
    state[np.isnan(long_ratio) | np.isnan(short_ratio)] = TierState.UNKNOWN
    state[released] = TierState.RELEASED
    state[above] = TierState.ABOVE
    doubtful = np.flatnonzero(above & guarded)
    if len(doubtful):
        floor = np.broadcast_to(min_events, len(long))[doubtful]
        sure = passes(long[doubtful, RAW_BAD], long[doubtful, RAW_TOTAL], threshold[doubtful], floor, confidence)
        state[doubtful[~sure]] = TierState.GUARDED
    state[above & ~armed] = TierState.UNARMED
    return Evaluation(state, long_ratio, short_ratio)
