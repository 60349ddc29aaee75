"""The rows of a table that `replay --samples` wrote, of the operations and steps that rules score."""

from __future__ import annotations

import csv
from array import array
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from exporters.csv_samples import quantile_column
from exporters.names import SERVICE_NAME, SPAN_KIND, SPAN_NAME, WINDOW
from flows.anomalies.rules import QUANTILES
from flows.decode.batch import KINDS
from flows.errors import DataError
from flows.series import OperationLabels
from flows.units import format_duration, parse_time

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import TextIO

    from flows.anomalies.rules import AnomalyRule, AnomalyRules

AGAIN = "Make it with the same configuration: streamgauge replay RECORDING --samples FILE."
"""What to do about a table that cannot be used."""

_time_ns = lru_cache(maxsize=1_000)(parse_time)


class Rows(NamedTuple):
    """The steps in which one operation was called, in the order of the table."""

    times_ns: array[int]
    figures: array[float]  # calls, errors and the quantiles that are scored, row by row


class _Columns(NamedTuple):
    """Where things stand in a row."""

    time: int
    labels: tuple[int, ...]  # service, span name, kind, dimensions
    window: int
    figures: tuple[int, ...]  # calls, errors, quantiles


def window_name(rule: AnomalyRule, pane_ns: int) -> str:
    """The window of a rule's step, as people write it."""
    return format_duration(rule.step * pane_ns)


def scored_quantiles(rules: AnomalyRules) -> list[int]:
    """Parts per million, those that any rule scores."""
    return [QUANTILES[signal] for signal in rules.signals if signal in QUANTILES]


class PastTable:
    """Reads one table.

    Args:
        path: its name, for who must mend it.
        rules: what is scored.
    """

    def __init__(self, path: Path, rules: AnomalyRules) -> None:
        self._path = path
        self._rules = rules
        self._places: dict[tuple[str, ...], tuple[int, Rows] | None] = {}  # by labels and window: step, rows
        self._found: list[dict[OperationLabels, Rows]] = [{} for _ in rules.rules]

    def read(self, file: TextIO) -> list[dict[OperationLabels, Rows]]:
        """All rows that are scored, by number of the rule.

        Raises:
            DataError: a column is missing, or a row is none.
        """
        lines = csv.reader(file)
        columns = self._columns(next(lines, []))
        for row in lines:
            try:
                self._take(row, columns)
            except (ValueError, IndexError) as error:
                raise DataError(f"{self._path}:{lines.line_num} is no row of its table: {error}", hint=AGAIN) from error
        return [{operation: rows for operation, rows in mine.items() if rows.times_ns} for mine in self._found]

    def _columns(self, header: Sequence[str]) -> _Columns:
        labels = (SERVICE_NAME, SPAN_NAME, SPAN_KIND, *self._rules.dimensions)
        quantiles = [quantile_column(quantile / 1e6) for quantile in scored_quantiles(self._rules)]
        figures = ("calls", "errors", *quantiles)
        missing = [name for name in ("timestamp", *labels, WINDOW, *figures) if name not in header]
        if missing:
            raise DataError(f"{self._path} has no column {', '.join(missing)}", "anomalies are of these", AGAIN)
        where = header.index
        return _Columns(where("timestamp"), tuple(map(where, labels)), where(WINDOW), tuple(map(where, figures)))

    def _take(self, row: Sequence[str], columns: _Columns) -> None:
        place = self._place(tuple(row[i] for i in columns.labels), row[columns.window])
        if place is None:
            return
        step_ns, rows = place
        time_ns, figures = _time_ns(row[columns.time]), [float(row[i] or np.nan) for i in columns.figures]
        if time_ns % step_ns == 0 and figures[0] > 0:
            rows.times_ns.append(time_ns)
            rows.figures.extend(figures)

    def _place(self, labels: tuple[str, ...], window: str) -> tuple[int, Rows] | None:
        """Where the rows of an operation and a window go, if anywhere."""
        key = (*labels, window)
        if key not in self._places:
            service, span_name, kind, *dimensions = labels
            if kind not in KINDS:
                raise ValueError(f"{kind!r} is no kind of span")
            operation = OperationLabels(service, span_name, KINDS.index(kind), tuple(dimensions))
            self._places[key] = self._placed(operation, window)
        return self._places[key]

    def _placed(self, operation: OperationLabels, window: str) -> tuple[int, Rows] | None:
        number, pane_ns = self._rules.rule_of(operation), self._rules.pane_ns
        if number < 0 or window_name(self._rules.rules[number], pane_ns) != window:
            return None
        rows = self._found[number][operation] = Rows(array("q"), array("d"))
        return self._rules.rules[number].step * pane_ns, rows
