"""What a shard counts for promises: of each closed row, what is good and bad, by promise and event time.

Which promises a series belongs to is decided once, when it begins; a threshold is a cut of the histogram's cells, so
that the counts below it are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from detectors.bits import spread
from detectors.kernels import inlined, kernel
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

# What a sum has after its counts: weight, bad weight and raw of rows that a threshold divides; its slowest bad span.
_CUT_TOTAL, _CUT_BAD, _CUT_RAW, _SLOWEST, _SUM = range(RAW_BAD + 1, RAW_BAD + 6)


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
        cells = (rows.cell_starts, rows.cell, rows.cell_weight)
        spans = (rows.pane, rows.at, rows.raw, rows.slow_ns, rows.slow_hi, rows.slow_lo)
        used, *counted = sum_rows(slots, spans, cells, self._starts, self._table, len(self._columns))
        return Counted([self._columns[number] for number in used.tolist()], *counted) if len(used) else None

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


@kernel
def sum_rows(  # noqa: C901 - one flat loop: a pass of its own that numbers the sums made it a third slower
    slots: np.ndarray,
    spans: tuple[np.ndarray, ...],
    cells: tuple[np.ndarray, np.ndarray, np.ndarray],
    starts: np.ndarray,
    table: np.ndarray,
    n_columns: int,
) -> tuple[np.ndarray, ...]:
    """Sum rows by column, at and pane; whatever their order, and however a row was cut into several.

    Args:
        slots: (n_rows,) int32; those beyond the table have no pair.
        spans: pane, at, raw, slow_ns int64, trace id halves uint64, all (n_rows,).
        cells: starts (n_rows + 1,) int64, cell uint16, weight int64.
        starts: (n_slots + 1,) int64: a slot's pairs.
        table: (n_pairs, 3) int64: column, verdict, cut.
        n_columns: how many there are.

    Returns:
        The columns that have any, (n_used,) int64, ascending; and of each sum, ordered by column, at and pane, its
        column as an index into those, (n,) int32, its pane and at, (n,) int64, counts (n, 4) int64, trace ids (n, 2)
        uint64.
    """
    pane, at, raw, slow_ns, slow_hi, slow_lo = spans
    cell_starts, cell, weight = cells
    n_slots = len(starts) - 1
    most = 0
    for slot in slots:
        if slot < n_slots:
            most += starts[slot + 1] - starts[slot]
    capacity = 16
    while capacity < 2 * most:
        capacity *= 2
    places = np.zeros(capacity, np.int32)  # hash → number of the sum + 1
    latest = np.full(n_columns, -1, np.int32)  # of each column: rows come in order, mostly, and hit it again
    # Few of the most there could be are touched; clearing all would cost more than counting.
    keys, sums, trace = np.empty((most, 3), np.int64), np.empty((most, _SUM), np.int64), np.empty((most, 2), np.uint64)
    n = 0
    for row in range(len(slots)):
        slot = slots[row]
        if slot >= n_slots or starts[slot] == starts[slot + 1]:
            continue
        total = np.int64(0)
        for j in range(cell_starts[row], cell_starts[row + 1]):
            total += weight[j]
        for pair in range(starts[slot], starts[slot + 1]):
            column, verdict, cut = table[pair, 0], table[pair, 1], table[pair, 2]
            i = latest[column]
            if i < 0 or keys[i, 1] != at[row] or keys[i, 2] != pane[row]:
                place = spread((column << 40) ^ (at[row] << 20) ^ pane[row]) & (capacity - 1)
                i = places[place] - 1
                while i >= 0 and (keys[i, 0] != column or keys[i, 1] != at[row] or keys[i, 2] != pane[row]):
                    place = (place + 1) & (capacity - 1)
                    i = places[place] - 1
                if i < 0:
                    i = n
                    n += 1
                    places[place] = n
                    keys[i, 0], keys[i, 1], keys[i, 2] = column, at[row], pane[row]
                    for k in range(_SUM):
                        sums[i, k] = 0
                    sums[i, _SLOWEST], trace[i, 0], trace[i, 1] = -1, 0, 0
                latest[column] = i
            sums[i, TOTAL] += total
            sums[i, RAW_TOTAL] += raw[row]
            bad = np.int64(0)
            if verdict == Verdict.BAD.value:
                bad = total
                sums[i, RAW_BAD] += raw[row]
            elif verdict != Verdict.GOOD.value:
                for j in range(cell_starts[row], cell_starts[row + 1]):
                    if (cell[j] <= cut) == (verdict == Verdict.BAD_AT_MOST.value):
                        bad += weight[j]
                sums[i, _CUT_TOTAL] += total
                sums[i, _CUT_BAD] += bad
                sums[i, _CUT_RAW] += raw[row]
            if bad > 0:
                sums[i, BAD] += bad
                slow = (slow_ns[row], slow_hi[row], slow_lo[row])
                if slow > (sums[i, _SLOWEST], trace[i, 0], trace[i, 1]):
                    sums[i, _SLOWEST], trace[i, 0], trace[i, 1] = slow
    # Ordered here, as a call for each shard and pane makes numpy's own overhead several times what it computes.
    order = np.argsort(keys[:n, 2], kind="mergesort")
    for k in (1, 0):
        order = order[np.argsort(keys[order, k], kind="mergesort")]
    used, number = np.empty(n, np.int64), np.empty(n, np.int32)
    sum_pane, sum_at = np.empty(n, np.int64), np.empty(n, np.int64)
    counts, slowest = np.empty((n, _CUT_TOTAL), np.int64), np.empty((n, 2), np.uint64)
    n_used = 0
    for to in range(n):
        i = order[to]
        if n_used == 0 or used[n_used - 1] != keys[i, 0]:
            used[n_used] = keys[i, 0]
            n_used += 1
        number[to], sum_at[to], sum_pane[to] = n_used - 1, keys[i, 1], keys[i, 2]
        sums[i, RAW_BAD] += _raw_bad(sums[i, _CUT_TOTAL], sums[i, _CUT_BAD], sums[i, _CUT_RAW])
        for k in range(_CUT_TOTAL):
            counts[to, k] = sums[i, k]
        slowest[to, 0], slowest[to, 1] = trace[i, 0], trace[i, 1]
    return used[:n_used], number, sum_pane, sum_at, counts, slowest


@inlined
def _raw_bad(total: int, bad: int, raw: int) -> int:
    """How many of the spans that a threshold divides are bad: cells have weights only.

    Of sampled spans the raw share is taken to be that of the weights; of the sums, for a row's depends on its cuts.
    """
    if total == raw << WEIGHT_BITS:
        return bad >> WEIGHT_BITS
    return np.int64(np.ceil(raw * (bad / max(total, 1))))
