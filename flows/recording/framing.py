"""Where frames begin and end in a buffer: length-prefixed ones and lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec
import numpy as np

from detectors.kernels import kernel

if TYPE_CHECKING:
    from collections.abc import Sequence

PREFIX_BYTES = 4
MAX_FRAMES = 1 << 18
"""Frames cut at once: bounds the arrays where a hostile buffer is full of empty frames."""
SCAN_BYTES = 1 << 18
"""Bytes searched at once for newlines, so that numpy's temporary stays in the cache: 5 GB/s instead of 1."""

GOES_ON, FULL, TOO_LARGE = 0, 1, 2


class Cut(NamedTuple):
    """The frames found in a buffer: frame i is `buffer[starts[i]:ends[i]]`."""

    starts: np.ndarray  # (n_frames,) int64
    ends: np.ndarray  # (n_frames,) int64
    position: int  # where the next cut goes on
    state: int  # GOES_ON: wants more bytes; FULL: cut again; TOO_LARGE: nothing can be read from `position` on
    dead: Sequence[int] = ()  # indices of frames that are longer than allowed; they have no bytes here


class Framing(Protocol):
    """How frames follow each other in the bytes of one file; holds what must be known from buffer to buffer."""

    def cut(self, buffer: np.ndarray, position: int) -> Cut:
        """The whole frames in `buffer[position:]`, about MAX_FRAMES at most."""
        ...

    def room(self, rest: np.ndarray) -> int:
        """How large a buffer must be so that the frame of which `rest` is the beginning comes nearer to its end."""
        ...

    def is_frame(self, rest: np.ndarray) -> bool:
        """Whether `rest`, which stands at the end of the file without an end of its own, is a whole frame."""
        ...


class Prefixed:
    """Frames with their length before them, uint32 big-endian."""

    def __init__(self, max_record_bytes: int) -> None:
        self._max = max_record_bytes

    def cut(self, buffer: np.ndarray, position: int) -> Cut:
        """The whole frames; TOO_LARGE where a length is beyond the limit, since no later frame can be found then."""
        capacity = min(MAX_FRAMES, (len(buffer) - position) // PREFIX_BYTES)
        starts, ends = np.empty(capacity, np.int64), np.empty(capacity, np.int64)
        count, position, state = cut_prefixed(buffer, position, self._max, starts, ends)
        return Cut(starts[:count], ends[:count], position, state)

    def room(self, rest: np.ndarray) -> int:
        """The frame's own size, which is within the limit: `cut` looked at it."""
        if len(rest) < PREFIX_BYTES:
            return 2 * PREFIX_BYTES
        return PREFIX_BYTES + int.from_bytes(rest[:PREFIX_BYTES].tobytes(), "big")

    def is_frame(self, rest: np.ndarray) -> bool:
        """Never: a prefixed frame says how long it is."""
        return False


class Lines:
    """Frames that end in a newline; blank lines are none."""

    def __init__(self, max_record_bytes: int) -> None:
        self._max = max_record_bytes
        self._skips = False  # inside of a line that is too long, and is dead already

    def cut(self, buffer: np.ndarray, position: int) -> Cut:
        """The whole lines. One that is too long is dead, whether its end is in the buffer or not."""
        newlines, searched = _newlines(buffer, position)
        starts = np.concatenate([np.array([position], np.int64), newlines + 1])
        position, starts = int(starts[-1]), starts[:-1]
        if self._skips and len(newlines):
            starts, newlines, self._skips = starts[1:], newlines[1:], False
        starts, ends = _without_blanks(buffer, starts, newlines)
        dead = np.flatnonzero(ends - starts > self._max).tolist()
        if searched - position > self._max or self._skips:
            position = searched
            if not self._skips:
                dead.append(len(starts))
                starts, ends = np.append(starts, 0), np.append(ends, 0)
                self._skips = True
        starts[dead] = ends[dead] = 0
        return Cut(starts, ends, position, FULL if searched < len(buffer) else GOES_ON, dead)

    def room(self, rest: np.ndarray) -> int:
        """Twice what there is: nothing says where a line ends, and so it is searched at most twice."""
        return 2 * len(rest)

    def is_frame(self, rest: np.ndarray) -> bool:
        """Whether it is whole JSON; no beginning of an object is."""
        if self._skips:
            return False
        try:
            msgspec.json.decode(rest.data, type=msgspec.Raw)
        except msgspec.DecodeError:
            return False
        return True


def _newlines(buffer: np.ndarray, position: int) -> tuple[np.ndarray, int]:
    """Where newlines stand, (n,) int64, and up to where was searched: it stops when there are very many."""
    found, count = [np.empty(0, np.int64)], 0
    while position < len(buffer) and count < MAX_FRAMES:
        here = np.flatnonzero(buffer[position : position + SCAN_BYTES] == ord("\n")) + position
        found.append(here)
        count += len(here)
        position = min(position + SCAN_BYTES, len(buffer))
    return np.concatenate(found), position


def _without_blanks(buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    lengths = ends - starts
    blank = lengths == 0
    one = np.flatnonzero(lengths == 1)
    blank[one] = buffer[starts[one]] == ord("\r")
    return starts[~blank], ends[~blank]


@kernel
def cut_prefixed(
    buffer: np.ndarray, position: int, max_record_bytes: int, starts: np.ndarray, ends: np.ndarray
) -> tuple[int, int, int]:
    """Fill `starts` and `ends` with the whole frames from `position` on: (frames, position after them, state)."""
    count = 0
    while position + 4 <= len(buffer):
        length = 0
        for at in range(position, position + 4):
            length = (length << 8) | int(buffer[at])
        if length > max_record_bytes:
            return count, position, 2
        if position + 4 + length > len(buffer):
            break
        if count == len(starts):
            return count, position, 1
        starts[count] = position + 4
        ends[count] = position + 4 + length
        count += 1
        position += 4 + length
    return count, position, 0
