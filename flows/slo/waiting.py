"""What shards have counted of panes that are not final yet: some shards are ahead of others."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np

from flows.slo.counting import Column, Counted

_SHARD_BITS = 8


class Rows(NamedTuple):
    """Counts, row by row; `column` are numbers of `Waiting.columns`."""

    column: np.ndarray  # (n,) int64
    pane: np.ndarray  # (n,) int64: event time
    at: np.ndarray  # (n,) int64: the pane at whose close it counts
    shard: np.ndarray  # (n,) int64
    counts: np.ndarray  # (n, 4) int64 (`detectors.rings`)
    trace: np.ndarray  # (n, 2) uint64

    def pick(self, rows: np.ndarray | slice) -> Rows:
        """Some rows."""
        return Rows(*(array[rows] for array in self))


_EMPTY = np.zeros(0, np.int64)
_NONE = Rows(_EMPTY, _EMPTY, _EMPTY, _EMPTY, np.zeros((0, 4), np.int64), np.zeros((0, 2), np.uint64))


class Waiting:
    """Counts of all shards, in an order that does not depend on which shard came first."""

    def __init__(self) -> None:
        self.columns: list[Column] = []
        self._numbers: dict[Column, int] = {}
        self._parts: list[Rows] = []

    def add(self, shard: int, counted: Counted) -> None:
        """Take what a shard has counted."""
        numbers = np.array([self._number(column) for column in counted.columns], np.int64)
        shards = np.full(len(counted.column), shard, np.int64)
        rows = Rows(numbers[counted.column], counted.pane, counted.at, shards, counted.counts, counted.trace)
        self._parts.append(rows)

    def _number(self, column: Column) -> int:
        number = self._numbers.setdefault(column, len(self.columns))
        if number == len(self.columns):
            self.columns.append(column)
        return number

    def take(self, upto: int) -> Rows:
        """What counts before pane `upto`, in order of the panes at whose close it does; the rest goes on waiting."""
        rows = self._all()
        is_due = rows.at < upto
        rest = rows.pick(~is_due)
        self._parts = [rest] if len(rest.at) else []
        due = rows.pick(is_due)
        return due.pick(np.argsort(due.at << _SHARD_BITS | due.shard, kind="stable"))

    def _all(self) -> Rows:
        return Rows(*(np.concatenate(arrays) for arrays in zip(_NONE, *self._parts, strict=True)))

    def snapshot(self) -> list[Any]:
        """Plain values and arrays."""
        rows = self._all()
        used, column = np.unique(rows.column, return_inverse=True)
        return [[list(self.columns[number]) for number in used.tolist()], column, *rows[1:]]

    @classmethod
    def restore(cls, fields: list[Any]) -> Self:
        """What `snapshot` gave."""
        columns, column, *arrays = fields
        waiting = cls()
        numbers = np.array([waiting._number(Column(*each)) for each in columns], np.int64)
        if len(column):
            waiting._parts.append(Rows(numbers[column], *arrays))
        return waiting
