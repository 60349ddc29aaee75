"""The files of a recording that grows: OUT, OUT-2, …, each with its index beside it, and where the recording goes on.

A part is one native zstd stream of length-prefixed requests, as the Collector's file exporter writes it. Requests are
stored before their lines of the index: what the index names is there. A crash therefore loses the unfinished tail, and
the next start cuts both files to where they agree.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from flows import log
from flows.errors import DataError, OutputError
from flows.record.appending import Appending, blocks, cannot_write
from flows.recording.framing import PREFIX_BYTES
from flows.recording.index import Entry, dead_entry, frame_entry, idle_entry
from flows.recording.inputs import Input
from flows.recording.naming import SUFFIXES, index_of
from flows.recording.zstd_stream import is_zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from flows.records import Partition

BLOCK_BYTES = 4 << 20
"""Requests that are stored at once, if they do not wait for too long before."""

_log = log.get("record")
_decoder = msgspec.json.Decoder(Entry)


def part_path(out: Path, number: int) -> Path:
    """The file of a part.

    >>> part_path(Path("traces.pb.zst"), 1).name, part_path(Path("traces.pb.zst"), 12).name
    ('traces.pb.zst', 'traces-12.pb.zst')
    """
    if number == 1:
        return out
    stem, suffixes = _split(out)
    return out.with_name(f"{stem}-{number}{suffixes}")


def existing_parts(out: Path) -> list[Path]:
    """The parts that are there, in their order; the first ones may have been removed."""
    stem, suffixes = _split(out)
    pattern = re.compile(rf"{re.escape(stem)}(?:-([0-9]+))?{re.escape(suffixes)}")
    found = [(int(match[1] or 1), path) for path in _files(out.parent) if (match := pattern.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []


def _split(out: Path) -> tuple[str, str]:
    stem = out
    while stem.suffix.lower() in SUFFIXES and stem.stem:
        stem = stem.with_suffix("")
    return stem.name, out.name[len(stem.name) :]


class Mark(NamedTuple):
    """A place where a file may be cut."""

    size: int  # bytes before it
    frames: int  # frames before it


class Parts:
    """A recording, opened to go on with; what is not there is made.

    Args:
        out: its first file.
        rotate_bytes: a part that has this size is followed by the next one; None: all is one part.

    Raises:
        OutputError: a file cannot be written, or is none that can be gone on with.

    Attributes:
        positions: the next offset of each partition that has something in the recording.
        frames: requests written by this object.
    """

    def __init__(self, out: Path, rotate_bytes: int | None = None) -> None:
        self.out = out
        self.frames = 0
        self.positions: dict[Partition, int] = {}
        self._rotate_bytes = rotate_bytes
        self._known: Sequence[Partition] = ()
        there = existing_parts(out)
        self._number = int(_numbers(there[-1], out)) if there else 1
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(out, error) from error
        self._open()
        try:
            self._repair()
            for path in existing_parts(out):
                self._note_positions(index_of(str(path)))
        except BaseException:
            self.close()
            raise

    @property
    def path(self) -> Path:
        """The part that grows."""
        return part_path(self.out, self._number)

    def _open(self) -> None:
        path = self.path
        if path.exists() and path.stat().st_size and not index_of(str(path)).exists():
            found = f"{path} is there, and no index is beside it"
            raise OutputError(found, "record goes on with what it began itself", "Name another recording.")
        self._data = Appending(path)
        try:
            self._index = Appending(index_of(str(path)))
        except OutputError:
            self._data.close()
            raise
        self._in_part = 0

    def _repair(self) -> None:
        """Cut the last part to where its two files agree."""
        data = [Mark(0, 0), *_marks(self._data.path, _requests_in)]
        index = [Mark(0, 0), *_marks(self._index.path, _frames_in)]
        if self._data.size and len(data) == 1 and not is_zstd(Input(self._data.path).head):
            found = f"{self._data.path} is no zstd stream"
            raise OutputError(found, "record goes on with what it began itself", "Name another recording.")
        at, of = _agreement(data, index)
        if at.size < self._data.size or of.size < self._index.size:
            _log.warning(
                "the end of the recording was cut short; it goes on after its last whole frame",
                file=str(self._data.path),
                frames=at.frames,
                dropped_bytes=self._data.size - at.size + self._index.size - of.size,
            )
            self._data.cut(at.size)
            self._index.cut(of.size)
        self._in_part = at.frames

    def _note_positions(self, index: Path) -> None:
        for block in blocks(index):
            for entry in _entries(block.data):
                if entry.idle is None:
                    self.positions[entry.of] = max(self.positions.get(entry.of, 0), entry.offset + 1)

    # Writing

    def know(self, partitions: Sequence[Partition]) -> None:
        """These partitions are read: each part's index says so, also of those that stay empty."""
        self._known = partitions
        if partitions:
            self._line(idle_entry(partitions, 0))

    def frame(self, of: Partition, offset: int, timestamp_ms: int, timestamp_type: int | None, request: bytes) -> None:
        """The next request, and which record it was.

        Raises:
            DataError: the partition has gone back: its topic was made anew.
        """
        self._pass(of, offset)
        # Readers tell the form of a file by its first bytes, and a request by the tag of its first field: a request
        # that begins with another one gets an empty field of that kind, which means nothing.
        if request and request[0] != 0x0A:
            request = b"\x0a\x00" + request
        self._data.add(len(request).to_bytes(PREFIX_BYTES, "big"))
        self._data.add(request)
        self._line(frame_entry(self._in_part, of, offset, timestamp_ms, timestamp_type))
        self._in_part += 1
        self.frames += 1
        if self._data.waiting >= BLOCK_BYTES:
            self.flush()

    def dead(self, of: Partition, offset: int, timestamp_ms: int, reason: str) -> None:
        """A record without a frame, and why.

        Raises:
            DataError: the partition has gone back: its topic was made anew.
        """
        self._pass(of, offset)
        self._line(dead_entry(of, offset, timestamp_ms, reason))

    def idle(self, partitions: Sequence[Partition], elapsed_ms: int) -> None:
        """These partitions were at their end for another `elapsed_ms`."""
        self._line(idle_entry(partitions, elapsed_ms))

    def _pass(self, of: Partition, offset: int) -> None:
        position = self.positions.get(of, 0)
        if offset < position:
            raise DataError(
                f"{of.source}/{of.number} gives offset {offset}, and {self.out} has it up to {position - 1}",
                "offsets grow",
                "The topic was made anew: name another recording.",
            )
        self.positions[of] = offset + 1

    def _line(self, line: bytes) -> None:
        self._index.add(line + b"\n")

    def flush(self) -> None:
        """Store what was written, and begin the next part where this one has its size.

        Raises:
            OutputError: it cannot be stored.
        """
        self._data.flush()
        self._index.flush()
        if self._rotate_bytes is not None and self._data.size >= self._rotate_bytes:
            before = self._data, self._index
            self._number += 1
            self._open()
            for file in before:
                file.close()
            self.know(self._known)

    def close(self) -> None:
        """Store what was written, and end."""
        try:
            self._data.close()
        finally:
            self._index.close()


