"""Summary: what a replay found, small enough to be shown: operations, worst minutes, what was left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from detectors.compact import CELL_BYTES, SERIES_BYTES, encode_runs
from flows.anomalies.pooled import Pools
from flows.decode.batch import WEIGHT_BITS
from flows.dense import DenseWindow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporters.alerts import Alert
    from flows.anomalies.pooled import Group, Pool
    from flows.anomalies.strange import Strange
    from flows.emission import Emission, Tally
    from flows.panes import Rows
    from flows.rules import Rules
    from flows.series import OperationLabels
    from flows.shard import Closed, ServiceFigures
    from flows.slo.judge import SloShown
    from flows.window_samples import WindowSamples

_FEWEST_CALLS = 10
"""A minute with fewer calls says nothing about a percentile."""


class OperationFigures(NamedTuple):
    """One operation over the whole replay."""

    operation: OperationLabels
    calls: int
    errors: int
    quantiles: tuple[float, ...]  # seconds


class Minute(NamedTuple):
    """One operation in one window."""

    end_ns: int
    operation: OperationLabels
    calls: int
    errors: int
    p95: float  # seconds


@dataclass(slots=True)
class Found:
    """What one worker found; plain values, so that workers can hand it on."""

    tallies: dict[int, dict[str, Tally]] = field(default_factory=dict)  # by slot, by source
    operations: list[OperationFigures] = field(default_factory=list)
    minutes: list[Minute] = field(default_factory=list)
    services: dict[str, ServiceFigures] = field(default_factory=dict)
    alerts: list[Alert] = field(default_factory=list)  # as they were last, by their start
    matched: set[tuple[str, str, str]] = field(default_factory=set)  # name, service, objective of SLOs with events
    panes: set[int] = field(default_factory=set)  # in which a span ended, on time
    scores: dict[Group, Pool] = field(default_factory=dict)  # where they are asked for
    first_ns: int = -1
    upto_ns: int = -1

    def add(self, other: Found) -> None:
        """Join what another worker found."""
        self.tallies.update(other.tallies)
        self.operations += other.operations
        self.minutes += other.minutes
        self.services.update(other.services)
        self.alerts += other.alerts
        self.matched |= other.matched
        self.panes |= other.panes
        self.scores.update(other.scores)
        known = [first for first in (self.first_ns, other.first_ns) if first >= 0]
        self.first_ns = min(known, default=-1)
        self.upto_ns = max(self.upto_ns, other.upto_ns)

    def total(self) -> Counter[tuple[str, str]]:
        """Everything that was counted, over all sources."""
        total: Counter[tuple[str, str]] = Counter()
        for sources in self.tallies.values():
            for tally in sources.values():
                total.update(tally)
        return total


class Summary:
    """Collects what the shards of one process close.

    Args:
        rules: of the flow.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.found = Found()
        self._totals: dict[str, _Totals] = {}
        self._minutes: list[WindowSamples] = []
        self._alerts: dict[str, Alert] = {}
        self._pools = Pools()
        self._slos: SloShown | None = None

    def read(self, emission: Emission) -> None:
        """Note what a source counted."""
        self.found.tallies[emission.progress.slot] = emission.tallies

    def closed(self, key: str, closed: Closed) -> None:
        """Add closed panes to the totals; late spans count too."""
        pane_ns = self._rules.time.pane_ns
        if closed.first_pane >= 0:
            self.found.first_ns = closed.first_pane * pane_ns
        self.found.upto_ns = max(self.found.upto_ns, closed.upto * pane_ns)
        totals = self._totals.setdefault(key, _Totals(len(self._rules.grid)))
        for segment in closed.segments:
            for _, operation, labels in segment.opened:
                totals.name(operation, labels.operation)
            totals.add(segment.operation, segment.error, segment.rows)
            self.found.panes.update(np.unique(segment.rows.at[segment.rows.pane == segment.rows.at]).tolist())
            for figures in segment.services:
                self.found.services[figures.service] = figures

    def windows(self, sample: WindowSamples) -> None:
        """Keep minutes."""
        if sample.window == self._rules.windows.minute:
            self._minutes.append(sample)

    def alerts(self, alerts: Sequence[Alert]) -> None:
        """Keep the newest word of every alert."""
        self._alerts.update({each.id: each for each in alerts})

    def slos(self, shown: SloShown) -> None:
        """Note how objectives stand."""
        self._slos = shown

    def strange(self, end_ns: int, strange: Sequence[Strange]) -> None:
        """Keep the largest scores of a key's step."""
        self._pools.add(end_ns, strange)

    def finish(self) -> Found:
        """What was found."""
        self.found.scores = self._pools.found
        if self._slos is not None:
            self.found.matched = {
                (each.promise.name, each.promise.service, each.promise.objective_name)
                for each in self._slos.figures
                if any(window.events for window in each.windows)
            }
        self.found.alerts = sorted(self._alerts.values(), key=lambda each: (each.starts_at_ns, each.labels))
        quantiles = np.array(self._rules.windows.quantiles, np.int64)
        for totals in self._totals.values():
            self.found.operations += totals.figures(quantiles, self._rules.grid.middle_seconds)
        p95 = int(np.abs(quantiles - 950_000).argmin())
        for sample in self._minutes:
            for i in np.flatnonzero(sample.calls >> WEIGHT_BITS >= _FEWEST_CALLS).tolist():
                self.found.minutes.append(
                    Minute(
                        sample.end * self._rules.time.pane_ns,
                        sample.operations[i],
                        int(sample.calls[i]) >> WEIGHT_BITS,
                        int(sample.errors[i]) >> WEIGHT_BITS,
                        float(sample.quantiles[i, p95]),
                    )
                )
        return self.found


