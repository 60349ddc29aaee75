"""Options that several commands have, and how their texts become values."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.errors import UnitError
from flows.units import parse_duration, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable


def _parser(parse: Callable[[str], int], metavar: str) -> Callable[[str], int]:
    """A parser of one of our units whose refusal is a usage error that names the option."""

    def parsed(text: str) -> int:
        try:
            return parse(text)
        except UnitError as error:
            raise typer.BadParameter(str(error)) from error

    parsed.__name__ = metavar
    return parsed


def _positive_duration(text: str) -> int:
    duration_ns = parse_duration(text)
    if duration_ns == 0:
        raise UnitError(repr(text), "it must be longer than nothing")
    return duration_ns


DURATION = _parser(_positive_duration, "DURATION")
"""`1m30s` → nanoseconds, more than 0."""

LENGTH = _parser(parse_duration, "DURATION")
"""The same, 0 too."""

TIME = _parser(parse_time, "TIME")
"""RFC 3339 → Unix nanoseconds."""

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="Settings (YAML) where the defaults do not fit."),
]

Anomalies = Annotated[
    bool,
    typer.Option(
        "--anomalies",
        help="Score latency, traffic and errors of what is served, where the configuration has no `anomalies`.",
    ),
]

Prime = Annotated[
    Path | None,
    typer.Option(
        "--prime", metavar="FILE", help="What operations did before, by `replay --samples`: new detectors learn it."
    ),
]

Seed = Annotated[
    Path | None,
    typer.Option("--seed", metavar="FILE", help="What the SLOs counted before, by `streamgauge slo seed`."),
]


class Signal(StrEnum):
    """What a recording holds, as people name it."""

    TRACES = "traces"
    SPANS = "spans"


HeldSignal = Annotated[
    Signal | None, typer.Option("--signal", help="What the recording holds, where its name does not say.")
]

Workers = Annotated[
    int, typer.Option("--workers", min=1, max=8, metavar="N", help="Processes; the answers do not depend on it.")
]
