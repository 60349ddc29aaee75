"""From a budget of alerts a day to a threshold on the score: by arithmetic first, then by what scores did.

By arithmetic a budget of B alerts a day over n series of k steps a day is p = B / (n k) for a step, and the threshold
is that of p: min(1, −log10 p / 8). It is a guess: ordinary steps come in clumps, series move together, one alert speaks
for all operations of a service, and what is rarer than a series' own past promises nothing. So it is counted, for every
level at which the threshold could be, how many alerts would have begun on each of the last seven days. The day with the
most is left out of each level: a day full of incidents must not blind the next one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from detectors.anomaly_evidence import FULL
from flows.watermark import NEVER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flows.anomalies.policy import AlertRule

Group = tuple[str, str]
"""What one alert is about: a service, a signal."""

LOWEST = 0.25
"""Scores below are never an alert: one step in a hundred."""
LEVELS = np.linspace(LOWEST, 1.0, 49)
"""(n_levels,) where a threshold could be, an eighth of a decade apart."""
_PER_UNIT = (len(LEVELS) - 1) / (1.0 - LOWEST)

DAYS = 7
"""How many days are remembered; of each level the busiest is left out."""
ENOUGH_DAYS = 3
"""From which on the threshold may also be lowered;"""
LEAST = 0.45
"""not below this: a series by itself would alert every week or two."""
MOST_RAISED = 0.25
"""How far the threshold is raised at most: 100 times as rare as by arithmetic. Real incidents stay above."""
FEWEST = 8.0
"""Alerts that a level must have seen to be trusted; above it the count is extrapolated."""
COMMON = 10.0
"""How many times as many has the level from which it is."""


def by_arithmetic(alerts_per_day: float, n_series: int, steps_per_day: int) -> float:
    """The threshold that keeps a budget if scores say the truth and series are independent.

    >>> round(by_arithmetic(5, 1000, 1440), 3), round(by_arithmetic(5, 20_000, 1440), 3)
    (0.682, 0.845)
    """
    p = alerts_per_day / (max(n_series, 1) * steps_per_day)
    return min(max(-math.log10(min(p, 1.0)) / FULL, LOWEST), 1.0)


def by_counts(days: np.ndarray, alerts_per_day: float) -> float:
    """The level at which ordinary days have so many alerts.

    Args:
        days: (n_days, n_levels) float64, two days at least: alerts that would have begun.
        alerts_per_day: how many there may be.

    The busiest day of each level is left out. Above the last level with `FEWEST` alerts, counts fall as they did from a
    level that has ten times as many, as an exponential tail (peaks over a threshold).
    """
    ordinary = np.sort(days, axis=0)[:-1]
    total = np.maximum.accumulate(ordinary.sum(axis=0)[::-1])[::-1]  # episodes merge at low levels
    wanted = alerts_per_day * len(ordinary)
    trusted = np.flatnonzero(total >= max(wanted, FEWEST))
    if not len(trusted):
        return LOWEST
    rare = int(trusted[-1])
    common = int(np.flatnonzero(total >= min(COMMON * total[rare], total[0]))[-1])
    slope = FULL
    if common < rare:
        slope = math.log10(total[common] / total[rare]) / float(LEVELS[rare] - LEVELS[common])
    return min(float(LEVELS[rare]) + math.log10(total[rare] / wanted) / slope, 1.0)


class Fleet:
    """The threshold of one rule, and what it is made of; a function of the steps in order.

    Args:
        rule: whose.
    """

    def __init__(self, rule: AlertRule) -> None:
        self.rule = rule
        self.threshold = 1.0
        self._n_series = [0, 0]  # the most that were scored at once: on this day, on the one before
        self._steps = 0  # of this day; only steps at which something was scored
        self._today = np.zeros(len(LEVELS))
        self._days = np.zeros((0, len(LEVELS)))
        self._last: dict[Group, np.ndarray] = {}  # (n_levels,) int64: when each level was reached last

    def meet(self, n_scored: int) -> None:
        """So many series are scored at the next step: where its threshold is."""
        self._n_series[0] = max(self._n_series[0], n_scored)
        budget = self.rule.policy.alerts_per_day
        guess = by_arithmetic(budget, max(self._n_series), self.rule.steps_per_day)
        self.threshold = guess
        if len(self._days) < 2:
            return
        counted = by_counts(self._days, budget)
        if counted > guess or len(self._days) >= ENOUGH_DAYS:
            self.threshold = min(max(counted, min(guess, LEAST)), guess + MOST_RAISED, 1.0)

    def learn(self, end_ns: int, n_scored: int, peaks: Mapping[Group, float]) -> None:
        """Count what would have begun at each level.

        Args:
            end_ns: of the step.
            n_scored: how many series had a score.
            peaks: the highest score of each group that is strange enough for the lowest level.
        """
        if not n_scored:
            return
        for group, peak in peaks.items():
            reached = min(int((peak - LOWEST) * _PER_UNIT) + 1, len(LEVELS))
            last = self._last.setdefault(group, np.full(len(LEVELS), NEVER, np.int64))[:reached]
            self._today[:reached] += (last == NEVER) | (end_ns - last >= self.rule.policy.refractory_ns)
            last[:] = end_ns
        self._steps += 1
        if self._steps >= self.rule.steps_per_day:
            self._end_day(end_ns)

    def _end_day(self, end_ns: int) -> None:
        self._days = np.concatenate([self._days[-(DAYS - 1) :], self._today[None]])
        self._today = np.zeros(len(LEVELS))
        self._steps = 0
        self._n_series = [0, self._n_series[0]]
        apart_ns = self.rule.policy.refractory_ns
        self._last = {group: last for group, last in self._last.items() if end_ns - last[0] < apart_ns}

    def snapshot(self) -> list[Any]:
        """Plain values and arrays."""
        last = np.array(list(self._last.values()), np.int64).reshape(-1, len(LEVELS))
        groups = [list(group) for group in self._last]
        return [self.threshold, self._n_series, self._steps, self._today, self._days, groups, last]

    @classmethod
    def restore(cls, rule: AlertRule, fields: list[Any]) -> Fleet:
        """The fleet that `snapshot` gave; its budget may be another one."""
        fleet = cls(rule)
        fleet.threshold, fleet._n_series, fleet._steps, fleet._today, fleet._days, groups, last = fields
        fleet._last = {(service, signal): row.copy() for (service, signal), row in zip(groups, last, strict=True)}
        return fleet