def _numbers(path: Path, out: Path) -> str:
    if path == out:
        return "1"
    stem, suffixes = _split(out)
    return path.name[len(stem) + 1 : len(path.name) - len(suffixes)]


def _entries(lines: bytes) -> Iterator[Entry]:
    for line in lines.splitlines():
        yield _decoder.decode(line)


def _frames_in(lines: bytes) -> int:
    return sum(entry.frame is not None for entry in _entries(lines))


def _requests_in(data: bytes) -> int:
    at = count = 0
    while at < len(data):
        at += PREFIX_BYTES + int.from_bytes(data[at : at + PREFIX_BYTES], "big")
        count += 1
    if at != len(data):
        raise DataError("", "requests stand whole in each zstd frame")
    return count


def _marks(path: Path, count: Callable[[bytes], int]) -> Iterator[Mark]:
    """Where a file may be cut; `count` says how many frames a block holds."""
    frames = 0
    try:
        for block in blocks(path):
            frames += count(block.data)
            yield Mark(block.end, frames)
    except (DataError, msgspec.DecodeError):
        found = f"{path} was not written by record"
        raise OutputError(found, "it goes on with what it began itself", "Name another recording.") from None
    except OSError as error:
        raise cannot_write(path, error) from error


def _agreement(data: Sequence[Mark], index: Sequence[Mark]) -> tuple[Mark, Mark]:
    """The last places at which two files have the same number of frames."""
    wanted = min(data[-1].frames, index[-1].frames)
    while True:
        at = max(mark for mark in data if mark.frames <= wanted)
        of = max(mark for mark in index if mark.frames <= at.frames)
        if of.frames == at.frames:
            return at, of
        wanted = of.frames
