"""Durations, sizes and times as people write them: `1m30s`, `64MiB`, `2026-03-02T09:30:00Z`, and back.

All are exact integers inside (nanoseconds, bytes, Unix nanoseconds); a text that no integer equals is refused.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from flows.errors import UnitError

DURATION_UNITS = {
    "d": 86_400_000_000_000,
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "ns": 1,
}
"""Nanoseconds per unit, the largest first: the order in which a duration names them."""

SIZE_UNITS = {
    "TiB": 1 << 40,
    "TB": 10**12,
    "GiB": 1 << 30,
    "GB": 10**9,
    "MiB": 1 << 20,
    "MB": 10**6,
    "KiB": 1 << 10,
    "kB": 10**3,
    "B": 1,
}
"""Bytes per unit, the largest first. `KB` is read as `kB`, which it always means."""

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_DURATION_PART = re.compile(rf"({_NUMBER})([a-z]+)")

DURATION_PATTERN = rf"^(0|({_NUMBER}(d|h|m|s|ms|us|ns))+)$"
SIZE_PATTERN = rf"^{_NUMBER} ?(TiB|TB|GiB|GB|MiB|MB|KiB|kB|KB|B)?$"
"""Both are regular expressions that ECMA-262 and Python read alike, for the JSON schema that editors use."""

LARGEST = (1 << 63) - 1
"""Nothing is larger than a signed 64-bit integer, for columns of them are what it meets: 292 years, 8 EiB."""


def parse_duration(text: str) -> int:
    """Nanoseconds in a duration: one number and unit, or several with the largest unit first.

    Raises:
        UnitError: There is no unit, an unknown one, one twice, or a fraction of a nanosecond.

    >>> parse_duration("1m30s"), parse_duration("250ms"), parse_duration("1.5h"), parse_duration("0")
    (90000000000, 250000000, 5400000000000, 0)
    """
    if text == "0":
        return 0
    parts = _DURATION_PART.findall(text)
    units = [unit for _, unit in parts]
    if not parts or "".join(number + unit for number, unit in parts) != text:
        hint = f"Write {text}s for seconds." if re.fullmatch(_NUMBER, text) else "Write 5s, 1m30s or 250ms."
        raise UnitError(repr(text), "a duration is numbers with units (d, h, m, s, ms, us, ns)", hint)
    for unit in units:
        if unit not in DURATION_UNITS:
            raise UnitError(f"{text!r} with the unit {unit!r}", "the units are d, h, m, s, ms, us, ns")
    if units != [unit for unit in DURATION_UNITS if unit in units]:
        raise UnitError(repr(text), "every unit comes once, the largest first", "Write 1m30s.")
    return _whole(text, sum(Fraction(number) * DURATION_UNITS[unit] for number, unit in parts), "nanoseconds")


def parse_size(text: str) -> int:
    """Bytes in a size; a bare number is bytes.

    Raises:
        UnitError: The unit is unknown, or a fraction of a byte is left.

    >>> parse_size("64MiB"), parse_size("4MB"), parse_size("1.5 KiB"), parse_size("512")
    (67108864, 4000000, 1536, 512)
    """
    match = re.fullmatch(rf"({_NUMBER}) ?([A-Za-z]*)", text)
    if match is None:
        raise UnitError(repr(text), "a size is a number and a unit", "Write 64MiB, 4MB or 512B.")
    unit = {"": "B", "KB": "kB"}.get(match[2], match[2])
    if unit not in SIZE_UNITS:
        units = "B, kB, MB, GB, TB (thousands) and KiB, MiB, GiB, TiB (1,024s)"
        raise UnitError(f"{text!r} with the unit {unit!r}", f"the units are {units}")
    return _whole(text, Fraction(match[1]) * SIZE_UNITS[unit], "bytes")


def _whole(text: str, value: Fraction | int, noun: str) -> int:
    """The value as an integer, if it is one that fits."""
    if value != int(value):
        raise UnitError(repr(text), f"it must be a whole number of {noun}")
    if value > LARGEST:
        raise UnitError(repr(text), f"the most there can be is {LARGEST:,} {noun}")
    return int(value)


def format_duration(duration_ns: int) -> str:
    """The shortest text with whole numbers that `parse_duration` reads back.

    >>> format_duration(90_000_000_000), format_duration(0), format_duration(3_600_000_000_000)
    ('1m30s', '0s', '1h')
    """
    text, rest = "", duration_ns
    for unit, factor in DURATION_UNITS.items():
        number, rest = divmod(rest, factor)
        text += f"{number}{unit}" if number else ""
    return text or "0s"


def format_size(n_bytes: int) -> str:
    """The text with the largest unit that leaves a whole number; `parse_size` reads it back.

    >>> format_size(67_108_864), format_size(4_000_000), format_size(1_000), format_size(1_536), format_size(0)
    ('64MiB', '4MB', '1kB', '1536B', '0B')
    """
    for unit, factor in SIZE_UNITS.items():
        if n_bytes and n_bytes % factor == 0:
            return f"{n_bytes // factor}{unit}"
    return f"{n_bytes}B"


_TIME = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:\d\d)?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_time(text: str) -> int:
    """Unix nanoseconds of a time in RFC 3339's form; the seconds, the hours and the zone (UTC) may be left out.

    Raises:
        UnitError: It is not of that form, or no such time exists.

    >>> parse_time("1970-01-01T00:00:01.000000002Z"), parse_time("1970-01-02"), parse_time("1970-01-01 01:00+01:00")
    (1000000002, 86400000000000, 0)
    """
    refused = UnitError(
        repr(text), "a time has the form of RFC 3339", "Write 2026-03-02T09:30:00Z, or leave out its end."
    )
    match = _TIME.fullmatch(text)
    if match is None:
        raise refused
    try:
        moment = datetime.fromisoformat(f"{match[1]}T{match[2] or '00:00'}{(match[4] or 'Z').replace('Z', '+00:00')}")
    except ValueError as error:
        raise refused from error
    return (moment - _EPOCH) // timedelta(seconds=1) * 10**9 + int((match[3] or "").ljust(9, "0"))
