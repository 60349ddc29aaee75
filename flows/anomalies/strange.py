"""Of what a key has scored, the few series that may matter: strange, large enough, busy enough, in no maintenance."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from detectors.anomaly_evidence import FULL
from flows.anomalies.fleet import LOWEST
from flows.series import OperationLabels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flows.anomalies.policy import AlertPolicy, AlertRule
    from flows.anomalies.scored import Scored, ScoredSeries

KNOWN = 10
"""How many times as long as its past a series knows how rare something is."""


class Strange(NamedTuple):
    """One series at the end of a step."""

    rule: str
    signal: str
    operation: OperationLabels
    score: float
    value: float
    expected: float
    lower: float  # end of the band
    upper: float
    once_in_ns: float  # as often is it as strange; inf: rarer than its past can tell


class Heard(NamedTuple):
    """What is kept of what a key scored."""

    n_scored: dict[str, int]  # by rule
    strange: list[Strange]

    def plain(self) -> list[Any]:
        """Plain values for a snapshot."""
        return [self.n_scored, [plain_strange(each) for each in self.strange]]

    @classmethod
    def of_plain(cls, fields: list[Any]) -> Heard:
        """What `plain` gave."""
        n_scored, strange = fields
        return cls(n_scored, [strange_of_plain(each) for each in strange])


def plain_strange(each: Strange) -> list[Any]:
    """Plain values for a snapshot."""
    return [each.rule, each.signal, list(each.operation), *each[3:]]


def strange_of_plain(fields: list[Any]) -> Strange:
    """What `plain_strange` gave."""
    rule, signal, (service, span_name, kind, dimensions), *numbers = fields
    return Strange(rule, signal, OperationLabels(service, span_name, kind, tuple(dimensions)), *numbers)


def hear(scored: Scored, rules: Mapping[str, AlertRule]) -> Heard:
    """Leave out what is no matter to any alert."""
    has_score = np.isfinite(scored.score)
    n_scored = Counter(scored.series[i].rule for i in np.flatnonzero(has_score).tolist())
    found = []
    for i in np.flatnonzero(has_score & (scored.score >= LOWEST) & ~scored.excluded).tolist():
        of = scored.series[i]
        rule = rules.get(of.rule)
        if rule is not None and _matters(scored, i, of, rule.policy):
            found.append(_strange(scored, i, of, rule))
    return Heard(dict(n_scored), found)


def _matters(scored: Scored, i: int, of: ScoredSeries, policy: AlertPolicy) -> bool:
    return policy.matters(of.signal, float(scored.value[i]), float(scored.expected[i]), float(scored.calls[i]))


def _strange(scored: Scored, i: int, of: ScoredSeries, rule: AlertRule) -> Strange:
    once_in_ns = rule.step_ns * 10 ** (FULL * float(scored.score[i]))
    is_known = once_in_ns <= KNOWN * scored.memory_ns[i]
    return Strange(
        of.rule,
        of.signal,
        of.operation,
        score=float(scored.score[i]),
        value=float(scored.value[i]),
        expected=float(scored.expected[i]),
        lower=float(scored.lower[i]),
        upper=float(scored.upper[i]),
        once_in_ns=once_in_ns if is_known else math.inf,
    )
