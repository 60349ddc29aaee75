"""Calendar periods of error budgets: a month, a week or a year that begins at a local midnight.

A period begins anew at the wall clock of its time zone, so that with daylight saving one month is an hour longer than
another (time zones: the IANA database, through `zoneinfo`).
"""

from __future__ import annotations

from bisect import bisect_right
from calendar import monthrange
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

Unit = Literal["day", "week", "month", "quarter", "year"]

UNITS: tuple[Unit, ...] = ("day", "week", "month", "quarter", "year")

_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_DAYS = {"day": 1, "week": 7}
_SECOND_NS = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def time_zone(name: str) -> ZoneInfo:
    """A time zone by its name in the IANA database.

    Raises:
        ValueError: There is none of that name.

    >>> time_zone("Europe/Berlin").key
    'Europe/Berlin'
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            f"there is no time zone {name!r}; write one of the IANA database, such as Europe/Berlin"
        ) from error


def calendar_start(at_ns: int, unit: Unit, start: datetime, zone: ZoneInfo, count: int = 1) -> int:
    """When the calendar period that holds a moment began.

    Args:
        at_ns: The moment, Unix nanoseconds.
        unit: Of the period.
        start: Local wall-clock time at which some period begins (OpenSLO's `calendar.startTime`; without time zone).
            Periods repeat before and after it. A 31st begins on the last day of shorter months.
        zone: Whose wall clock it is.
        count: So many units are a period.

    Returns:
        Unix nanoseconds, at most `at_ns`.

    >>> berlin = time_zone("Europe/Berlin")
    >>> def local(text): return int(datetime.fromisoformat(text).replace(tzinfo=berlin).timestamp()) * _SECOND_NS
    >>> begin = calendar_start(local("2026-04-17 12:00"), "month", datetime(2020, 1, 1), berlin)
    >>> datetime.fromtimestamp(begin // _SECOND_NS, berlin).isoformat()
    '2026-04-01T00:00:00+02:00'
    """
    return _around(at_ns, unit, start, zone, count)[0]


def calendar_end(at_ns: int, unit: Unit, start: datetime, zone: ZoneInfo, count: int = 1) -> int:
    """When the calendar period that holds a moment ends, and the next begins: after `at_ns`. See `calendar_start`.

    >>> berlin = time_zone("Europe/Berlin")
    >>> day = 86_400 * _SECOND_NS
    >>> at = int(datetime(2026, 3, 29, 12, tzinfo=berlin).timestamp()) * _SECOND_NS
    >>> ends, begins = (f(at, "day", datetime(2020, 1, 1), berlin) for f in (calendar_end, calendar_start))
    >>> (ends - begins) / day * 24
    23.0
    """
    return _around(at_ns, unit, start, zone, count)[1]


def _around(at_ns: int, unit: Unit, start: datetime, zone: ZoneInfo, count: int) -> tuple[int, int]:
    """The beginnings of the period that holds a moment and of the next."""
    local = datetime.fromtimestamp(at_ns // _SECOND_NS, zone).replace(tzinfo=None)
    begins = list(_candidates(local, unit, start.replace(tzinfo=None), zone, count))
    after = bisect_right(begins, at_ns)
    return begins[after - 1], begins[after]


def _candidates(local: datetime, unit: Unit, start: datetime, zone: ZoneInfo, count: int) -> Iterator[int]:
    """The beginnings of the periods around a wall-clock time, in order; local and absolute order differ by an hour."""
    if unit in _DAYS:
        step = timedelta(days=_DAYS[unit] * count)
        nearest = (local - start) // step
        for number in range(nearest - 1, nearest + 3):
            yield _absolute(start + number * step, zone)
        return
    months = _MONTHS[unit] * count
    nearest = ((local.year - start.year) * 12 + local.month - start.month) // months
    for number in range(nearest - 1, nearest + 3):
        yield _absolute(_later_month(start, number * months), zone)


def _later_month(start: datetime, months: int) -> datetime:
    """The same day and time some months later; the last day where the month has no such day."""
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    return start.replace(year=year, month=month + 1, day=min(start.day, monthrange(year, month + 1)[1]))


def _absolute(local: datetime, zone: ZoneInfo) -> int:
    """Unix nanoseconds of a wall-clock time: the first of two in autumn, the moment of the jump in spring."""
    found = local.replace(tzinfo=zone, fold=0)
    moment = found.astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) != local:
        # In the gap: with fold 1 the offset after the jump applies, which leads to before it; the jump lies between.
        moment = _jump(local.replace(tzinfo=zone, fold=1).astimezone(UTC), moment, zone)
    return (moment - _EPOCH) // timedelta(seconds=1) * _SECOND_NS


def _jump(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The second at which the clock jumps, by halving."""
    offset = after.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        middle = middle.replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == offset:
            after = middle
        else:
            before = middle
    return after
