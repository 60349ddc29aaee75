"""Budgets, burn rates and times, against fractions and slow simulations."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.burn_rate import (
    budget_remaining,
    burn_rate,
    error_budget,
    ratio_threshold,
    seconds_to_fire,
    share_spent,
    time_to_exhaustion,
)
from detectors.burn_rate import factor as burn_factor
from detectors.tiers import DAY_NS, HOUR_NS, MINUTE_NS

SECOND_NS = 1_000_000_000


@given(st.integers(1, 999_999))
def test_an_error_budget_is_the_decimal_that_a_person_would_write(parts: int) -> None:
    """To the last bit, for one objective and for an array: 1 − 0.9 is 0.1, not 0.09999999999999998."""
    objective = float(Fraction(parts, 10**6))
    wanted = float(Fraction(10**6 - parts, 10**6))
    assert error_budget(objective) == wanted
    assert error_budget(np.array([objective]))[0] == wanted


@given(st.integers(1, 999), st.integers(1, 10_000))
def test_a_ratio_of_exactly_the_threshold_is_not_above_it(budget_parts: int, bad: int) -> None:
    """At a burn of 14.4 and any objective of three decimals, where a rounding error would fire."""
    objective = float(Fraction(1000 - budget_parts, 1000))
    threshold = ratio_threshold(14.4, objective)
    exact = Fraction(144, 10) * Fraction(budget_parts, 1000)
    total = Fraction(bad) / exact
    if total.denominator == 1:
        assert not bad / int(total) > threshold
        assert (bad + 1) / int(total) > threshold


@pytest.mark.parametrize("objective", [0.0, 1.0, 99.9, -0.5, float("nan")])
def test_an_objective_that_is_no_ratio_is_refused(objective: float) -> None:
    with pytest.raises(ValueError, match=r"write 0\.999"):
        error_budget(objective)


def test_a_burn_rate_of_one_spends_the_budget_in_exactly_one_period() -> None:
    """An error ratio equal to the budget, for as long as the period."""
    ratio = error_budget(0.995)
    assert burn_rate(ratio, 0.995) == 1.0
    assert time_to_exhaustion(np.array([1.0]), np.array([1.0]), 30 * DAY_NS)[0] == 30 * 86_400
    bad, total = np.array([5]), np.array([1_000])
    assert budget_remaining(bad, total, np.array([0.995]))[0] == 0.0


def test_an_unknown_ratio_has_an_unknown_burn_and_time() -> None:
    burn = burn_rate(np.array([np.nan]), 0.999)
    assert np.isnan(burn[0])
    assert np.isnan(time_to_exhaustion(np.array([0.5]), burn, 30 * DAY_NS)[0])


@given(st.fractions(Fraction(1, 1000), Fraction(1)), st.sampled_from([HOUR_NS, 6 * HOUR_NS, 3 * DAY_NS]))
def test_a_factor_and_its_share_are_two_ways_to_say_the_same(share: Fraction, window_ns: int) -> None:
    burn = burn_factor(share, 30 * DAY_NS, window_ns)
    assert share_spent(burn, 30 * DAY_NS, window_ns) == pytest.approx(float(share), rel=1e-12)


@pytest.mark.parametrize("ratio", [1.0, 0.2, 0.05])
@pytest.mark.parametrize(("burn", "window_ns"), [(43.2, 10 * MINUTE_NS), (14.4, HOUR_NS), (6.0, 6 * HOUR_NS)])
def test_the_time_to_fire_is_what_a_simulation_second_by_second_finds(
    ratio: float, burn: float, window_ns: int
) -> None:
    """Steady traffic without errors, then errors at a ratio: the first second at which the window's is above."""
    threshold = ratio_threshold(burn, 0.999)
    window = window_ns // SECOND_NS
    failing = np.minimum(np.arange(2 * window), window) * ratio / window
    above = np.flatnonzero(failing > threshold)
    promised = seconds_to_fire(ratio, threshold, window_ns)
    if not len(above):
        assert promised == float("inf")
    else:
        assert above[0] - 1 <= promised <= above[0]
