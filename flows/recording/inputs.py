"""Where a recording's bytes come from: a file, opened again for each pass, or a pipe, which can be read only once."""

from __future__ import annotations

import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from flows.recording.errors import RecordingError, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Generator

STDIN = "-"
HEAD_BYTES = 256 * 1024
"""How much is looked at to tell the form: two zstd blocks, so that one of them is whole."""
READ_BYTES = 1024 * 1024


class Input:
    """One file of a recording, or standard input, with its first bytes already looked at.

    A pipe (standard input, a named one, a shell's `<(...)`) cannot be rewound, so its first bytes are kept.

    Attributes:
        head: (up to 256 KiB) the first bytes.
        total_bytes: its size as stored, None for a pipe.
        consumed: bytes read so far in the current pass, as stored.

    Raises:
        UnreadableError: it is absent, a folder, or not readable.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self.consumed = 0
        self.total_bytes: int | None = None
        self._pipe: BinaryIO | None = None
        self._spent = False
        try:
            self._look()
        except OSError as error:
            raise _cannot_read(self.path, error) from error

    def _look(self) -> None:
        if self.path == STDIN:
            self._pipe = sys.stdin.buffer
        elif stat.S_ISFIFO(Path(self.path).stat().st_mode):
            self._pipe = Path(self.path).open("rb")  # noqa: SIM115  read later, by `chunks`
        if self._pipe is not None:
            self.head = self._pipe.read(HEAD_BYTES)
            return
        with Path(self.path).open("rb") as file:
            self.head = file.read(HEAD_BYTES)
        self.total_bytes = Path(self.path).stat().st_size

    def chunks(self) -> Generator[bytes, None, None]:
        """All bytes from the first one on, at most 1 MiB at a time.

        Raises:
            UnreadableError: the system fails to read.
        RecordingError: a pipe is read a second time.
        """
        self.consumed = 0
        try:
            if self._pipe is not None:
                yield from self._pipe_chunks(self._pipe)
                return
            with Path(self.path).open("rb", buffering=0) as file:
                yield from self._counted(file)
        except OSError as error:
            raise _cannot_read(self.path, error) from error

    def _pipe_chunks(self, pipe: BinaryIO) -> Generator[bytes, None, None]:
        if self._spent:
            expected, hint = "one pass over it", "Write it to a file to read it again."
            raise RecordingError(self.path, "a pipe that was read to its end", expected, hint)
        self._spent = True
        self.consumed = len(self.head)
        if self.head:
            yield self.head
        yield from self._counted(pipe)

    def _counted(self, file: BinaryIO) -> Generator[bytes, None, None]:
        while chunk := file.read(READ_BYTES):
            self.consumed += len(chunk)
            yield chunk


def _cannot_read(path: str, error: OSError) -> UnreadableError:
    if isinstance(error, IsADirectoryError):
        return UnreadableError(path, "a folder", "a file", f"Name the recordings in it: {path.rstrip('/')}/*")
    if isinstance(error, FileNotFoundError):
        return UnreadableError(path, "no such file", "a recording", "Check the name; - reads standard input.")
    return UnreadableError(path, error.strerror or str(error), "a file that can be read", "Check its permissions.")
