"""What came of the detector: a CSV file with a row for each row, a table of alerts, a picture."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from exporters.plot import plot
from exporters.whole_file import whole_file
from flows.errors import OutputError
from flows.picture import check_picture, drawing

if TYPE_CHECKING:
    from pathlib import Path

    from flows.detect.series import Series

COLUMNS = ("timestamp", "value", "score", "lower", "upper", "alert")
_DIGITS = 6


class Answer(NamedTuple):
    """A series and what the detector said of it, an array of (n,) each."""

    series: Series
    score: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    alert: np.ndarray  # bool


def write_csv(answer: Answer, path: Path) -> str:
    """One line for each that was read, in order, empty where there is nothing to say; says what is where.

    Raises:
        OutputError: it cannot be written.
    """
    numbers = (answer.series.values, answer.score, answer.lower, answer.upper)
    columns = [[_number(value) for value in column.tolist()] for column in numbers]
    try:
        with whole_file(path) as out:
            lines = csv.writer(out, lineterminator="\n")
            lines.writerow(COLUMNS)
            lines.writerows(zip(answer.series.texts, *columns, answer.alert.astype(int).tolist(), strict=True))
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}", hint="Name another file.") from error
    return f"{path}: {len(answer.score):,} rows"


def draw(answer: Answer, path: Path, title: str, threshold: float) -> str:
    """A picture; says what is where.

    Raises:
        UsageError: the suffix is of no kind that is drawn, or matplotlib is not there.
        OutputError: it cannot be written.
    """
    check_picture(path)
    series = answer.series
    order = np.argsort(series.times_ns, kind="stable")
    score, lower, upper, alert = (column[order] for column in (answer.score, answer.lower, answer.upper, answer.alert))
    with drawing(path):
        plot(path, title, series.times_ns[order], series.values[order], (lower, upper), score, threshold, alert)
    return f"{path}: {len(order):,} values, {int(alert.sum())} alerts"


def table(answer: Answer, top: int) -> Table:
    """The strangest alerts, in the order of time."""
    rows = np.flatnonzero(answer.alert)
    shown = np.sort(rows[np.argsort(-answer.score[rows], kind="stable")[:top]])
    found = Table(title="Alerts", title_justify="left", box=SIMPLE_HEAD)
    for column in ("when", "value", "expected", "score"):
        found.add_column(column, justify="left" if column == "when" else "right", no_wrap=True)
    for i in shown.tolist():
        when = datetime.fromtimestamp(answer.series.times_ns[i] / 1e9, UTC)
        band = f"{_number(answer.lower[i])} to {_number(answer.upper[i])}"
        found.add_row(f"{when:%Y-%m-%d %H:%M:%S}", _number(answer.series.values[i]), band, f"{answer.score[i]:.2f}")
    return found


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.{_DIGITS}g}"
