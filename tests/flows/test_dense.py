"""Dense counts that slide, against sums over the runs that are in the window."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.compact import CELL_BYTES, SERIES_BYTES, encode_runs
from detectors.histogram import Grid, histogram_quantiles
from flows.dense import DenseWindow

GRID = Grid([2_000_000, 250_000_000])
QUANTILES = np.array([500_000, 990_000])
SERIES = 6

# (series, failed, cell, weight); far cells make ranges grow, move, and the arena too small.
spans = st.lists(
    st.tuples(st.integers(0, SERIES - 1), st.booleans(), st.integers(0, len(GRID) - 1), st.integers(1, 1 << 41)),
    max_size=8,
)


def encoded(run: list[tuple[int, bool, int, int]]) -> bytes:
    """One run of bytes, b"" of no spans."""
    if not run:
        return b""
    series, failed, cell, weight = (np.array(column) for column in zip(*run, strict=True))
    out = np.empty((SERIES_BYTES + CELL_BYTES) * len(run), np.uint8)
    ends = np.zeros(1, np.int64)
    encode_runs(
        np.argsort(series, kind="stable"),
        np.zeros(len(run), np.int64),
        series.astype(np.int32),
        failed,
        np.arange(len(run) + 1, dtype=np.int64),
        cell.astype(np.uint16),
        weight.astype(np.int64),
        ends,
        len(GRID),
        out,
    )
    return out[: ends[0]].tobytes()


@given(st.lists(spans, max_size=30), st.integers(1, 6))
def test_a_window_that_slides_holds_the_sums_of_its_last_runs(
    runs: list[list[tuple[int, bool, int, int]]], length: int
) -> None:
    """After every step: calls, errors and quantiles, however ranges grew, moved and were trimmed on the way."""
    window = DenseWindow(length)
    window.grow(SERIES)
    data = [encoded(run) for run in runs]
    for i in range(len(runs)):
        window.slide(data[i], data[i - length] if i >= length else b"", SERIES)
        weights = np.zeros((SERIES, len(GRID)), np.int64)
        errors: Counter[int] = Counter()
        for run in runs[max(0, i + 1 - length) : i + 1]:
            for series, failed, cell, weight in run:
                weights[series, cell] += weight
                errors[series] += failed * weight
        expected = np.full((SERIES, len(QUANTILES)), np.nan)
        for series in range(SERIES):
            if weights[series].any():
                histogram_quantiles(weights[series], QUANTILES, GRID.middle_seconds, expected[series])
        found = window.read(np.arange(SERIES), QUANTILES, GRID.middle_seconds)
        assert found[0].tolist() == weights.sum(axis=1).tolist()
        assert found[1].tolist() == [errors[series] for series in range(SERIES)]
        np.testing.assert_array_equal(found[2], expected)
