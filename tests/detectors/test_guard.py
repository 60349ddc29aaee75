"""The guard against binomial sums, and that its quick test is its bound."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.guard import clopper_pearson_lower, passes


def at_least(bad: int, total: int, ratio: float) -> float:
    """The chance of at least so many bad of so many, exactly."""
    p = Fraction(ratio)
    return float(sum(comb(total, k) * p**k * (1 - p) ** (total - k) for k in range(bad, total + 1)))


@given(st.integers(1, 60), st.integers(0, 60))
def test_at_the_lower_bound_as_many_bad_events_have_a_chance_of_one_in_a_thousand(bad: int, good: int) -> None:
    """Which is what Clopper and Pearson's bound is."""
    bound = float(clopper_pearson_lower(np.array([bad]), np.array([bad + good]))[0])
    assert at_least(bad, bad + good, bound) == pytest.approx(0.001, rel=1e-6)


def test_without_bad_events_the_bound_is_zero() -> None:
    assert clopper_pearson_lower(np.array([0, 0]), np.array([0, 1000])).tolist() == [0.0, 0.0]


@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 100_000), st.floats(1e-5, 1.0)), min_size=1))
def test_the_quick_test_is_the_bound_above_the_threshold(cases: list[tuple[int, int, float]]) -> None:
    bad, good, threshold = (np.array(column) for column in zip(*cases, strict=True))
    bound = clopper_pearson_lower(bad, bad + good)
    # Where both are the same to the last digits, rounding decides.
    clear = abs(bound - threshold) > 1e-9 * threshold
    assert (passes(bad, bad + good, threshold, min_events=0) == (bound > threshold))[clear].all()


def test_fewer_bad_events_than_the_floor_never_pass() -> None:
    """One row its own floor."""
    nine = np.array([9, 9, 10])
    assert passes(nine, nine, np.full(3, 0.001), np.array([10, 9, 10])).tolist() == [False, True, True]


def test_one_failure_of_three_at_night_does_not_pass_and_thirty_of_ninety_do() -> None:
    assert passes(np.array([1, 30]), np.array([3, 90]), np.full(2, 0.0144)).tolist() == [False, True]


def test_chance_alone_passes_no_more_often_than_promised() -> None:
    """A hundred thousand windows of 1,000 events at exactly the threshold: about 0.1 % of them, at most 0.15 %."""
    rng = np.random.default_rng(4)
    bad = rng.binomial(1_000, 0.0144, 100_000)
    assert 0 < passes(bad, np.full(100_000, 1_000), np.full(100_000, 0.0144), 0).mean() <= 0.0015
