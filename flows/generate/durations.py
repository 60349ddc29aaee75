"""Lengths of time in scenario files: text there, nanoseconds in the code."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from flows.units import parse_duration

SECOND = 1_000_000_000
"""Nanoseconds in a second."""


def signed_duration(value: object) -> object:
    """A duration such as `1m30s` or `-2.5ms` as nanoseconds; integers are nanoseconds already and pass.

    >>> signed_duration("1m30s"), signed_duration("-20us"), signed_duration(SECOND)
    (90000000000, -20000, 1000000000)
    """
    if not isinstance(value, str):
        return value
    size = parse_duration(value.removeprefix("-"))
    return -size if value.startswith("-") else size


Duration = Annotated[int, BeforeValidator(signed_duration), Field(ge=0, strict=True)]
"""A length of time: nanoseconds, not negative."""

Offset = Annotated[int, BeforeValidator(signed_duration), Field(strict=True)]
"""How far a clock is ahead: nanoseconds, negative where it is behind."""
