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


class _Numbers(dict[Column, int]):
    """The number of each column, given when it is asked for first."""

    def __init__(self) -> None:
        super().__init__()
        self.columns: list[Column] = []

    def __missing__(self, column: Column) -> int:
        number = self[column] = len(self.columns)
        self.columns.append(column)
        return number


class Waiting:
    """Counts of all shards, in an order that does not depend on which shard came first."""

    def __init__(self) -> None:
        self._numbers = _Numbers()
        self._heard: list[tuple[int, Counted]] = []  # shard and what it counted: put into rows all at once
        self._rows = _NONE

    @property
    def columns(self) -> list[Column]:
        """All columns that there were, by number."""
        return self._numbers.columns

    def add(self, shard: int, counted: Counted) -> None:
        """Take what a shard has counted."""
        self._heard.append((shard, counted))

    def take(self, upto: int) -> Rows:
        """What counts before pane `upto`, in order of the panes at whose close it does; the rest goes on waiting."""
        rows = self._all()
        is_due = rows.at < upto
        rest = rows.pick(~is_due)
        self._rows = rest
        due = rows.pick(is_due)
        return due.pick(np.argsort(due.at << _SHARD_BITS | due.shard, kind="stable"))

    def _all(self) -> Rows:
        if self._heard:
            shards, heard = zip(*self._heard, strict=True)
            numbers = np.array([self._numbers[column] for each in heard for column in each.columns], np.int64)
            firsts = np.cumsum([0, *(len(each.columns) for each in heard[:-1])])
            lengths = [len(each.column) for each in heard]
            column = numbers[np.concatenate([each.column for each in heard]) + np.repeat(firsts, lengths)]
            rows = Rows(
                column,
                np.concatenate([each.pane for each in heard]),
                np.concatenate([each.at for each in heard]),
                np.repeat(np.array(shards, np.int64), lengths),
                np.concatenate([each.counts for each in heard]),
                np.concatenate([each.trace for each in heard]),
            )
            self._rows = Rows(*(np.concatenate(arrays) for arrays in zip(self._rows, rows, strict=True)))
            self._heard = []
        return self._rows

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
        numbers = np.array([waiting._numbers[Column(*each)] for each in columns], np.int64)
        if len(column):
            waiting._rows = Rows(numbers[column], *arrays)
        return waiting
