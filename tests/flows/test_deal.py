"""Dealing: what the shards get is what was summed up."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flows.deal import deal
from flows.fold import CELL_COLUMNS, ROW_COLUMNS
from flows.series import SHARDS


def _sorted_by_shard(
    rows: list[np.ndarray], cells: list[np.ndarray], shard: np.ndarray, in_shard: np.ndarray
) -> list[tuple[list[np.ndarray], list[np.ndarray]]]:
    """The slow twin: each shard's rows and cells, picked one shard after the other."""
    dealt = []
    for number in range(SHARDS):
        mine = np.flatnonzero(shard[rows[0]] == number)
        its = np.flatnonzero(np.isin(cells[0], mine))
        row_columns = [in_shard[rows[0][mine]], *(column[mine] for column in rows[1:])]
        dealt.append((row_columns, [np.searchsorted(mine, cells[0][its]), *(column[its] for column in cells[1:])]))
    return dealt


@given(st.integers(0, 300), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_each_shard_gets_its_rows_and_cells_in_the_order_they_had(n_rows: int, n_series: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shard = rng.integers(0, SHARDS, n_series).astype(np.uint8)
    in_shard = rng.integers(0, 1000, n_series).astype(np.int32)
    n_cells = 3 * n_rows
    rows = [rng.integers(0, 1 << 30, n_rows).astype(dtype) for dtype in ROW_COLUMNS.values()]
    rows[0] = rng.integers(0, n_series, n_rows).astype(np.int32)
    cells = [rng.integers(0, 1 << 15, n_cells).astype(dtype) for dtype in CELL_COLUMNS.values()]
    cells[0] = rng.integers(0, max(n_rows, 1), n_cells).astype(np.int32)
    to_rows, to_cells = tuple(map(np.empty_like, rows)), tuple(map(np.empty_like, cells))
    row_ends, cell_ends = deal(tuple(rows), tuple(cells), shard, in_shard, to_rows, to_cells)
    row_cuts, cell_cuts = [0, *row_ends.tolist()], [0, *cell_ends.tolist()]
    assert (row_cuts[-1], cell_cuts[-1]) == (n_rows, n_cells)
    for number, (right_rows, right_cells) in enumerate(_sorted_by_shard(rows, cells, shard, in_shard)):
        for column, right in zip(to_rows, right_rows, strict=True):
            assert column[row_cuts[number] : row_cuts[number + 1]].tolist() == right.tolist()
        for column, right in zip(to_cells, right_cells, strict=True):
            assert column[cell_cuts[number] : cell_cuts[number + 1]].tolist() == right.tolist()
