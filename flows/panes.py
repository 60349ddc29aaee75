"""Open panes: partials on their way to the close, merged where they pile up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from detectors.bits import spread
from detectors.kernels import inlined, kernel
from flows.fold import CELL_COLUMNS, ROW_COLUMNS

if TYPE_CHECKING:
    from flows.fold import Partial

_MERGE_BEYOND = 65_536
"""Rows and cells that may lie unmerged. A held watermark lets panes pile up; their memory then grows with what is
distinct, not with what arrives."""


@dataclass(slots=True)
class Rows:
    """Partials side by side: `ROW_COLUMNS`, and the cells of row i at cell_starts[i]:cell_starts[i + 1].

    `series` is the shard's entry number (see `flows.admission`).
    """

    series: np.ndarray
    pane: np.ndarray
    at: np.ndarray
    raw: np.ndarray
    sum_hi: np.ndarray
    sum_lo: np.ndarray
    slow_ns: np.ndarray
    slow_hi: np.ndarray
    slow_lo: np.ndarray
    cell_starts: np.ndarray  # (n_rows + 1,) int64
    cell: np.ndarray
    cell_weight: np.ndarray

    def __len__(self) -> int:
        return len(self.series)

    def slice(self, first: int, last: int) -> Rows:
        """Rows first to last - 1, as views; cells stay whole, since `cell_starts` points into them."""
        columns = (getattr(self, name)[first:last] for name in ROW_COLUMNS)
        return Rows(*(*columns, self.cell_starts[first : last + 1], self.cell, self.cell_weight))

    def pick(self, index: np.ndarray) -> Rows:
        """Some rows with their cells, copied: index (n,) int64."""
        starts = self.cell_starts[index]
        lengths = self.cell_starts[index + 1] - starts
        ends = np.cumsum(lengths)
        source = np.repeat(starts - ends + lengths, lengths) + np.arange(int(ends[-1]) if len(ends) else 0)
        columns = (getattr(self, name)[index] for name in ROW_COLUMNS)
        starts = np.concatenate([[0], ends]).astype(np.int64)
        return Rows(*(*columns, starts, self.cell[source], self.cell_weight[source]))

    def with_series(self, series: np.ndarray) -> Rows:
        """The same rows under other numbers: series (n_rows,) int32."""
        columns = (getattr(self, name) for name in list(ROW_COLUMNS)[1:])
        return Rows(*(series, *columns, self.cell_starts, self.cell, self.cell_weight))


class OpenPanes:
    """Rows that wait for their pane to close."""

    def __init__(self) -> None:
        self._rows = {name: [np.empty(0, dtype)] for name, dtype in ROW_COLUMNS.items()}
        self._cells = {name: [np.empty(0, dtype)] for name, dtype in CELL_COLUMNS.items()}
        self._n_rows = 0
        self._n_cells = 0
        self._merged = 0

    def __len__(self) -> int:
        return self._n_rows

    def add(self, entries: np.ndarray, partial: Partial) -> None:
        """Take the rows of a partial; `entries` (n_rows,) int32 replaces the sender's numbers of the series."""
        for name, column in self._rows.items():
            column.append(entries if name == "series" else getattr(partial, name))
        for name, column in self._cells.items():
            column.append(partial.cell_row + np.int32(self._n_rows) if name == "cell_row" else getattr(partial, name))
        self._n_rows += len(entries)
        self._n_cells += len(partial.cell)
        if self._n_rows + self._n_cells > 2 * self._merged + _MERGE_BEYOND:
            self._merge()

    def _join(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        return (
            [np.concatenate(column) if len(column) > 1 else column[0] for column in self._rows.values()],
            [np.concatenate(column) if len(column) > 1 else column[0] for column in self._cells.values()],
        )

    def _replace(self, rows: list[np.ndarray], cells: list[np.ndarray]) -> None:
        self._rows = {name: [column] for name, column in zip(ROW_COLUMNS, rows, strict=True)}
        self._cells = {name: [column] for name, column in zip(CELL_COLUMNS, cells, strict=True)}
        self._n_rows = len(rows[0])
        self._n_cells = len(cells[0])

    def _merge(self) -> None:
        rows, cells = self._join()
        n_rows, n_cells = merge_rows(tuple(rows), tuple(cells))
        self._replace([column[:n_rows].copy() for column in rows], [column[:n_cells].copy() for column in cells])
        self._merged = n_rows + n_cells

    def entries(self) -> np.ndarray:
        """The entry numbers that open rows use: (n,) int32, unsorted, with repeats."""
        return np.concatenate(self._rows["series"])

    def take(self, upto: int) -> Rows:
        """Remove the rows that count before pane `upto`, in the order of the panes at whose close they count."""
        rows, cells = self._join()
        at = rows[list(ROW_COLUMNS).index("at")]
        due = at < upto
        order = np.flatnonzero(due)
        order = order[np.argsort(at[order], kind="stable")]
        rank = np.full(len(at), -1, np.int32)
        rank[order] = np.arange(len(order), dtype=np.int32)
        starts, cell, weight = cells_by_row(rank, len(order), *cells)
        taken = Rows(*(*(column[order] for column in rows), starts, cell, weight))
        left = np.flatnonzero(~due)
        rank[left] = np.arange(len(left), dtype=np.int32)
        stays = ~due[cells[0]]
        self._replace(
            [column[left] for column in rows],
            [rank[cells[0][stays]], *(column[stays] for column in cells[1:])],
        )
        self._merged = min(self._merged, self._n_rows + self._n_cells)
        return taken

    def snapshot(self) -> dict[str, Any]:
        """Columns by name."""
        rows, cells = self._join()
        return dict(zip((*ROW_COLUMNS, *CELL_COLUMNS), (*rows, *cells), strict=True))

    def restore(self, fields: dict[str, Any]) -> None:
        """The state that `snapshot` gave."""
        self._replace([fields[name] for name in ROW_COLUMNS], [fields[name] for name in CELL_COLUMNS])


@kernel
def cells_by_row(
    rank: np.ndarray, n_rows: int, cell_row: np.ndarray, cell: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counting sort of cells by the rank of their row; cells of rank -1 are left out.

    Args:
        rank: (n,) int32, the new place of each row or -1.
        n_rows: how many rows have a place.
        cell_row: (n_cells,) int32, index into `rank`.
        cell: (n_cells,) uint16.
        weight: (n_cells,) int64.

    Returns:
        Starts (n_rows + 1,) int64, cells and weights in the order of the rows.
    """
    starts = np.zeros(n_rows + 1, np.int64)
    for row in cell_row:
        if rank[row] >= 0:
            starts[rank[row] + 1] += 1
    for row in range(n_rows):
        starts[row + 1] += starts[row]
    place = starts[:-1].copy()
    sorted_cell = np.empty(starts[n_rows], np.uint16)
    sorted_weight = np.empty(starts[n_rows], np.int64)
    for i in range(len(cell_row)):
        row = rank[cell_row[i]]
        if row >= 0:
            sorted_cell[place[row]] = cell[i]
            sorted_weight[place[row]] = weight[i]
            place[row] += 1
    return starts, sorted_cell, sorted_weight


@inlined
def add_wide(hi: np.ndarray, lo: np.ndarray, i: int, more_hi: int, more_lo: int) -> None:
    """128-bit addition in place: (hi[i], lo[i]) += (more_hi, more_lo), all uint64."""
    lo[i] += more_lo
    hi[i] += more_hi + np.uint64(lo[i] < more_lo)


@kernel
def merge_rows(rows: tuple[np.ndarray, ...], cells: tuple[np.ndarray, ...]) -> tuple[int, int]:
    """Merge rows of the same (series, pane, at) and their cells, in place, towards the front.

    Args:
        rows: `ROW_COLUMNS`, written.
        cells: `CELL_COLUMNS`, written.

    Returns:
        How many rows and cells are left.
    """
    series, pane, at, raw, sum_hi, sum_lo, slow_ns, slow_hi, slow_lo = rows
    cell_row, cell, weight = cells
    n = len(series)
    capacity = 16
    while capacity < 2 * max(n, len(cell)):
        capacity *= 2
    mask = capacity - 1
    table = np.zeros(capacity, np.int32)
    place = np.empty(n, np.int32)
    n_rows = 0
    for i in range(n):
        slot = spread((np.int64(series[i]) << 20) ^ (pane[i] << 1) ^ at[i]) & mask
        while table[slot] > 0:
            row = table[slot] - 1
            if series[row] == series[i] and pane[row] == pane[i] and at[row] == at[i]:
                break
            slot = (slot + 1) & mask
        if table[slot] > 0:
            row = table[slot] - 1
            raw[row] += raw[i]
            add_wide(sum_hi, sum_lo, row, sum_hi[i], sum_lo[i])
            if (slow_ns[i], slow_hi[i], slow_lo[i]) > (slow_ns[row], slow_hi[row], slow_lo[row]):
                slow_ns[row], slow_hi[row], slow_lo[row] = slow_ns[i], slow_hi[i], slow_lo[i]
        else:
            row = n_rows
            n_rows += 1
            table[slot] = n_rows
            series[row], pane[row], at[row], raw[row] = series[i], pane[i], at[i], raw[i]
            sum_hi[row], sum_lo[row] = sum_hi[i], sum_lo[i]
            slow_ns[row], slow_hi[row], slow_lo[row] = slow_ns[i], slow_hi[i], slow_lo[i]
        place[i] = row
    table[:] = 0
    n_cells = 0
    for i in range(len(cell)):
        row = place[cell_row[i]]
        slot = spread((np.int64(row) << 12) ^ np.int64(cell[i])) & mask
        while table[slot] > 0 and not (cell_row[table[slot] - 1] == row and cell[table[slot] - 1] == cell[i]):
            slot = (slot + 1) & mask
        if table[slot] > 0:
            weight[table[slot] - 1] += weight[i]
        else:
            cell_row[n_cells], cell[n_cells], weight[n_cells] = row, cell[i], weight[i]
            n_cells += 1
            table[slot] = n_cells
    return n_rows, n_cells
