"""Fold: spans → partial aggregates, one per (series, pane), dealt to the shards.

A partial is integers only: a raw count, the weighted sum of durations (128 bits), the slowest span as the maximum of
(duration, trace id), and the weights by histogram cell. Everything else (calls, errors, classic buckets, thresholds,
percentiles) follows from the cells and the label set.

What this step remembers, which series has which id, matters to nobody: it is the memory of one process, and the shards
are told a label set again whenever a new process speaks to them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from detectors.bits import multiply_high, spread
from detectors.histogram import Grid, cell_of
from detectors.kernels import kernel
from flows.deal import deal
from flows.decode.batch import WEIGHT_BITS, WEIGHT_ONE, SpanBatch
from flows.series import SHARDS, HashedLabels, SeriesLabels, hash_order, shard_of
from flows.watermark import Fate

if TYPE_CHECKING:
    from collections.abc import Callable

    from flows.watermark import Timed

_GENERATION_KEYS = 1 << 20
"""Raw identities a process remembers before it forgets them all and learns anew: bounds what a flood of names costs."""

_LOAD = 2
"""Hash tables are kept at most 1 / _LOAD full."""


class Sender(NamedTuple):
    """Who numbered the series of a partial: a process, and how often it has begun its numbering anew."""

    process: bytes
    generation: int


@dataclass(slots=True)
class Partial:
    """What one emission has for one shard: rows, one per (series, pane), and their histogram cells.

    A late span's row has the pane its partition stood in (`at`), so that it counts when that pane closes: the moment is
    then a function of the stream as well. On time, `at == pane`.
    """

    sender: Sender
    new: list[HashedLabels]  # label sets of the series from `first_new` on, said once in a process's life
    first_new: int
    series: np.ndarray  # (n_rows,) int32: the sender's number of the series within this shard
    pane: np.ndarray  # (n_rows,) int64: event time
    at: np.ndarray  # (n_rows,) int64: the pane at whose close the row counts
    raw: np.ndarray  # (n_rows,) int64: spans
    sum_hi: np.ndarray  # (n_rows,) uint64: upper and
    sum_lo: np.ndarray  # (n_rows,) uint64: lower half of sum(duration ns x weight)
    slow_ns: np.ndarray  # (n_rows,) int64: the slowest span
    slow_hi: np.ndarray  # (n_rows,) uint64: its trace id
    slow_lo: np.ndarray  # (n_rows,) uint64
    cell_row: np.ndarray  # (n_cells,) int32: index into the rows
    cell: np.ndarray  # (n_cells,) uint16
    cell_weight: np.ndarray  # (n_cells,) int64: units of 2^-20 spans
    # As it crosses to another process, once it did.
    packed: tuple[Any, ...] | None = field(default=None, init=False, repr=False, compare=False)


ROW_COLUMNS: dict[str, np.dtype[np.generic]] = {
    "series": np.dtype(np.int32),
    "pane": np.dtype(np.int64),
    "at": np.dtype(np.int64),
    "raw": np.dtype(np.int64),
    "sum_hi": np.dtype(np.uint64),
    "sum_lo": np.dtype(np.uint64),
    "slow_ns": np.dtype(np.int64),
    "slow_hi": np.dtype(np.uint64),
    "slow_lo": np.dtype(np.uint64),
}
CELL_COLUMNS: dict[str, np.dtype[np.generic]] = {
    "cell_row": np.dtype(np.int32),
    "cell": np.dtype(np.uint16),
    "cell_weight": np.dtype(np.int64),
}


class Folder:
    """Turns batches into partials; one per process.

    Args:
        grid: the histogram's cells.
        template: (service, span name) → the name without its ids.
    """

    def __init__(self, grid: Grid, template: Callable[[str, str], str]) -> None:
        self._edges, self._first = grid.tables
        self._template = template
        self._process = os.urandom(8)
        self._generation = 0
        self._forget()

    def _forget(self) -> None:
        """Begin a new numbering."""
        self._sender = Sender(self._process, self._generation)
        self._keys = np.zeros((1 << 12, 2), np.uint64)
        self._numbers = np.full(1 << 12, -1, np.int32)
        self._n_keys = 0
        self._series_of_key = np.zeros(1 << 11, np.int32)
        self._series: dict[SeriesLabels, int] = {}
        self._shard = np.zeros(1 << 10, np.uint8)
        self._in_shard = np.zeros(1 << 10, np.int32)
        self._last_row = np.zeros(1 << 10, np.int32)
        self._by_shard: list[list[HashedLabels]] = [[] for _ in range(SHARDS)]
        self._told = [0] * SHARDS

    @property
    def n_series(self) -> int:
        """Label sets this process has numbered in its present generation."""
        return len(self._series)

    def fold(self, batch: SpanBatch, timed: Timed) -> list[Partial | None]:
        """The partials of a batch, by shard; None where a shard has nothing.

        Args:
            batch: n_spans decoded spans.
            timed: their fates; only those on time or late are folded.
        """
        if not len(batch):
            return [None] * SHARDS
        if self._n_keys >= _GENERATION_KEYS:
            self._generation += 1
            self._forget()
        key = self._look_up(batch)
        n = len(batch)
        rows = [np.empty(n, dtype) for dtype in ROW_COLUMNS.values()]
        cells = [np.empty(n, dtype) for dtype in CELL_COLUMNS.values()]
        n_rows, n_cells = aggregate(
            self._series_of_key[key],
            (timed.fate, timed.pane, timed.at),
            (batch.duration_ns, batch.weight, batch.trace_hi, batch.trace_lo),
            (self._edges, self._first),
            self._last_row,
            tuple(rows),
            tuple(cells),
        )
        return self._deal([column[:n_rows] for column in rows], [column[:n_cells] for column in cells])

    def _look_up(self, batch: SpanBatch) -> np.ndarray:
        """The number of each span's key: (n_spans,) int32; new keys are named on the way."""
        numbers = np.empty(len(batch), np.int32)
        fresh = np.empty(len(batch), np.int32)
        done = 0
        while done < len(batch):
            done, n_fresh, n_keys = find_keys(
                batch.key_hi, batch.key_lo, self._keys, self._numbers, self._n_keys, done, numbers, fresh
            )
            for row in fresh[:n_fresh].tolist():
                self._name(batch, row)
            assert self._n_keys == n_keys
            if done < len(batch):
                self._keys, self._numbers = grow_table(self._keys, self._numbers)
        return numbers

    def _name(self, batch: SpanBatch, row: int) -> None:
        """Find the series of a key that this process sees for the first time."""
        service, span_name, kind, status, dimensions = batch.identity(row)
        labels = SeriesLabels(service, self._template(service, span_name), kind, status, dimensions)
        number = self._series.get(labels)
        if number is None:
            number = len(self._series)
            self._series[labels] = number
            if number == len(self._shard):
                self._shard = np.concatenate([self._shard, np.zeros_like(self._shard)])
                self._in_shard = np.concatenate([self._in_shard, np.zeros_like(self._in_shard)])
                self._last_row = np.concatenate([self._last_row, np.zeros_like(self._last_row)])
            shard = shard_of(service)
            self._shard[number] = shard
            self._in_shard[number] = len(self._by_shard[shard])
            self._by_shard[shard].append(hash_order(labels))
        if self._n_keys == len(self._series_of_key):
            self._series_of_key = np.concatenate([self._series_of_key, np.zeros_like(self._series_of_key)])
        self._series_of_key[self._n_keys] = number
        self._n_keys += 1

    def _deal(self, rows: list[np.ndarray], cells: list[np.ndarray]) -> list[Partial | None]:
        """Split rows and cells by shard."""
        dealt_rows = tuple(np.empty_like(column) for column in rows)
        dealt_cells = tuple(np.empty_like(column) for column in cells)
        row_ends, cell_ends = deal(tuple(rows), tuple(cells), self._shard, self._in_shard, dealt_rows, dealt_cells)
        partials: list[Partial | None] = [None] * SHARDS
        first = first_cell = 0
        for number, (last, last_cell) in enumerate(zip(row_ends.tolist(), cell_ends.tolist(), strict=True)):
            if first == last:
                continue
            told = self._told[number]
            self._told[number] = len(self._by_shard[number])
            columns = (column[first:last] for column in dealt_rows)
            rest = (column[first_cell:last_cell] for column in dealt_cells)
            new = self._by_shard[number][told:]
            partials[number] = Partial(self._sender, new, told, *columns, *rest)
            first, first_cell = last, last_cell
        return partials


