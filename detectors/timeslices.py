"""Timeslices: time that was good, instead of events that were (OpenSLO's budgeting method `Timeslices`).

A slice is good when its ratio of good events meets the slice's target; an empty one is good. So the slices of a window
are known from its ends alone, and rings need only count those that had events (as total) and those that were bad.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from detectors.burn_rate import error_budget
from detectors.rings import BAD, RAW_BAD, RAW_TOTAL, TOTAL

if TYPE_CHECKING:
    from collections.abc import Sequence

ONE = 1 << 20
"""The weight of a slice."""

_VERSION = 1
_EMPTY, _GOOD, _BAD = range(3)


class Changes(NamedTuple):
    """What `Rings.add` takes: slices that were judged, and those that late events made judge anew."""

    rows: np.ndarray
    """(n,) int64."""
    panes: np.ndarray
    """(n,) int64: the last pane of a slice, so that a window holds the slices that end in it."""
    counts: np.ndarray
    """(n, 4) int64; negative where a judgement is taken back."""


NO_CHANGES = Changes(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4), np.int64))


class Timeslices:
    """Judges slices for SLOs that share a slice length; rows are numbered as in the rings.

    Late events are taken into the last `kept` slices; older judgements stand, and `too_late` counts what came after.

    Args:
        slice_panes: The length of a slice, in panes; slices are aligned to the epoch.
        begin: The pane that will be closed first.
        kept: How many slices may still change.

    >>> slices = Timeslices(slice_panes=12, begin=0)
    >>> slices.set([0], np.array([0.9]))
    >>> slices.advance(12)
    >>> slices.add([0], [3], np.array([[10 << 20, 2 << 20, 10, 2]]))
    >>> found = slices.judge()
    >>> found.panes.tolist(), (found.counts[:, :2] / ONE).tolist()
    ([11], [[1.0, 1.0]])
    """

    def __init__(self, slice_panes: int, begin: int, kept: int = 32) -> None:
        self.slice_panes = slice_panes
        self.position = begin
        self.kept = kept
        self.too_late = 0
        """Raw events that came after their slice was beyond change."""
        self._allowed = np.zeros(0)
        self._counts = np.zeros((kept, 0, 2), np.int64)
        self._verdict = np.zeros((kept, 0), np.int8)
        self._touched = np.zeros(kept, np.bool_)
        self._pending = NO_CHANGES

    def set(self, rows: Sequence[int] | np.ndarray, targets: np.ndarray) -> None:
        """Begin with rows, and the ratio of good events that makes a slice of each good: (n,)."""
        more = int(np.max(rows, initial=-1)) + 1 - len(self._allowed)
        if more > 0:
            self._allowed = np.concatenate((self._allowed, np.zeros(more)))
            self._counts = np.concatenate((self._counts, np.zeros((self.kept, more, 2), np.int64)), axis=1)
            self._verdict = np.concatenate((self._verdict, np.zeros((self.kept, more), np.int8)), axis=1)
        self._counts[:, rows] = 0
        self._verdict[:, rows] = _EMPTY
        # A target of 1 is no objective, but a slice may be asked to be spotless.
        targets = np.asarray(targets, np.float64)
        below = targets < 1
        self._allowed[rows] = np.where(below, error_budget(np.where(below, targets, 0.5)), 0.0)

    def forget(self, rows: Sequence[int] | np.ndarray) -> None:
        """Drop rows: nothing of them is judged any more."""
        self._counts[:, rows] = 0
        self._verdict[:, rows] = _EMPTY

    def advance(self, position: int) -> None:
        """Close all panes before a position; over a gap of any length a walk around the slices kept."""
        before, self.position = (self.position - 1) // self.slice_panes, position
        now = (position - 1) // self.slice_panes
        if now > before:
            # A slice that a gap takes out of reach is judged while its counts are here.
            self._pending = _joined([self._pending, *self._judged(before - self.kept + 1, now - self.kept + 1)])
        entering = np.arange(max(before + 1, now - self.kept + 1), now + 1) % self.kept
        self._counts[entering] = 0
        self._verdict[entering] = _EMPTY
        self._touched[entering] = False

    def add(self, rows: Sequence[int] | np.ndarray, panes: Sequence[int] | np.ndarray, counts: np.ndarray) -> None:
        """Count events of closed panes; takes what `Rings.add` takes."""
        number = np.asarray(panes, np.int64) // self.slice_panes
        held = number > (self.position - 1) // self.slice_panes - self.kept
        self.too_late += int(counts[~held, RAW_TOTAL].sum())
        slot = number[held] % self.kept
        np.add.at(self._counts, (slot, np.asarray(rows, np.int64)[held]), counts[held][:, [TOTAL, BAD]])
        self._touched[slot] = True

    def judge(self) -> Changes:
        """Judge the slices that have ended since, or have late events; in order of time."""
        now = (self.position - 1) // self.slice_panes
        found = _joined([self._pending, *self._judged(now - self.kept + 1, now + 1)])
        self._pending = NO_CHANGES
        return found

    def snapshot(self) -> dict[str, Any]:
        """All state as plain values and arrays; the arrays are the object's own."""
        return {
            "version": _VERSION,
            "slice_panes": self.slice_panes,
            "position": self.position,
            "kept": self.kept,
            "too_late": self.too_late,
            "allowed": self._allowed,
            "counts": self._counts,
            "verdict": self._verdict,
            "touched": self._touched,
            "pending": list(self._pending),
        }

    @classmethod
    def restore(cls, state: dict[str, Any]) -> Timeslices:
        """What a snapshot holds.

        Raises:
            ValueError: It is of another version.
        """
        if state["version"] != _VERSION:
            raise ValueError(f"timeslices of version {state['version']} were found, {_VERSION} was expected")
        restored = cls(state["slice_panes"], state["position"], state["kept"])
        restored.too_late = state["too_late"]
        restored._allowed, restored._counts = state["allowed"].copy(), state["counts"].copy()
        restored._verdict, restored._touched = state["verdict"].copy(), state["touched"].copy()
        restored._pending = Changes(*(array.copy() for array in state["pending"]))
        return restored

    def _judged(self, first: int, end: int) -> list[Changes]:
        """Judge those of the slices first … end − 1 that have ended and were touched."""
        found = []
        for number in range(first, min(end, first + self.kept)):
            slot, last = number % self.kept, (number + 1) * self.slice_panes - 1
            if not self._touched[slot] or last >= self.position:
                continue
            self._touched[slot] = False
            before, after = self._verdict[slot], self._verdict_of(self._counts[slot])
            which = np.flatnonzero(before != after)
            counts = _as_counts(after[which]) - _as_counts(before[which])
            found.append(Changes(which, np.full(len(which), last, np.int64), counts))
            self._verdict[slot] = after
        return found

    def _verdict_of(self, counts: np.ndarray) -> np.ndarray:
        total, bad = counts[:, 0], counts[:, 1]
        good = bad / np.maximum(total, 1) <= self._allowed
        return np.where(total <= 0, _EMPTY, np.where(good, _GOOD, _BAD)).astype(np.int8)


