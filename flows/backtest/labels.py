"""Labels of a recording: what went wrong, when and where."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from flows.errors import DataError, InputError, UnitError
from flows.units import parse_time

if TYPE_CHECKING:
    from pathlib import Path

_EXPECTED = "a list of {at, kind, service} with times of RFC 3339, `until` where it is known"


class Fault(NamedTuple):
    """One thing that went wrong."""

    at_ns: int
    until_ns: int
    kind: str
    service: str


class _Label(msgspec.Struct):
    at: str
    kind: str
    service: str
    until: str | None = None


def read_labels(path: Path, lasts_ns: int) -> tuple[Fault, ...]:
    """The faults of a recording, in the order of time; what else a label says is left alone.

    Args:
        path: of `labels.json`.
        lasts_ns: how long a fault lasts whose label has no `until`.

    Raises:
        InputError: it cannot be read.
        DataError: it holds no labels.
    """
    try:
        labels = msgspec.json.decode(path.read_bytes(), type=list[_Label])
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", hint="Name the labels of the recording.") from error
    except msgspec.MsgspecError as error:
        raise DataError(f"{path}: {error}", f"labels are {_EXPECTED}", "docs/backtest.md has an example.") from error
    return tuple(sorted(_fault(path, number, label, lasts_ns) for number, label in enumerate(labels)))


def _fault(path: Path, number: int, label: _Label, lasts_ns: int) -> Fault:
    try:
        at_ns = parse_time(label.at)
        until_ns = at_ns + lasts_ns if label.until is None else parse_time(label.until)
    except UnitError as error:
        raise DataError(f"{path}: label {number}: {error}") from error
    if until_ns <= at_ns:
        raise DataError(f"{path}: label {number} is until {label.until}", f"that is after its `at`, {label.at}")
    return Fault(at_ns, until_ns, label.kind, label.service)
