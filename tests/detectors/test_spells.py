"""Stretches of time, against sets of whole numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.spells import contains, joined, total_ns, within, without

SPELLS = st.lists(st.tuples(st.integers(-5, 40), st.integers(1, 12)), max_size=8)


def spells(of: list[tuple[int, int]]) -> np.ndarray:
    return np.array([(begin, begin + length) for begin, length in of], np.int64).reshape(-1, 2)


def moments(of: np.ndarray) -> set[int]:
    return {at for begin, end in of.tolist() for at in range(begin, end)}


def are_apart(of: np.ndarray) -> bool:
    return bool((of[:, 0] < of[:, 1]).all() and (of[1:, 0] > of[:-1, 1]).all())


@given(SPELLS)
def test_joined_spells_hold_the_same_moments_and_are_apart(of: list[tuple[int, int]]) -> None:
    found = joined(spells(of))
    assert moments(found) == moments(spells(of))
    assert are_apart(found)
    assert total_ns(found) == len(moments(found))


@given(SPELLS, st.integers(1, 20))
def test_spells_that_are_near_are_joined_by_a_loop_too(of: list[tuple[int, int]], apart: int) -> None:
    slow: list[list[int]] = []
    for begin, end in sorted(spells(of).tolist()):
        if slow and begin - slow[-1][1] < apart:
            slow[-1][1] = max(slow[-1][1], end)
        else:
            slow.append([begin, end])
    assert joined(spells(of), apart).tolist() == slow


@given(SPELLS, SPELLS)
def test_without_others_is_the_difference(of: list[tuple[int, int]], others: list[tuple[int, int]]) -> None:
    left = without(joined(spells(of)), joined(spells(others)))
    assert moments(left) == moments(spells(of)) - moments(spells(others))
    assert are_apart(left)


@given(SPELLS, st.integers(-10, 50), st.integers(0, 30))
def test_within_two_times_is_what_lies_between_them(of: list[tuple[int, int]], begin: int, length: int) -> None:
    found = within(joined(spells(of)), begin, begin + length)
    assert moments(found) == moments(spells(of)) & set(range(begin, begin + length))


@given(SPELLS)
def test_a_spell_contains_its_moments_and_no_others(of: list[tuple[int, int]]) -> None:
    times = np.arange(-10, 60)
    inside = contains(joined(spells(of)), times)
    assert set(times[inside].tolist()) == moments(spells(of))
