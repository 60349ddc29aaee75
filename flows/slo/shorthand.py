"""Durations as OpenSLO writes them: one whole number and one unit, `5m`, `28d`, `1M`.

Source: OpenSLO specification v1, "duration-shorthand"; the lengths of M, Q and Y are those of its Go SDK.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from flows.errors import UnitError
from flows.units import DURATION_UNITS

DAY_NS = DURATION_UNITS["d"]

UNITS = {
    "m": DURATION_UNITS["m"],
    "h": DURATION_UNITS["h"],
    "d": DAY_NS,
    "w": 7 * DAY_NS,
    "M": 30 * DAY_NS,
    "Q": 90 * DAY_NS,
    "Y": 365 * DAY_NS,
}
"""Nanoseconds per unit, where no calendar says otherwise."""

_SHORTHAND = re.compile(r"([0-9]{1,9})([A-Za-z]+)")


@dataclass(frozen=True)
class Shorthand:
    """A duration with its unit, which a calendar needs: a month is not 30 days there."""

    count: int
    unit: str  # one of UNITS

    @property
    def ns(self) -> int:
        """Nanoseconds, months of 30 days, quarters of 90, years of 365."""
        return self.count * UNITS[self.unit]

    def __str__(self) -> str:
        return f"{self.count}{self.unit}"


def parse_shorthand(text: str) -> Shorthand:
    """A duration as OpenSLO writes it.

    >>> parse_shorthand("28d"), parse_shorthand("1M").ns == parse_shorthand("30d").ns
    (Shorthand(count=28, unit='d'), True)

    Raises:
        UnitError: It is of another form, of an unknown unit, or nothing long.
    """
    match = _SHORTHAND.fullmatch(text)
    if match is None or match[2] not in UNITS:
        expected = "a duration of OpenSLO is one whole number and one of m, h, d, w, M, Q, Y"
        seconds = re.fullmatch(r"([0-9]+)s", text)
        hint = f"Write {max(int(seconds[1]) // 60, 1)}m: it has no seconds." if seconds else "Write 5m, 6h, 28d or 1M."
        raise UnitError(repr(text), expected, hint)
    if int(match[1]) == 0:
        raise UnitError(repr(text), "it must be longer than nothing")
    shorthand = Shorthand(int(match[1]), match[2])
    if shorthand.ns > 10 * UNITS["Y"]:
        raise UnitError(repr(text), "nothing here is longer than ten years")
    return shorthand