@kernel
def find_keys(
    key_hi: np.ndarray,
    key_lo: np.ndarray,
    keys: np.ndarray,
    numbers: np.ndarray,
    n_keys: int,
    start: int,
    out: np.ndarray,
    fresh: np.ndarray,
) -> tuple[int, int, int]:
    """Number 128-bit keys by an open-addressing table, new ones in order of appearance.

    Args:
        key_hi: (n,) uint64.
        key_lo: (n,) uint64.
        keys: (capacity, 2) uint64, capacity a power of two; written.
        numbers: (capacity,) int32, -1 where free; written.
        n_keys: how many the table holds.
        start: where to begin.
        out: (n,) int32, written from `start` on: the number of each key.
        fresh: (n,) int32, written: rows whose key is new.

    Returns:
        Where it stopped (n, or earlier because the table must grow first), new rows, keys in the table.
    """
    mask = len(numbers) - 1
    limit = len(numbers) // _LOAD
    n_fresh = 0
    for i in range(start, len(key_hi)):
        hi, lo = key_hi[i], key_lo[i]
        slot = np.int64(lo) & mask
        while numbers[slot] >= 0 and not (keys[slot, 0] == hi and keys[slot, 1] == lo):
            slot = (slot + 1) & mask
        if numbers[slot] < 0:
            if n_keys >= limit:
                return i, n_fresh, n_keys
            keys[slot, 0] = hi
            keys[slot, 1] = lo
            numbers[slot] = n_keys
            n_keys += 1
            fresh[n_fresh] = i
            n_fresh += 1
        out[i] = numbers[slot]
    return len(key_hi), n_fresh, n_keys


