"""What is asked for by many is made once: kept for a second, made in one worker thread, shared while it is sent."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

T = TypeVar("T")

KEEP_SECONDS = 1.0
"""How long a page is served again, counted from when it was made."""
PAGES_HELD = 10
"""Pages of one format that slow readers may keep in memory; who still reads the oldest is cut off for the next."""
_GZIP_LEVEL = 1  # six times as fast as 6, on a page of metrics for a quarter more bytes


class Kept(Generic[T]):
    """The last value of `make`, made anew when asked for and older than a second.

    `make` runs in the executor, never twice at once: all who ask meanwhile wait for the same value. What it raises goes
    to all of them, and the next to ask tries again. All methods belong to one event loop's thread.

    Args:
        make: Makes a value; slow, may raise.
        executor: Where it runs.
        seconds: How long a value is good for.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        make: Callable[[], T],
        executor: Executor,
        seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make = make
        self._executor = executor
        self._seconds = KEEP_SECONDS if seconds is None else seconds
        self._clock = clock
        self._value: list[T] = []
        self._good_until = 0.0
        self._making: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """A value that is at most a second old, or was made while we waited.

        Raises:
            Exception: whatever `make` does.
        """
        if self._value and self._clock() < self._good_until:
            return self._value[0]
        if self._making is None:
            self._making = asyncio.create_task(self._remake())
        # One who goes away while waiting must not take the value from the others.
        return await asyncio.shield(self._making)

    def forget(self) -> None:
        """Make a new value for whoever asks next, also if one is being made right now."""
        self._value = []
        self._making = None

    async def _remake(self) -> T:
        me = asyncio.current_task()
        try:
            value = await asyncio.get_running_loop().run_in_executor(self._executor, self._make)
            if self._making is me:
                self._value, self._good_until = [value], self._clock() + self._seconds
            return value
        finally:
            if self._making is me:
                self._making = None


class Page:
    """A rendered page: its bytes, its gzipped bytes once somebody wants them, and who is reading it.

    Args:
        content_type: The format that was rendered.
        body: UTF-8.
    """

    def __init__(self, content_type: str, body: bytes) -> None:
        self.content_type = content_type
        self.body = body
        self._gzipped: asyncio.Future[bytes] | None = None
        self._readers: dict[object, Callable[[], None]] = {}

    async def gzipped(self, executor: Executor) -> bytes:
        """The body compressed, once for all who want it so."""
        if self._gzipped is None:
            self._gzipped = asyncio.get_running_loop().run_in_executor(
                executor, lambda: gzip.compress(self.body, _GZIP_LEVEL, mtime=0)
            )
        return await asyncio.shield(self._gzipped)

    def open(self, reader: object, cut_off: Callable[[], None]) -> None:
        """From now on `reader` holds the page; `cut_off` ends its connection."""
        self._readers[reader] = cut_off

    def close(self, reader: object) -> None:
        """`reader` is done."""
        self._readers.pop(reader, None)

    @property
    def is_read(self) -> bool:
        """Whether anybody is still reading it."""
        return bool(self._readers)

    def release(self) -> None:
        """Cut off whoever still reads it."""
        for cut_off in list(self._readers.values()):
            cut_off()


class HeldPages:
    """The pages of one format that are still being read, so that slow readers cannot fill the memory with old ones."""

    def __init__(self, most: int = PAGES_HELD) -> None:
        self._most = most
        self._pages: deque[Page] = deque()

    def add(self, page: Page) -> None:
        """Remember a page that somebody begins to read, and release the oldest when there are too many."""
        if page in self._pages:
            return
        self._pages = deque(known for known in self._pages if known.is_read)
        self._pages.append(page)
        while len(self._pages) > self._most:
            self._pages.popleft().release()


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header takes gzip (RFC 9110, section 12.5.3).

    >>> accepts_gzip("deflate, gzip;q=0.5"), accepts_gzip("*"), accepts_gzip("x-gzip")
    (True, True, True)
    >>> accepts_gzip(""), accepts_gzip("gzip;q=0, *"), accepts_gzip("br"), accepts_gzip("gzip;q=much")
    (False, False, False, False)
    """
    weights: dict[str, float] = {}
    for part in accept_encoding.lower().split(","):
        coding, _, parameters = part.partition(";")
        name, _, quality = parameters.partition("=")
        try:
            weights[coding.strip()] = float(quality) if name.strip() == "q" else 1.0
        except ValueError:
            weights[coding.strip()] = 0.0
    return next((weights[coding] > 0 for coding in ("gzip", "x-gzip", "*") if coding in weights), False)
