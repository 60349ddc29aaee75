"""Closed windows as a table for notebooks: one row per (time, operation, window), CSV, compressed if it ends in `.gz`.

Columns: `timestamp` (RFC 3339, UTC, the window's end), `service_name`, `span_name`, `span_kind`, the dimensions,
`window`, `calls`, `errors`, then one per quantile in seconds (`p50`, `p95`, `p99.9`), six digits, empty where the
window has no span; then, where anomalies are scored, `p95_score`, `p95_lower`, `p95_upper` and so on for every signal,
empty where it is not. Sorted by time. Label values are the page's: made safe, so that the two can be joined.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

import numpy as np

from exporters.labels import LabelSet
from exporters.merging import combine
from exporters.names import SERVICE_NAME, SPAN_KIND, SPAN_NAME, WINDOW
from exporters.spool import BUDGET_BYTES, Rows, SpoolError, SpoolReader, SpoolWriter
from exporters.whole_file import whole_file

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

ROWS_PER_PIECE = 50_000
_SECOND = 1_000_000_000


def quantile_column(quantile: float) -> str:
    """The name of a quantile's column.

    >>> quantile_column(0.5), quantile_column(0.99), quantile_column(0.999)
    ('p50', 'p99', 'p99.9')
    """
    return f"p{100 * quantile:.10g}"


def score_columns(signals: Sequence[str]) -> tuple[str, ...]:
    """The names of the columns of scores and expected bands.

    >>> score_columns(["rate"])
    ('rate_score', 'rate_lower', 'rate_upper')
    """
    return tuple(f"{signal}_{what}" for signal in signals for what in ("score", "lower", "upper"))


class CsvSpool:
    """Collects one worker's windows on disk; `merge` makes one table of the spools of all.

    Args:
        directory: the spool's folder.
        dimensions: labels of the configured dimensions.
        windows: every window there is, in the order in which rows of one time are to stand: `("1m", "5m", "1h")`.
        quantiles: those of the columns.
        budget_bytes: how much is kept in memory before it is written.
        signals: those whose scores have columns.
    """

    def __init__(
        self,
        directory: Path,
        dimensions: Sequence[str],
        windows: Sequence[str],
        quantiles: Sequence[float],
        budget_bytes: int = BUDGET_BYTES,
        signals: Sequence[str] = (),
    ) -> None:
        self._windows = {window: index for index, window in enumerate(windows)}
        self._n_quantiles = len(quantiles)
        self._n_scores = len(score_columns(signals))
        self._table = json.dumps([list(dimensions), list(windows), list(quantiles), list(signals)])
        self._writer = SpoolWriter(directory, "time", budget_bytes)
        # A table without rows, so that a replay without windows still gets a table with its header.
        self._writer.append(self._table, (), 0, np.empty((0, 3 + len(quantiles) + self._n_scores)))

    def append(
        self,
        at_ns: int,
        window: str,
        labels: Sequence[LabelSet],
        calls: np.ndarray,
        errors: np.ndarray,
        durations: np.ndarray,
    ) -> None:
        """Add the operations of a window that closed.

        Args:
            at_ns: the window's end.
            window: one of the spool's.
            labels: (n,) service, span name, kind and dimensions.
            calls: (n,) spans, integers below 2^53.
            errors: (n,) failed spans.
            durations: (n, n_quantiles) seconds, NaN where there are no spans.

        Raises:
            ValueError: the shapes do not fit each other.
            KeyError: the window is not one of the spool's.
        """
        if durations.shape != (len(labels), self._n_quantiles):
            raise ValueError(
                f"durations have the shape {durations.shape}; {len(labels)} operations and {self._n_quantiles} "
                f"quantiles need {(len(labels), self._n_quantiles)}"
            )
        self._append(at_ns, window, labels, (calls, errors, durations, self._none(labels, self._n_scores)))

    def append_scores(self, at_ns: int, window: str, labels: Sequence[LabelSet], scores: np.ndarray) -> None:
        """Add scores to the operations of a window, whether that was called or not.

        Args:
            at_ns: the window's end.
            window: one of the spool's.
            labels: (n,) service, span name, kind and dimensions.
            scores: (n, 3 * n_signals) score, lower and upper bound of each signal, NaN where there is none.
        """
        none = np.zeros(len(labels))
        self._append(at_ns, window, labels, (none, none, self._none(labels, self._n_quantiles), scores))

    def _none(self, labels: Sequence[LabelSet], n_columns: int) -> np.ndarray:
        return np.full((len(labels), n_columns), np.nan)

    def _append(self, at_ns: int, window: str, labels: Sequence[LabelSet], columns: tuple[np.ndarray, ...]) -> None:
        place = np.full(len(labels), self._windows[window], np.float64)
        values = np.column_stack((place, *columns)).astype(np.float64, copy=False)
        self._writer.append(self._table, [label.text for label in labels], at_ns, values)

    def close(self) -> None:
        """Finish the spool; without this, `merge` refuses it."""
        self._writer.close()


def merge(spools: Sequence[Path], out: Path, progress: Callable[[int, int], None] | None = None) -> int:
    """Write one table of closed spools; it appears under its name only when it is whole.

    Args:
        spools: the folders of `CsvSpool`s of the same dimensions, windows and quantiles; left as they are.
        out: the file; compressed if it ends in `.gz`.
        progress: called with (rows done, rows in all).

    Returns:
        How many rows it has.

    Raises:
        SpoolError: a spool was not closed, or they differ in their columns.
        OSError: the file cannot be written.
    """
    reader = SpoolReader(spools, "time")
    if len(reader.tables) > 1:
        raise SpoolError(f"the spools have different columns: {' and '.join(reader.tables)}; run the replay again")
    written = done = 0
    with whole_file(out) as file:
        for table in reader.tables:
            dimensions, windows, quantiles, signals = json.loads(table)
            names = (SERVICE_NAME, SPAN_NAME, SPAN_KIND, *dimensions)
            figures = (*map(quantile_column, quantiles), *score_columns(signals))
            header = ("timestamp", *names, WINDOW, "calls", "errors", *figures)
            file.write(",".join(map(_field, header)) + "\n")
            unit: Literal["s", "ms"] = "ms" if (reader.keys(table)[0] % _SECOND).any() else "s"
            operations = _Operations(reader.texts, names)
            for rows in reader.pieces(table, ROWS_PER_PIECE):
                combined = _combined(rows)
                file.write("".join(_lines(combined, operations, windows, unit)))
                written += len(combined.at_ns)
                done += len(rows.at_ns)
                if progress is not None:
                    progress(done, reader.rows(table))
    return written


class _Operations(dict[int, str]):
    """A label set's fields as CSV, by its index among the texts; made when first asked for."""

    def __init__(self, texts: Sequence[str], names: Sequence[str]) -> None:
        self._texts = texts
        self._names = names

    def __missing__(self, label: int) -> str:
        values = dict(LabelSet.from_text(self._texts[label]).pairs())
        self[label] = ",".join(_field(values.get(name, "")) for name in self._names)
        return self[label]


