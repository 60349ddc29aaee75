"""The state directory: who holds it, what it was made with, and whether its files can be trusted.

    state/
      lock              held by the supervisor for its life (flock)
      manifest.json     format, steps, recovery partitions, frozen settings
      start.json        where the topics were read from at the very first start
      crashes.json      records that workers died of
      shown-0.json      the last pane that machine 0 has shown
      recovery/         part-0.sqlite3 …: the dataflow engine's, never opened while it runs

Two runs on one recovery directory give no error and lose state, and so does one file that is older than the others:
both are refused here, before the engine opens anything.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bytewax.recovery import init_db_dir

from flows import log
from flows.config.frozen import RECOVERY_PARTITIONS
from flows.errors import StateError
from flows.run import recovery_files
from flows.run.recovery_files import ACCEPT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

FORMAT = 1
STEPS = ("decode", "close", "gather", "judge_windows", "judge_slos", "publish_dead_letters")
"""The stateful steps of the dataflow, by which the engine finds their state again."""

_LEAST_ROOM = 16 << 20

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
        self._shown_file = path / f"shown-{machine}.json"
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
        try:
            return self._open(frozen, accept_loss=accept_loss)
        except OSError as error:
            found = f"{error.filename or self.path}: {error.strerror}"
            raise StateError(found, "", "Make room or mend that, or name another state_directory.") from error

    def _open(self, frozen: Mapping[str, Any], *, accept_loss: bool) -> bool:
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
            for file in (self._manifest_file, self.starts_file, self.crashes_file, self._shown_file):
                file.unlink(missing_ok=True)
            self._make(frozen)
            return False
        return True

    def forget_unfinished(self) -> None:
        """Before workers start, and after all of them ended: what they had stored of unfinished epochs goes.

        Raises:
            StateError: a recovery file cannot be written.
        """
        forgotten = recovery_files.forget_unfinished(self._parts())
        if forgotten:
            _log.info("unfinished epochs of the last life are forgotten", snapshots=forgotten)

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
                    f"Set it back, name another state_directory, {ACCEPT}.",
                )
        recovery_files.check([self.recovery / f"part-{i}.sqlite3" for i in range(manifest.recovery_partitions)])

    def _read_manifest(self) -> Manifest:
        path = self._manifest_file
        try:
            plain = json.loads(path.read_text())
            manifest = Manifest(
                dict(plain["frozen"]),
                int(plain["format"]),
                tuple(map(str, plain["steps"])),
                int(plain["recovery_partitions"]),
            )
        except FileNotFoundError:
            raise StateError(f"{path} is missing", "it says what the state is", f"Put it back, {ACCEPT}.") from None
        except (ValueError, KeyError, TypeError) as error:
            found = f"{path} is damaged ({error})"
            raise StateError(found, "it says what the state is", f"Put it back, {ACCEPT}.") from None
        unknown = sorted(set(manifest.steps) - set(STEPS))
        if manifest.format > FORMAT or unknown:
            found = f"{path} is of format {manifest.format}" + (
                f" with the steps {', '.join(unknown)}" if unknown else ""
            )
            raise StateError(found, f"this release reads format {FORMAT}", f"Run the release that wrote it, {ACCEPT}.")
        return manifest

    # What was shown

    def shown_up_to(self) -> int:
        """The last pane that was shown, -1 where none is known."""
        try:
            return int(self._shown_file.read_text())
        except (OSError, ValueError):
            return -1

    def show_up_to(self, pane: int) -> None:
        """Remember the last pane that was shown; on a full disk that is not worth an end."""
        partial = self._shown_file.with_suffix(".partial")
        try:
            partial.write_text(str(pane))
            partial.replace(self._shown_file)
        except OSError as error:
            _log.warning("what was shown is not remembered", file=str(self._shown_file), why=error.strerror)

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

    def is_full(self) -> bool:
        """Whether a worker may have ended for want of room: less is left than an epoch may take."""
        return self.free_bytes() < max(_LEAST_ROOM, self.size_bytes())

    def free_bytes(self) -> int:
        """Free space where the directory is."""
        stat = os.statvfs(self.path)
        return stat.f_bavail * stat.f_frsize


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
