"""Windows: runs of closed panes, with their percentiles; the first judge.

Panes are kept encoded, once, as runs of bytes. A window of at most a minute is merged from its panes whenever it is
shown. A longer one is kept as dense counts to which each closed run is added and from which the run that leaves is
taken: up to some minutes by panes, up to hours by minutes. What is stored is the runs; dense counts are made from them
again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from detectors.compact import (
    CELL_BYTES,
    SERIES_BYTES,
    encode_runs,
    merge_runs,
    recell_runs,
)
from detectors.histogram import Grid
from flows.dense import DenseWindow
from flows.series import OperationLabels
from flows.snapshot import pack, unpack
from flows.watermark import NEVER
from flows.window_samples import WindowSamples, WindowsShown

if TYPE_CHECKING:
    from collections.abc import Callable

    from flows.shard import Closed, Segment

_VERSION = 2
_BEFORE_UPTO = 1


@dataclass(frozen=True, slots=True)
class WindowRules:
    """Windows in panes. Those of at most `longest_short` slide by panes, longer ones by minutes."""

    grid: Grid
    windows: tuple[int, ...] = (12, 60, 720)
    quantiles: tuple[int, ...] = (500_000, 950_000, 990_000)  # parts per million, increasing
    minute: int = 12
    step: int = 12
    longest_short: int = 60
    dimensions: tuple[str, ...] = ()  # labels of the configured ones
    newest_only: bool = False  # of what is closed at once show the end (and minutes): a page has no past
    judged: tuple[int, ...] = ()  # windows of whole minutes that judges get, each at multiples of itself, shown or not

    @property
    def short(self) -> tuple[int, ...]:
        """Windows that slide by panes."""
        return tuple(window for window in self.windows if window <= self.longest_short)

    @property
    def long(self) -> tuple[int, ...]:
        """Windows that slide by minutes."""
        return tuple(window for window in self.windows if window > self.longest_short)


class _Merged(NamedTuple):
    """Windows of at most a minute, all that are kept of one."""

    lengths: list[int]  # (n_windows,) panes
    calls: np.ndarray  # (n_windows, n_operations) int64
    errors: np.ndarray  # (n_windows, n_operations) int64
    values: np.ndarray  # (n_windows, n_operations, n_quantiles) float64


class Windows:
    """The judge of windows for one shard: closed panes in, samples out.

    Args:
        rules: which windows and quantiles, shown when.
    """

    def __init__(self, rules: WindowRules) -> None:
        self.rules = rules
        self.key = ""
        self.upto = NEVER  # the shard has closed panes below
        self.position = NEVER
        self.first_pane = NEVER
        self._quantiles = np.array(rules.quantiles, np.int64)
        # The minute is merged with the windows that are shown: it is what long windows are made of.
        merged = [window for window in rules.short if window <= rules.minute]
        self._lengths = np.array([*merged, *({rules.minute} - set(merged))], np.int64)
        self._minute_index = self._lengths.tolist().index(rules.minute)
        self._panes: deque[bytes] = deque(maxlen=max(rules.minute, *rules.short, 0))
        self._sliding = {window: DenseWindow(window) for window in rules.short if window > rules.minute}
        self._long = [DenseWindow(window // rules.minute) for window in rules.long]
        self._dense = {**self._sliding, **dict(zip(rules.long, self._long, strict=True))}
        self._minutes: deque[bytes] = deque(maxlen=max((long.length for long in self._long), default=0))
        self._operations: dict[int, OperationLabels] = {}
        self._size = 0  # numbers of operations ever used; ended ones may still have panes in a ring
        self._alive: tuple[np.ndarray, list[OperationLabels]] | None = None
        self._was_shown = False

    def close(self, closed: Closed) -> WindowsShown:
        """Take what a shard closed, in order; returns the windows that are shown."""
        self.key = closed.key
        self.first_pane = closed.first_pane
        since, self.upto = self.upto, closed.upto
        said = WindowsShown(self.key, since, self.upto, self.first_pane, closed.done, [], [])
        for segment in closed.segments:
            self._segment(segment, said, is_last=segment is closed.segments[-1])
        return said

    def _segment(self, segment: Segment, said: WindowsShown, *, is_last: bool) -> None:
        if self.position == NEVER:
            self.position = segment.first
        self._skip(segment.first)
        if segment.ended_operations or segment.opened:
            self._change(segment)
        self._take(self._encode(segment))
        self.position = segment.stop
        at_minute = segment.stop % self.rules.minute == 0  # the only moment at which long windows are shown
        wanted = is_last or at_minute or not self.rules.newest_only
        shown = wanted and segment.stop % self.rules.step == 0
        if at_minute or shown:
            merged = self._merge(at_minute=at_minute)
            said.samples.extend(self._shown(merged, at_minute=at_minute) if shown else ())
            said.judged.extend(self._judged(merged) if at_minute else ())

    def _skip(self, to: int) -> None:
        """Panes that no segment speaks of are empty, and nothing is shown in them."""
        minute = self.rules.minute
        longest = max(self.rules.windows) + minute
        if to - self.position > 2 * longest:
            self._panes.clear()
            self._minutes.clear()
            for dense in (*self._sliding.values(), *self._long):
                dense.clear()
            self.position = to - to % minute
        while self.position < to:
            stop = min(to, (self.position // minute + 1) * minute)
            self._take([b""] * (stop - self.position))
            self.position = stop
            if stop % minute == 0:
                self._merge(at_minute=True)

    def _take(self, runs: list[bytes]) -> None:
        """Panes that closed, oldest first."""
        for run in runs:
            for dense in self._sliding.values():
                dense.slide(run, _leaving(self._panes, dense.length), self._size)
            self._panes.append(run)

    def _change(self, segment: Segment) -> None:
        for operation in segment.ended_operations:
            del self._operations[operation]
        for _, operation, labels in segment.opened:
            self._operations[operation] = labels.operation
            self._size = max(self._size, operation + 1)
        self._alive = None

    def _living(self) -> tuple[np.ndarray, list[OperationLabels]]:
        if self._alive is None:
            numbers = sorted(self._operations)
            self._alive = np.array(numbers, np.int64), [self._operations[number] for number in numbers]
        return self._alive

    def _encode(self, segment: Segment) -> list[bytes]:
        """One run of bytes a pane; late rows belong to none."""
        rows = segment.rows
        n_panes = segment.stop - segment.first
        if not len(rows):
            return [b""] * n_panes
        order = np.lexsort((segment.operation, rows.at))
        order = order[(rows.at == rows.pane)[order]]
        cells = int(rows.cell_starts[-1] - rows.cell_starts[0])
        out = np.empty(SERIES_BYTES * len(rows) + CELL_BYTES * cells, np.uint8)
        ends = np.zeros(n_panes, np.int64)
        encode_runs(
            order,
            rows.at - segment.first,
            segment.operation,
            segment.error,
            rows.cell_starts,
            rows.cell,
            rows.cell_weight,
            ends,
            len(self.rules.grid),
            out,
        )
        data = out[: ends[-1]].tobytes()
        bounds = [0, *ends.tolist()]
        return [data[bounds[i] : bounds[i + 1]] for i in range(n_panes)]

    def _shown(self, merged: _Merged, *, at_minute: bool) -> list[WindowSamples]:
        """Every window that ends here, where there is a series, or was one the last time: its end is shown once."""
        is_alive = bool(self._living()[1])
        was_shown, self._was_shown = self._was_shown, is_alive
        if not (is_alive or was_shown):
            return []
        windows = self.rules.short + (self.rules.long if at_minute else ())
        return [self._window(window, merged) for window in windows]

    def _judged(self, merged: _Merged) -> list[WindowSamples]:
        due = [window for window in self.rules.judged if self.position % window == 0]
        return [self._window(window, merged) for window in due] if self._living()[1] else []

    def _window(self, window: int, merged: _Merged) -> WindowSamples:
        if window not in merged.lengths:
            return self._dense_sample(self._dense[window], window)
        alive, labels = self._living()
        at = merged.lengths.index(window)
        return self._sample(window, labels, merged.calls[at, alive], merged.errors[at, alive], merged.values[at, alive])

    def shown(self) -> WindowsShown:
        """Every window as it stands: of short ones as of the last pane, of long ones as of the last minute."""
        samples = self._shown(self._merge(at_minute=False), at_minute=True)
        return WindowsShown(self.key, self.upto, self.upto, self.first_pane, False, samples, [])

    def _dense_sample(self, dense: DenseWindow, window: int) -> WindowSamples:
        alive, labels = self._living()
        dense.grow(self._size)
        return self._sample(window, labels, *dense.read(alive, self._quantiles, self.rules.grid.middle_seconds))

    def _sample(
        self, window: int, labels: list[OperationLabels], calls: np.ndarray, errors: np.ndarray, values: np.ndarray
    ) -> WindowSamples:
        complete = self.position - window >= self.first_pane
        return WindowSamples(self.position, window, complete, labels, calls, errors, values, self.key)

    def _merge(self, *, at_minute: bool) -> _Merged:
        """The shortest windows; at a minute also what long ones are made of, which goes into them."""
        panes = list(self._panes)[-self.rules.minute :]
        data = np.frombuffer(b"".join(panes), np.uint8)
        starts = np.zeros(len(panes) + 1, np.int64)
        np.cumsum([len(run) for run in panes], out=starts[1:])
        n_windows = len(self._lengths)
        calls = np.zeros((n_windows, self._size), np.int64)
        errors = np.zeros((n_windows, self._size), np.int64)
        values = np.full((n_windows, self._size, len(self._quantiles)), np.nan)
        out = np.empty(2 * len(data) + 64, np.uint8) if at_minute else np.empty(0, np.uint8)
        written = merge_runs(
            data,
            starts,
            self._lengths,
            self._size,
            self._quantiles,
            self.rules.grid.middle_seconds,
            calls,
            errors,
            values,
            self._minute_index if at_minute else -1,
            out,
        )
        if at_minute:
            minute = out[:written].tobytes()
            for long in self._long:
                long.slide(minute, _leaving(self._minutes, long.length), self._size)
            self._minutes.append(minute)
        return _Merged(self._lengths.tolist(), calls, errors, values)

    # State

    def snapshot(self) -> bytes:
        """The whole state as versioned bytes: the runs, joined."""
        return pack(
            "windows",
            _VERSION,
            {
                "key": self.key,
                "cuts": self.rules.grid.cuts_ns,
                "dimensions": list(self.rules.dimensions),
                "upto": self.upto,
                "position": self.position,
                "first_pane": self.first_pane,
                "size": self._size,
                "panes": list(self._panes),
                "minutes": list(self._minutes),
                "operations": [[number, *of.plain()] for number, of in self._operations.items()],
            },
        )

    @classmethod
    def restore(cls, rules: WindowRules, data: bytes) -> Windows:
        """The judge that `snapshot` wrote down.

        Raises:
            SnapshotError: bytes of something else, or of a version this release does not read.
        """
        fields = unpack(data, "windows", _VERSION, _BEFORE_UPTO)
        windows = cls(rules)
        windows.key = fields["key"]
        windows.position = fields["position"]
        windows.upto = fields.get("upto", windows.position)
        windows.first_pane = fields["first_pane"]
        if fields["dimensions"] != list(rules.dimensions):
            return windows  # other dimensions make other operations, whose windows begin now
        windows._size = fields["size"]
        again = _recelling(fields["cuts"], rules.grid)
        windows._panes.extend(map(again, fields["panes"]))
        windows._minutes.extend(map(again, fields["minutes"]))
        for number, *plain in fields["operations"]:
            windows._operations[number] = OperationLabels.of(plain)
        for runs, dense in (
            *((windows._panes, sliding) for sliding in windows._sliding.values()),
            *((windows._minutes, long) for long in windows._long),
        ):
            for run in list(runs)[-dense.length :]:
                dense.slide(run, b"", windows._size)
        return windows


def _leaving(runs: deque[bytes], length: int) -> bytes:
    """What leaves a window of the last `length` runs when one more comes, b"" for nothing."""
    return runs[-length] if len(runs) >= length else b""


def _recelling(cuts_ns: list[int], grid: Grid) -> Callable[[bytes], bytes]:
    """Makes runs that were written with these cuts into runs of a grid."""
    if cuts_ns == grid.cuts_ns:
        return lambda run: run
    before = Grid(cuts_ns, grid.scale)
    cell_of = grid.cells_of(before)

    def again(run: bytes) -> bytes:
        out = np.empty(2 * len(run) + SERIES_BYTES, np.uint8)
        return out[: recell_runs(np.frombuffer(run, np.uint8), cell_of, len(grid), out)].tobytes()

    return again
