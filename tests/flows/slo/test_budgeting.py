"""Calendars and time slices on the stream against brute force: shards and judge, over a boundary, with crashes."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.slo.judge import SloRules
from flows.slo.promise import Calendar, Indicator, Promise, Rolling, Timeslices
from tests.flows.slo.test_judge import DAY, FAILED, MINUTE, PANE, SECOND, WEB, Chain, Truth, stream, window_start

if TYPE_CHECKING:
    from flows.slo.shown import SloFigures

WEEK = Calendar(1, "w", "2026-01-05T00:00:00", "Europe/Berlin", "1w", 7 * DAY)  # a Monday
MONTH = Calendar(1, "M", "2026-01-01T00:00:00", "America/New_York", "1M", 30 * DAY)
SLICES = Timeslices(MINUTE, 0.8)

BEGINS = (
    datetime(2026, 3, 29, 21, 45, tzinfo=UTC),  # before a Monday in Berlin: that Sunday clocks went forward
    datetime(2026, 10, 25, 22, 45, tzinfo=UTC),  # they went back
    datetime(2026, 4, 1, 3, 45, tzinfo=UTC),  # before April in New York, where March began at another offset
    datetime(2026, 12, 1, 4, 45, tzinfo=UTC),  # before December there; November began at another
)


def promise(name: str, period: Rolling | Calendar, budgeting: Timeslices | None = None) -> Promise:
    indicator = Indicator("ratio", WEB, bad=FAILED)
    return Promise(name, "web", "0.9", 0.9, indicator, period, budgeting=budgeting)


PROMISES = (
    promise("week", WEEK),
    promise("month", MONTH),
    promise("slices", Rolling(7 * DAY, "7d"), SLICES),
    promise("strict slices", Rolling(7 * DAY, "7d"), Timeslices(MINUTE, 1.0)),
    promise("slices of a week", WEEK, SLICES),
    promise("slices of a month", MONTH, Timeslices(5 * MINUTE, 0.7)),
)


def period_begin(of: Calendar, position: int) -> int:
    """When the period began that has the last closed pane: midnight of a Monday or a first, where the calendar is."""
    local = datetime.fromtimestamp((position - 1) * PANE / SECOND, ZoneInfo(of.time_zone))
    day = local.date()
    first = day - timedelta(days=day.weekday()) if of.unit == "w" else day.replace(day=1)
    midnight = datetime(first.year, first.month, first.day, tzinfo=ZoneInfo(of.time_zone))
    return round(midnight.timestamp()) * SECOND


def in_events(truth: Truth, of: Promise, position: int, start: int) -> tuple[int, int]:
    """(bad, total) weights since a moment."""
    counted = [(span.weight, is_bad) for span, is_bad in truth.of(of, position) if span.end >= start]
    return sum(weight * is_bad for weight, is_bad in counted), sum(weight for weight, _ in counted)


def in_slices(truth: Truth, of: Promise, position: int, start: int) -> tuple[int, int]:
    """(bad, all) slices that ended since a moment."""
    assert of.budgeting is not None
    length = of.budgeting.slice_ns
    sums: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for span, is_bad in truth.of(of, position):
        for k, more in enumerate((span.weight * is_bad, span.weight)):
            sums[span.end // length][k] += more
    ended = range(start // length, position * PANE // length)
    allowed = {1.0: 0.0, 0.8: 0.2, 0.7: 0.3}[of.budgeting.target]
    return sum(1 for each in ended if each in sums and sums[each][0] / sums[each][1] > allowed), len(ended)


def check_figures(truth: Truth, seen: SloFigures, position: int) -> None:
    of = seen.promise
    count = in_slices if of.budgeting else in_events
    for window in seen.windows:
        bad, total = count(truth, of, position, window_start(window.window_ns, position))
        assert window.events == (total if of.budgeting else total >> 20)
        if total:
            assert window.error_ratio == pytest.approx(bad / total, abs=1e-15)
    if isinstance(of.period, Calendar):
        bad, total = count(truth, of, position, period_begin(of.period, position))
    elif of.budgeting:
        bad, total = count(truth, of, position, window_start(of.period.period_ns, position))
    spent = bad / total / 0.1 if total else 0.0
    assert seen.budget_remaining == pytest.approx(1 - spent, rel=1e-9, abs=1e-9)


def check(seed: int, begin: datetime) -> None:
    rng = random.Random(seed)
    partitions = stream(rng, 30, round(begin.timestamp()) * SECOND)
    truth = Truth(partitions)
    shown = Chain(partitions, rng, SloRules(PROMISES, PANE)).run()
    assert shown
    for at in rng.sample(shown, min(len(shown), 6)) + shown[-1:]:
        assert {seen.promise for seen in at.figures} == set(PROMISES)
        for seen in at.figures:
            check_figures(truth, seen, at.end_ns // PANE)


@pytest.mark.parametrize("begin", BEGINS, ids=str)
@settings(max_examples=1)
@given(st.integers(0, 1 << 30))
def test_calendars_and_slices_are_those_of_brute_force(begin: datetime, seed: int) -> None:
    check(seed, begin)


@pytest.mark.slow
@settings(max_examples=60)
@given(st.integers(0, 1 << 30), st.sampled_from(BEGINS))
def test_calendars_and_slices_are_those_of_brute_force_many_times(seed: int, begin: datetime) -> None:
    check(seed, begin)


@pytest.mark.parametrize(("begin", "calendar"), list(zip(BEGINS, (WEEK, WEEK, MONTH, MONTH), strict=True)), ids=str)
def test_each_stream_here_crosses_the_boundary_of_its_calendar(begin: datetime, calendar: Calendar) -> None:
    first = round(begin.timestamp()) * SECOND // PANE
    crossed = period_begin(calendar, first + 30 * 12)
    assert crossed == round((begin + timedelta(minutes=15)).timestamp()) * SECOND > period_begin(calendar, first)
