"""The state directory: who holds it, what it was made with, and whether its files can be trusted.

    state/
      lock              held by the supervisor for its life (flock)
      manifest.json     format, steps, recovery partitions, frozen settings
      start.json        where the topics were read from at the very first start
      crashes.json      records that workers died of
      recovery/         part-0.sqlite3 …: the dataflow engine's, never opened while it runs

Two runs on one recovery directory give no error and lose state, and so does one file that is older than the others:
both are refused here, before the engine opens anything.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bytewax.recovery import init_db_dir

from flows import log
from flows.config.frozen import RECOVERY_PARTITIONS
from flows.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

FORMAT = 1
STEPS = ("decode", "close", "gather", "judge_windows", "publish_dead_letters")
"""The stateful steps of the dataflow, by which the engine finds their state again."""

_EPOCHS_APART = 2
"""All source slots are stored with every epoch: files whose newest slots are further apart are of different ages."""
_ACCEPT = "or start with --accept-state-loss: the old files are put aside, and reading begins at kafka.start"

_log = log.get("state")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a state directory was made with."""

    frozen: dict[str, Any]
    format: int = FORMAT
    steps: tuple[str, ...] = STEPS
    recovery_partitions: int = RECOVERY_PARTITIONS


class StateDirectory:
    """The state of one machine's share of a run, locked while the object is open.

    Args:
        path: the directory; made if it is not there.
        machine: its number; each has a lock of its own, machine 0 the cluster's as well.

    Raises:
        StateError: another supervisor holds it, or it cannot be made, or belongs to someone else.
    """

    def __init__(self, path: Path, machine: int = 0) -> None:
        self.path = path
        self.recovery = path / "recovery"
        self.starts_file = path / "start.json"
        self.crashes_file = path / "crashes.json"
        self._manifest_file = path / "manifest.json"
        self._machine = machine
        self._locks: list[int] = []

    def __enter__(self) -> StateDirectory:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            owner = self.path.stat().st_uid
            if owner != os.geteuid():
                raise StateError(
                    f"{self.path} belongs to user {owner}, and this process is user {os.geteuid()}",
                    "state is its owner's alone",
                    "Change its owner, or name another state_directory.",
                )
            self.path.chmod(0o700)
            for name in ["lock"] if self._machine == 0 else [f"lock-machine-{self._machine}"]:
                self._locks.append(self._lock(self.path / name))
        except OSError as error:
            raise StateError(
                f"{error.filename or self.path}: {error.strerror}", "", "Name another state_directory."
            ) from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for lock in self._locks:
            os.close(lock)

    def _lock(self, path: Path) -> int:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(file, 4096, 0).decode(errors="replace").strip() or "another process"
            os.close(file)
            raise StateError(
                f"{self.path} is held by {holder}",
                "one supervisor at a time uses a state directory",
                "Stop that one first, or name another state_directory.",
            ) from None
        os.ftruncate(file, 0)
        os.pwrite(file, f"process {os.getpid()} on {socket.gethostname()}, since {_now()}\n".encode(), 0)
        return file

    # What it was made with

    def open(self, frozen: Mapping[str, Any], *, accept_loss: bool = False) -> bool:
        """Check what is there, or make it; whether there was anything to go on from.

        Raises:
            StateError: a file is damaged, missing, or older than the others; or a frozen setting was changed.
        """
        if not self._manifest_file.exists() and not self._parts():
            self._make(frozen)
            return False
        try:
            self._check(frozen)
        except StateError as error:
            if not accept_loss:
                raise
            aside = self.path / f"recovery-lost-{_now().replace(':', '')}"
            _log.error("state was given up, as --accept-state-loss says", why=str(error), put_aside=str(aside))
            if self.recovery.exists():
                self.recovery.rename(aside)
            for file in (self._manifest_file, self.starts_file, self.crashes_file):
                file.unlink(missing_ok=True)
            self._make(frozen)
            return False
        return True

    def _parts(self) -> list[Path]:
        return sorted(self.recovery.glob("part-*.sqlite3"))

    def _make(self, frozen: Mapping[str, Any]) -> None:
        self.recovery.mkdir(mode=0o700, exist_ok=True)
        init_db_dir(self.recovery, RECOVERY_PARTITIONS)  # type: ignore[no-untyped-call]
        manifest = Manifest(dict(frozen))
        partial = self._manifest_file.with_suffix(".partial")
        plain = {
            "format": FORMAT,
            "steps": STEPS,
            "recovery_partitions": RECOVERY_PARTITIONS,
            "frozen": manifest.frozen,
        }
        partial.write_text(json.dumps(plain, indent=1) + "\n")
        partial.replace(self._manifest_file)

    def _check(self, frozen: Mapping[str, Any]) -> None:
        manifest = self._read_manifest()
        for name, was in manifest.frozen.items():
            now = frozen.get(name, was)
            if now != was:
                raise StateError(
                    f"{name} is {_short(now)}, and the state in {self.path} was made with {_short(was)}",
                    "this setting is frozen with the state",
                    f"Set it back, name another state_directory, {_ACCEPT}.",
                )
        for index in range(manifest.recovery_partitions):
            part = self.recovery / f"part-{index}.sqlite3"
            if not part.exists():
                raise StateError(f"{part} is missing", "it holds a part of the state", f"Put it back, {_ACCEPT}.")
        epochs = {part: self._epochs(part) for part in self._parts()}
        newest = max(epochs.values())
        for part, epoch in epochs.items():
            if newest - epoch > _EPOCHS_APART:
                raise StateError(
                    f"{part} is older than the others (epoch {epoch}, they are at {newest})",
                    "all parts of the state must be of one age",
                    f"Put the right file back, or all files of one backup, {_ACCEPT}.",
                )

    def _read_manifest(self) -> Manifest:
        path = self._manifest_file
        try:
            plain = json.loads(path.read_text())
            manifest = Manifest(
                plain["frozen"], plain["format"], tuple(plain["steps"]), int(plain["recovery_partitions"])
            )
        except FileNotFoundError:
            raise StateError(f"{path} is missing", "it says what the state is", f"Put it back, {_ACCEPT}.") from None
        except (ValueError, KeyError, TypeError) as error:
            found = f"{path} is damaged ({error})"
            raise StateError(found, "it says what the state is", f"Put it back, {_ACCEPT}.") from None
        unknown = sorted(set(manifest.steps) - set(STEPS))
        if manifest.format > FORMAT or unknown:
            found = f"{path} is of format {manifest.format}" + (
                f" with the steps {', '.join(unknown)}" if unknown else ""
            )
            raise StateError(found, f"this release reads format {FORMAT}", f"Run the release that wrote it, {_ACCEPT}.")
        return manifest

    def _epochs(self, part: Path) -> int:
        """The newest epoch of which a recovery file holds source slots (any state, where it holds none); 0: none."""
        damaged = f"Put it back from a backup of all files, {_ACCEPT}."
        try:
            with closing(sqlite3.connect(part)) as database:
                found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
                if found != "ok":
                    raise StateError(f"{part} is damaged ({found})", "a recovery file is a SQLite database", damaged)
                newest = "SELECT max(snap_epoch) FROM snaps"
                of_slots = database.execute(f"{newest} WHERE step_id LIKE '%.decode'").fetchone()[0]
                epoch = of_slots if of_slots is not None else database.execute(newest).fetchone()[0]
        except sqlite3.Error as error:
            raise StateError(f"{part} is damaged ({error})", "a recovery file is a SQLite database", damaged) from None
        return int(epoch or 0)

    # What it takes

    def size_bytes(self) -> int:
        """Bytes of all files."""
        total = 0
        for file in self.path.rglob("*"):
            try:
                total += file.stat().st_size
            except FileNotFoundError:  # the engine removes its journals while we look
                continue
        return total

    def free_bytes(self) -> int:
        """Free space where the directory is."""
        stat = os.statvfs(self.path)
        return stat.f_bavail * stat.f_frsize


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
