"""Chunks of any size, poured into buffers of the size wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator


class Feed:
    """The bytes of one file, buffer by buffer."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._pending = memoryview(b"")
        self.ended = False

    def fill(self, rest: np.ndarray, size: int) -> np.ndarray:
        """A fresh buffer, (up to size,) uint8, that begins with `rest`; fresh because the last one is in use."""
        buffer = np.empty(size, np.uint8)
        buffer[: len(rest)] = rest
        view, at = buffer.data, len(rest)
        while at < size:
            if not len(self._pending):
                chunk = next(self._chunks, None)
                if chunk is None:
                    self.ended = True
                    break
                self._pending = memoryview(chunk)
            step = min(size - at, len(self._pending))
            view[at : at + step] = self._pending[:step]
            self._pending = self._pending[step:]
            at += step
        return buffer[:at]

    def drain(self) -> int:
        """Read what is left to its end, and say how much it was."""
        return len(self._pending) + sum(map(len, self._chunks))
