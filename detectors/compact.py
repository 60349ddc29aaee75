"""Compact histograms: the counts of many series in one run of bytes, written once and read in order.

A run holds, for each series in increasing number: the number as a difference to the one before, the weight that failed,
how many cells follow, and the cells, each as a difference to the one before, with its weight. All are LEB128 varints
(Protocol Buffers, "Encoding"); a weight that is a whole number of spans costs no more than that number. A series with a
single span takes 6 bytes instead of a dense histogram's 15 KB.
"""

from __future__ import annotations

import numpy as np

from detectors.histogram import quantiles_into
from detectors.kernels import inlined, kernel

WEIGHT_BITS = 20
"""Weights are fixed-point numbers in units of 2^-20."""

SERIES_BYTES = 24
CELL_BYTES = 13
"""Upper bounds of what a series and a cell take."""


@inlined
def _put(out: np.ndarray, at: int, value: int) -> int:
    rest = np.uint64(value)
    while rest >= np.uint64(128):
        out[at] = np.uint8(rest & np.uint64(127)) | np.uint8(128)
        rest >>= np.uint64(7)
        at += 1
    out[at] = np.uint8(rest)
    return at + 1


@inlined
def _put_weight(out: np.ndarray, at: int, weight: int) -> int:
    """Whole spans as 2n, others as 2w + 1."""
    if weight & ((1 << WEIGHT_BITS) - 1) == 0:
        return _put(out, at, (weight >> WEIGHT_BITS) << 1)
    return _put(out, at, (np.uint64(weight) << np.uint64(1)) | np.uint64(1))


@inlined
def _get(data: np.ndarray, at: int) -> tuple[int, int]:
    byte = data[at]
    at += 1
    if byte < 128:
        return np.int64(byte), at
    value = np.uint64(byte & np.uint8(127))
    shift = np.uint64(7)
    while True:
        byte = data[at]
        at += 1
        value |= np.uint64(byte & np.uint8(127)) << shift
        shift += np.uint64(7)
        if byte < 128:
            return np.int64(value), at


@inlined
def _get_weight(data: np.ndarray, at: int) -> tuple[int, int]:
    code, at = _get(data, at)
    if code & 1:
        return np.int64(np.uint64(code) >> np.uint64(1)), at
    return np.int64(np.uint64(code) >> np.uint64(1)) << WEIGHT_BITS, at


@inlined
def _put_series(out: np.ndarray, at: int, step: int, failed: int, dense: np.ndarray, low: int, high: int) -> int:
    """Write one series and leave dense[low:high + 1] at zero."""
    at = _put(out, at, step)
    at = _put_weight(out, at, failed)
    used = 0
    for cell in range(low, high + 1):
        used += dense[cell] != 0
    at = _put(out, at, used)
    last = 0
    for cell in range(low, high + 1):
        if dense[cell] != 0:
            at = _put(out, at, cell - last)
            at = _put_weight(out, at, dense[cell])
            last = cell
            dense[cell] = 0
    return at


@kernel
def encode_runs(
    order: np.ndarray,
    run: np.ndarray,
    series: np.ndarray,
    failed: np.ndarray,
    starts: np.ndarray,
    cell: np.ndarray,
    weight: np.ndarray,
    ends: np.ndarray,
    n_grid: int,
    out: np.ndarray,
) -> None:
    """Write rows as runs of bytes, merging rows of the same series.

    Args:
        order: (n,) int64: the rows, sorted by (run, series).
        run: (n_rows,) int64: 0 … n_runs - 1.
        series: (n_rows,) int32.
        failed: (n_rows,) bool: whether a row's spans failed.
        starts: (n_rows + 1,) int64: a row's cells.
        cell: (n_cells,) uint16.
        weight: (n_cells,) int64.
        ends: (n_runs,) int64, written: where each run ends in `out`.
        n_grid: cells of the grid.
        out: uint8, written; room for SERIES_BYTES a row and CELL_BYTES a cell.
    """
    dense = np.zeros(n_grid, np.int64)
    at = 0
    done = 0
    i = 0
    while i < len(order):
        row = order[i]
        while done < run[row]:
            ends[done] = at
            done += 1
        which = series[row]
        begins = i == 0 or run[order[i - 1]] != run[row]
        step = which if begins else which - series[order[i - 1]]
        low, high, bad = n_grid, -1, np.int64(0)
        first_run = run[row]
        while i < len(order) and run[order[i]] == first_run and series[order[i]] == which:
            row = order[i]
            for j in range(starts[row], starts[row + 1]):
                where = np.int64(cell[j])
                dense[where] += weight[j]
                low, high = min(low, where), max(high, where)
                if failed[row]:
                    bad += weight[j]
            i += 1
        at = _put_series(out, at, step, bad, dense, low, high)
    while done < len(ends):
        ends[done] = at
        done += 1


