"""How samples are written as lines, the same on the page and in the file: fast, a whole column at a time.

Prometheus' text format 0.0.4 and OpenMetrics 1.0 differ in their metadata, in exemplars and in the file's end; the
lines of samples are the same, `le` as OpenMetrics writes it in both.
"""

from __future__ import annotations

import math
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from prometheus_client.utils import floatToGoString

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exporters.names import Family
    from exporters.samples import Column, Exemplars


class Frame(NamedTuple):
    """What stands around a label set's text in the lines of one column."""

    before: str  # 'name{'
    after: str  # ',window="1m"} '
    bare: str  # the same where the label set is empty: 'name{window="1m"} '


def frame(name: str, column: Column) -> Frame:
    """The frame of a column's lines.

    >>> frame("up", (("window", "1m"),))
    Frame(before='up{', after=',window="1m"} ', bare='up{window="1m"} ')
    """
    own = ",".join(f'{label}="{value}"' for label, value in column)
    if not own:
        return Frame(f"{name}{{", "} ", f"{name} ")
    return Frame(f"{name}{{", f",{own}}} ", f"{name}{{{own}}} ")


def metadata(family: Family, openmetrics: bool) -> str:
    """The family's HELP, TYPE and UNIT lines."""
    name = family.name if openmetrics else family.page_name
    help_text = family.help.replace("\\", r"\\").replace("\n", r"\n")
    if openmetrics:
        help_text = help_text.replace('"', r"\"")
    unit = f"# UNIT {name} {family.unit}\n" if openmetrics and family.unit else ""
    return f"# HELP {name} {help_text}\n# TYPE {name} {family.kind}\n{unit}"


def number(value: float) -> str:
    """One value as both formats write it.

    >>> number(3), number(0.25), number(float("inf"))
    ('3', '0.25', '+Inf')
    """
    if isinstance(value, int) or math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")


def go_float(value: float) -> str:
    """A bound or quantile as a label's value: a float even if whole, as Prometheus 3 stores it.

    >>> go_float(2), go_float(1_000_000), go_float(float("inf"))
    ('2.0', '1e+06', '+Inf')
    """
    written: str = floatToGoString(value)  # type: ignore[no-untyped-call]
    return written


def seconds(at_ns: int) -> str:
    """Unix nanoseconds as seconds, exact, without a needless fraction.

    >>> seconds(1_700_000_005_000_000_000), seconds(-1_500_000_000)
    ('1700000005', '-1.5')
    """
    sign = "-" if at_ns < 0 else ""
    whole, fraction = divmod(abs(at_ns), 1_000_000_000)
    return f"{sign}{whole}.{fraction:09d}".rstrip("0") if fraction else f"{sign}{whole}"


def column_lines(around: Frame, texts: Sequence[str], values: np.ndarray, ends: Sequence[str] | None) -> list[str]:
    """The lines of one column, in order, "" where the value is NaN.

    Args:
        around: the column's frame.
        texts: (n,) label texts.
        values: (n,) int64 or float64.
        ends: (n,) what follows the value (" 1700000000", a timestamp), or None.
    """
    before, after, bare = around
    # Values become text first: repr of a finite float or of an int is what both formats want.
    written = list(map(repr, values.tolist()))
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        for index in np.flatnonzero(~np.isfinite(values)).tolist():
            written[index] = "" if math.isnan(values[index]) else number(float(values[index]))
    if ends is None:
        lines = [f"{before}{text}{after}{value}\n" for text, value in zip(texts, written, strict=True)]
    else:
        lines = [f"{before}{text}{after}{value}{end}\n" for text, value, end in zip(texts, written, ends, strict=True)]
    for index in (i for i, text in enumerate(texts) if not text):
        lines[index] = f"{bare}{written[index]}{ends[index] if ends else ''}\n"
    if "" in written:
        lines = [line if value else "" for line, value in zip(lines, written, strict=True)]
    return lines


def histogram_lines(
    name: str,
    columns: Sequence[Column],
    texts: Sequence[str],
    counts: np.ndarray,
    sums: np.ndarray,
    ends: Sequence[str] | None = None,
    exemplars: Exemplars | None = None,
) -> list[str]:
    """The lines of a histogram, label set by label set: its buckets, its count, its sum.

    Args:
        name: the family's.
        columns: (n_columns,) as of `bucket_columns`; the last is +Inf.
        texts: (n,) label texts.
        counts: (n, n_columns) int64, cumulative.
        sums: (n,) float64.
        ends: (n,) what follows the value, or None.
        exemplars: traces to attach to the buckets they fall into, OpenMetrics only.
    """
    lines = [
        column_lines(frame(f"{name}_bucket", column), texts, counts[:, index], ends)
        for index, column in enumerate(columns)
    ]
    if exemplars is not None:
        _attach(lines, columns, exemplars)
    lines.append(column_lines(frame(f"{name}_count", ()), texts, counts[:, -1], ends))
    lines.append(column_lines(frame(f"{name}_sum", ()), texts, sums, ends))
    return list(chain.from_iterable(zip(*lines, strict=True)))


def _attach(lines: list[list[str]], columns: Sequence[Column], exemplars: Exemplars) -> None:
    """Put every exemplar at the end of the line of the bucket that counted it."""
    edges = np.array([float(column[-1][1]) for column in columns])
    buckets = np.searchsorted(edges, exemplars.values, side="left")
    present = np.flatnonzero((exemplars.trace_hi != 0) | (exemplars.trace_lo != 0))
    rows: Iterable[tuple[int, int]] = zip(present.tolist(), buckets[present].tolist(), strict=True)
    for row, bucket in rows:
        if bucket < len(lines):  # a NaN sorts behind +Inf: no bucket counted it
            trace = f"{int(exemplars.trace_hi[row]):016x}{int(exemplars.trace_lo[row]):016x}"
            value, at = number(float(exemplars.values[row])), seconds(int(exemplars.at_ns[row]))
            lines[bucket][row] = f'{lines[bucket][row][:-1]} # {{trace_id="{trace}"}} {value} {at}\n'
