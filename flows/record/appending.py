"""A file of zstd frames, each of whole items: cut anywhere by a crash, it goes on after its last whole frame.

Readers take the frames as one stream (RFC 8878, section 3.1), so a file that was continued reads like any other.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, NamedTuple

import zstandard

from flows.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_READ_BYTES = 1 << 20


class Block(NamedTuple):
    """What one zstd frame holds."""

    end: int  # offset in the file behind it
    data: bytes


class Appending:
    """One file, locked while the object is open.

    Args:
        path: made if it is not there.
        level: zstd's.

    Raises:
        OutputError: it cannot be written, or another process writes it.

    Attributes:
        waiting: bytes added and not yet written.
        size: bytes in the file.
    """

    def __init__(self, path: Path, level: int = 3) -> None:
        self.path = path
        self.waiting = 0
        self._items: list[bytes] = []
        # A checksum, so that a frame whose pages were not all written in a power cut counts as cut.
        self._compressor = zstandard.ZstdCompressor(level=level, write_checksum=True)
        try:
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise cannot_write(path, error) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            hint = "End the other process, or name another recording."
            raise OutputError(f"{path} is being written by another process", hint=hint) from error
        self.size = os.fstat(self._file.fileno()).st_size

    def add(self, item: bytes) -> None:
        """Bytes for the next frame."""
        self._items.append(item)
        self.waiting += len(item)

    def flush(self) -> None:
        """Write what was added as one frame, and see it stored.

        Raises:
            OutputError: it cannot be written; what was stored before stays good.
        """
        if not self._items:
            return
        frame = self._compressor.compress(b"".join(self._items))
        self._items, self.waiting = [], 0
        try:
            left = memoryview(frame)
            while left:  # a disk that becomes full takes a part
                left = left[self._file.write(left) or 0 :]
            os.fsync(self._file.fileno())
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self.size += len(frame)

    def cut(self, size: int) -> None:
        """Drop what stands behind `size` bytes."""
        try:
            self._file.truncate(size)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self.size = size

    def close(self) -> None:
        """Write what was added, and end."""
        try:
            self.flush()
        finally:
            self._file.close()


def blocks(path: Path) -> Iterator[Block]:
    """The whole frames of a file, up to its end or to the first one that is cut or damaged; nothing of an absent one.

    Raises:
        OSError: it cannot be read.
    """
    if not path.exists():
        return
    decompressor = zstandard.ZstdDecompressor()
    with path.open("rb") as file:
        at, held = 0, b""
        while True:
            frame, parts = decompressor.decompressobj(), []
            while not frame.eof:
                held = held or file.read(_READ_BYTES)
                if not held:
                    return
                try:
                    parts.append(frame.decompress(held))
                except zstandard.ZstdError:
                    return
                at += len(held) - len(frame.unused_data)
                held = frame.unused_data
            yield Block(at, b"".join(parts))


def cannot_write(path: Path, error: OSError) -> OutputError:
    """The error of a file that cannot be written."""
    return OutputError(
        f"{path} cannot be written ({error.strerror})",
        hint="Make room or its folder, or name another one; what was recorded before stays good.",
    )
