"""Scores as the score step would tell of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flows.anomalies.scored import Scored, ScoredSeries
from flows.series import OperationLabels

if TYPE_CHECKING:
    from collections.abc import Sequence

MINUTE = 60 * 10**9
HOUR, DAY = 60 * MINUTE, 1440 * MINUTE
BEGIN_NS = 1_772_442_000 * 10**9
"""2026-03-02 09:00 UTC."""


def operation(name: str, service: str = "shop", kind: int = 2) -> OperationLabels:
    return OperationLabels(service, name, kind, ())


def series(name: str, signal: str = "p95", service: str = "shop", rule: str = "all", kind: int = 2) -> ScoredSeries:
    return ScoredSeries(rule, operation(name, service, kind), signal)


def scored(
    end_ns: int, of: Sequence[ScoredSeries], score: Sequence[float] | np.ndarray, *, key: int = 0, n_keys: int = 1,
    done: bool = False, **columns: Sequence[float],
) -> Scored:  # fmt: skip
    """One key's word: values that pass every floor, unless they are given."""
    n = len(of)
    given = {
        "value": np.full(n, 50.0), "expected": np.ones(n), "lower": np.full(n, 0.5), "upper": np.full(n, 1.5),
        "calls": np.full(n, 1000.0), "memory_ns": np.full(n, 14.0 * DAY), "excluded": np.zeros(n, np.bool_),
        **{name: np.array(column) for name, column in columns.items()},
    }  # fmt: skip
    rules = list(dict.fromkeys(each.rule for each in of))
    score = np.array(score, float)
    return Scored(key, n_keys, end_ns, done, rules, list(of), score=score, why=np.zeros(n, np.int8), **given)