@kernel
def recell_runs(data: np.ndarray, cell_of: np.ndarray, n_grid: int, out: np.ndarray) -> int:
    """A run again, counted in the cells of another grid.

    Args:
        data: uint8, one run.
        cell_of: (n_old,) uint16, non-decreasing: the new cell of each old one (`Grid.cells_of`).
        n_grid: cells of the new grid.
        out: uint8, written; twice as long as `data` is enough.

    Returns:
        How many bytes of `out` were written.
    """
    dense = np.zeros(n_grid, np.int64)
    at, written = np.int64(0), np.int64(0)
    while at < len(data):
        step, at = _get(data, at)
        failed, at = _get_weight(data, at)
        used, at = _get(data, at)
        old = np.int64(0)
        low, high = np.int64(n_grid), np.int64(-1)
        for _ in range(used):
            difference, at = _get(data, at)
            weight, at = _get_weight(data, at)
            old += difference
            new = np.int64(cell_of[old])
            dense[new] += weight
            low, high = min(low, new), max(high, new)
        written = _put_series(out, written, step, failed, dense, low, high)
    return written


@kernel
def merge_runs(
    data: np.ndarray,
    starts: np.ndarray,
    lengths: np.ndarray,
    n_series: int,
    quantiles: np.ndarray,
    middle_seconds: np.ndarray,
    calls: np.ndarray,
    failed: np.ndarray,
    values: np.ndarray,
    keep: int,
    out: np.ndarray,
) -> int:
    """Windows over the last runs: their weights, failed weights and quantiles; one of them written as a run itself.

    Args:
        data: uint8, runs one after the other, oldest first.
        starts: (n_runs + 1,) int64.
        lengths: (n_windows,) int64: a window is the last so many runs.
        n_series: one more than the largest series number.
        quantiles: (n_quantiles,) int64, parts per million, increasing.
        middle_seconds: (n_grid,) float64.
        calls: (n_windows, n_series) int64, written.
        failed: (n_windows, n_series) int64, written.
        values: (n_windows, n_series, n_quantiles) float64 seconds, written; NaN where there is no weight.
        keep: the window to write as a run, -1 for none.
        out: uint8, written; as long as `data` and a little more is enough.

    Returns:
        How many bytes of `out` were written.
    """
    n_runs, n_windows, n_grid = len(starts) - 1, len(lengths), len(middle_seconds)
    dense = np.zeros((n_windows, n_grid), np.int64)
    low = np.empty(n_windows, np.int64)
    high = np.empty(n_windows, np.int64)
    at = starts[:-1].copy()
    following = np.full(n_runs, n_series, np.int64)
    for k in range(n_runs):
        if at[k] < starts[k + 1]:
            following[k], at[k] = _get(data, at[k])
    written = 0
    before = 0
    for series in range(n_series):
        low[:] = n_grid
        high[:] = -1
        for k in range(n_runs):
            if following[k] != series:
                continue
            bad, position = _get_weight(data, at[k])
            n_cells, position = _get(data, position)
            cell = np.int64(0)
            for _ in range(n_cells):
                delta, position = _get(data, position)
                weight, position = _get_weight(data, position)
                cell += delta
                for w in range(n_windows):
                    if k >= n_runs - lengths[w]:
                        dense[w, cell] += weight
                        calls[w, series] += weight
                        low[w] = min(low[w], cell)
                        high[w] = max(high[w], cell)
            for w in range(n_windows):
                if k >= n_runs - lengths[w]:
                    failed[w, series] += bad
            if position < starts[k + 1]:
                delta, position = _get(data, position)
                following[k] = series + delta
            else:
                following[k] = n_series
            at[k] = position
        for w in range(n_windows):
            if calls[w, series] <= 0:
                values[w, series, :] = np.nan
            else:
                total = calls[w, series]
                quantiles_into(dense[w], low[w], high[w] + 1, total, quantiles, middle_seconds, 0, values[w, series])
            if high[w] >= 0:
                if w == keep:
                    written = _put_series(out, written, series - before, failed[w, series], dense[w], low[w], high[w])
                    before = series
                else:
                    dense[w, low[w] : high[w] + 1] = 0
    return written


