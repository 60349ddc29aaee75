"""Wall clocks: which time of day, and of the week, an instant is where people live."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

QUARTER = 900
"""Seconds. Clocks are moved at a quarter of an hour of UTC, everywhere since 1972."""

MONDAY = 4 * 86_400
"""The first Monday after the epoch, in seconds."""


def is_zone(name: str) -> bool:
    """Whether the IANA time zone database has a zone of this name.

    >>> is_zone("Europe/Berlin"), is_zone("Mars/Olympus")
    (True, False)
    """
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):  # also where the name is a path, or a folder of zones
        return False
    return True


@lru_cache(maxsize=65_536)
def _offset(quarter: int, zone: str) -> float:
    """Seconds that a clock is ahead of UTC in a quarter of an hour."""
    try:
        offset = datetime.fromtimestamp(quarter * QUARTER, UTC).astimezone(ZoneInfo(zone)).utcoffset()
    except (OverflowError, ValueError, OSError):  # beyond the calendar: no clock was ever moved there
        return 0.0
    return offset.total_seconds() if offset else 0.0


def local_seconds(times_ns: np.ndarray, zone: str) -> np.ndarray:
    """(n,) float64 seconds by the wall clock, from a Monday's midnight.

    Args:
        times_ns: (n,) int64 since the epoch.
        zone: As in the IANA time zone database.

    >>> spring = np.array([1_774_746_000, 1_774_749_600]) * 10**9   # 29 March 2026, 01:00 and 02:00 UTC
    >>> (local_seconds(spring, "Europe/Berlin") % 86_400 / 3_600).tolist()
    [3.0, 4.0]
    """
    seconds = np.asarray(times_ns, np.int64) / 1e9
    if zone == "UTC":
        return np.asarray(seconds - MONDAY)
    quarters, which = np.unique(np.asarray(times_ns, np.int64) // (QUARTER * 10**9), return_inverse=True)
    offsets = np.array([_offset(int(quarter), zone) for quarter in quarters])
    return np.asarray(seconds + offsets[which] - MONDAY)
