"""What a shard counts for promises: of each closed row, what is good and bad, by promise and event time.

Which promises a series belongs to is decided once, when it begins; a threshold is a cut of the histogram's cells, so
that the counts below it are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from detectors.kernels import kernel
from detectors.rings import BAD, RAW_BAD, RAW_TOTAL, TOTAL
from flows.decode.batch import WEIGHT_BITS
from flows.slo.promise import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detectors.histogram import Grid
    from flows.admission import Opened
    from flows.panes import Rows
    from flows.slo.promise import Promise

NOWHERE = -1
"""The cut of a pair that needs none."""


class Column(NamedTuple):
    """One thing that is counted: what a promise counts, for one value of its `group-by`."""

    state_key: str
    group: str


@dataclass(slots=True)
class Counted:
    """Counts of some closed panes: row i is column `columns[column[i]]` in pane `pane[i]`."""

    columns: list[Column]
    column: np.ndarray  # (n,) int32
    pane: np.ndarray  # (n,) int64: event time
    at: np.ndarray  # (n,) int64: the pane at whose close it counts; others than `pane` are late
    counts: np.ndarray  # (n, 4) int64: weight, bad weight, raw, raw bad (`detectors.rings`)
    trace: np.ndarray  # (n, 2) uint64: the slowest bad span's, zeros where none is bad

    def pick(self, rows: np.ndarray) -> Counted:
        """Some rows, (n,) int64."""
        arrays = self.column, self.pane, self.at, self.counts, self.trace
        return Counted(self.columns, *(array[rows] for array in arrays))

    def snapshot(self) -> list[Any]:
        """Plain values and arrays."""
        columns = [list(column) for column in self.columns]
        return [columns, self.column, self.pane, self.at, self.counts, self.trace]

    @classmethod
    def restore(cls, fields: list[Any]) -> Counted:
        """What `snapshot` gave."""
        columns, *arrays = fields
        return cls([Column(*column) for column in columns], *arrays)


class Counting:
    """The promises' counts of one shard.

    Args:
        promises: those that count differently; several objectives of one thing count once.
        dimensions: labels of the configured dimensions.
        grid: with a cut at each promise's threshold.
    """

    def __init__(self, promises: Sequence[Promise], dimensions: Sequence[str], grid: Grid) -> None:
        self._dimensions = tuple(dimensions)
        self._grid = grid
        distinct = {promise.state_key: promise for promise in promises}
        self._anywhere: list[Promise] = []
        self._by_service: dict[str, list[Promise]] = {}
        for promise in distinct.values():
            services = promise.indicator.total.only("service_name")
            if services is None:
                self._anywhere.append(promise)
            for service in services or ():
                self._by_service.setdefault(service, []).append(promise)
        self._columns: list[Column] = []
        self._number: dict[Column, int] = {}
        self._pairs: dict[int, list[tuple[int, int, int]]] = {}  # slot → (column, verdict, cut)
        self._starts = np.zeros(1, np.int64)
        self._table = np.zeros((0, 3), np.int64)
        self._is_stale = False

    def open(self, opened: Sequence[Opened]) -> None:
        """Series begin: decide what they count for."""
        for slot, _, labels in opened:
            pairs = []
            for promise in (*self._anywhere, *self._by_service.get(labels.service, ())):
                verdict = promise.verdict(labels, self._dimensions)
                if verdict == Verdict.OUT:
                    continue
                column = Column(promise.state_key, promise.group(labels, self._dimensions))
                number = self._number.setdefault(column, len(self._number))
                if number == len(self._columns):
                    self._columns.append(column)
                at_most = promise.indicator.at_most_ns
                cut = NOWHERE if at_most is None else self._grid.cell_at_most(at_most)
                pairs.append((number, int(verdict), cut))
            if pairs or slot in self._pairs:
                self._pairs[slot] = pairs
                self._is_stale = True

    def count(self, slots: np.ndarray, rows: Rows) -> Counted | None:
        """Count closed rows; None where no promise has any of them.

        Args:
            slots: (n_rows,) the series of each row.
            rows: closed ones.
        """
        if not self._pairs or not len(rows):
            return None
        if self._is_stale:
            self._index()
        known = slots < len(self._starts) - 1
        per_row = np.zeros(len(rows), np.int64)
        per_row[known] = np.diff(self._starts)[slots[known]]
        n = int(per_row.sum())
        if not n:
            return None
        keys, counts = np.empty((n, 3), np.int64), np.empty((n, 4), np.int64)
        slow, trace = np.empty(n, np.int64), np.empty((n, 2), np.uint64)
        cells = (rows.cell_starts, rows.cell, rows.cell_weight)
        spans = (rows.pane, rows.at, rows.raw, rows.slow_ns, rows.slow_hi, rows.slow_lo)
        count_rows(slots, per_row, spans, cells, self._starts, self._table, keys, counts, slow, trace)
        return self._summed(keys, counts, slow, trace)

    def _index(self) -> None:
        """The pairs as a table by slot."""
        size = max(self._pairs) + 1
        lengths = np.zeros(size, np.int64)
        for slot, pairs in self._pairs.items():
            lengths[slot] = len(pairs)
        self._starts = np.concatenate([[0], np.cumsum(lengths)])
        rows = [pair for slot in sorted(self._pairs) for pair in self._pairs[slot]]
        self._table = np.array(rows, np.int64).reshape(-1, 3)
        self._is_stale = False

    def _summed(self, keys: np.ndarray, counts: np.ndarray, slow: np.ndarray, trace: np.ndarray) -> Counted:
        low, most = keys[:, 1:].min(axis=0), keys[:, 1:].max(axis=0)
        n_at, n_pane = (most - low + 1).tolist()
        # Column, at and pane as one number: sorted once, not thrice.
        group = (keys[:, 0] * n_at + keys[:, 1] - low[0]) * n_pane + keys[:, 2] - low[1]
        order = np.lexsort((slow, group))
        keys, group = keys[order], group[order]
        first = np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]]))
        last = np.concatenate([first[1:], [len(keys)]]) - 1  # of each sum, the slowest bad one
        used, column = np.unique(keys[first, 0], return_inverse=True)
        return Counted(
            [self._columns[number] for number in used.tolist()],
            column.astype(np.int32),
            keys[first, 2],
            keys[first, 1],
            np.add.reduceat(counts[order], first, axis=0),
            trace[order[last]],
        )


@kernel
def count_rows(
    slots: np.ndarray,
    per_row: np.ndarray,
    spans: tuple[np.ndarray, ...],
    cells: tuple[np.ndarray, np.ndarray, np.ndarray],
    starts: np.ndarray,
    table: np.ndarray,
    keys: np.ndarray,
    counts: np.ndarray,
    slow: np.ndarray,
    trace: np.ndarray,
) -> None:
    """Count each row for each of its promises.

    Args:
        slots: (n_rows,) int32.
        per_row: (n_rows,) int64: how many promises a row has.
        spans: pane, at, raw, slow_ns int64, trace id halves uint64, all (n_rows,).
        cells: starts (n_rows + 1,) int64, cell uint16, weight int64.
        starts: (n_slots + 1,) int64: a slot's pairs.
        table: (n_pairs, 3) int64: column, verdict, cut.
        keys: (n, 3) int64, written: column, at, pane.
        counts: (n, 4) int64, written.
        slow: (n,) int64, written: duration of the slowest span where some are bad, else -1.
        trace: (n, 2) uint64, written: its trace id.
    """
    pane, at, raw, slow_ns, slow_hi, slow_lo = spans
    cell_starts, cell, weight = cells
    i = 0
    for row in range(len(slots)):
        if per_row[row] == 0:
            continue
        total = np.int64(0)
        for j in range(cell_starts[row], cell_starts[row + 1]):
            total += weight[j]
        for pair in range(starts[slots[row]], starts[slots[row] + 1]):
            verdict, cut = table[pair, 1], table[pair, 2]
            bad = np.int64(0)
            if verdict == Verdict.BAD.value:
                bad = total
            elif verdict != Verdict.GOOD.value:
                below = np.int64(0)
                for j in range(cell_starts[row], cell_starts[row + 1]):
                    if cell[j] <= cut:
                        below += weight[j]
                bad = below if verdict == Verdict.BAD_AT_MOST.value else total - below
            keys[i, 0] = table[pair, 0]
            keys[i, 1] = at[row]
            keys[i, 2] = pane[row]
            counts[i, TOTAL] = total
            counts[i, BAD] = bad
            counts[i, RAW_TOTAL] = raw[row]
            if total == raw[row] << WEIGHT_BITS:
                counts[i, RAW_BAD] = bad >> WEIGHT_BITS
            else:  # cells have weights only: of sampled spans the raw share is taken to be that of the weights
                counts[i, RAW_BAD] = np.int64(np.ceil(raw[row] * (bad / max(total, 1))))
            slow[i] = slow_ns[row] if bad > 0 else np.int64(-1)
            trace[i, 0] = slow_hi[row] if bad > 0 else np.uint64(0)
            trace[i, 1] = slow_lo[row] if bad > 0 else np.uint64(0)
            i += 1