class _Totals:
    """The whole replay as one window that never ends, for one shard."""

    def __init__(self, n_grid: int) -> None:
        self._n_grid = n_grid
        self._window = DenseWindow(0)
        self._labels: list[OperationLabels] = []
        self._numbers: dict[OperationLabels, int] = {}
        self._number_of = np.zeros(0, np.int32)

    def name(self, operation: int, labels: OperationLabels) -> None:
        """Operations may come back under another number after they ended."""
        number = self._numbers.setdefault(labels, len(self._labels))
        if number == len(self._labels):
            self._labels.append(labels)
        if operation >= len(self._number_of):
            more = np.zeros(max(16, 2 * operation) - len(self._number_of), np.int32)
            self._number_of = np.concatenate([self._number_of, more])
        self._number_of[operation] = number

    def add(self, operation: np.ndarray, error: np.ndarray, rows: Rows) -> None:
        if not len(rows):
            return
        number = self._number_of[operation]
        cells = int(rows.cell_starts[-1] - rows.cell_starts[0])
        out = np.empty(SERIES_BYTES * len(rows) + CELL_BYTES * cells, np.uint8)
        ends = np.zeros(1, np.int64)
        encode_runs(
            np.argsort(number, kind="stable"),
            np.zeros(len(rows), np.int64),
            number,
            error,
            rows.cell_starts,
            rows.cell,
            rows.cell_weight,
            ends,
            self._n_grid,
            out,
        )
        self._window.slide(out[: ends[0]].tobytes(), b"", len(self._labels))

    def figures(self, quantiles: np.ndarray, middle_seconds: np.ndarray) -> list[OperationFigures]:
        """All operations of the shard."""
        numbers = np.arange(len(self._labels), dtype=np.int64)
        calls, errors, values = self._window.read(numbers, quantiles, middle_seconds)
        return [
            OperationFigures(
                labels, int(calls[i]) >> WEIGHT_BITS, int(errors[i]) >> WEIGHT_BITS, tuple(values[i].tolist())
            )
            for i, labels in enumerate(self._labels)
        ]
