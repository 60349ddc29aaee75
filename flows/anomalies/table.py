"""Scores as columns beside the windows that they are of, for the table that a replay writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flows.anomalies.scored import Scored
    from flows.series import OperationLabels


class ScoreRows(NamedTuple):
    """The scores of one rule in one step."""

    window: int  # in panes
    operations: list[OperationLabels]  # (n,)
    scores: np.ndarray  # (n, n_signals, 3) float64: score, lower, upper; NaN where there is none


def score_rows(scored: Scored, signals: Sequence[str], windows: Mapping[str, int]) -> list[ScoreRows]:
    """A step as rows, by rule.

    Args:
        scored: what a key scored.
        signals: those that have columns, in their order.
        windows: how long the step of each rule is, in panes.
    """
    columns = np.column_stack((scored.score, scored.lower, scored.upper))
    by_rule: dict[str, dict[OperationLabels, np.ndarray]] = {}
    for each, found in zip(scored.series, columns, strict=True):
        rows = by_rule.setdefault(each.rule, {})
        if each.operation not in rows:
            rows[each.operation] = np.full((len(signals), 3), np.nan)
        rows[each.operation][signals.index(each.signal)] = found
    return [ScoreRows(windows[rule], list(rows), np.stack(list(rows.values()))) for rule, rows in by_rule.items()]
