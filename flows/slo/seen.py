"""What is remembered of each row beside its counts: when it had events last, and which trace was bad last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from detectors.rings import BAD
from flows.watermark import NEVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.slo.waiting import Rows


class Seen:
    """The last things seen, by row number."""

    def __init__(self) -> None:
        self.last = np.zeros(0, np.int64)
        """(n_rows,) the pane at whose close there were events last, NEVER before the first."""
        self.trace = np.zeros((0, 2), np.uint64)
        """(n_rows, 2) halves of the trace id of a bad span, the slowest of its shard's pane; zeros: none yet."""

    def clear(self, rows: Sequence[int] | np.ndarray) -> None:
        """Rows begin anew; there are as many as it takes."""
        missing = max(rows, default=-1) + 1 - len(self.last)
        if missing > 0:
            missing = max(missing, len(self.last) // 16)
            self.last = np.concatenate([self.last, np.full(missing, NEVER, np.int64)])
            self.trace = np.concatenate([self.trace, np.zeros((missing, 2), np.uint64)])
        self.last[rows] = NEVER
        self.trace[rows] = 0

    def note(self, rows: np.ndarray, of: Rows, pane: int) -> None:
        """Events of row `rows[i]` counted as `of` says when a pane closed."""
        self.last[rows] = pane
        bad = of.counts[:, BAD] > 0
        self.trace[rows[bad]] = of.trace[bad]  # of several of one row the last, and they are in order of shards

    def excuse(self, rows: np.ndarray, pane: int) -> None:
        """Rows of which nothing is expected when a pane closes: their silence begins after it."""
        begun = rows[self.last[rows] != NEVER]
        self.last[begun] = pane

    def snapshot(self) -> list[Any]:
        """Arrays."""
        return [self.last, self.trace]

    def restore(self, fields: list[Any]) -> None:
        """What `snapshot` gave."""
        self.last, self.trace = (array.copy() for array in fields)
