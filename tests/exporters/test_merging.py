"""Rows of several owners become one, and an absent value hides none that is there."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.merging import combine

VALUES = st.lists(st.lists(st.one_of(st.none(), st.integers(-9, 9)), min_size=1, max_size=4), min_size=1, max_size=5)
RULES = {"sum": sum, "max": max, "min": min}


class TestCombine:
    @given(VALUES, st.sampled_from(sorted(RULES)))
    def test_it_agrees_with_the_rule_applied_to_the_values_that_are_there(self, runs, across):
        flat = np.array([[math.nan if value is None else float(value)] for run in runs for value in run])
        starts = np.cumsum([0, *map(len, runs[:-1])])
        for found, run in zip(combine(flat, starts, across)[:, 0].tolist(), runs, strict=True):
            there = [value for value in run if value is not None]
            assert math.isnan(found) if not there else found == RULES[across](there)

    @pytest.mark.parametrize("across", sorted(RULES))
    def test_integers_stay_integers(self, across):
        assert combine(np.array([[2**60], [1]]), np.array([0]), across).dtype == np.int64
