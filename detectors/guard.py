"""What keeps a few unlucky events from paging: a floor, and a bound that chance rarely exceeds.

With little traffic a burn rate is mostly noise: one failure among ten requests is a ratio of 10 %. A page must be able
to say "more than the threshold, with 99.9 % confidence" and rest on some failures. Both look at raw counts: a sampled
span that stands for a hundred is still one observation.

The bound takes events to fail independently of each other. Clumped failures (a client's retries, one bad batch) are
fewer observations than they seem, so it lets more of them through.

SciPy is imported where it is asked: it takes 0.2 s and 20 MB, and a worker that has no promises never needs it.
"""

from __future__ import annotations

import numpy as np

CONFIDENCE = 0.999
MIN_EVENTS = 10


def clopper_pearson_lower(bad: np.ndarray, total: np.ndarray, confidence: float = CONFIDENCE) -> np.ndarray:
    """The one-sided lower bound of a ratio: the smallest true ratio that explains at least so many bad events.

    The quantile of a beta distribution at bad, total − bad + 1 (Clopper & Pearson 1934, "The use of confidence or
    fiducial limits illustrated in the case of the binomial", Biometrika 26).

    Args:
        bad: (n,) raw counts, 0 … total.
        total: (n,) raw counts.
        confidence: That the true ratio is above the bound.

    Returns:
        (n,) ratios; 0 where nothing was bad.

    >>> clopper_pearson_lower(np.array([0, 1, 10]), np.array([0, 1, 100])).round(4).tolist()
    [0.0, 0.001, 0.0305]
    """
    from scipy.special import betaincinv

    bad = np.asarray(bad, np.float64)
    good = np.asarray(total, np.float64) - bad
    some = bad > 0
    return np.where(some, betaincinv(np.where(some, bad, 1.0), np.where(some, good, 0.0) + 1.0, 1.0 - confidence), 0.0)


def passes(
    bad: np.ndarray,
    total: np.ndarray,
    threshold: np.ndarray,
    min_events: np.ndarray | int = MIN_EVENTS,
    confidence: float = CONFIDENCE,
) -> np.ndarray:
    """Whether enough was bad to be sure that the true ratio is above a threshold.

    The lower bound is above the threshold if and only if so many bad events are rarer than 1 − confidence at the
    threshold itself; that asks for no inverse, and is several times faster.

    Args:
        bad: (n,) raw counts of the long window.
        total: (n,) likewise.
        threshold: (n,) error ratios, 0 … 1.
        min_events: (n,) or one for all: fewer bad events never pass.
        confidence: See `clopper_pearson_lower`.

    Returns:
        (n,) bool.

    >>> passes(np.array([9, 10, 10]), np.array([9, 100, 1_000]), np.array([0.0144] * 3)).tolist()
    [False, True, False]
    """
    from scipy.special import betainc

    bad = np.asarray(bad, np.float64)
    some = bad > 0
    enough = some & (bad >= min_events)
    good = np.where(some, np.asarray(total, np.float64) - bad, 0.0)
    chance = betainc(np.where(some, bad, 1.0), np.maximum(good, 0.0) + 1.0, np.clip(threshold, 0.0, 1.0))
    return np.asarray(enough & (chance < 1.0 - confidence))
