"""How far chance alone may have moved what was counted: 95 % intervals."""

from __future__ import annotations

from scipy.stats import beta, chi2


def share_interval(seen: int, events: int) -> tuple[float, float]:
    """Of a share (Clopper & Pearson 1934).

    >>> [round(end, 3) for end in share_interval(50, 100)]
    [0.398, 0.602]
    """
    low = beta.ppf(0.025, seen, events - seen + 1) if seen else 0.0
    high = beta.ppf(0.975, seen + 1, events - seen) if seen < events else 1.0
    return float(low), float(high)


def rate_interval(count: int, days: float) -> tuple[float, float]:
    """Of a rate, if episodes come independently (Garwood 1936).

    >>> [round(end, 2) for end in rate_interval(4, 2.0)]
    [0.54, 5.12]
    """
    low = chi2.ppf(0.025, 2 * count) / 2 if count else 0.0
    return float(low / days), float(chi2.ppf(0.975, 2 * count + 2) / 2 / days)
