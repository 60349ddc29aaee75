"""A history for new promises: what a seed holds is what an undisturbed run would have counted."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from detectors.rings import BAD, RAW_BAD, RAW_TOTAL, TOTAL
from flows.cli import app as command
from flows.errors import DataError, InputError, OutputError, UsageError
from flows.records import Partition
from flows.series import SHARDS
from flows.slo.bank import Bank, Budgeting, slice_target
from flows.slo.counting import Column, Counted
from flows.slo.judge import SloJudge, SloPart, SloRules
from flows.slo.promise import Calendar, GroupBy, Indicator, Promise, Rolling, Timeslices
from flows.slo.seed import History, Seed, histories, load, read_seed, save
from flows.slo.selector import Matcher, Selector
from flows.watermark import PartitionProgress, Progress

if TYPE_CHECKING:
    from pathlib import Path

    from flows.slo.judge import SloFigures

SECOND = 10**9
MINUTE, HOUR, DAY = 60 * SECOND, 3_600 * SECOND, 86_400 * SECOND
PANE = 5 * SECOND
PER_MINUTE, PER_HOUR = 12, 720
BEGIN = 1_772_442_000 // 5  # a whole hour
SERVER = Selector("spans", (Matcher("span_kind", "in", ("SPAN_KIND_SERVER",)),))
FAILED = Selector("spans", (Matcher("status_code", "in", ("STATUS_CODE_ERROR",)),))
PLAIN = Promise("plain", "web", "99", 0.99, Indicator("ratio", SERVER, bad=FAILED), Rolling(30 * DAY, "30d"))
GROUPED = replace(PLAIN, name="grouped", group_by=GroupBy("service_name", 2))
SLICED = replace(PLAIN, name="sliced", budgeting=Timeslices(MINUTE, 0.9))
MONTHLY = replace(
    PLAIN,
    name="monthly",
    indicator=Indicator("ratio", SERVER, good=FAILED),
    period=Calendar(1, "M", "2026-01-01T00:00:00", "UTC", "1M", 30 * DAY),
)


def counted(first: int, n: int, columns: list[Column], seed: int = 1, *, weight: int = 1 << 20) -> Counted:
    """Random events in each of n panes for each column; the same for the same panes, wherever a run begins."""
    panes = np.repeat(np.arange(first, first + n), len(columns))
    which = np.tile(np.arange(len(columns)), n)
    raw = (panes * 2_654_435_761 + which * 40_503 + seed) % 97 % 9
    bad = np.minimum(raw, (panes * 7 + which) % 23 % 3)
    counts = np.zeros((len(panes), 4), np.int64)
    counts[:, RAW_TOTAL], counts[:, RAW_BAD] = raw, bad
    counts[:, TOTAL], counts[:, BAD] = raw * weight, bad * weight
    some = np.flatnonzero(raw)
    every = Counted(columns, which.astype(np.int32), panes, panes, counts, np.zeros((len(panes), 2), np.uint64))
    return every.pick(some)


def hear(judge: SloJudge, first: int, upto: int, what: Counted | None) -> list[SloFigures]:
    """All shards have closed everything before `upto`; what is shown then."""
    parts = []
    for number in range(SHARDS + 1):
        progress = PartitionProgress(Partition("shard", number), upto, first, upto - 1, upto)
        parts.append(SloPart(Progress(number, (progress,)), (what,) if what is not None and number == 0 else ()))
    return judge.hear(parts)[-1].figures


def rules(*promises: Promise, seed: Seed | None = None) -> SloRules:
    return SloRules(promises, PANE, seed)


def columns_of(*promises: Promise) -> list[Column]:
    return [
        Column(each.state_key, group)
        for each in promises
        for group in (("web", "db") if each.group_by is not None else ("",))
    ]


def bank_of(promises: tuple[Promise, ...], first: int, n: int, **options: int) -> Bank:
    """What an undisturbed run has counted, ten minutes at a time: no pane of it was judged, which takes its time."""
    bank, columns = Bank(Budgeting.of(promises[0]), promises, PANE, first), columns_of(*promises)
    keys = [(column, slice_target(each)) for column in columns for each in promises if each.state_key == column[0]]
    bank.make_rows(keys)
    for begin in range(first, first + n, 120):
        what = counted(begin, min(120, first + n - begin), columns, **options)
        bank.advance(min(begin + 120, first + n))
        bank.add(np.array([bank.rows[key] for key in keys])[what.column], what.pane, what.counts)
        bank.settle()
    return bank


def sums(*banks: Bank) -> dict[tuple[str, str, int], list[int]]:
    """The counts of every window of every row."""
    return {
        (*column, window): bank.rings.window(window)[row].tolist()
        for bank in banks
        for (column, _), row in bank.rows.items()
        for window in bank.windows_ns
    }


def through_a_file(seed: Seed, path: Path) -> Seed:
    save(path, seed, 0, 1)
    return load(path)


def test_tiers_are_armed_at_once() -> None:
    seed = histories([bank_of((PLAIN,), BEGIN - 40 * PER_HOUR, 40 * PER_HOUR)])
    what = counted(BEGIN, 12, columns_of(PLAIN))
    (unprimed,) = hear(SloJudge(rules(PLAIN)), BEGIN, BEGIN + 12, what)
    (primed,) = hear(SloJudge(rules(PLAIN, seed=seed)), BEGIN, BEGIN + 12, what)
    assert (unprimed.armed, primed.armed) == (False, True)
    assert primed.windows[-1].events > 100 * unprimed.windows[-1].events


@pytest.mark.parametrize("promises", [(PLAIN,), (PLAIN, GROUPED), (SLICED,)])
def test_windows_are_those_of_an_undisturbed_run(promises: tuple[Promise, ...], tmp_path: Path) -> None:
    """Five hours as a seed and one more hour, with a crash in it, against six hours in one go."""
    columns = columns_of(*promises)
    whole = bank_of(promises, BEGIN, 6 * PER_HOUR)
    seed = through_a_file(histories([bank_of(promises, BEGIN, 5 * PER_HOUR)]), tmp_path / "seed.json")
    judge, now = SloJudge(rules(*promises, seed=seed)), BEGIN + 5 * PER_HOUR
    for n in (7, 25 * PER_MINUTE - 7, 35 * PER_MINUTE):
        hear(judge, BEGIN + 5 * PER_HOUR, now + n, counted(now, n, columns))
        now += n
        judge = SloJudge.restore(rules(*promises, seed=seed), judge.snapshot())
    assert now == BEGIN + 6 * PER_HOUR
    assert sums(*judge.banks) == sums(whole)
    assert min(counts[RAW_TOTAL] for counts in sums(whole).values()) > 0
    assert (judge.banks[0].rings.history_ns() == whole.rings.history_ns()).all()


def test_what_is_older_than_six_hours_is_right_by_the_hour(tmp_path: Path) -> None:
    whole = bank_of((PLAIN,), BEGIN, 80 * PER_HOUR)
    seed = through_a_file(histories([bank_of((PLAIN,), BEGIN, 79 * PER_HOUR)]), tmp_path / "seed.json")
    judge, first = SloJudge(rules(PLAIN, seed=seed)), BEGIN + 79 * PER_HOUR
    hear(judge, first, first + PER_HOUR, counted(first, PER_HOUR, columns_of(PLAIN)))
    assert sums(*judge.banks) == sums(whole)
    assert {DAY, 3 * DAY, 30 * DAY} <= {window for *_, window in sums(whole)}


def test_a_history_moves_to_where_the_row_begins() -> None:
    """The recording was another month, and ended in the middle of a minute."""
    past = bank_of((PLAIN,), BEGIN - 500_003, 2 * PER_HOUR + 5)
    seed = histories([past])
    judge = SloJudge(rules(PLAIN, seed=seed))
    hear(judge, BEGIN + 3, BEGIN + 4, None)
    (bank,) = judge.banks
    assert bank.rings.period().tolist() == past.rings.period().tolist()
    assert bank.rings.history_ns()[0] == past.rings.history_ns()[0] + PANE
    for length in (10 * MINUTE, HOUR):
        assert bank.window(length)[0, RAW_TOTAL] == pytest.approx(past.window(length)[0, RAW_TOTAL], rel=0.03)


def test_what_was_restored_gets_no_history() -> None:
    seed = histories([bank_of((PLAIN, GROUPED), BEGIN - PER_HOUR, PER_HOUR)])
    before = SloJudge(rules(PLAIN, GROUPED))
    hear(before, BEGIN, BEGIN + 30, counted(BEGIN, 30, columns_of(PLAIN, GROUPED)))
    after = SloJudge.restore(rules(PLAIN, GROUPED, seed=seed), before.snapshot())
    assert sums(*after.banks) == sums(*before.banks) != {}


def test_a_promise_that_is_added_later_gets_its_history_up_to_then() -> None:
    past = bank_of((PLAIN, GROUPED), BEGIN - PER_HOUR, PER_HOUR)
    before = SloJudge(rules(PLAIN))
    hear(before, BEGIN, BEGIN + 30, counted(BEGIN, 30, columns_of(PLAIN)))
    judge = SloJudge.restore(rules(PLAIN, GROUPED, seed=histories([past])), before.snapshot())
    after, primed = sums(*judge.banks), sums(past)
    for key, counts in sums(*before.banks).items():
        assert after[key] == counts
    for group in ("web", "db"):
        assert after[GROUPED.state_key, group, 30 * DAY] == primed[GROUPED.state_key, group, 30 * DAY]


def test_a_group_that_comes_later_begins_where_it_is_seen_first() -> None:
    """One that the state before had no row for; nothing of its own is counted twice."""
    web, db = columns_of(GROUPED)
    seed = histories([bank_of((GROUPED,), BEGIN - PER_HOUR, PER_HOUR)])
    judge = SloJudge(rules(GROUPED))
    hear(judge, BEGIN, BEGIN + 12, counted(BEGIN, 12, [web]))
    judge = SloJudge.restore(rules(GROUPED, seed=seed), judge.snapshot())
    own = counted(BEGIN + 12, 1, [db], seed=3)
    assert len(own.column) == 1
    hear(judge, BEGIN, BEGIN + 13, own)
    (bank,) = judge.banks
    row = bank.rows[db, 0.0]
    assert bank.rings.history_ns()[row] == HOUR + PANE
    assert bank.rings.period()[row].tolist() == (seed.histories[db].counts.sum(axis=0) + own.counts[0]).tolist()


def test_groups_of_the_seed_are_there_from_the_beginning_and_share_its_overflow() -> None:
    columns = [Column(GROUPED.state_key, name) for name in ("a", "b", "c", "d")]
    past = SloJudge(rules(GROUPED))
    hear(past, BEGIN - 60, BEGIN, counted(BEGIN - 60, 60, columns))
    judge = SloJudge(rules(GROUPED, seed=histories(past.banks)))
    assert {each.group for each in hear(judge, BEGIN, BEGIN + 1, None)} == {"a", "b", "__overflow__"}
    hear(judge, BEGIN, BEGIN + 60, counted(BEGIN + 1, 59, columns))
    hear(past, BEGIN - 60, BEGIN + 60, counted(BEGIN + 1, 59, columns))
    assert sums(*judge.banks) == sums(*past.banks)


def test_a_calendar_counts_nothing_of_it() -> None:
    seed = histories([bank_of((MONTHLY,), BEGIN - PER_HOUR, PER_HOUR)])
    what = counted(BEGIN, 12, columns_of(MONTHLY))
    (unprimed,) = hear(SloJudge(rules(MONTHLY)), BEGIN, BEGIN + 12, what)
    (primed,) = hear(SloJudge(rules(MONTHLY, seed=seed)), BEGIN, BEGIN + 12, what)
    assert primed.budget_remaining == unprimed.budget_remaining != 1.0
    assert primed.windows[-1].events > unprimed.windows[-1].events


def test_sampled_spans_keep_their_weights(tmp_path: Path) -> None:
    past = bank_of((PLAIN,), BEGIN - PER_HOUR, PER_HOUR, weight=(3 << 20) + 777)
    seed = through_a_file(histories([past]), tmp_path / "seed.json")
    judge = SloJudge(rules(PLAIN, seed=seed))
    hear(judge, BEGIN, BEGIN + 1, None)
    assert judge.banks[0].rings.period().tolist() == past.rings.period().tolist()


entries = st.lists(
    st.tuples(st.sampled_from([5, 60, 900, 3_600]), st.integers(0, 10_000), st.floats(0, 1), st.booleans()), max_size=8
)


@given(entries, st.sampled_from([1, 5, 20, 60]), st.integers(0, 40))
def test_nothing_is_lost_and_nowhere_is_more_bad_than_there_is(
    said: list[tuple[int, int, float, bool]], pane_s: int, later_s: int
) -> None:
    spans = np.array([span for span, *_ in said], np.int64)
    ages = np.cumsum(spans) + later_s
    raw = np.array([[n, round(n * share)] for _, n, share, _ in said], np.int64).reshape(-1, 2)
    scale = np.array([(3 << 20) + 7 if sampled else 1 << 20 for *_, sampled in said], np.int64)
    counts = np.concatenate((raw * scale[:, None], raw), axis=1)
    history = History(int(ages[-1] if said else 0) * SECOND, ages * SECOND, spans * SECOND, counts)
    spread = history.before(BEGIN, pane_s * SECOND)
    assert spread.counts.sum(axis=0).tolist() == counts.sum(axis=0).tolist()
    assert (spread.counts[:, BAD] <= spread.counts[:, TOTAL]).all()
    assert (spread.counts[:, RAW_BAD] <= spread.counts[:, RAW_TOTAL]).all()
    assert (spread.panes < BEGIN).all()
    oldest = int(ages.max(initial=0))
    assert (spread.panes >= BEGIN - oldest // pane_s - 1).all()


def test_what_of_a_seed_is_promised_by_none_is_said_once(tmp_path: Path) -> None:
    path = tmp_path / "seed.json"
    save(path, histories([bank_of((PLAIN, GROUPED), BEGIN - 60, 60)]), 0, 1)
    said: list[str] = []
    assert read_seed(path, (PLAIN,), said.append).histories.keys() >= set(columns_of(PLAIN))
    assert said == [f"{path}: 1 of what the seed has counted is promised here by none and is ignored: grouped."]
    read_seed(path, (PLAIN, GROUPED), said.append)
    assert len(said) == 1
    with pytest.raises(UsageError, match="--seed without SLOs"):
        read_seed(path, (), said.append)


def test_a_seed_that_cannot_be_used_says_what_it_is_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "seed.json"
    with pytest.raises(InputError, match=r"No such file.*Make it anew: streamgauge slo seed"):
        load(path)
    save(path, histories([bank_of((PLAIN,), BEGIN - 60, 60)]), 0, 1)
    right = json.loads(path.read_text())
    assert load(path).names == {PLAIN.state_key: "plain"}

    def refused(text: str, match: str) -> None:
        path.write_text(text)
        with pytest.raises(DataError, match=match):
            load(path)

    refused(path.read_text()[:-40], "is no seed")
    refused("[]", "is no seed: Expected `object`")
    refused('{"rows": []}', "is no seed: Object missing required field `format`")
    refused(json.dumps({**right, "format": "a diary"}), "calls itself 'a diary'")
    refused(json.dumps({**right, "version": 9}), "version 9; this release reads version 1")
    refused(json.dumps({**right, "rows": [{**right["rows"][0], "group": "x"}]}), "was changed after it was made")
    first = right["rows"][0]["counts"][0]
    for entry, why in (
        ([*first[:2], 1, 2], "more bad events than events"),
        ([*first[:2], -1, -1], "less than nothing"),
        ([5, 60, 1, 0], "ends after the end"),
        ([5, 5, 1], "neither 4 nor 6 numbers"),
        ([5, 5, 1 << 70, 0], "is no seed"),
        ([5, 5, 1, "0"], "is no seed"),
        ([float(1 << 70), 5, 1, 0], "is no seed"),
    ):
        refused(json.dumps({**right, "rows": [{**right["rows"][0], "counts": [entry]}]}), why)


def test_a_seed_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Name another file"):
        save(tmp_path / "file" / "seed.json", Seed({}), 0, 1)


def test_the_command_has_help_with_examples_in_100_columns() -> None:
    for arguments, says in ((["slo", "seed"], "slo seed traces.pb.zst"), (["replay"], "--seed history.seed.json")):
        result = CliRunner().invoke(command.app, [*arguments, "--help"], env={"COLUMNS": "100"})
        assert result.exit_code == 0
        assert says in result.output
        assert max(len(line) for line in result.output.splitlines()) <= 106
