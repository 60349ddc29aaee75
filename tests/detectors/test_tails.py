"""Tails as histograms, against the sorted past itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import tails
from detectors.kernels import kernel

LEAST = 3.0


@kernel
def learnt(values: np.ndarray, past: np.ndarray) -> None:
    for value in values:
        tails.learn(past, 0, 0, tails.place(value), 1.0)


@kernel
def asked(past: np.ndarray, values: np.ndarray, least: float, steepness: float, out: np.ndarray) -> None:
    for which, value in enumerate(values):
        out[which] = tails.evidence(past, 0, 0, value, tails.place(value), least, 10.0, 0.0, 1.0, steepness)


@kernel
def cut_at(past: np.ndarray, share: float) -> float:
    return tails.quantile(past, 0, 0, share)


def past_of(values: np.ndarray) -> np.ndarray:
    past = np.zeros((1, tails.BINS), np.float32)
    learnt(np.asarray(values, np.float64), past)
    return past


def evidence(past: np.ndarray, values: np.ndarray, steepness: float = 0.0) -> np.ndarray:
    out = np.zeros(len(values))
    asked(past, np.asarray(values, np.float64), LEAST, steepness, out)
    return out


def slow_place(value: float) -> float:
    """The bin by comparison with the edges, and the share of it in octaves."""
    if value <= tails.LOWEST:
        return 0.0
    low = min(max(j for j in range(tails.BINS) if tails.EDGES[j] <= value), tails.BINS - 2)
    if low == tails.BINS - 2 and value >= tails.EDGES[low + 1]:
        return tails.BINS - 1.001
    return low + math.log(value / tails.EDGES[low]) / math.log(tails.EDGES[low + 1] / tails.EDGES[low])


def slow_evidence(values: np.ndarray, value: float, steepness: float) -> float:
    """The same from the values: counts at the edges around it, in equal ratios between; beyond, an exponential tail."""
    at_least = [int((values >= edge).sum()) if edge else len(values) for edge in tails.EDGES]
    at_least[tails.BINS - 1] = 0  # the last bin but one has no end
    at = slow_place(value)
    low, part = int(at), at - int(at)
    if at_least[low + 1] >= LEAST:
        share = (at_least[low] / len(values)) ** (1 - part) * (at_least[low + 1] / len(values)) ** part
        return -math.log10(share)
    rare = max(j for j in range(low + 1) if at_least[j] >= LEAST)
    common = max((j for j in range(rare + 1) if at_least[j] >= 10 * at_least[rare]), default=0)
    per_unit = steepness * math.log10(math.e)
    if common < rare:
        seen = math.log10(at_least[common] / at_least[rare]) / (tails.EDGES[rare] - tails.EDGES[common])
        per_unit = max(per_unit, seen)
    found = -math.log10(at_least[rare] / len(values)) + per_unit * max(value - tails.EDGES[rare], 0.0)
    return max(found, math.log10(len(values) / (at_least[low] + 1)))


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["exponential", "normal", "lognormal", "steps"]),
    st.sampled_from([0.0, 0.3, 3.0]),
)
def test_evidence_is_what_the_sorted_past_says(seed: int, shape: str, steepness: float) -> None:
    rng = np.random.default_rng(seed)
    values = {
        "exponential": rng.exponential(1.0, 2_000),
        "normal": np.abs(rng.normal(0.0, 1.0, 2_000)),
        "lognormal": rng.lognormal(0.0, 2.0, 2_000),
        "steps": rng.integers(0, 5, 2_000) * 1.01,
    }[shape]
    asked_for = np.concatenate((values[:20], [0.0, 0.01, 1.0, 7.0, 40.0, 3_000.0]))
    found = evidence(past_of(values), asked_for, steepness)
    # float32 logarithms may put a value that is an edge, to the last bit, beside it
    assert found == pytest.approx(
        [slow_evidence(values, value, steepness) for value in asked_for.tolist()], rel=1e-6, abs=1e-5
    )


def test_of_an_exponential_past_probabilities_are_right_far_beyond_what_was_seen() -> None:
    """One in a million after 20,000 values, within a factor of three."""
    values = np.random.default_rng(3).exponential(1.0, 20_000)
    (found,) = evidence(past_of(values), np.array([6 * math.log(10)]))
    assert abs(found - 6) < math.log10(3)


def test_one_outlier_does_not_hide_the_next() -> None:
    """It is one value more that was exceeded, wherever it was: fifteen times less rare, of 10^12."""
    values = np.random.default_rng(4).exponential(1.0, 5_000)
    calm = evidence(past_of(values), np.array([30.0]))
    after = evidence(past_of(np.append(values, 1_000.0)), np.array([30.0]))
    assert abs(calm[0] - after[0]) < 1.5


def test_nothing_is_rare_before_four_values() -> None:
    assert evidence(past_of(np.ones(3)), np.array([50.0])).tolist() == [0.0]


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01, 0.001])
def test_a_quantile_is_exceeded_by_its_share(share: float) -> None:
    values = np.random.default_rng(5).exponential(1.0, 50_000)
    exceeded = (values > cut_at(past_of(values), share)).mean()
    assert share / 1.3 < exceeded < share * 1.3
