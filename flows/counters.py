"""Cumulative counters of one shard's series, by slot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from detectors.kernels import inlined, kernel
from flows.decode.batch import ERROR
from flows.panes import Rows, add_wide

if TYPE_CHECKING:
    from flows.admission import Opened

_LARGEST = np.iinfo(np.int64).max


class Counters(NamedTuple):
    """Cumulative counters of all series of a shard at the end of a pane; arrays are copies."""

    slots: np.ndarray  # (n,) int64
    calls: np.ndarray  # (n,) int64, units of 2^-20 spans
    sum_ns: np.ndarray  # (n,) float64: sum of durations
    buckets: np.ndarray  # (n, n_bounds + 1) int64, units of 2^-20, not cumulative over the bounds
    slow_ns: np.ndarray  # (n,) int64: the slowest span of the panes since the step before, -1 if none
    slow_trace: np.ndarray  # (n, 2) uint64


class CounterTables:
    """Counters by slot, and what goes with a slot.

    Args:
        bucket_of_cell: (n_grid,) uint8, `Grid.buckets`.
        n_buckets: one more than there are bounds.
    """

    COLUMNS = ("calls", "sum_hi", "sum_lo", "buckets", "last_seen", "slow_ns", "slow_trace")

    def __init__(self, bucket_of_cell: np.ndarray, n_buckets: int) -> None:
        capacity = 64
        self._bucket_of_cell = bucket_of_cell
        self.calls = np.zeros(capacity, np.int64)
        self.sum_hi = np.zeros(capacity, np.uint64)
        self.sum_lo = np.zeros(capacity, np.uint64)
        self.buckets = np.zeros((capacity, n_buckets), np.int64)
        self.last_seen = np.zeros(capacity, np.int64)
        self.slow_ns = np.full(capacity, -1, np.int64)
        self.slow_trace = np.zeros((capacity, 2), np.uint64)
        self.operation = np.zeros(capacity, np.int32)
        self.error = np.zeros(capacity, bool)

    def grow(self, size: int) -> None:
        """Room for `size` slots."""
        while len(self.calls) < size:
            for name in (*self.COLUMNS, "operation", "error"):
                column = getattr(self, name)
                setattr(self, name, np.concatenate([column, np.zeros_like(column)]))

    def name(self, opened: list[Opened]) -> None:
        """Note what series the slots stand for."""
        for slot, operation, labels in opened:
            self.operation[slot] = operation
            self.error[slot] = labels.status == ERROR

    def begin(self, opened: list[Opened], pane: int) -> None:
        """Counters of new series begin at 0, at pane `pane`."""
        self.name(opened)
        for slot, _, _ in opened:
            for column in self.COLUMNS:
                getattr(self, column)[slot] = 0
            self.last_seen[slot] = pane
            self.slow_ns[slot] = -1

    def add(self, slots: np.ndarray, rows: Rows) -> None:
        """Count closed rows: slots (n_rows,) int32 are theirs."""
        if not len(rows):
            return
        count_rows(
            slots,
            (rows.pane, rows.at, rows.sum_hi, rows.sum_lo, rows.slow_ns, rows.slow_hi, rows.slow_lo),
            (rows.cell_starts, rows.cell, rows.cell_weight),
            self._bucket_of_cell,
            (self.calls, self.sum_hi, self.sum_lo, self.buckets, self.last_seen),
            (self.slow_ns, self.slow_trace),
        )

    def read(self, slots: np.ndarray) -> Counters:
        """The counters as they stand; begins anew with the slowest spans."""
        sums = (self.sum_hi[slots].astype(np.float64) * 2.0**64 + self.sum_lo[slots].astype(np.float64)) / 2.0**20
        counters = Counters(
            slots,
            self.calls[slots],
            sums,
            self.buckets[slots],
            self.slow_ns[slots],
            self.slow_trace[slots],
        )
        self.slow_ns[slots] = -1
        return counters

    def snapshot(self, size: int) -> dict[str, Any]:
        """The columns of the first `size` slots."""
        return {name: getattr(self, name)[:size] for name in self.COLUMNS}

    def restore(self, fields: dict[str, Any]) -> None:
        """The state that `snapshot` gave."""
        self.grow(len(fields["calls"]))
        for name in self.COLUMNS:
            getattr(self, name)[: len(fields[name])] = fields[name]


@inlined
def _saturating(value: int, more: int) -> int:
    total = value + more
    return _LARGEST if total < value else total


@kernel
def count_rows(
    slots: np.ndarray,
    rows: tuple[np.ndarray, ...],
    cells: tuple[np.ndarray, np.ndarray, np.ndarray],
    bucket_of_cell: np.ndarray,
    counters: tuple[np.ndarray, ...],
    slowest: tuple[np.ndarray, np.ndarray],
) -> None:
    """Add closed rows to the cumulative counters.

    Args:
        slots: (n_rows,) int32.
        rows: pane, at, sum_hi, sum_lo, slow_ns, slow_hi, slow_lo, each (n_rows,).
        cells: starts (n_rows + 1,), cell, weight.
        bucket_of_cell: (n_grid,) uint8.
        counters: calls, sum_hi, sum_lo (n_slots,), buckets (n_slots, n_buckets), last_seen (n_slots,); written.
        slowest: slow_ns (n_slots,) and trace ids (n_slots, 2); written.
    """
    pane, at, row_hi, row_lo, row_slow, row_trace_hi, row_trace_lo = rows
    starts, cell, weight = cells
    calls, sum_hi, sum_lo, buckets, last_seen = counters
    slow_ns, slow_trace = slowest
    for i in range(len(slots)):
        slot = slots[i]
        for j in range(starts[i], starts[i + 1]):
            calls[slot] = _saturating(calls[slot], weight[j])
            bucket = bucket_of_cell[cell[j]]
            buckets[slot, bucket] = _saturating(buckets[slot, bucket], weight[j])
        add_wide(sum_hi, sum_lo, slot, row_hi[i], row_lo[i])
        if pane[i] == at[i]:
            last_seen[slot] = max(last_seen[slot], pane[i])
            newer = (row_slow[i], row_trace_hi[i], row_trace_lo[i])
            if newer > (slow_ns[slot], slow_trace[slot, 0], slow_trace[slot, 1]):
                slow_ns[slot], slow_trace[slot, 0], slow_trace[slot, 1] = newer