@kernel
def make_room(
    data: np.ndarray,
    offset: np.ndarray,
    base: np.ndarray,
    length: np.ndarray,
    arena: np.ndarray,
    used: int,
) -> int:
    """Give every series of a run a range of the arena that holds all its cells; ranges that must grow move to its end.

    Args:
        data: uint8, one run.
        offset: (n_series,) int64, written: where a series' range begins in the arena.
        base: (n_series,) int64, written: the cell it begins with.
        length: (n_series,) int64, written: cells it holds, 0 for none.
        arena: int64, written.
        used: how much of the arena is taken.

    Returns:
        How much is taken now, or -1 - (what would be) where the arena is too small: call again with a larger one.
    """
    at = 0
    series = np.int64(0)
    needed = used
    while at < len(data):
        step, at = _get(data, at)
        series += step
        _, at = _get(data, at)
        n_cells, at = _get(data, at)
        cell = np.int64(0)
        low, high = np.int64(1 << 40), np.int64(0)
        for _ in range(n_cells):
            delta, at = _get(data, at)
            _, at = _get(data, at)
            cell += delta
            low, high = min(low, cell), max(high, cell)
        if n_cells == 0 or (length[series] and base[series] <= low and high < base[series] + length[series]):
            continue
        if length[series]:
            low, high = min(low, base[series]), max(high, base[series] + length[series] - 1)
        # Room at both ends: a range that must grow with every minute moves with every minute.
        low -= low % 16
        high += 15 - high % 16
        size = high - low + 1
        if needed + size <= len(arena):
            arena[needed : needed + size] = 0
            for j in range(length[series]):
                arena[needed + base[series] - low + j] = arena[offset[series] + j]
            offset[series] = needed
            base[series] = low
            length[series] = size
            used = needed + size
        needed += size
    return used if needed <= len(arena) else -1 - needed


@kernel
def tidy_arena(
    offset: np.ndarray,
    base: np.ndarray,
    length: np.ndarray,
    calls: np.ndarray,
    arena: np.ndarray,
    tidied: np.ndarray,
) -> int:
    """Copy the ranges of the arena to a new one, side by side, without the empty cells at their ends.

    Args:
        offset: (n_series,) int64, see `make_room`; written.
        base: (n_series,) int64, written.
        length: (n_series,) int64, written: 0 where a series has no calls.
        calls: (n_series,) int64.
        arena: int64.
        tidied: int64, zeros, written; as long as the ranges together.

    Returns:
        How much of the new arena is taken.
    """
    used = 0
    for series in range(len(offset)):
        first, last = offset[series], offset[series] + length[series]
        if calls[series] <= 0:
            length[series] = 0
            continue
        while first < last and arena[first] == 0:
            first += 1
        while last > first and arena[last - 1] == 0:
            last -= 1
        base[series] += first - offset[series]
        length[series] = last - first
        offset[series] = used
        for j in range(first, last):
            tidied[used] = arena[j]
            used += 1
    return used


@kernel
def add_run(
    data: np.ndarray,
    sign: int,
    offset: np.ndarray,
    base: np.ndarray,
    arena: np.ndarray,
    calls: np.ndarray,
    failed: np.ndarray,
) -> None:
    """Add a run to (sign 1) or take it from (sign -1) the dense counts; exact, since they are integers.

    Args:
        data: uint8, one run.
        sign: 1 or -1.
        offset: (n_series,) int64, see `make_room`.
        base: (n_series,) int64.
        arena: int64, written.
        calls: (n_series,) int64, written.
        failed: (n_series,) int64, written.
    """
    at = 0
    series = np.int64(0)
    while at < len(data):
        step, at = _get(data, at)
        series += step
        bad, at = _get_weight(data, at)
        failed[series] += sign * bad
        n_cells, at = _get(data, at)
        place = offset[series] - base[series]
        total = np.int64(0)
        for _ in range(n_cells):
            delta, at = _get(data, at)
            weight, at = _get_weight(data, at)
            place += delta
            arena[place] += sign * weight
            total += weight
        calls[series] += sign * total


@kernel
def arena_quantiles(
    series: np.ndarray,
    offset: np.ndarray,
    base: np.ndarray,
    length: np.ndarray,
    arena: np.ndarray,
    calls: np.ndarray,
    quantiles: np.ndarray,
    middle_seconds: np.ndarray,
    values: np.ndarray,
) -> None:
    """Quantiles of the dense counts of some series.

    Args:
        series: (n,) int64.
        offset: (n_series,) int64, see `make_room`.
        base: (n_series,) int64.
        length: (n_series,) int64.
        arena: int64.
        calls: (n_series,) int64.
        quantiles: (n_quantiles,) int64, parts per million, increasing.
        middle_seconds: (n_grid,) float64.
        values: (n, n_quantiles) float64 seconds, written; NaN where there is no weight.
    """
    for i in range(len(series)):
        which = series[i]
        if calls[which] <= 0:
            values[i, :] = np.nan
            continue
        counts = arena[offset[which] : offset[which] + length[which]]
        quantiles_into(counts, 0, length[which], calls[which], quantiles, middle_seconds, base[which], values[i])
