"""A past for new detectors: they are as if they had lived through it, once."""

from __future__ import annotations

import gzip
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from detectors.anomaly_state import REASONS
from flows.anomalies.past_file import read_past
from flows.errors import DataError, InputError, UsageError
from flows.slo.exclusions import Exclusion
from tests.flows.anomalies.feed import BEGIN, MINUTE_NS, Called, Feed, Minute, rule
from tests.flows.anomalies.test_score import ordinary

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flows.anomalies.rules import AnomalyRule

HEADER = "timestamp,service_name,span_name,span_kind,window,calls,errors,p50,p95"
WEEK = 7 * 1_440
SIGNALS = ("p95", "rate", "error_ratio")
FIGURES = ("value", "score", "expected", "lower", "upper", "why")


def table(path: Path, minutes: Sequence[Minute], begin: int = BEGIN, window: str = "1m", first: str = HEADER) -> Path:
    """What `replay --samples` would have written of minutes; also of one before, which may be a part of one."""
    lines = [first]
    for number, minute in enumerate([minutes[0], *minutes]):
        time = np.datetime64((begin + number) * 60, "s")
        for name, called in minute.items():
            operation, p95 = name.replace(" ", ",", 1), repr(called.p95) if called.calls else ""
            lines.append(f"{time}Z,{operation},SPAN_KIND_SERVER,{window},{called.calls},{called.errors},{p95},{p95}")
    text = "\n".join(lines) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def primed(path: Path, *rules: AnomalyRule, begin: int = BEGIN, exclusions: Sequence[Exclusion] = ()) -> Feed:
    """A stream whose detectors have a past."""
    feed = Feed(*rules, begin=begin, exclusions=exclusions)
    feed.rules = replace(feed.rules, pasts=read_past(path, feed.rules, lambda _: None))
    return feed


def said(feed: Feed, operation: str, n: int) -> dict[tuple[str, str], list[float]]:
    """The last n of all that is said of an operation."""
    return {
        (signal, what): list(feed.of(operation, signal, what).values())[-n:] for signal in SIGNALS for what in FIGURES
    }


@pytest.mark.parametrize("name", ["past.csv", "past.csv.gz"])
def test_detectors_with_a_past_say_what_those_say_that_lived_through_it(name: str, tmp_path: Path) -> None:
    minutes = ordinary(1, 400)
    minutes[100:103] = [{"shop buy": Called(5)}] * 3  # a stop of the other
    lived = Feed()
    lived.minutes(*minutes)
    feed = primed(table(tmp_path / name, minutes[:300]), begin=BEGIN + 300)
    feed.minutes(*minutes[300:])
    for operation in ("web get", "shop buy"):
        assert repr(said(feed, operation, 100)) == repr(said(lived, operation, 100))
    assert {REASONS[why] for why in feed.of("web get", "rate", "why").values()} == {""}


def test_an_operation_that_has_no_past_begins_anew(tmp_path: Path) -> None:
    minutes = ordinary(2, 320)
    feed = primed(
        table(tmp_path / "past.csv", [{"web get": each["web get"]} for each in minutes[:300]]), begin=BEGIN + 300
    )
    feed.minutes(*minutes[300:])
    fresh = Feed(begin=BEGIN + 300)
    fresh.minutes(*minutes[300:])
    assert repr(said(feed, "shop buy", 20)) == repr(said(fresh, "shop buy", 20))
    assert repr(said(feed, "web get", 20)) != repr(said(fresh, "web get", 20))


@pytest.mark.parametrize("weeks", [-3, 1])
def test_a_past_of_another_week_is_moved_by_whole_weeks(weeks: int, tmp_path: Path) -> None:
    minutes = ordinary(3, 400)
    found = []
    for begin in (BEGIN, BEGIN + weeks * WEEK):
        feed = primed(table(tmp_path / "past.csv", minutes[:300], begin), begin=BEGIN + 300)
        feed.minutes(*minutes[300:])
        found.append(repr(said(feed, "web get", 100)))
    assert found[0] == found[1]