def _field(value: str) -> str:
    """One field, quoted where RFC 4180 wants it."""
    if any(character in value for character in ',"\n'):
        return '"' + value.replace('"', '""') + '"'
    return value


def _combined(rows: Rows) -> Rows:
    """Rows by (time, window, operation), one each: of two owners' the spans add up, the larger quantile stays."""
    order = np.lexsort((rows.labels, rows.values[:, 0], rows.at_ns))
    labels, at_ns, values = rows.labels[order], rows.at_ns[order], rows.values[order]
    key = np.column_stack((labels, at_ns, values[:, 0].astype(np.int64)))
    starts = np.flatnonzero(np.concatenate(([True], (np.diff(key, axis=0) != 0).any(axis=1))))
    if len(starts) == len(labels):
        return Rows(labels, at_ns, values)
    counts = combine(values[:, 1:3], starts, "sum")
    durations = combine(values[:, 3:], starts, "max")
    return Rows(labels[starts], at_ns[starts], np.column_stack((values[starts, :1], counts, durations)))


def _durations(values: np.ndarray) -> list[str]:
    """One quantile's fields: six digits, since the histogram behind them is true to three."""
    texts = ["%.6g" % value for value in values.tolist()]  # noqa: UP031 - half the time of a format specification
    for index in np.flatnonzero(np.isnan(values)).tolist():
        texts[index] = ""
    return texts


def _lines(rows: Rows, operations: _Operations, windows: Sequence[str], unit: Literal["s", "ms"]) -> list[str]:
    times, which = np.unique(rows.at_ns, return_inverse=True)
    stamps = [f"{stamp}Z" for stamp in np.datetime_as_string(times.astype("M8[ns]"), unit=unit).tolist()]
    columns = [_durations(rows.values[:, index]) for index in range(3, rows.values.shape[1])]
    counts = rows.values[:, :3].astype(np.int64)
    return [
        f"{stamps[time]},{operations[label]},{windows[window]},{calls},{errors},{','.join(durations)}\n"
        for time, label, window, calls, errors, durations in zip(
            which.tolist(),
            rows.labels.tolist(),
            counts[:, 0].tolist(),
            counts[:, 1].tolist(),
            counts[:, 2].tolist(),
            zip(*columns, strict=True),
            strict=True,
        )
    ]
