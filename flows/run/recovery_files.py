"""Whether the dataflow engine's recovery files can be trusted: all there, whole, and of one age.

The engine resumes at an epoch E, the least that its workers say they had finished, with the newest snapshot before E of
each key. It does not look whether that snapshot is the one it should be: a file that is older than the others gives
older state for some keys, without an error. So it is looked here, before the engine opens anything. Slots are stored
with every epoch, and shards all in the same epochs, since every emission goes to each of them: the newest before E must
be of one epoch in all files that have any. (Tables: bytewax 0.21, `src/recovery.rs`.)
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from flows.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

ACCEPT = "or start with --accept-state-loss: the old files are put aside, and reading begins at kafka.start"

_SLOTS = "decode"
_STEPS = (_SLOTS, "close")
_AHEAD = 2
"""Epochs of which snapshots may be stored already while a worker has not said that it has finished them."""

_ONE_AGE = "all parts of the state must be of one age"
_DATABASE = "a recovery file is a SQLite database"
_DAMAGED = f"Put it back from a backup of all files, {ACCEPT}."
_OLD = f"Put the right file back, or all files of one backup, {ACCEPT}."


class _Lives(NamedTuple):
    """What a file knows of the engine's lives."""

    executions: list[tuple[int, int, int]]  # number, workers, the epoch it resumed at
    finished: list[tuple[int, int, int]]  # execution, worker, epoch: all before it are stored


class _File(NamedTuple):
    """A whole file: lives, and of which epochs it holds snapshots."""

    lives: _Lives
    stored: dict[str, list[int]]  # step → epochs


def check(parts: Sequence[Path]) -> None:
    """Read all recovery files of a run that has ended.

    Raises:
        StateError: one of them is missing, damaged, or not as old as the others.
    """
    for part in parts:
        if not part.exists():
            raise StateError(f"{part} is missing", "it holds a part of the state", f"Put it back, {ACCEPT}.")
    files = {part: _read(part) for part in parts}
    resume = _resume_epoch([file.lives for file in files.values()])
    for step in _STEPS:
        # A stop at the end of an epoch can find some slots before it and others after; they are not stored again.
        apart = 1 if step == _SLOTS else 0
        _check_ages({part: file.stored[step] for part, file in files.items() if step in file.stored}, resume, apart)
    slots = max((epoch for file in files.values() for epoch in file.stored.get(_SLOTS, ())), default=None)
    if slots is not None and not resume - 1 <= slots <= resume + _AHEAD:
        found = f"{parts[0].parent} has state of epoch {slots}, and epoch {resume} was begun"
        raise StateError(found, _ONE_AGE, _OLD)


def forget_unfinished(parts: Sequence[Path]) -> int:
    """Remove the snapshots of epochs that the last life had begun and not finished; how many there were.

    The engine does not look at them when it resumes, and does not remove them either. It begins these epochs again, but
    a key that hears nothing in one of them this time is not stored again: after a further crash the engine would take
    for its state what it was in a life that is over, beside others of this one. Nothing may have the files open.

    Raises:
        StateError: a file cannot be written.
    """
    resume, forgotten = _resume_epoch([_lives_of(part) for part in parts]), 0
    for part in parts:
        try:
            with closing(sqlite3.connect(part)) as database, database:
                forgotten += database.execute("DELETE FROM snaps WHERE snap_epoch >= ?", (resume,)).rowcount
        except sqlite3.Error as error:
            raise StateError(
                f"{part} cannot be written ({error})", "", "Make room, or give it back to its user."
            ) from error
    return forgotten


def _check_ages(epochs: Mapping[Path, list[int]], resume: int, most_apart: int) -> None:
    """Of one step: what the engine would take of each file must be of one epoch."""
    newest = {part: max(stored) for part, stored in epochs.items()}
    taken = {part: max((epoch for epoch in stored if epoch < resume), default=0) for part, stored in epochs.items()}
    compared = [(taken, most_apart)]
    # Epochs in which nothing was heard are not stored: how far the newest are from each other alone says nothing.
    if max(newest.values(), default=0) > resume + _AHEAD:
        compared.append((newest, 0))
    for ages, apart in compared:
        oldest = min(ages, key=lambda part: ages[part], default=None)
        if oldest is not None and max(ages.values()) - ages[oldest] > apart:
            found = f"{oldest} is older than the others (epoch {ages[oldest]}, they are at {max(ages.values())})"
            raise StateError(found, _ONE_AGE, _OLD)


def _resume_epoch(files: Sequence[_Lives]) -> int:
    """The epoch that the engine will begin with; 1 where it never ran."""
    number, workers, began = max((each for file in files for each in file.executions), default=(0, 1, 1))
    finished = dict.fromkeys(range(workers), began)
    for file in files:
        for execution, worker, epoch in file.finished:
            if execution == number and worker in finished:
                finished[worker] = max(finished[worker], epoch)
    return min(finished.values())


def _read(part: Path) -> _File:
    try:
        with closing(sqlite3.connect(part)) as database:
            found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise StateError(f"{part} is damaged ({found})", _DATABASE, _DAMAGED)
            stored: dict[str, list[int]] = {}
            for step, epoch in database.execute("SELECT DISTINCT step_id, snap_epoch FROM snaps"):
                stored.setdefault(step.rpartition(".")[2], []).append(epoch)
            return _File(_lives(database), stored)
    except sqlite3.Error as error:
        raise StateError(f"{part} is damaged ({error})", _DATABASE, _DAMAGED) from None


def _lives_of(part: Path) -> _Lives:
    """Those of a file that was checked."""
    try:
        with closing(sqlite3.connect(part)) as database:
            return _lives(database)
    except sqlite3.Error as error:
        raise StateError(f"{part} is damaged ({error})", _DATABASE, _DAMAGED) from None


def _lives(database: sqlite3.Connection) -> _Lives:
    return _Lives(
        database.execute("SELECT ex_num, worker_count, resume_epoch FROM exs").fetchall(),
        database.execute("SELECT ex_num, worker_index, worker_frontier FROM fronts").fetchall(),
    )
