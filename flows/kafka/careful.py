"""Finding the record that a worker dies of: one at a time, its coordinates written down before it is decoded."""

from __future__ import annotations

import os
from time import monotonic
from typing import TYPE_CHECKING

import msgspec

from flows.kafka.reading import Coordinates

if TYPE_CHECKING:
    from pathlib import Path

_SECONDS = 60.0


class Careful:
    """Writes down which record is about to be decoded.

    Args:
        path: of the note; one per worker.
        seconds: for how long: who has not died by then will not, and reading so is slow.
    """

    def __init__(self, path: Path, seconds: float = _SECONDS) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._until = monotonic() + seconds

    @property
    def is_over(self) -> bool:
        """Whether the record would have been found by now."""
        return monotonic() > self._until

    def note(self, record: Coordinates) -> None:
        """This record is next. What is written outlives the process, not the machine: it is to name a crash."""
        line = msgspec.json.encode(record)
        os.pwrite(self._file, line.ljust(4096), 0)


def noted(path: Path) -> Coordinates | None:
    """The record that was noted last, None where there is none."""
    try:
        line = path.read_bytes().strip()
    except FileNotFoundError:
        return None
    return msgspec.json.decode(line, type=Coordinates) if line else None
