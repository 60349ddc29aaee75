"""Error budgets and burn rates: how fast a promise is being broken.

The error budget is what an objective leaves for failure, 1 − objective; the burn rate is how many times faster than
sustainable it is spent (Google, "The Site Reliability Workbook", chapter 5, "Alerting on SLOs"). Ratios are 0 … 1,
durations nanoseconds unless the name says otherwise.

Settings are decimals (0.999, 2 %), and a threshold that is off by one bit would fire at exactly the threshold: what is
made of settings is computed in fractions and rounded once.
"""

from __future__ import annotations

from fractions import Fraction
from typing import overload

import numpy as np

SECOND_NS = 1_000_000_000

_DECIMALS = 12


@overload
def error_budget(objective: float) -> float: ...
@overload
def error_budget(objective: np.ndarray) -> np.ndarray: ...
def error_budget(objective: float | np.ndarray) -> float | np.ndarray:
    """The ratio of events that may be bad: 1 − objective, to twelve decimals.

    Args:
        objective: One, or an array of any shape.

    Raises:
        ValueError: The objective is not between 0 and 1.

    >>> error_budget(0.999), error_budget(0.9)
    (0.001, 0.1)
    """
    if not np.all((np.asarray(objective) > 0) & (np.asarray(objective) < 1)):
        raise ValueError(f"objective {objective} is not a ratio between 0 and 1; for 99.9 % write 0.999")
    # The quotient of two whole numbers is the double next to the decimal; the bare difference is not (0.1 is missed).
    left = np.rint((1.0 - np.asarray(objective)) * 10**_DECIMALS) / 10**_DECIMALS
    return left if isinstance(objective, np.ndarray) else float(left)


@overload
def burn_rate(error_ratio: float, objective: float) -> float: ...
@overload
def burn_rate(error_ratio: np.ndarray, objective: float | np.ndarray) -> np.ndarray: ...
def burn_rate(error_ratio: float | np.ndarray, objective: float | np.ndarray) -> float | np.ndarray:
    """How many times faster than sustainable the error budget burns; 1 spends it all in exactly one period.

    Args:
        error_ratio: Bad events by all events, 0 … 1; NaN where unknown, and so is then the burn rate.
        objective: See `error_budget`.

    >>> round(burn_rate(144 / 10_000, 0.999), 9)
    14.4
    >>> burn_rate(np.array([0.0, 0.05, 1.0]), np.array([0.9, 0.95, 0.99])).tolist()
    [0.0, 1.0, 100.0]
    """
    return error_ratio / error_budget(objective)


def factor(share: float | Fraction, period_ns: int, window_ns: int) -> float:
    """The burn rate that spends a share of the period's budget within a window: share x period / window.

    >>> hour, day = 3_600 * SECOND_NS, 86_400 * SECOND_NS
    >>> factor(0.02, 30 * day, hour), factor(0.05, 30 * day, 6 * hour), factor(0.1, 30 * day, 3 * day)
    (14.4, 6.0, 1.0)
    """
    return float(_exactly(share) * period_ns / window_ns)


def share_spent(burn: float, period_ns: int, window_ns: int) -> float:
    """The share of the period's budget that a burn rate spends within a window: `factor` the other way around.

    >>> share_spent(14.4, 30 * 86_400 * SECOND_NS, 3_600 * SECOND_NS)
    0.02
    """
    return float(_exactly(burn) * window_ns / period_ns)


def ratio_threshold(burn: float, objective: float) -> float:
    """The error ratio at which the budget burns so fast; a tier fires **above** it.

    >>> ratio_threshold(14.4, 0.999), ratio_threshold(6, 0.9)
    (0.0144, 0.6)
    """
    return float(_exactly(burn) * _exactly(error_budget(objective)))


def seconds_to_fire(error_ratio: float, threshold: float, window_ns: int) -> float:
    """How long errors must last until the ratio over a window reaches a threshold: after steady traffic without errors.

    With w seconds of window, errors at ratio r for t seconds make r x t / w of it. The shorter window of a tier is
    never later than the longer one.

    Args:
        error_ratio: While the errors last; 1 is a total outage.
        threshold: See `ratio_threshold`.
        window_ns: The long window of a tier.

    Returns:
        Seconds; infinite where such errors never trip it.

    >>> hour = 3_600 * SECOND_NS
    >>> seconds_to_fire(1.0, 0.0144, hour), seconds_to_fire(0.01, 0.0144, hour)
    (51.84, inf)
    """
    if error_ratio <= threshold:
        return float("inf")
    return float(_exactly(threshold) * window_ns / SECOND_NS / _exactly(error_ratio))


def budget_remaining(bad: np.ndarray, total: np.ndarray, objective: np.ndarray) -> np.ndarray:
    """The share of the error budget that is left: 1 − bad / (total x (1 − objective)).

    1 is untouched, 0 is spent, negative is overspent; without events nothing is spent, so it is 1.

    Args:
        bad: (n,) events or weights of the period so far.
        total: (n,) likewise.
        objective: (n,).

    >>> budget_remaining(np.array([5, 30, 0]), np.array([10_000, 10_000, 0]), np.array([0.999] * 3)).tolist()
    [0.5, -2.0, 1.0]
    """
    allowed = np.asarray(total, np.float64) * error_budget(np.asarray(objective, np.float64))
    spent = np.divide(bad, allowed, out=np.zeros(allowed.shape), where=allowed > 0)
    return np.asarray(1.0 - spent)


def time_to_exhaustion(remaining: np.ndarray, burn: np.ndarray, period_ns: int) -> np.ndarray:
    """Seconds until the budget is spent if it goes on burning as now.

    Args:
        remaining: (n,) see `budget_remaining`.
        burn: (n,) the present burn rate, NaN where unknown.
        period_ns: In which a burn rate of 1 spends the whole budget.

    Returns:
        (n,) seconds: 0 where it is spent already, infinite where nothing burns, NaN where the burn is unknown.

    >>> day = 86_400 * SECOND_NS
    >>> (time_to_exhaustion(np.array([0.5, 0.5, -1.0]), np.array([3.0, 0.0, 3.0]), 30 * day) / 86_400).tolist()
    [5.0, inf, 0.0]
    """
    left = np.maximum(np.asarray(remaining, np.float64), 0.0) * (period_ns / SECOND_NS)
    burning = np.asarray(burn, np.float64)
    seconds = np.divide(left, burning, out=np.full(left.shape, np.inf), where=burning != 0)
    return np.where(left == 0, 0.0, seconds)


def _exactly(number: float | Fraction) -> Fraction:
    """The decimal that a person wrote, not the binary number next to it."""
    return number if isinstance(number, Fraction) else Fraction(repr(float(number)))
