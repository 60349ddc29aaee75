"""Which series are scored, by what, and how time is cut for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from flows.anomalies.policy import AlertRule
from flows.decode.batch import KINDS, WEIGHT_ONE
from flows.series import SeriesLabels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.anomalies.past import Pasts
    from flows.anomalies.policy import AlertPolicy
    from flows.series import OperationLabels
    from flows.slo.exclusions import Exclusion
    from flows.slo.selector import Selector
    from flows.window_samples import WindowSamples

SIGNALS = ("p50", "p95", "rate", "error_ratio")
"""What is scored of an operation: seconds, seconds, calls per second, a ratio."""

QUANTILES = {"p50": 500_000, "p95": 950_000}
"""Parts per million, of the signals that are quantiles."""


@dataclass(frozen=True, slots=True)
class AnomalyRule:
    """Series that are scored alike.

    Attributes:
        name: Of the rule; what its state is found by.
        selector: Which operations; the first rule that has an operation scores it.
        signals: Of `SIGNALS`, in that order.
        step: In panes: whole minutes.
        series: How many pairs of an operation and a signal are scored at most.
        remembered: Of how many pairs state is kept at most, scored or not.
        remember: In panes: for how long an operation without a call is scored, or remembered.
        zone: Time zone of those who call.
        accept_ns: For how long a new level is an anomaly.
        policy: What of its scores becomes alerts; None: nothing.
    """

    name: str
    selector: Selector
    signals: tuple[str, ...]
    step: int
    series: int
    remembered: int
    remember: int
    zone: str
    accept_ns: int
    policy: AlertPolicy | None = None


@dataclass(frozen=True, slots=True)
class AnomalyRules:
    """All rules, and what they need to know of the windows."""

    rules: tuple[AnomalyRule, ...]
    pane_ns: int
    minute: int  # in panes
    quantiles: tuple[int, ...]  # of the windows, parts per million
    dimensions: tuple[str, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    pasts: Pasts = field(default_factory=dict)  # by rule, what new detectors learn first

    @property
    def windows(self) -> tuple[int, ...]:
        """Windows whose samples are judged, in panes: by the minute it is told which operations are called."""
        return tuple(sorted({self.minute, *(rule.step for rule in self.rules)}))

    @property
    def signals(self) -> tuple[str, ...]:
        """Those that any rule scores."""
        return tuple(signal for signal in SIGNALS if any(signal in rule.signals for rule in self.rules))

    @property
    def alerts(self) -> tuple[AlertRule, ...]:
        """How scores become alerts, of the rules of which they do."""
        return tuple(
            AlertRule(rule.name, rule.step * self.pane_ns, rule.policy)
            for rule in self.rules
            if rule.policy is not None
        )

    def rule_of(self, operation: OperationLabels) -> int:
        """The number of the rule that scores an operation, -1 where none does."""
        labels = SeriesLabels(*operation[:3], 0, operation.dimensions)
        matching = (i for i, rule in enumerate(self.rules) if rule.selector.matches(labels, self.dimensions))
        return next(matching, -1)

    def excluded(self, rule: AnomalyRule, operations: Sequence[OperationLabels], end: int) -> np.ndarray:
        """(n,) bool: which operations maintenance touches in the step that ends at pane `end`."""
        first_ns, stop_ns = (end - rule.step) * self.pane_ns, end * self.pane_ns
        now = [each for each in self.exclusions if each.from_ns < stop_ns and first_ns < each.to_ns]
        if not now:
            return np.zeros(len(operations), np.bool_)
        labels = (self._labels(rule, operation) for operation in operations)
        return np.array([any(each.covers(mine) for each in now) for mine in labels], np.bool_)

    def _labels(self, rule: AnomalyRule, operation: OperationLabels) -> dict[str, str]:
        return {
            **dict(zip(self.dimensions, operation.dimensions, strict=True)),
            "anomaly": rule.name,
            "service": operation.service,
            "service_name": operation.service,
            "span_name": operation.span_name,
            "span_kind": KINDS[operation.kind],
        }

    def values(self, rule: AnomalyRule, sample: WindowSamples) -> np.ndarray:
        """(n_operations, n_signals) float64 of a window, NaN where there is none."""
        none = np.full(len(sample.calls), np.nan)
        columns = {
            "rate": sample.calls / (WEIGHT_ONE * (sample.window * self.pane_ns / 1e9)),
            "error_ratio": np.divide(sample.errors, sample.calls, out=none, where=sample.calls > 0),
            **{
                signal: self._quantile(sample, quantile)
                for signal, quantile in QUANTILES.items()
                if signal in rule.signals
            },
        }
        return np.column_stack([columns[signal] for signal in rule.signals])

    def _quantile(self, sample: WindowSamples, quantile: int) -> np.ndarray:
        """(n_operations,) float64 seconds, NaN where it is of too few calls."""
        enough = sample.calls >= least_calls(quantile) * WEIGHT_ONE
        return np.where(enough, sample.quantiles[:, self.quantiles.index(quantile)], np.nan)


def least_calls(quantile: int) -> float:
    """Calls from which on a quantile, parts per million, is another than the slowest.

    >>> least_calls(950_000), least_calls(500_000)
    (20.0, 2.0)
    """
    return 1e6 / (1_000_000 - quantile)


def silence(rule: AnomalyRule, n: int) -> np.ndarray:
    """(n, n_signals) float64 of operations that were not called: no latency, no ratio, and a rate of 0."""
    return np.tile([0.0 if signal == "rate" else np.nan for signal in rule.signals], (n, 1))
