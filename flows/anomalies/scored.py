"""What a key of the score step tells at the end of a step: plain values, a row per series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self

from flows.series import OperationLabels

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np


class ScoredSeries(NamedTuple):
    """One signal of one operation, scored by one rule."""

    rule: str
    operation: OperationLabels
    signal: str  # p50, p95, rate, error_ratio


class Scored(NamedTuple):
    """What one key scored at the end of a step; every key tells of every step, also without a series.

    Of a gap of the stream it tells once, when that is long enough to be one, all series excluded; then nothing until
    the stream is back. Series of rules whose step does not end then are not in it.
    """

    key: int
    n_keys: int
    end_ns: int
    done: bool  # nothing follows; not said where the stream ends after the step, or in silence
    rules: list[str]  # those of which a step ends
    series: list[ScoredSeries]  # (n,) in a stable order
    value: np.ndarray  # (n,) float64: seconds, calls per second, a ratio; NaN where there is none, as in the next four
    score: np.ndarray  # (n,) float64: 0 ordinary … 1
    expected: np.ndarray  # (n,) float64
    lower: np.ndarray  # (n,) float64
    upper: np.ndarray  # (n,) float64
    calls: np.ndarray  # (n,) float64: of the operation, in the step
    memory_ns: np.ndarray  # (n,) float64: how long a past the score is compared with
    why: np.ndarray  # (n,) int8, of detectors.anomaly_state.REASONS: why there is no score
    excluded: np.ndarray  # (n,) bool: maintenance, neither learnt nor scored

    def of_rule(self, rule: str) -> Self:
        """What one rule said."""
        mine = [i for i, each in enumerate(self.series) if each.rule == rule]
        if len(mine) == len(self.series):
            return self._replace(rules=[rule])
        columns = {name: getattr(self, name)[mine] for name in self._fields[6:]}
        return self._replace(rules=[rule], series=[self.series[i] for i in mine], **columns)

    def plain(self) -> list[Any]:
        """What a snapshot holds of it: plain values and arrays."""
        series = [[each.rule, each.operation.plain(), each.signal] for each in self.series]
        return [*self[:5], series, *self[6:]]

    @classmethod
    def of(cls, plain: Sequence[Any]) -> Self:
        """What `plain` gave."""
        key, n_keys, end_ns, done, rules, series, *columns = plain
        named = [ScoredSeries(rule, OperationLabels.of(labels), signal) for rule, labels, signal in series]
        return cls(key, n_keys, end_ns, done, rules, named, *columns)
