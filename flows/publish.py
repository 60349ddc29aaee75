"""Publish: closed panes and windows → samples under the exporters' names."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from detectors.scale import QUANTILE_UNIT
from exporters import names
from exporters.labels import LabelSet
from exporters.samples import Exemplars, Samples, bucket_columns, by_label, window_columns
from flows.decode.batch import KINDS, STATUSES, WEIGHT_BITS
from flows.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from detectors.tiers import Severity
    from exporters.names import Family
    from flows.admission import Opened
    from flows.anomalies.scored import Scored, ScoredSeries
    from flows.emission import Tally
    from flows.rules import Rules
    from flows.series import OperationLabels, SeriesLabels
    from flows.shard import Closed, Segment
    from flows.window_samples import WindowSamples

_NS_PER_MS = 1e6
_BAND = (((names.EXPECTED_BOUND, "lower"),), ((names.EXPECTED_BOUND, "upper"),))


class Publisher:
    """Makes samples of what the shards of one process close.

    Args:
        rules: of the flow.
        dimensions: label names, in the order of the label sets.
        bounds_ms: of the classic buckets.
        step_ns: how far apart the shown times are.
    """

    def __init__(self, rules: Rules, dimensions: Sequence[str], bounds_ms: Sequence[float], step_ns: int) -> None:
        self._rules = rules
        self._dimensions = tuple(dimensions)
        self._buckets = bucket_columns(bounds_ms)
        self._step_ns = step_ns
        self._series: dict[tuple[str, int], LabelSet] = {}
        self._operations: dict[OperationLabels, LabelSet] = {}
        self._scored: dict[ScoredSeries, LabelSet] = {}
        self._begun: dict[str, list[Opened]] = {}
        self._quantiles = [quantile / QUANTILE_UNIT for quantile in rules.windows.quantiles]

    def window_name(self, panes: int) -> str:
        """A window as people write it: 5m."""
        return format_duration(panes * self._rules.time.pane_ns)

    def end_ns(self, pane: int) -> int:
        """The event time at which panes below `pane` are over."""
        return pane * self._rules.time.pane_ns

    def closed(self, key: str, closed: Closed) -> list[Samples]:
        """The counters that a shard shows, and those of its services."""
        samples: list[Samples] = []
        for segment in closed.segments:
            for slot in segment.ended:
                self._series.pop((key, slot), None)
            for opened in segment.opened:
                self._series[key, opened.slot] = self._series_labels(opened.labels)
            self._begun.setdefault(key, []).extend(segment.opened)
            if segment.counters is not None:
                samples += self._counters(key, segment)
        return samples

    def page(self, key: str, closed: Closed) -> list[Samples]:
        """What a live page shows of a shard's counters after it closed panes: as of the last of them.

        Series that begin with the last pane are shown as 0 for as long as it is the last: `rate` then sees their first
        spans too.
        """
        for segment in closed.segments:
            for slot in segment.ended:
                self._series.pop((key, slot), None)
            for opened in segment.opened:
                self._series[key, opened.slot] = self._series_labels(opened.labels)
        last = closed.segments[-1] if closed.segments else None
        if last is None or last.counters is None:
            return []
        begun = [opened.slot for opened in last.opened] if last.stop > last.first else []
        return self._families(key, last, np.isin(last.counters.slots, begun))

    def _counters(self, key: str, segment: Segment) -> list[Samples]:
        zeros = self._zeros(key, self.end_ns(segment.stop) - self._step_ns)
        return zeros + self._families(key, segment, None)

    def _families(self, key: str, segment: Segment, zero: np.ndarray | None) -> list[Samples]:
        """The counters of a segment; `zero`, (n_slots,) bool: which of them are shown as 0."""
        counters = segment.counters
        assert counters is not None
        at_ns = self.end_ns(segment.stop)
        labels = [self._series[key, slot] for slot in counters.slots.tolist()]
        cumulative = np.cumsum(counters.buckets, axis=1) >> WEIGHT_BITS
        calls = counters.calls >> WEIGHT_BITS
        sums = counters.sum_ns / _NS_PER_MS
        if zero is not None and zero.any():
            cumulative[zero], calls[zero], sums[zero] = 0, 0, 0.0
        seen = counters.slow_ns >= 0
        exemplars = Exemplars(
            np.where(seen, counters.slow_trace[:, 0], 0).astype(np.uint64),
            np.where(seen, counters.slow_trace[:, 1], 0).astype(np.uint64),
            np.maximum(counters.slow_ns, 0) / _NS_PER_MS,
            np.full(len(labels), at_ns, np.int64),
        )
        samples = [
            by_label(names.CALLS, at_ns, labels, calls),
            Samples(
                names.DURATION_MILLISECONDS, at_ns, labels, cumulative, self._buckets, sums=sums, exemplars=exemplars
            ),
        ]
        services = [LabelSet([(names.SERVICE_NAME, figures.service)]) for figures in segment.services]
        for family, column in (
            (names.SERIES, [figures.series for figures in segment.services]),
            (names.SERIES_DEMAND, [figures.demand for figures in segment.services]),
            (names.SERIES_OVERFLOW, [figures.overflowed for figures in segment.services]),
        ):
            samples.append(by_label(family, at_ns, services, np.array(column, np.int64)))
        return samples

    def _zeros(self, key: str, at_ns: int) -> list[Samples]:
        """Counters of new series, 0 before their first pane: `rate` then sees their first spans too."""
        begun = self._begun.pop(key, [])
        labels = [self._series[key, slot] for slot, _, _ in begun if (key, slot) in self._series]
        if not labels:
            return []
        zeros = np.zeros((len(labels), len(self._buckets)), np.int64)
        return [
            by_label(names.CALLS, at_ns, labels, zeros[:, 0]),
            Samples(names.DURATION_MILLISECONDS, at_ns, labels, zeros, self._buckets, sums=np.zeros(len(labels))),
        ]

    def windows(self, sample: WindowSamples) -> list[Samples]:
        """The gauges of a window."""
        at_ns = self.end_ns(sample.end)
        labels = self.operations(sample.operations)
        window = self.window_name(sample.window)
        column = window_columns(window)
        return [
            Samples(names.SPAN_DURATION, at_ns, labels, sample.quantiles, window_columns(window, self._quantiles)),
            Samples(names.SPAN_CALLS, at_ns, labels, (sample.calls >> WEIGHT_BITS).reshape(-1, 1), column),
            Samples(names.SPAN_ERRORS, at_ns, labels, (sample.errors >> WEIGHT_BITS).reshape(-1, 1), column),
        ]

    def operations(self, operations: Sequence[OperationLabels]) -> list[LabelSet]:
        """The label sets of operations."""
        found = []
        for operation in operations:
            labels = self._operations.get(operation)
            if labels is None:
                labels = self._operations[operation] = LabelSet(self._pairs(operation))
            found.append(labels)
        return found

    def anomalies(self, scored: Scored) -> list[Samples]:
        """The gauges of the series of a key."""
        labels = self._scored_series(scored.series)
        return [
            by_label(names.ANOMALY_SCORE, scored.end_ns, labels, scored.score),
            by_label(names.ANOMALY_VALUE, scored.end_ns, labels, scored.value),
            Samples(names.EXPECTED, scored.end_ns, labels, np.column_stack((scored.lower, scored.upper)), _BAND),
        ]

    def _scored_series(self, series: Sequence[ScoredSeries]) -> list[LabelSet]:
        found = []
        for each in series:
            labels = self._scored.get(each)
            if labels is None:
                labels = self._scored[each] = LabelSet([*self._pairs(each.operation), (names.SIGNAL, each.signal)])
            found.append(labels)
        return found

    def _pairs(self, of: OperationLabels | SeriesLabels) -> list[tuple[str, str]]:
        return [
            (names.SERVICE_NAME, of.service),
            (names.SPAN_NAME, of.span_name),
            (names.SPAN_KIND, KINDS[of.kind]),
            *zip(self._dimensions, of.dimensions, strict=True),
        ]

    def _series_labels(self, of: SeriesLabels) -> LabelSet:
        pairs = self._pairs(of)
        return LabelSet([*pairs[:3], (names.STATUS_CODE, STATUSES[of.status]), *pairs[3:]])


def tally_samples(tallies: Mapping[str, Tally], at_ns: int) -> list[Samples]:
    """What sources counted, under the exporters' names.

    Args:
        tallies: by source; cumulative.
        at_ns: Unix ns.
    """
    values: dict[Family, Counter[LabelSet]] = {}
    for source, tally in tallies.items():
        for (what, label), count in tally.items():
            if what in _TALLIES:
                family, pairs = _TALLIES[what]
                labels = LabelSet([(name, {"source": source, "label": label}.get(of, of)) for name, of in pairs])
                values.setdefault(family, Counter())[labels] += 1 if family.kind == "gauge" else count
    samples = [
        by_label(
            family,
            at_ns,
            list(counted),
            np.minimum(np.array(list(counted.values())), 1 if family.kind == "gauge" else _LARGEST),
        )
        for family, counted in values.items()
    ]
    shares = {
        LabelSet([(names.SOURCE, source)]): tally["unweighted", ""] / tally["spans", ""]
        for source, tally in tallies.items()
        if tally["spans", ""]
    }
    return [*samples, by_label(names.UNWEIGHTED, at_ns, list(shares), np.array(list(shares.values())))]


def alert_samples(
    at_ns: int,
    firing: Iterable[tuple[str, Severity]],
    pending: Iterable[tuple[str, Severity]],
    always: Iterable[tuple[str, Severity, str]],
) -> Samples:
    """How many alerts are in a state.

    Args:
        at_ns: Unix ns.
        firing: name and severity of each that fires.
        pending: of each that waits for its time to fire.
        always: name, severity and state of what is shown when it is 0, too.
    """
    counts = Counter((*each, "firing") for each in firing)
    counts.update((*each, "pending") for each in pending)
    for kind in always:
        counts[kind] += 0
    labels = [
        LabelSet([(names.ALERTNAME, name), (names.SEVERITY, severity), (names.STATE, state)])
        for name, severity, state in counts
    ]
    return by_label(names.ALERTS, at_ns, labels, np.array(list(counts.values()), np.int64))


_LARGEST = np.iinfo(np.int64).max
_TALLIES: dict[str, tuple[Family, tuple[tuple[str, str], ...]]] = {
    "records": (names.RECORDS, ((names.SOURCE, "source"),)),
    "spans": (names.SPANS, ((names.SOURCE, "source"),)),
    "late": (names.LATE, ((names.SIGNAL, "spans"), (names.REASON, "label"))),
    "rejected": (names.TIME_REJECTED, ((names.DIRECTION, "label"),)),
    "limited": (names.LIMITED, ((names.WHAT, "label"),)),
    "dead": (names.DEAD_LETTERS, ((names.REASON, "label"),)),
    "repeated": (names.DEDUPLICATED, ((names.SOURCE, "source"),)),
    "clamped": (names.DURATIONS_CLAMPED, ((names.SOURCE, "source"),)),
    "lost": (names.DATA_LOSS, ((names.SOURCE, "source"), (names.PARTITION, "label"))),
    "stamped": (names.SOURCE_TIMESTAMP_TYPE, ((names.SOURCE, "source"), (names.TYPE, "label"))),
}
"""What a tally counts → the family, and its labels: a fixed text, the source, or the tally's own label."""
