"""Durations, sizes and times: what people write is exactly what is meant, or refused with a way out."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.errors import UnitError
from flows.units import (
    LARGEST,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
    parse_time,
)


@given(st.integers(0, LARGEST))
def test_every_duration_reads_back_from_its_text(duration_ns: int) -> None:
    assert parse_duration(format_duration(duration_ns)) == duration_ns


@given(st.integers(0, LARGEST))
def test_every_size_reads_back_from_its_text(n_bytes: int) -> None:
    assert parse_size(format_size(n_bytes)) == n_bytes


@given(st.text(max_size=20))
def test_any_text_is_a_duration_or_refused_as_one(text: str) -> None:
    try:
        duration_ns = parse_duration(text)
    except UnitError:
        return
    assert 0 <= duration_ns <= LARGEST


@given(st.text(max_size=20))
def test_any_text_is_a_size_or_refused_as_one(text: str) -> None:
    try:
        n_bytes = parse_size(text)
    except UnitError:
        return
    assert 0 <= n_bytes <= LARGEST


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [("5s", 5 * 10**9), ("1h", 3_600 * 10**9), ("1m30s", 90 * 10**9), ("250ms", 250 * 10**6), ("0.25us", 250)],
)
def test_durations_are_exact(text: str, expected_ns: int) -> None:
    assert parse_duration(text) == expected_ns


@pytest.mark.parametrize(
    "text", ["", "s", "5", "5 s", "-5s", "30s1m", "5s5s", "5S", "1e3s", "0.1ns", "300d1y", "999999d"]
)
def test_a_duration_that_could_be_misread_is_refused(text: str) -> None:
    with pytest.raises(UnitError):
        parse_duration(text)


def test_a_number_without_a_unit_is_refused_with_what_was_probably_meant() -> None:
    with pytest.raises(UnitError, match="Write 90s for seconds"):
        parse_duration("90")


def test_thousands_and_1024s_are_told_apart() -> None:
    assert (parse_size("4MB"), parse_size("4MiB")) == (4_000_000, 4_194_304)


@pytest.mark.parametrize("text", ["", "MB", "4 M", "4Mb", "4mib", "-1B", "0.5B", "9EiB", "10000000TiB"])
def test_a_size_that_could_be_misread_is_refused(text: str) -> None:
    with pytest.raises(UnitError):
        parse_size(text)


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2260, 1, 1), timezones=st.just(UTC)))
def test_every_time_reads_back_from_its_iso_text(moment: datetime) -> None:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    expected_ns = (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1_000
    assert parse_time(moment.isoformat()) == expected_ns


@pytest.mark.parametrize(
    "text", ["2026-03-02T09:30:00Z", "2026-03-02T10:30+01:00", "2026-03-02 09:30", "2026-03-02T09:30:00.000000000Z"]
)
def test_parts_of_a_time_may_be_left_out_and_zones_are_honoured(text: str) -> None:
    assert parse_time(text) == 1_772_443_800 * 10**9


@pytest.mark.parametrize("text", ["", "yesterday", "2026-02-30", "09:30", "2026-03-02T25:00", "1772443800"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UnitError, match="RFC 3339"):
        parse_time(text)
