"""Budgets of calendar periods against a list of all events."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from detectors.burn_rate import budget_remaining
from detectors.calendar_counts import CalendarCounts, CalendarRules
from flows.snapshot import pack, unpack

PANE = 5
BERLIN = ZoneInfo("Europe/Berlin")
DAILY = CalendarRules("day", datetime(2024, 1, 1), BERLIN)
NOON = int(datetime(2026, 3, 28, 12, tzinfo=BERLIN).timestamp()) // PANE


def test_counts_are_those_since_local_midnight_through_the_night_the_clock_changes() -> None:
    """Three days of random events, some late, in random steps; a snapshot before each."""
    rng = np.random.default_rng(1)
    bank, position = CalendarCounts(DAILY, NOON), NOON
    bank.clear([0, 1])
    events: list[tuple[int, int, int]] = []
    dates = set()
    while position < NOON + 3 * 86_400 // PANE:
        position += int(rng.integers(1, 400))
        bank = CalendarCounts.restore(unpack(pack("calendar", 1, bank.snapshot()), "calendar", 1), DAILY)
        bank.advance(position)
        rows, raw = rng.integers(0, 2, 5), rng.integers(1, 9, 5)
        panes = np.maximum(position - rng.integers(1, 3_000, 5), NOON)
        bank.add(rows, panes, np.repeat(raw[:, None], 4, axis=1))
        events += zip(rows.tolist(), panes.tolist(), raw.tolist(), strict=True)
        today = datetime.fromtimestamp((position - 1) * PANE, BERLIN).date()
        dates.add(today)
        for row in (0, 1):
            mine = [n for r, p, n in events if r == row and datetime.fromtimestamp(p * PANE, BERLIN).date() == today]
            assert bank.counts[row].tolist() == [sum(mine)] * 4
        assert bank.period_ns == (23 if today.day == 29 else 24) * 3_600 * 10**9
    assert len(dates) == 4


def test_the_last_pane_of_a_period_is_still_shown_in_it() -> None:
    """At midnight itself the day that has just ended is complete; one pane later the next has begun."""
    midnight = int(datetime(2026, 3, 29, tzinfo=BERLIN).timestamp()) // PANE
    bank = CalendarCounts(DAILY, NOON)
    bank.clear([0])
    bank.advance(midnight)
    bank.add([0], [midnight - 1], np.array([[1000, 1, 1000, 1]]))
    assert budget_remaining(bank.counts[:, 1], bank.counts[:, 0], np.array([0.999]))[0] == pytest.approx(0.0)
    bank.advance(midnight + 1)
    assert not bank.counts.any()


def test_counts_of_another_calendar_are_not_taken_over() -> None:
    """A budget by the month is no part of one by the week."""
    bank = CalendarCounts(DAILY, NOON)
    bank.clear([0])
    bank.advance(NOON + 1)
    bank.add([0], [NOON], np.ones((1, 4), np.int64))
    assert CalendarCounts.restore(bank.snapshot(), DAILY).counts.any()
    weekly = CalendarRules("week", datetime(2024, 1, 1), BERLIN)
    assert not CalendarCounts.restore(bank.snapshot(), weekly).counts.any()
