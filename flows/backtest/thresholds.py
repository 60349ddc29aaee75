"""Which score to alert at: what keeps a budget of alerts in ordinary time, and the alerts that it raises."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from detectors.budget import beginnings, least_threshold
from detectors.episodes import episodes
from detectors.recall import DAY_NS
from detectors.spells import contains, total_ns
from flows.anomalies.fleet import LOWEST
from flows.backtest.verdict import APART_NS, Raised, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from flows.anomalies.pooled import Group, Pool
    from flows.backtest.stretch import Stretch

ALERTNAME, SEVERITY = "AnomalyScore", "warning"
"""Of alerts that nobody raises: what a rule on the score alone would do."""

_DIGITS = 1_000
"""A threshold has three digits, so that who types it gets what was counted."""


class Threshold(NamedTuple):
    """What keeps a budget."""

    rule: str  # of the configuration's anomalies
    signal: str
    score: float  # the least that alerts; 1 is not reached; infinity: nothing was ordinary
    allowed: float  # episodes in all of the time that it was chosen by


def thresholds(
    stretch: Stretch, scores: Mapping[Group, Pool], budgets: Mapping[tuple[str, str], float]
) -> list[Threshold]:
    """For each rule and signal the least score that keeps its budget; of the first part's ordinary time only.

    Args:
        stretch: the recording's time.
        scores: of each rule, signal and service.
        budgets: by rule and signal, episodes a day of all services together.
    """
    pools: dict[tuple[str, str], list[Pool]] = {}
    for group, pool in scores.items():
        pools.setdefault((group.rule, group.signal), []).append(pool)
    return [Threshold(*of, *_least(stretch, pools.get(of, []), a_day)) for of, a_day in budgets.items()]


def _least(stretch: Stretch, pools: Sequence[Pool], a_day: float) -> tuple[float, float]:
    """The score, and how many episodes it was allowed."""
    ordinary = stretch.ordinary_in(stretch.parts[0])
    if not len(ordinary):
        return math.inf, 0.0
    allowed = a_day * total_ns(ordinary) / DAY_NS
    score = least_threshold([_begins(pool, ordinary) for pool in pools], allowed)
    # Rounded up, so that the budget is kept.
    return LOWEST if math.isinf(score) else math.ceil(score * _DIGITS) / _DIGITS, allowed


def _begins(pool: Pool, ordinary: np.ndarray) -> np.ndarray:
    times_ns = pool.times_ns
    return np.asarray(beginnings(times_ns, pool.score, APART_NS)[contains(ordinary, times_ns)])


def raised_at(threshold: Threshold, scores: Mapping[Group, Pool]) -> Iterator[Raised]:
    """The alerts of one rule and signal: one for each service that is strange."""
    rule = Rule(ALERTNAME, SEVERITY, f"{threshold.rule} {threshold.signal}", threshold.score)
    for group, pool in scores.items():
        if (group.rule, group.signal) == threshold[:2]:
            for begin, end in episodes(pool.times_ns, pool.score, threshold.score, APART_NS).tolist():
                yield Raised(rule, begin, end, group.service)
