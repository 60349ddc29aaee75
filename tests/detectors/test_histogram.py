"""Cells, quantiles and compact runs against slow, obviously right computations."""

from __future__ import annotations

from collections import Counter
from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.compact import CELL_BYTES, SERIES_BYTES, encode_runs, merge_runs
from detectors.histogram import Grid, cell_of, exponential_edges_ns, histogram_quantiles
from detectors.kernels import kernel

GRID = Grid([2_000_000, 250_000_000])
durations = st.lists(st.integers(0, 2**62), min_size=1, max_size=50)


@kernel
def cells_by_lookup(values: np.ndarray, edges: np.ndarray, first: np.ndarray, out: np.ndarray) -> None:
    """The table lookup over an array, as kernels use it."""
    for i in range(len(values)):
        out[i] = cell_of(values[i], edges, first)


@given(durations)
def test_the_lookup_finds_the_cell_that_a_search_finds(values: list[int]) -> None:
    """Also at every edge and one beside it."""
    edges, first = GRID.tables
    array = np.concatenate([np.array(values, np.int64), edges, np.maximum(edges - 1, 0), edges[:-1] + 1])
    out = np.zeros(len(array), np.uint16)
    cells_by_lookup(array, edges, first, out)
    assert (out == GRID.cells(array)).all()


def test_the_middle_of_a_cell_is_within_1_1_percent_of_every_value_in_it() -> None:
    """The promise of scale 5, at the ends of each cell, where it is hardest."""
    high = GRID.edges_ns[1:].astype(np.float64)
    low = GRID.edges_ns[:-1].astype(np.float64) + 1
    middle = GRID.middle_seconds[1:] * 1e9
    assert np.maximum(abs(middle / high - 1), abs(middle / low - 1)).max() <= 0.011


def test_edges_are_the_floors_of_powers_of_two_in_seconds() -> None:
    """2^(i / 32) s in whole ns, by integer arithmetic: edge^32 ≤ 10^288 x 2^i < (edge + 1)^32."""
    edges = exponential_edges_ns()
    second = int(np.searchsorted(edges, 10**9))
    for i in (-700, -320, -32, -1, 0, 1, 31, 32, 500):
        edge = int(edges[second + i]) if i >= -320 else None
        if edge is not None:
            assert edge**32 * 2 ** max(-i, 0) <= 10**288 * 2 ** max(i, 0) < (edge + 1) ** 32 * 2 ** max(-i, 0)


def test_a_limit_that_is_no_cut_is_refused() -> None:
    """No count at it would be exact."""
    with pytest.raises(ValueError, match="no cut of this grid"):
        GRID.cell_at_most(3_000_001)


@given(durations, st.sampled_from([1, 500_000, 950_000, 990_000, 1_000_000]))
def test_quantiles_are_those_of_the_nearest_rank(values: list[int], quantile: int) -> None:
    """The cell of the nearest-rank value stands for it."""
    weights = np.bincount(GRID.cells(np.array(values, np.int64)), minlength=len(GRID)).astype(np.int64)
    out = np.empty(1)
    histogram_quantiles(weights, np.array([quantile]), GRID.middle_seconds, out)
    truth = sorted(values)[ceil(quantile * len(values) / 1_000_000) - 1]
    assert out[0] == GRID.middle_seconds[GRID.cells(np.array([truth]))[0]]


rows = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 9), st.booleans(), st.integers(0, 500), st.integers(1, 1 << 41)),
    max_size=60,
)


@given(rows, st.integers(1, 4))
def test_runs_hold_what_was_put_in_and_windows_are_their_sums(
    spans: list[tuple[int, int, bool, int, int]], w: int
) -> None:
    """Encoding and merging against counters of plain Python."""
    n = len(spans)
    run, series, failed, cell, weight = (
        (np.array(column) for column in zip(*spans, strict=True)) if n else [np.empty(0)] * 5
    )
    run, series, weight = run.astype(np.int64), series.astype(np.int32), weight.astype(np.int64)
    out = np.empty((SERIES_BYTES + CELL_BYTES) * n, np.uint8)
    ends = np.zeros(4, np.int64)
    order = np.lexsort((series, run))
    starts = np.arange(n + 1, dtype=np.int64)
    encode_runs(order, run, series, failed.astype(bool), starts, cell.astype(np.uint16), weight, ends, len(GRID), out)
    calls, errors = np.zeros((1, 10), np.int64), np.zeros((1, 10), np.int64)
    values, kept = np.full((1, 10, 1), np.nan), np.empty(2 * ends[-1] + 64, np.uint8)
    bounds = np.concatenate([[0], ends])
    merge_runs(
        out[: ends[-1]],
        bounds,
        np.array([w]),
        10,
        np.array([500_000]),
        GRID.middle_seconds,
        calls,
        errors,
        values,
        0,
        kept,
    )
    expected: Counter[int] = Counter()
    expected_errors: Counter[int] = Counter()
    for at, number, bad, _, heavy in spans:
        if at >= 4 - w:
            expected[number] += heavy
            expected_errors[number] += heavy * bad
    assert calls[0].tolist() == [expected[number] for number in range(10)]
    assert errors[0].tolist() == [expected_errors[number] for number in range(10)]
