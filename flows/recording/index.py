"""The index of a recording: one JSON line a frame, which says what Kafka said of it when it was recorded.

A recording of several files has an index beside each of them, which numbers that file's frames from 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import msgspec

from flows.recording.errors import RecordingError
from flows.recording.file_reader import FileReader
from flows.recording.forms import JSON, form_of
from flows.recording.inputs import Input
from flows.records import NO_TIMESTAMP, Partition

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

EXPECTED = "one line for each frame, in order, as it is recorded"
HINT = "Name its files in the order in which they were recorded; `streamgauge record` goes on with what a crash cut. \
Without its index (move it away) a recording replays in 8 lanes."
BLOCK_BYTES = 1024 * 1024
MAX_LINE_BYTES = 16 * 1024 * 1024


class Entry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One line: a frame, a record that could not be decoded (no frame, but a reason), or an idle tick."""

    frame: int | None = None
    source: str = ""
    partition: int = -1
    offset: int = -1
    timestamp: int = NO_TIMESTAMP
    timestamp_type: int | str | None = None
    reason: str | None = None
    idle: list[Partition] | None = None
    elapsed_ms: int = 0

    @property
    def of(self) -> Partition:
        """Where the record came from."""
        return Partition(self.source, self.partition)


class Index:
    """One pass over the indexes of a recording's files, alongside of these.

    Args:
        paths: one for each file, in order.

    Raises:
        RecordingError: at opening or at any step: a line is broken, or the frames are not 0, 1, 2, ….
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.path = paths[0]
        self.entries_taken = 0  # of the index that is being read
        self._frame = 0
        self._entries = self._chained(paths)
        self._next = next(self._entries, None)
        self._offsets: dict[Partition, int] = {}

    def _chained(self, paths: Sequence[str]) -> Iterator[Entry]:
        """All lines, their frames numbered through. A file's frames are those that the indexes before it leave off."""
        for path in paths:
            self.path, self.entries_taken, first = path, 0, self._frame
            for entry in _entries(path):
                if entry.frame is not None:
                    entry.frame += first
                yield entry

    def take(self, next_frame: int) -> list[Entry]:
        """All lines before that of frame `next_frame`, which must have one for each frame before."""
        taken: list[Entry] = []
        while self._next is not None and (self._next.frame is None or self._next.frame < next_frame):
            taken.append(self._checked(self._next))
            self._next = next(self._entries, None)
        if self._frame < next_frame:
            self._refuse(f"it ends at frame {self._frame}, the recording goes on")
        return taken

    def rest(self) -> tuple[list[Entry], int]:
        """The lines after the last frame's, and how many more lines are of frames that the recording has not."""
        taken, missing = [], 0
        while self._next is not None:
            entry = self._checked(self._next)
            if entry.frame is None:
                taken.append(entry)
            else:
                missing += 1
            self._next = next(self._entries, None)
        return taken, missing

    def _checked(self, entry: Entry) -> Entry:
        line = self.entries_taken
        self.entries_taken += 1
        if entry.idle is not None:
            return entry
        if not entry.source or entry.partition < 0 or entry.offset < 0:
            self._refuse(f"entry {line} does not say its source, partition and offset")
        if entry.frame is None and entry.reason is None:
            self._refuse(f"entry {line} has neither a frame, nor a reason for having none, nor idle partitions")
        if entry.frame is not None and entry.frame != self._frame:
            self._refuse(f"entry {line} is of frame {entry.frame} where that of {self._frame} should be")
        if entry.offset <= self._offsets.get(entry.of, -1):
            self._refuse(f"entry {line}: {entry.source}/{entry.partition} goes back to offset {entry.offset}")
        self._offsets[entry.of] = entry.offset
        self._frame += entry.frame is not None
        return entry

    def _refuse(self, found: str) -> NoReturn:
        raise RecordingError(self.path, found, EXPECTED, HINT)


def partitions_in(paths: Sequence[str]) -> tuple[Partition, ...]:
    """Every source partition that indexes name, sorted; reads them once, at about half a million lines a second.

    Raises:
        RecordingError: a line is broken.
    """
    found: set[Partition] = set()
    for entry in (entry for path in paths for entry in _entries(path)):
        found.update([entry.of] if entry.idle is None else entry.idle)
    return tuple(sorted(found))


def frame_entry(frame: int, of: Partition, offset: int, timestamp_ms: int, timestamp_type: int | None) -> bytes:
    """The line of a frame, without its newline."""
    return msgspec.json.encode(
        Entry(
            frame=frame,
            source=of.source,
            partition=of.number,
            offset=offset,
            timestamp=timestamp_ms,
            timestamp_type=timestamp_type,
        )
    )


def dead_entry(of: Partition, offset: int, timestamp_ms: int, reason: str) -> bytes:
    """The line of a record that could not be decoded, without its newline."""
    return msgspec.json.encode(
        Entry(source=of.source, partition=of.number, offset=offset, timestamp=timestamp_ms, reason=reason)
    )


def idle_entry(partitions: Sequence[Partition], elapsed_ms: int) -> bytes:
    """The line of an idle tick, without its newline."""
    return msgspec.json.encode(Entry(idle=list(partitions), elapsed_ms=elapsed_ms))


def _entries(path: str) -> Iterator[Entry]:
    file = Input(path)
    form = form_of(file, MAX_LINE_BYTES)
    if form.encoding not in (JSON, None):
        raise RecordingError(path, "it holds protobuf", "JSON lines", HINT)
    reader = FileReader(file, form, BLOCK_BYTES, MAX_LINE_BYTES)
    decoder = msgspec.json.Decoder(Entry)
    for block in reader.blocks(0, None):
        data = block.data.data
        for frame, start, end in zip(block.frames.tolist(), block.starts.tolist(), block.ends.tolist(), strict=True):
            try:
                yield decoder.decode(data[start:end])
            except msgspec.DecodeError as error:
                raise RecordingError(path, f"entry {frame} is broken ({error})", EXPECTED, HINT) from None
