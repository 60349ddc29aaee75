"""What operations did before a run begins, for detectors to learn: they need hours before they say anything.

A detector that is made learns the past of its operation first, as if it had lived through it. Times are moved by whole
weeks, so that the past ends within the week before the step at which the detector begins: time of day and day of the
week stay as they were, and what is of the days before already is not moved at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from flows.units import DURATION_UNITS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detectors.anomaly import AnomalyBank
    from flows.rules import Rules
    from flows.series import OperationLabels

_WEEK_NS = 7 * DURATION_UNITS["d"]
_AT_ONCE = 1_440  # steps that are learnt in one go: what is said of them takes room


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """The past of one rule's operations."""

    times_ns: np.ndarray  # (n,) int64: ends of steps, ascending; n is 1 at least
    values: Mapping[OperationLabels, np.ndarray]  # (n, n_signals) float64, NaN where there is none

    def teach(self, bank: AnomalyBank, operations: Sequence[OperationLabels], signal: int, until_ns: int) -> None:
        """Let detectors learn their operations' past; those without one learn nothing.

        Args:
            bank: that has seen nothing.
            operations: (n_rows,) whose rows they are.
            signal: number of the rule's signal.
            until_ns: no step of it ends later.
        """
        if not any(operation in self.values for operation in operations):
            return
        nothing = np.full((len(self.times_ns), signal + 1), np.nan)
        values = [self.values.get(operation, nothing)[:, signal] for operation in operations]
        times_ns = self.moved_ns(until_ns)
        for first in range(0, len(times_ns), _AT_ONCE):
            some = slice(first, first + _AT_ONCE)
            bank.run(times_ns[some], np.column_stack([each[some] for each in values]))

    def moved_ns(self, until_ns: int) -> np.ndarray:
        """(n,) int64: its times, moved by whole weeks so that the last is at most a week before.

        >>> day = 86_400 * 10**9
        >>> past = Past(np.array([20 * day, 21 * day]), {})
        >>> [(past.moved_ns(until * day) // day).tolist() for until in (20, 21, 27, 28)]
        [[13, 14], [20, 21], [20, 21], [27, 28]]
        """
        last_ns = int(self.times_ns[-1])
        moved: np.ndarray = self.times_ns + (until_ns - last_ns) // _WEEK_NS * _WEEK_NS
        return moved


Pasts = dict[str, Past]
"""By name of the rule."""


def primed(rules: Rules, pasts: Pasts | None) -> Rules:
    """Rules whose new detectors begin with a past."""
    if pasts is None or rules.anomalies is None:
        return rules
    return replace(rules, anomalies=replace(rules.anomalies, pasts=pasts))