def grow_table(keys: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same table with twice the capacity."""
    used = np.flatnonzero(numbers >= 0)
    used = used[np.argsort(numbers[used])]
    grown_keys = np.zeros((2 * len(keys), 2), np.uint64)
    grown_numbers = np.full(2 * len(numbers), -1, np.int32)
    nowhere = np.empty(len(used), np.int32)
    find_keys(keys[used, 0], keys[used, 1], grown_keys, grown_numbers, 0, 0, nowhere, nowhere.copy())
    return grown_keys, grown_numbers


@kernel
def aggregate(
    series: np.ndarray,
    timed: tuple[np.ndarray, np.ndarray, np.ndarray],
    spans: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    grid: tuple[np.ndarray, np.ndarray],
    last_row: np.ndarray,
    rows: tuple[np.ndarray, ...],
    cells: tuple[np.ndarray, ...],
) -> tuple[int, int]:
    """Sum spans up by (series, pane, at) and by histogram cell.

    Args:
        series: (n_spans,) int32.
        timed: fate (n_spans,) uint8, pane and at (n_spans,) int64.
        spans: duration_ns int64, weight int64, trace id halves uint64, all (n_spans,).
        grid: `Grid.tables`.
        last_row: (≥ n_series,) int32: any content; the row a series was last put into is looked at first.
        rows: `ROW_COLUMNS`, each (≥ n_spans,), written.
        cells: `CELL_COLUMNS`, each (≥ n_spans,), written.

    Returns:
        How many rows and cells were written.
    """
    fate, pane, at = timed
    duration_ns, weight, trace_hi, trace_lo = spans
    edges, first = grid
    row_series, row_pane, row_at, raw, sum_hi, sum_lo, slow_ns, slow_hi, slow_lo = rows
    cell_row, cell, cell_weight = cells
    n = len(series)
    capacity = 16
    while capacity < _LOAD * n:
        capacity *= 2
    mask = capacity - 1
    row_table = np.zeros(capacity, np.int32)  # row + 1, 0 where free
    cell_table = np.zeros(capacity, np.int32)
    n_rows = 0
    n_cells = 0
    for i in range(n):
        if fate[i] > Fate.LATE.value:
            continue
        which = series[i]
        row = np.int64(last_row[which])
        if not (row < n_rows and row_series[row] == which and row_pane[row] == pane[i] and row_at[row] == at[i]):
            slot = spread((np.int64(which) << 20) ^ (pane[i] << 1) ^ at[i]) & mask
            while row_table[slot] > 0:
                row = np.int64(row_table[slot]) - 1
                if row_series[row] == which and row_pane[row] == pane[i] and row_at[row] == at[i]:
                    break
                slot = (slot + 1) & mask
            if row_table[slot] == 0:
                row = np.int64(n_rows)
                n_rows += 1
                row_table[slot] = n_rows
                row_series[row] = which
                row_pane[row] = pane[i]
                row_at[row] = at[i]
                raw[row] = 0
                sum_hi[row] = 0
                sum_lo[row] = 0
                slow_ns[row] = -1
                slow_hi[row] = 0
                slow_lo[row] = 0
            last_row[which] = row
        duration = duration_ns[i]
        raw[row] += 1
        product_lo = np.uint64(duration) * np.uint64(weight[i])
        product_hi = np.uint64(0)
        if weight[i] == WEIGHT_ONE:
            product_hi = np.uint64(duration) >> np.uint64(64 - WEIGHT_BITS)
        else:
            product_hi = multiply_high(duration, weight[i])
        sum_lo[row] += product_lo
        sum_hi[row] += product_hi + np.uint64(sum_lo[row] < product_lo)
        slower = duration > slow_ns[row]
        if duration == slow_ns[row]:
            slower = trace_hi[i] > slow_hi[row] or (trace_hi[i] == slow_hi[row] and trace_lo[i] > slow_lo[row])
        if slower:
            slow_ns[row] = duration
            slow_hi[row] = trace_hi[i]
            slow_lo[row] = trace_lo[i]
        where = np.uint16(cell_of(duration, edges, first))
        slot = spread((row << 12) ^ np.int64(where)) & mask
        while cell_table[slot] > 0:
            found = cell_table[slot] - 1
            if cell_row[found] == row and cell[found] == where:
                break
            slot = (slot + 1) & mask
        if cell_table[slot] == 0:
            cell_row[n_cells] = row
            cell[n_cells] = where
            cell_weight[n_cells] = 0
            n_cells += 1
            cell_table[slot] = n_cells
        cell_weight[cell_table[slot] - 1] += weight[i]
    return n_rows, n_cells
