"""Dealing: the rows and cells of one emission put in the order of their shards, in one pass over all columns."""

from __future__ import annotations

import numpy as np

from detectors.kernels import kernel
from flows.series import SHARDS


@kernel
def deal(
    rows: tuple[np.ndarray, ...],
    cells: tuple[np.ndarray, ...],
    shard_of_series: np.ndarray,
    number_in_shard: np.ndarray,
    dealt_rows: tuple[np.ndarray, ...],
    dealt_cells: tuple[np.ndarray, ...],
) -> tuple[np.ndarray, np.ndarray]:
    """Put the rows and cells of each shard together, in the order they had, as a `Partial` numbers them.

    Args:
        rows: `ROW_COLUMNS`, each (n_rows,).
        cells: `CELL_COLUMNS`, each (n_cells,).
        shard_of_series: (≥ n_series,) uint8.
        number_in_shard: (≥ n_series,) int32.
        dealt_rows: `ROW_COLUMNS`, each (n_rows,), written; series by their number in the shard.
        dealt_cells: `CELL_COLUMNS`, each (n_cells,), written; rows by their place in the shard.

    Returns:
        (SHARDS,) int64: where the rows of each shard end; and where its cells do.
    """
    series, pane, at, raw, sum_hi, sum_lo, slow_ns, slow_hi, slow_lo = rows
    to_series, to_pane, to_at, to_raw, to_sum_hi, to_sum_lo, to_slow_ns, to_slow_hi, to_slow_lo = dealt_rows
    cell_row, cell, cell_weight = cells
    to_cell_row, to_cell, to_cell_weight = dealt_cells
    row_ends = np.zeros(SHARDS, np.int64)
    cell_ends = np.zeros(SHARDS, np.int64)
    for i in range(len(series)):
        row_ends[shard_of_series[series[i]]] += 1
    for i in range(len(cell_row)):
        cell_ends[shard_of_series[series[cell_row[i]]]] += 1
    total = total_cells = 0
    for shard in range(SHARDS):  # from how many there are to where they begin; each row moves its shard's on by one
        total, row_ends[shard] = total + row_ends[shard], total
        total_cells, cell_ends[shard] = total_cells + cell_ends[shard], total_cells
    firsts = row_ends.copy()
    place = np.empty(len(series), np.int32)
    for i in range(len(series)):
        which = series[i]
        shard = shard_of_series[which]
        to = row_ends[shard]
        row_ends[shard] = to + 1
        place[i] = to - firsts[shard]
        to_series[to] = number_in_shard[which]
        to_pane[to] = pane[i]
        to_at[to] = at[i]
        to_raw[to] = raw[i]
        to_sum_hi[to] = sum_hi[i]
        to_sum_lo[to] = sum_lo[i]
        to_slow_ns[to] = slow_ns[i]
        to_slow_hi[to] = slow_hi[i]
        to_slow_lo[to] = slow_lo[i]
    for i in range(len(cell_row)):
        row = cell_row[i]
        shard = shard_of_series[series[row]]
        to = cell_ends[shard]
        cell_ends[shard] = to + 1
        to_cell_row[to] = place[row]
        to_cell[to] = cell[i]
        to_cell_weight[to] = cell_weight[i]
    return row_ends, cell_ends
