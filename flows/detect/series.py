"""A series from a file: CSV with a timestamp and a value in each line, or what Prometheus answers to a range query."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from flows.errors import DataError, InputError
from flows.units import LARGEST, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_LATEST_SECONDS = 9_000_000_000
"""A larger number of a timestamp is milliseconds: as seconds it would be in the year 2255."""

_ABSENT = ("", "nan", "null", "none")
_EXPECTED = "timestamp,value with RFC 3339 times or Unix seconds, or Prometheus' answer to a range query"


class Series(NamedTuple):
    """One series, in the order of the file."""

    texts: list[str]  # (n,) timestamps as they stand there
    times_ns: np.ndarray  # (n,) int64 Unix nanoseconds
    values: np.ndarray  # (n,) float64, NaN where there is none


def read_series(path: Path) -> Series:
    """Read a file.

    Raises:
        InputError: it cannot be read.
        DataError: it is neither CSV with timestamps and values nor a range of one series.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", hint="Name a file with timestamps and values.") from error
    rows = list(_matrix(path, content) if content.lstrip()[:1] == b"{" else _table(path, content))
    if not rows:
        raise DataError(f"{path} has no values", _EXPECTED, "Name another file.")
    texts, times, values = zip(*rows, strict=True)
    return Series(list(texts), np.array(times, np.int64), np.array(values, np.float64))


def _table(path: Path, content: bytes) -> Iterable[tuple[str, int, float]]:
    try:
        lines = csv.reader(io.StringIO(content.decode("utf-8-sig")))
        rows = [(lines.line_num, row) for row in lines if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no text in columns ({error})", _EXPECTED) from error
    at, of = 0, 1
    if rows and not _is_time(rows[0][1][0]):
        at, of = _columns(path, [name.strip().lower() for name in rows[0][1]])
        rows = rows[1:]
    for number, row in rows:
        if len(row) <= max(at, of):
            raise DataError(f"{path}:{number} has {len(row)} columns", f"a line is {_EXPECTED}")
        yield row[at], _time(path, number, row[at]), _value(path, number, row[of])


def _columns(path: Path, names: Sequence[str]) -> tuple[int, int]:
    if "timestamp" in names and "value" in names:
        return names.index("timestamp"), names.index("value")
    if len(names) == 2:
        return 0, 1
    raise DataError(f"{path} has the columns {', '.join(names)}", "two are read, timestamp and value", "Name them so.")


def _is_time(text: str) -> bool:
    try:
        _parse_time(text)
    except ValueError:
        return False
    return True


def _time(path: Path, number: int, text: str) -> int:
    try:
        return _parse_time(text)
    except ValueError as error:
        raise DataError(f"{path}:{number}: {text!r} is no time", "RFC 3339 or Unix seconds") from error


def _parse_time(text: str) -> int:
    """A time as people and programs write it; without a zone it is UTC.

    >>> _parse_time("2014-04-01 00:05:00") == _parse_time("1396310700") == _parse_time("1396310700000")
    True
    """
    text = text.strip()
    try:
        number = float(text)
    except ValueError:
        time_ns = parse_time(text)
    else:
        if not abs(number) <= 1000 * _LATEST_SECONDS:  # also where it is no number
            raise ValueError(text)
        time_ns = round(number * (1_000_000 if abs(number) > _LATEST_SECONDS else 1_000_000_000))
    if abs(time_ns) > LARGEST:
        raise ValueError(text)
    return time_ns


def _value(path: Path, number: int, text: str) -> float:
    if text.strip().lower() in _ABSENT:
        return np.nan
    try:
        return float(text)
    except ValueError as error:
        raise DataError(f"{path}:{number}: {text!r} is no value", "a number, or nothing where there is none") from error


class _Range(msgspec.Struct):
    metric: dict[str, str]
    values: list[tuple[float, str]]


class _Data(msgspec.Struct):
    result_type: str = msgspec.field(name="resultType")
    result: list[Any] = []


class _Answer(msgspec.Struct):
    data: _Data


def _matrix(path: Path, content: bytes) -> Iterable[tuple[str, int, float]]:
    try:
        data = msgspec.json.decode(content, type=_Answer).data
        ranges = msgspec.convert(data.result, list[_Range]) if data.result_type == "matrix" else []
    except msgspec.MsgspecError as error:
        raise DataError(f"{path} is JSON of another kind ({error})", _EXPECTED) from error
    if data.result_type != "matrix":
        raise DataError(f"{path} has a {data.result_type}", "a range query gives a matrix", "Ask /api/v1/query_range.")
    if len(ranges) != 1:
        names = ", ".join(str(each.metric) for each in ranges[:3]) or "none"
        raise DataError(f"{path} has {len(ranges)} series ({names})", "one is read", "Narrow the query.")
    for number, (seconds, text) in enumerate(ranges[0].values):
        stamp = f"{seconds:.3f}".rstrip("0").rstrip(".")
        yield stamp, _time(path, number, stamp), _value(path, number, text)