def slice_counts(counts: np.ndarray, start: int, position: int, slice_panes: int) -> np.ndarray:
    """The counts of a window with every slice that ends in it as total, the empty ones too: they are good.

    Args:
        counts: (n, 4) of `Rings.window`, fed by `Timeslices.judge`: slices with events, and bad ones.
        start: The window's first pane, `Rings.start`.
        position: The present position.
        slice_panes: The length of a slice.

    Returns:
        (n, 4) int64. Total before less total after is how many were empty.

    >>> slice_counts(np.array([[2 * ONE, ONE, 2, 1]]), start=0, position=60, slice_panes=12).tolist()
    [[5242880, 1048576, 5, 1]]
    """
    whole = np.array(counts, np.int64)
    n = position // slice_panes - start // slice_panes
    whole[:, TOTAL] = n * ONE
    whole[:, RAW_TOTAL] = n
    return whole


def _joined(changes: list[Changes]) -> Changes:
    return Changes(*(np.concatenate(parts) for parts in zip(*changes, strict=True)))


def _as_counts(verdict: np.ndarray) -> np.ndarray:
    counts = np.zeros((len(verdict), 4), np.int64)
    counts[:, RAW_TOTAL] = verdict != _EMPTY
    counts[:, RAW_BAD] = verdict == _BAD
    counts[:, TOTAL] = counts[:, RAW_TOTAL] * ONE
    counts[:, BAD] = counts[:, RAW_BAD] * ONE
    return counts
