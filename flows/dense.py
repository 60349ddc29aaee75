"""A window as dense counts that slide: the run that enters is added, the one that leaves is taken away.

The counts are integers, so nothing drifts: they are those of the runs that are in the window, however they came there.
"""

from __future__ import annotations

import numpy as np

from detectors.compact import add_run, arena_quantiles, make_room, tidy_arena


class DenseWindow:
    """Dense counts of a window of many runs, in an arena with one range a series.

    Args:
        length: of how many runs, be they panes or minutes.
    """

    def __init__(self, length: int) -> None:
        self.length = length
        self.clear()

    def clear(self) -> None:
        """No run is in the window."""
        self._offset, self._base, self._length, self._calls, self._errors = np.zeros((5, 16), np.int64)
        self._arena = np.zeros(256, np.int64)
        self._used = 0

    def slide(self, entering: bytes, leaving: bytes, size: int) -> None:
        """Add the newest run and take away the one that leaves, b"" for none; `size`: numbers of series in use."""
        self.grow(size)
        if leaving:
            self._add(np.frombuffer(leaving, np.uint8), -1)
        if entering:
            newest = np.frombuffer(entering, np.uint8)
            self._reserve(newest)
            self._add(newest, 1)

    def grow(self, size: int) -> None:
        """Have room for `size` numbers of series."""
        if size <= len(self._offset):
            return
        more = np.zeros(max(size, 2 * len(self._offset)) - len(self._offset), np.int64)
        self._offset = np.concatenate([self._offset, more])
        self._base = np.concatenate([self._base, more])
        self._length = np.concatenate([self._length, more])
        self._calls = np.concatenate([self._calls, more])
        self._errors = np.concatenate([self._errors, more])

    def _add(self, run: np.ndarray, sign: int) -> None:
        add_run(run, sign, self._offset, self._base, self._arena, self._calls, self._errors)

    def _reserve(self, run: np.ndarray) -> None:
        used = make_room(run, self._offset, self._base, self._length, self._arena, self._used)
        while used < 0:
            self._tidy(-1 - used)
            used = make_room(run, self._offset, self._base, self._length, self._arena, self._used)
        self._used = used

    def _tidy(self, needed: int) -> None:
        """Close the gaps that moved and emptied ranges left, with half as much room again as is needed."""
        lost = self._used - int(self._length[self._calls > 0].sum())
        arena = np.zeros((needed - lost) * 3 // 2 + 256, np.int64)
        self._used = tidy_arena(self._offset, self._base, self._length, self._calls, self._arena, arena)
        self._arena = arena

    def read(
        self, series: np.ndarray, quantiles: np.ndarray, middle_seconds: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Calls, errors (n,) int64 and quantiles (n, n_quantiles) of some series, (n,) int64."""
        values = np.empty((len(series), len(quantiles)))
        arena_quantiles(
            series,
            self._offset,
            self._base,
            self._length,
            self._arena,
            self._calls,
            quantiles,
            middle_seconds,
            values,
        )
        return self._calls[series], self._errors[series], values
