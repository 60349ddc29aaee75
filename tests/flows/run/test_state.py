"""The state directory: its lock, and recovery files of which the engine's own tables say how old they are."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from flows.config import Config
from flows.errors import StateError
from flows.run.recovery_files import check
from flows.run.state import StateDirectory

if TYPE_CHECKING:
    from pathlib import Path

FROZEN = Config().frozen()


def made(folder: Path) -> list[Path]:
    """The recovery files of a directory that is new."""
    with StateDirectory(folder) as state:
        assert not state.open(FROZEN)
    return [folder / "recovery" / f"part-{i}.sqlite3" for i in range(8)]


def write(part: Path, *, execution: int = 1, began: int = 1, finished: int = 0, **stored: int) -> None:
    """What an engine leaves: one worker that has finished all epochs before `finished`, snapshots of steps."""
    with closing(sqlite3.connect(part)) as database, database:
        if finished:
            database.execute(
                "INSERT INTO exs (ex_num, worker_count, resume_epoch) VALUES (?, 1, ?)", (execution, began)
            )
            database.execute(
                "INSERT INTO fronts (ex_num, worker_index, worker_frontier) VALUES (?, 0, ?)", (execution, finished)
            )
        for step, epoch in stored.items():
            database.execute(
                "INSERT INTO snaps (step_id, state_key, snap_epoch, ser_change) VALUES (?, ?, ?, ?)",
                (f"streamgauge.{step}", part.name, epoch, b""),
            )


def test_an_unfinished_epoch_after_some_without_a_record_is_nobodys_fault(tmp_path: Path) -> None:
    parts = made(tmp_path)
    write(parts[0], finished=31)
    for number, part in enumerate(parts):
        write(part, close=27)
        if number < 4:
            write(part, close=31)
    check(parts)


def test_what_a_life_stored_of_epochs_that_it_did_not_finish_is_forgotten(tmp_path: Path) -> None:
    """Else a key that hears nothing in such an epoch of the next life has the state of one that is over."""
    parts = made(tmp_path)
    write(parts[0], finished=7)
    for part in parts:
        for epoch in (5, 6, 7, 8):
            write(part, close=epoch, judge_windows=epoch)
    with StateDirectory(tmp_path) as state:
        assert state.open(FROZEN)
        state.forget_unfinished()
    for part in parts:
        with closing(sqlite3.connect(part)) as database:
            left = database.execute("SELECT step_id, snap_epoch FROM snaps ORDER BY snap_epoch, step_id").fetchall()
        assert left == [(f"streamgauge.{step}", epoch) for epoch in (5, 6) for step in ("close", "judge_windows")]


def test_the_directory_and_its_lock_are_its_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "state"
    os.umask(os.umask(0))
    made(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o755)
    made_again = StateDirectory(folder)
    with made_again:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert made_again.open(FROZEN)


def test_two_cannot_hold_it_and_it_is_free_after(tmp_path: Path) -> None:
    with StateDirectory(tmp_path), pytest.raises(StateError, match=f"is held by process {os.getpid()} on "):
        StateDirectory(tmp_path).__enter__()
    with StateDirectory(tmp_path):
        pass


def test_other_machines_have_locks_of_their_own(tmp_path: Path) -> None:
    with StateDirectory(tmp_path), StateDirectory(tmp_path, machine=1), pytest.raises(StateError, match="is held by"):
        StateDirectory(tmp_path, machine=1).__enter__()


def test_a_name_that_is_a_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StateError, match="state: File exists"):
        StateDirectory(tmp_path / "state").__enter__()


def test_files_of_one_age_are_taken(tmp_path: Path) -> None:
    parts = made(tmp_path)
    check(parts)
    for part in parts[1:]:
        write(part, decode=7, close=7)
    write(parts[0], decode=7, close=7, finished=8)
    check(parts)


def test_an_epoch_that_was_being_written_at_a_crash_is_nobodys_fault(tmp_path: Path) -> None:
    parts = made(tmp_path)
    for part in parts:
        write(part, decode=7, close=7)
    write(parts[0], finished=8)
    write(parts[3], decode=8, close=8)
    write(parts[4], decode=9)
    check(parts)


def test_shards_that_heard_nothing_for_long_are_not_old(tmp_path: Path) -> None:
    parts = made(tmp_path)
    for part in parts:
        write(part, close=7)
    write(parts[0], finished=101)
    write(parts[5], decode=100)  # the only slot
    check(parts)


def test_slots_that_ended_around_the_end_of_an_epoch_are_of_one_age(tmp_path: Path) -> None:
    """A stop can find some of them before it and others after; all else is stored in the same epochs."""
    parts = made(tmp_path)
    for part in parts:
        write(part, decode=98 if part is parts[2] else 99, close=99)
    write(parts[0], finished=100)
    check(parts)


@pytest.mark.parametrize(("step", "behind"), [("decode", 2), ("decode", 30), ("close", 1), ("close", 30)])
def test_a_file_that_is_behind_is_refused(tmp_path: Path, step: str, behind: int) -> None:
    parts = made(tmp_path)
    for part in parts:
        ages = {"decode": 99, "close": 99}
        if part is parts[6]:
            ages[step] -= behind
        write(part, **ages)
    write(parts[0], finished=100)
    with pytest.raises(StateError, match=rf"part-6\.sqlite3 is older than the others \(epoch {99 - behind}, they"):
        check(parts)


def test_the_file_that_says_how_far_the_engine_got_may_not_be_old_either(tmp_path: Path) -> None:
    parts = made(tmp_path)
    for part in parts:
        write(part, decode=99, close=99)
    write(parts[0], finished=50)  # it held no slots, say
    with pytest.raises(StateError, match="has state of epoch 99, and epoch 50 was begun"):
        check(parts)


def test_the_epoch_of_the_last_life_counts_and_of_its_slowest_worker(tmp_path: Path) -> None:
    parts = made(tmp_path)
    for part in parts:
        write(part, decode=99, close=99)
    write(parts[1], execution=1, finished=40)
    write(parts[2], execution=2, began=40, finished=100)
    check(parts)
