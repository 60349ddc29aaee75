"""The types of single settings: durations and sizes as text in the file, integers in the code."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, ValidationInfo, WithJsonSchema

from exporters.alerts import rfc3339
from flows.errors import ConfigError
from flows.units import (
    DURATION_PATTERN,
    SIZE_PATTERN,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
    parse_time,
)

FROM_FILE = {"from": "file"}
"""Validation context of what people wrote: a number is no duration there, for nobody can know its unit."""


def _duration(value: object, info: ValidationInfo) -> object:
    """Text as nanoseconds; in the code (`Time(pane_ns=…)`) a number is nanoseconds already."""
    written = info.context == FROM_FILE and type(value) in (int, float)
    return parse_duration(str(value)) if written or isinstance(value, str) else value


def _size(value: object) -> object:
    """Text as bytes; a bare whole number is bytes already."""
    return parse_size(value) if isinstance(value, str) else value


Duration = Annotated[
    int,
    Field(strict=True, ge=0),
    BeforeValidator(_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN}),
]
"""Nanoseconds, 0 or more; `1m30s` in the file."""


def _moment(value: object, info: ValidationInfo) -> object:
    """Text as Unix nanoseconds; in the code a number is that already."""
    written = info.context == FROM_FILE and type(value) in (int, float)
    return parse_time(str(value)) if written or isinstance(value, str) else value


Moment = Annotated[
    int,
    Field(strict=True),
    BeforeValidator(_moment),
    PlainSerializer(rfc3339, return_type=str),
    WithJsonSchema({"type": "string"}),
]
"""Unix nanoseconds; `2026-03-02T09:30:00Z` in the file."""


def lasting(least: str, most: str | None = None) -> AfterValidator:
    """A check that a duration is not shorter than one, nor longer than another."""
    least_ns, most_ns = parse_duration(least), parse_duration(most) if most else None

    def check(value: int) -> int:
        if value < least_ns:
            raise ConfigError("", format_duration(value), f"it must be at least {least}")
        if most_ns is not None and value > most_ns:
            raise ConfigError("", format_duration(value), f"it must be at most {most}")
        return value

    return AfterValidator(check)


Size = Annotated[
    int,
    Field(strict=True, ge=0),
    BeforeValidator(_size),
    PlainSerializer(format_size, return_type=str),
    WithJsonSchema({"type": ["string", "integer"], "pattern": SIZE_PATTERN, "minimum": 0}),
]
"""Bytes; `64MiB` in the file."""


def _quantile(value: float) -> float:
    """A ratio strictly between 0 and 1, never a percentage."""
    if not 0 < value < 1:
        hint = f"Write {value / 100:g}." if 1 < value < 100 else ""
        raise ConfigError("", f"{value:g}", "a quantile is a ratio between 0 and 1", hint)
    return value


Quantile = Annotated[
    float, AfterValidator(_quantile), WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1})
]
"""A ratio between 0 and 1, both excluded."""


def _whole_nanoseconds(value: float) -> float:
    """Counts at a bound are exact, so it must lie where a duration can."""
    if (Fraction(repr(value)) * 1_000_000).denominator != 1:
        raise ConfigError("", f"{value} ms", "it must be whole nanoseconds", "Write six decimals at most.")
    return value


Milliseconds = Annotated[
    float,
    AfterValidator(_whole_nanoseconds),
    PlainSerializer(lambda value: int(value) if value == int(value) else value, return_type=int | float),
]
"""Milliseconds as a number: whole ones are written without a fraction."""

Count = Annotated[int, Field(strict=True, ge=1, le=1 << 40)]
"""How many; at least one."""


def _path(value: object) -> object:
    """Text as a path, which nobody expands."""
    if not isinstance(value, str):
        return value
    if not value or "\0" in value:
        raise ConfigError("", repr(value), "it must be a path")
    if value.startswith("~"):
        raise ConfigError("", repr(value), "a ~ is not expanded in a configuration", "Write ${HOME} for it.")
    return Path(value)


FilePath = Annotated[
    Path, BeforeValidator(_path), PlainSerializer(str, return_type=str), WithJsonSchema({"type": "string"})
]
"""A path; a relative one begins where the command was started."""