def test_a_past_is_learnt_once_whatever_is_restarted(tmp_path: Path) -> None:
    minutes = ordinary(4, 340)
    path = table(tmp_path / "past.csv", minutes[:300])
    feed, other = (primed(path, begin=BEGIN + 300) for _ in range(2))
    feed.minutes(*minutes[300:])
    for minute in minutes[300:]:
        other.minutes(minute)
        other.restart()
    assert repr(said(other, "web get", 40)) == repr(said(feed, "web get", 40))


def test_what_maintenance_touched_and_a_gap_of_the_stream_teach_nothing(tmp_path: Path) -> None:
    minutes = ordinary(5, 420)
    maintenance = Exclusion((), (BEGIN + 200) * MINUTE_NS, (BEGIN + 250) * MINUTE_NS)
    lost = [{name: Called(0) for name in minutes[0]}] * 20
    broken = [{"web get": Called(1, 1, 9.0), "shop buy": Called(1, 1, 9.0)}] * 50
    pasts = [minutes[:400], [*minutes[:100], *lost, *minutes[120:200], *broken, *minutes[250:400]]]
    pasts[0][100:120] = [{}] * 20
    found = []
    for past in pasts:
        feed = primed(table(tmp_path / "past.csv", past), begin=BEGIN + 400, exclusions=[maintenance])
        feed.minutes(*minutes[400:])
        found.append(repr(said(feed, "web get", 20)))
    assert found[0] == found[1]


def test_each_rule_takes_the_rows_of_its_step(tmp_path: Path) -> None:
    minutes = ordinary(6, 300)
    fives = rule("fives", step=5)
    with pytest.raises(DataError, match=r"past\.csv has nothing that is scored; rows of the window 5m are"):
        primed(table(tmp_path / "past.csv", minutes), fives)
    read = read_past(table(tmp_path / "past.csv", minutes, window="5m"), Feed(fives).rules, lambda _: None)
    ends = read["fives"].times_ns // MINUTE_NS
    assert ends.tolist() == list(range(BEGIN + 5, BEGIN + 301, 5))


def test_it_is_said_what_a_table_has(tmp_path: Path) -> None:
    told: list[str] = []
    path = table(tmp_path / "past.csv", ordinary(7, 301))
    read_past(path, Feed().rules, told.append)
    assert told == [f"{path}: 5.0 h of 2 operations"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "has no column timestamp, service_name"),
        (HEADER.replace(",p95", ",p99"), "has no column p95"),
        (f"{HEADER}\n2026-03-01T09:00:00Z,web,get,SPAN_KIND_SERVER,1m,many,0,,1", "past.csv:2 is no row.*'many'"),
        (f"{HEADER}\n2026-03-01T09:00:00Z,web,get,SPAN_KIND_SERVER,1m", "past.csv:2 is no row"),
        (f"{HEADER}\nyesterday,web,get,SPAN_KIND_SERVER,1m,1,0,,1", "past.csv:2 is no row.*yesterday"),
        (f"{HEADER}\n2026-03-01T09:00:00Z,web,get,SERVER,1m,1,0,,1", "past.csv:2 is no row.*'SERVER' is no kind"),
        ("\x1f\x8b\x08", "is no table that can be read"),
        (HEADER, "has nothing that is scored"),
    ],
)
def test_a_file_that_is_no_table_is_refused_with_what_to_do(text: str, found: str, tmp_path: Path) -> None:
    path = tmp_path / "past.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=f"{found}.*--samples FILE"):
        read_past(path, Feed().rules, lambda _: None)


def test_a_past_wants_a_file_that_is_there_and_something_that_is_scored(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.csv: No such file or directory; --prime names"):
        read_past(tmp_path / "none.csv", Feed().rules, lambda _: None)
    with pytest.raises(UsageError, match="--prime without anomalies"):
        read_past(tmp_path / "none.csv", None, lambda _: None)
