"""What is done about workers that end: again from the last snapshot, at last without the record that they die of.

After the second crash at the same offsets the workers read carefully, one record at a time, and note which; the third
names it. A kill from outside says nothing of a record: only the kernel's own, for want of memory, does.
"""

from __future__ import annotations

import signal as signals
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from flows import log
from flows.kafka.reading import Coordinates

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_SKIPPED = 1_000
_MOST_SKIPPED_HERE = 10
"""Records set aside while the workers never get on: if they die after that still, it is for no record's sake."""
_CAREFUL_AFTER = 2

_log = log.get("crashes")


class _Stored(msgspec.Struct):
    skip: list[Coordinates] = []
    positions: dict[str, int] | None = None
    at_same: int = 0
    skipped_here: int = 0
    careful: bool = False


class Crashes:
    """Counts crashes at the same offsets.

    Args:
        path: the file that remembers, so that a restart of the supervisor does not begin anew.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._stored = msgspec.json.decode(path.read_bytes(), type=_Stored)
        except (FileNotFoundError, msgspec.DecodeError):
            self._stored = _Stored()
        self._oom_kills = oom_kills()

    @property
    def skip(self) -> frozenset[Coordinates]:
        """Records that workers died of."""
        return frozenset(self._stored.skip)

    @property
    def careful(self) -> bool:
        """Whether the next run notes each record before it is decoded."""
        return self._stored.careful

    def crashed(self, exit_code: int | None, positions: Mapping[str, int], noted: Coordinates | None) -> bool:
        """Note a crash of a run; whether to go on.

        Args:
            exit_code: of the worker that ended first, None for one that hung; negative: the signal.
            positions: where the run began.
            noted: the record that it was at, of a careful run.
        """
        killed = exit_code == -signals.SIGKILL
        before, self._oom_kills = self._oom_kills, oom_kills()
        if killed and self._oom_kills == before:
            return True
        stored = self._stored
        was_careful, stored.careful = stored.careful, False
        same = stored.positions is not None and _agree(stored.positions, positions)
        stored.at_same = stored.at_same + 1 if same else 1
        stored.skipped_here = stored.skipped_here if same else 0
        stored.positions = {**(stored.positions or {}), **positions} if same else dict(positions)
        go_on = True
        if was_careful and same:
            go_on = noted is not None and noted not in stored.skip and stored.skipped_here < _MOST_SKIPPED_HERE
            if noted is not None and go_on:
                stored.skip = [*stored.skip, noted][-_MOST_SKIPPED:]
                stored.skipped_here += 1
            stored.at_same = 0
        elif stored.at_same >= _CAREFUL_AFTER:
            stored.careful = True
        self._store()
        return go_on

    def _store(self) -> None:
        try:
            self._path.write_bytes(msgspec.json.encode(self._stored))
        except OSError as error:
            _log.error("crashes cannot be remembered", file=str(self._path), why=error.strerror)


def _agree(before: Mapping[str, int], now: Mapping[str, int]) -> bool:
    """Whether two runs began at the same offsets, as far as both lived to tell: one that dies at once tells nothing."""
    return all(before.get(partition, offset) == offset for partition, offset in now.items())


def oom_kills() -> int:
    """How often the kernel has killed a process of this machine for want of memory."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
