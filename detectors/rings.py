"""Counts of good and bad by event time: rings of slots, finer for shorter windows, one row for each SLO.

Four counts a slot: weights of all and of bad events (fixed point, in units of 2^-20), and how many they were (raw). All
are integers, so that a window is the same whatever the order in which its events came, and nothing drifts.

A window is served by the finest ring that holds it, ends at the present position, and its start is **aligned down** to
that ring's step: it is longer than its name by less than a step, never shorter. A late event goes into the slot of its
event time in each ring that still holds it, so every later window and the budget agree about it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from detectors.kernels import kernel
from detectors.ring_rules import RingRules as RingRules  # who makes a bank has its rules at hand

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TOTAL, BAD, RAW_TOTAL, RAW_BAD = range(4)
"""The counts of a slot and of a window."""

WEIGHT_BITS = 20
"""Weights are fixed-point numbers in units of 2^-20."""

_VERSION = 1


class Rings:
    """A bank of rings: one row for each SLO, all with one period.

    Counts come in by pane number (event time // pane). The present position is the number of the first pane that is
    not closed yet. Row numbers stay as they are until the row is removed; then they may be given to a later row.

    Args:
        rules: What is kept.
        begin: The pane that will be closed first.

    >>> minute = 60 * 1_000_000_000
    >>> rings = Rings(RingRules(60 * minute, (minute,)), begin=100)
    >>> row = rings.add_rows(1)
    >>> rings.advance(101)
    >>> rings.add(row, [100], np.array([[8 << 20, 1 << 20, 8, 1]]))
    >>> rings.window(minute)[row].tolist()
    [[8388608, 1048576, 8, 1]]
    >>> rings.advance(113)
    >>> rings.window(minute)[row].tolist(), int(rings.period()[row[0], RAW_TOTAL])
    ([[0, 0, 0, 0]], 8)
    """

    def __init__(self, rules: RingRules, begin: int) -> None:
        self.rules = rules
        self.position = begin
        self.used = np.zeros(0, np.bool_)
        """(n_rows,): which row numbers are taken."""
        self.since = np.zeros(0, np.int64)
        """(n_rows,): the pane from which on a row's history is known."""
        self._shapes = rules.rings
        self._counts = [np.zeros((ring.slots, 0, 4), np.int64) for ring in self._shapes]
        self._windows = [window // rules.pane_ns for window in rules.windows_ns]
        self._serving = [rules.serving(window) for window in rules.windows_ns]
        self._sums = np.zeros((len(self._windows), 0, 4), np.int64)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(a.nbytes for a in (*self._counts, self._sums, self.since, self.used))

    @property
    def n_rows(self) -> int:
        """How many row numbers there are, taken or free: the length of what `window` gives."""
        return len(self.used)

    def add_rows(self, n: int, since: int | None = None) -> np.ndarray:
        """Take rows for new SLOs; one call for many is cheaper than many calls.

        Args:
            n: How many.
            since: The pane from which on their history is known; the present position if not given.

        Returns:
            (n,) int64 row numbers, increasing.
        """
        free = np.flatnonzero(~self.used)
        if len(free) < n:
            self._grow(n - len(free))
            free = np.flatnonzero(~self.used)
        rows = free[:n]
        self.used[rows] = True
        self.since[rows] = self.position if since is None else min(since, self.position)
        return rows

    def remove_rows(self, rows: Sequence[int] | np.ndarray) -> None:
        """Forget SLOs; their row numbers become free."""
        self.used[rows] = False
        self._sums[:, rows] = 0
        for counts in self._counts:
            counts[:, rows] = 0

    def advance(self, position: int) -> None:
        """Close all panes before a position; a gap of any length costs no more than a walk around each ring.

        Raises:
            ValueError: The position is before the present one.
        """
        before, self.position = self.position, position
        if position < before:
            raise ValueError(f"position {position} is before the present one, {before}: panes close in order")
        for w, window in enumerate(self._windows):
            ring = self._serving[w]
            step = self._shapes[ring].step
            first, end = (before - window) // step, (position - window) // step
            if end > (before - 1) // step:
                self._sums[w] = 0
            elif end > first:
                self._sums[w] -= self._sum_of(ring, first, end)
        for shape, counts in zip(self._shapes, self._counts, strict=True):
            first, end = (before - 1) // shape.step + 1, (position - 1) // shape.step + 1
            for part in _around(max(first, end - shape.slots), end, shape.slots):
                counts[part] = 0

    def add(self, rows: Sequence[int] | np.ndarray, panes: Sequence[int] | np.ndarray, counts: np.ndarray) -> None:
        """Count events of closed panes, late ones too; what a ring does not hold any more is left out of that ring.

        Args:
            rows: (n,) in any order, with repeats.
            panes: (n,) when the events happened, before the present position.
            counts: (n, 4) int64: weight, bad weight (both in 2^-20), raw count, raw bad count.

        Raises:
            ValueError: A pane is not closed yet: advance first.
        """
        which, when = np.asarray(rows, np.int64), np.asarray(panes, np.int64)
        if len(when) and int(when.max()) >= self.position:
            raise ValueError(f"pane {when.max()} is not closed at position {self.position}: advance before adding")
        for ring, shape in enumerate(self._shapes):
            slot = when // shape.step
            held = slot > (self.position - 1) // shape.step - shape.slots
            if not held.all():
                # A later ring holds all that this one holds: what is out here stays for it.
                self._add_held(ring, which[held], slot[held], counts[held])
            else:
                self._add_held(ring, which, slot, counts)

    def window(self, window_ns: int) -> np.ndarray:
        """(n_rows, 4) int64: the counts of the window that ends at the present position; a view, not to be written.

        Raises:
            ValueError: The window is none of the rules'.
        """
        counts: np.ndarray = self._sums[self._index(window_ns)]
        return counts

    def period(self) -> np.ndarray:
        """(n_rows, 4) int64: the counts of the period that ends at the present position."""
        return self.window(self.rules.period_ns)

    def start(self, window_ns: int) -> int:
        """The pane with which the window begins that ends at the present position."""
        w = self._index(window_ns)
        step = self._shapes[self._serving[w]].step
        return int((self.position - self._windows[w]) // step * step)

    def history_ns(self) -> np.ndarray:
        """(n_rows,) int64: how much history each row has, known or primed."""
        return (self.position - self.since) * self.rules.pane_ns

    def armed(self, window_ns: int) -> np.ndarray:
        """(n_rows,) bool: whether history covers half of a window at least."""
        return self.used & (2 * self.history_ns() >= window_ns)

    def filled(self, window_ns: int) -> np.ndarray:
        """(n_rows, 4) float64: `window`, with missing history as the mean traffic of the known, without errors.

        A young SLO would else take its first hour for three days, and page for what a full window shrugs off.
        """
        counts = self.window(window_ns).astype(np.float64)
        span = self.position - self.start(window_ns)
        known = np.clip(self.position - self.since, 0, span)
        scale = np.where(known > 0, span / np.maximum(known, 1), 1.0)
        counts[:, TOTAL] *= scale
        counts[:, RAW_TOTAL] *= scale
        return counts

    def prime(self, rows: Sequence[int] | np.ndarray, seed: Rings, seed_rows: Sequence[int] | np.ndarray) -> None:
        """Give rows another bank's history, moved so that it ends where their own begins.

        Slots move as wholes, so that a count may come to lie earlier by less than its ring's step.

        Args:
            rows: (n,) without repeats.
            seed: A bank of the same rings.
            seed_rows: (n,) whose history each of the rows gets.

        Raises:
            ValueError: The seed has other rings.
        """
        if seed.rules.rings != self.rules.rings:
            raise ValueError(
                f"the seed was made for a period of {seed.rules.period_ns} ns in panes of {seed.rules.pane_ns} ns, and "
                f"here they are {self.rules.period_ns} ns and {self.rules.pane_ns} ns: make one with these settings"
            )
        for row, source in zip(rows, seed_rows, strict=True):
            moved = int(self.since[row]) - seed.position
            for shape, mine, theirs in zip(self._shapes, self._counts, seed._counts, strict=True):
                end = (seed.position - 1) // shape.step + 1
                slots = np.arange(end - shape.slots, end)
                to = slots + moved // shape.step
                held = to > (self.position - 1) // shape.step - shape.slots
                mine[to[held] % shape.slots, row] += theirs[slots[held] % shape.slots, source]
            self.since[row] = seed.since[source] + moved
        self._sum_anew()

    def snapshot(self) -> dict[str, Any]:
        """All state as plain values and arrays, a fifth of what it takes here for spans that are not sampled."""
        return {
            "version": _VERSION,
            "pane_ns": self.rules.pane_ns,
            "period_ns": self.rules.period_ns,
            "position": self.position,
            "used": self.used.copy(),
            "since": self.since.copy(),
            "rings": [_compact(counts) for counts in self._counts],
        }

    @classmethod
    def restore(cls, state: dict[str, Any], windows_ns: Iterable[int]) -> Rings:
        """The bank of a snapshot; its windows may be others than before.

        Raises:
            ValueError: The snapshot is of another version.
        """
        if state["version"] != _VERSION:
            raise ValueError(f"rings of version {state['version']} were found, version {_VERSION} was expected")
        rings = cls(RingRules(state["period_ns"], tuple(windows_ns), state["pane_ns"]), state["position"])
        rings.used, rings.since = state["used"].copy(), state["since"].copy()
        rings._counts = [_expanded(ring) for ring in state["rings"]]
        rings._sum_anew()
        return rings

    def _index(self, window_ns: int) -> int:
        if window_ns not in self.rules.windows_ns:
            raise ValueError(f"no window of {window_ns} ns is kept; there are {list(self.rules.windows_ns)}")
        return self.rules.windows_ns.index(window_ns)

    def _grow(self, n: int) -> None:
        """Make room for more rows: some to spare, for copying a full bank for each new row would be slow."""
        n = max(n, self.n_rows // 16)
        self.used = np.concatenate((self.used, np.zeros(n, np.bool_)))
        self.since = np.concatenate((self.since, np.zeros(n, np.int64)))
        self._sums = _wider(self._sums, n)
        for i, counts in enumerate(self._counts):
            self._counts[i] = _wider(counts, n)

    def _sum_of(self, ring: int, first: int, end: int) -> np.ndarray:
        """(n_rows, 4): the counts of the slots numbered first … end − 1, at most as many as there are."""
        counts = self._counts[ring]
        total = np.zeros(counts.shape[1:], np.int64)
        for part in _around(first, end, self._shapes[ring].slots):
            total += counts[part].sum(axis=0)
        return total

    def _sum_anew(self) -> None:
        """All windows from their slots."""
        sums = []
        for window, ring in zip(self._windows, self._serving, strict=True):
            step = self._shapes[ring].step
            sums.append(self._sum_of(ring, (self.position - window) // step, (self.position - 1) // step + 1))
        self._sums = np.stack(sums)

    def _add_held(self, ring: int, rows: np.ndarray, slot: np.ndarray, counts: np.ndarray) -> None:
        """Add to a ring and to the windows that it serves."""
        flat = self._counts[ring].reshape(-1, 4)
        _accumulate(flat, slot % self._shapes[ring].slots * self.n_rows + rows, counts)
        for w, window in enumerate(self._windows):
            if self._serving[w] == ring:
                inside = slot >= (self.position - window) // self._shapes[ring].step
                if inside.all():
                    _accumulate(self._sums[w], rows, counts)
                else:
                    _accumulate(self._sums[w], rows[inside], counts[inside])


def _around(first: int, end: int, slots: int) -> list[slice]:
    """The slots first … end − 1 of a ring (at most all of them) as one slice, or as two around its end."""
    if end <= first:
        return []
    low, high = first % slots, (end - 1) % slots + 1
    return [slice(low, high)] if low < high else [slice(low, slots), slice(0, high)]


@kernel
def _accumulate(target: np.ndarray, where: np.ndarray, counts: np.ndarray) -> None:
    """Add rows (n, 4) to target (m, 4) at places (n,) int64, which may repeat.

    Raises:
        IndexError: A place is outside.
    """
    for place in where:
        if not 0 <= place < len(target):
            raise IndexError("a row number is outside the bank")
    for i in range(len(where)):
        for k in range(4):
            target[where[i], k] += counts[i, k]


def _wider(counts: np.ndarray, n: int) -> np.ndarray:
    """(slots, n_rows, 4) with n empty rows more."""
    return np.concatenate((counts, np.zeros((counts.shape[0], n, 4), np.int64)), axis=1)


def _compact(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Raw counts (slots, n_rows, 2) in as few bytes as hold them, and weights of the rows where they are others."""
    raw = counts[:, :, RAW_TOTAL:]
    kinds = [np.min_scalar_type(int(value)) for value in (raw.min(initial=0), raw.max(initial=0))]
    sampled = np.flatnonzero((counts[:, :, :RAW_TOTAL] != raw << WEIGHT_BITS).any(axis=(0, 2)))
    return {"raw": raw.astype(np.result_type(*kinds)), "sampled": sampled, "weights": counts[:, sampled, :RAW_TOTAL]}


def _expanded(ring: dict[str, np.ndarray]) -> np.ndarray:
    """The counts of `_compact`."""
    raw = ring["raw"].astype(np.int64)
    counts = np.concatenate((raw << WEIGHT_BITS, raw), axis=2)
    counts[:, ring["sampled"], :RAW_TOTAL] = ring["weights"]
    return counts
