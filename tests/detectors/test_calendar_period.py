"""Beginnings of calendar periods, where the calendar and the clock are at their worst."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.calendar_period import UNITS, Unit, calendar_end, calendar_start, time_zone

SECOND_NS = 1_000_000_000
NEW_YEAR = datetime(2024, 1, 1)
MONDAY = datetime(2024, 1, 1)


def ns(text: str, zone: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=time_zone(zone)).timestamp()) * SECOND_NS


def shown(at_ns: int, zone: str) -> str:
    return datetime.fromtimestamp(at_ns // SECOND_NS, time_zone(zone)).isoformat()


@pytest.mark.parametrize(
    ("unit", "at", "begin", "end"),
    [
        ("day", "2026-03-29 12:00", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"),
        ("day", "2026-10-25 12:00", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00"),
        ("week", "2026-03-29 12:00", "2026-03-23T00:00:00+01:00", "2026-03-30T00:00:00+02:00"),
        ("month", "2024-02-29 23:59", "2024-02-01T00:00:00+01:00", "2024-03-01T00:00:00+01:00"),
        ("month", "2026-12-31 23:59", "2026-12-01T00:00:00+01:00", "2027-01-01T00:00:00+01:00"),
        ("quarter", "2026-05-05 05:05", "2026-04-01T00:00:00+02:00", "2026-07-01T00:00:00+02:00"),
        ("year", "2026-07-01 00:00", "2026-01-01T00:00:00+01:00", "2027-01-01T00:00:00+01:00"),
        ("year", "2023-07-01 00:00", "2023-01-01T00:00:00+01:00", "2024-01-01T00:00:00+01:00"),
    ],
)
def test_a_period_begins_and_ends_at_local_midnight(unit: Unit, at: str, begin: str, end: str) -> None:
    """In Berlin; also before the start that was given."""
    args = ns(at, "Europe/Berlin"), unit, NEW_YEAR, time_zone("Europe/Berlin")
    assert shown(calendar_start(*args), "Europe/Berlin") == begin
    assert shown(calendar_end(*args), "Europe/Berlin") == end


@pytest.mark.parametrize(
    ("at", "hours"), [("2026-03-29 12:00", 23), ("2026-10-25 12:00", 25), ("2026-06-01 12:00", 24)]
)
def test_a_day_has_as_many_hours_as_its_clock(at: str, hours: int) -> None:
    args = ns(at, "Europe/Berlin"), "day", NEW_YEAR, time_zone("Europe/Berlin")
    assert calendar_end(*args) - calendar_start(*args) == hours * 3_600 * SECOND_NS


def test_a_midnight_that_the_clock_jumps_over_is_the_moment_of_the_jump() -> None:
    """Beirut, 29 March 2020: the clock went from 23:59:59 to 01:00."""
    at = ns("2020-03-29 12:00", "Asia/Beirut")
    begin = calendar_start(at, "day", NEW_YEAR, time_zone("Asia/Beirut"))
    assert shown(begin, "Asia/Beirut") == "2020-03-29T01:00:00+03:00"
    assert shown(begin - SECOND_NS, "Asia/Beirut") == "2020-03-28T23:59:59+02:00"


def test_a_midnight_that_comes_twice_begins_the_day_once_at_the_first() -> None:
    """Havana, 1 November 2020: the clock went from 01:00 back to 00:00."""
    zone = time_zone("America/Havana")
    at = ns("2020-11-01 12:00", "America/Havana")
    begin = calendar_start(at, "day", NEW_YEAR, zone)
    assert shown(begin, "America/Havana") == "2020-11-01T00:00:00-04:00"
    for minutes in (0, 30, 60, 90, 150):
        assert calendar_start(begin + minutes * 60 * SECOND_NS, "day", NEW_YEAR, zone) == begin


def test_the_thirty_first_is_the_last_day_of_a_shorter_month() -> None:
    """And the 31st again in the next that has one."""
    start, zone = datetime(2024, 1, 31, 9), time_zone("UTC")
    begins = [calendar_start(ns(f"2024-{m:02}-15", "UTC"), "month", start, zone) for m in range(2, 6)]
    assert [shown(at, "UTC")[5:13] for at in begins] == ["01-31T09", "02-29T09", "03-31T09", "04-30T09"]


def test_several_units_are_one_period() -> None:
    """Two weeks from a Monday."""
    zone = time_zone("UTC")
    args = ns("2024-01-10", "UTC"), "week", MONDAY, zone, 2
    assert shown(calendar_start(*args), "UTC") == "2024-01-01T00:00:00+00:00"
    assert shown(calendar_end(*args), "UTC") == "2024-01-15T00:00:00+00:00"


@given(
    st.integers(0, 4_000_000_000),
    st.sampled_from(UNITS),
    st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1)),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Beirut", "Asia/Kolkata"]),
    st.integers(1, 3),
)
def test_every_moment_is_in_exactly_one_period(at: int, unit: Unit, start: datetime, zone: str, count: int) -> None:
    """Periods follow each other without gap, and one of them holds the moment."""
    args = unit, start.replace(microsecond=0), time_zone(zone), count
    begin, end = calendar_start(at * SECOND_NS, *args), calendar_end(at * SECOND_NS, *args)
    assert begin <= at * SECOND_NS < end
    assert calendar_start(begin, *args) == begin
    assert calendar_start(end - SECOND_NS, *args) == begin
    assert calendar_start(end, *args) == end
    longest = timedelta(days={"day": 1, "week": 7, "month": 31, "quarter": 92, "year": 366}[unit] * count, hours=1)
    assert end - begin <= longest // timedelta(seconds=1) * SECOND_NS


def test_a_time_zone_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no time zone 'Berlin'; write one of the IANA database"):
        time_zone("Berlin")
