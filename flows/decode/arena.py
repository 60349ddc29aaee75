"""Memory for columns that is used again once nobody looks at it any more.

Fresh memory comes in pages that the operating system clears when they are first written: that alone costs 40 ns a span,
as much as decoding one does.
"""

from __future__ import annotations

import sys
import threading

import numpy as np

_UNSEEN = 3
"""References to a block nobody has a view of: the list's, the loop's, and the argument of `getrefcount`."""


class Arena:
    """Gives out blocks of bytes; one comes round again when every array that views it is gone.

    Whoever has a view of a block keeps it alive, as NumPy's views do, so a batch may be kept for as long as one likes.
    Threads may share an arena.

    >>> arena = Arena()
    >>> block = arena.block(100)
    >>> numbers = block[:80].view(np.int64)
    >>> del block
    >>> np.shares_memory(arena.block(100), numbers)
    False
    """

    def __init__(self, most: int = 4) -> None:
        """An arena that remembers so many blocks, in use or not."""
        self._blocks: list[np.ndarray] = []
        self._most = most
        self._lock = threading.Lock()

    def block(self, n_bytes: int) -> np.ndarray:
        """(>= n_bytes,) uint8 of anything."""
        with self._lock:
            for block in self._blocks:
                if len(block) >= n_bytes and sys.getrefcount(block) == _UNSEEN:
                    return block
            fresh = np.empty(n_bytes, np.uint8)
            self._blocks = [fresh, *self._blocks][: self._most]
            return fresh
