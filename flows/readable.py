"""Numbers and times as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

from flows.units import DURATION_UNITS

_WORDS = {"d": "day", "h": "hour", "m": "minute", "s": "second"}


def clock(ns: int) -> str:
    """Event time to the second, UTC.

    >>> clock(1_772_442_000_000_000_000)
    '2026-03-02 09:00:00'
    """
    return datetime.fromtimestamp(ns // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def seconds(value: float) -> str:
    """A duration with three digits and the unit that people would choose.

    >>> seconds(0.01234), seconds(2.5), seconds(0.0000021), seconds(float("nan"))
    ('12.3 ms', '2.50 s', '2.10 µs', '–')
    """
    if value != value:
        return "–"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            scaled = value / size
            return f"{scaled:.{2 if scaled < 10 else 1 if scaled < 100 else 0}f} {unit}"
    return f"{value * 1e9:.0f} ns"


def percent(ratio: float) -> str:
    """A ratio with three digits.

    >>> percent(0.0144), percent(1.0), percent(0.00005)
    ('1.44 %', '100 %', '0.005 %')
    """
    return f"{ratio * 100:.3g} %"


def per_second(rate: float) -> str:
    """A rate with three digits.

    >>> per_second(12.345), per_second(2345.6), per_second(0.0)
    ('12.3 /s', '2,346 /s', '0 /s')
    """
    return f"{rate:,.0f} /s" if rate >= 1000 else f"{rate:.3g} /s"


def about(duration_ns: float) -> str:
    """A duration in the largest unit of which there are two.

    >>> about(3.2 * 86_400e9), about(100 * 60e9), about(1e9)
    ('3 days', '100 minutes', '1 second')
    """
    for unit, word in _WORDS.items():
        n = int(duration_ns / DURATION_UNITS[unit])
        if n >= 2:
            return f"{n} {word}s"
    return "1 second"
