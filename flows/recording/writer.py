"""Writing recordings, in every form that can be read, and their indexes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Self

import zstandard

from flows.errors import OutputError
from flows.recording.errors import RecordingError
from flows.recording.forms import FRAMED, JSON, NATIVE, PLAIN, PROTO
from flows.recording.framing import PREFIX_BYTES
from flows.recording.index import dead_entry, frame_entry, idle_entry

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from flows.records import Partition

LARGEST = 2 ** (8 * PREFIX_BYTES) - 1


class Format(NamedTuple):
    """A form to write, by the name that `--format` takes."""

    encoding: str
    compression: str


FORMATS = {
    "proto-native-zstd": Format(PROTO, NATIVE),
    "json-native-zstd": Format(JSON, NATIVE),
    "proto-zstd": Format(PROTO, FRAMED),
    "json-zstd": Format(JSON, FRAMED),
    "proto": Format(PROTO, PLAIN),
    "json": Format(JSON, PLAIN),
}
DEFAULT_FORMAT = "proto-native-zstd"


class RecordingWriter:
    """Writes requests, in order, to a file that appears when it is complete, and not if an error ends the `with`.

    Args:
        path: the file; one that is there is replaced.
        format_name: one of FORMATS.
        level: zstd's.

    Raises:
        RecordingError: the format is unknown.
        OutputError: the file cannot be made.

    Attributes:
        frames: how many requests were written: the number of the next frame.
    """

    def __init__(self, path: str | Path, format_name: str = DEFAULT_FORMAT, *, level: int = 3) -> None:
        if format_name not in FORMATS:
            raise RecordingError(
                str(path), f"format {format_name!r}", f"one of {', '.join(FORMATS)}", "Name one of them."
            )
        self.frames = 0
        self._path = Path(path)
        self._partial = self._path.with_name(f".{self._path.name}.{os.getpid()}.partial")
        self._format = FORMATS[format_name]
        self._compressor = zstandard.ZstdCompressor(level=level)
        self._file = self._begin()
        self._out: BinaryIO | zstandard.ZstdCompressionWriter = self._file
        if self._format.compression == NATIVE:
            self._out = self._compressor.stream_writer(self._file, closefd=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def _begin(self) -> BinaryIO:
        try:
            return self._partial.open("wb")
        except OSError as error:
            found = f"{self._path} cannot be written ({error.strerror})"
            raise OutputError(found, hint="Make its folder, or name another one.") from error

    def write(self, request: bytes) -> None:
        """Add one request: protobuf bytes, or one JSON object in one line.

        Raises:
            RecordingError: JSON with a newline in it, or more bytes than a length can say.
        """
        if self._format.compression == FRAMED:
            request = self._compressor.compress(request)
        if self._format.encoding == JSON and self._format.compression != FRAMED:
            if b"\n" in request:
                self._refuse("a JSON request with a newline in it", "one line", "Write it without indentation.")
            self._out.write(request + b"\n")
        else:
            if len(request) > LARGEST:
                self._refuse(f"a request of {len(request):,} bytes", f"at most {LARGEST:,}", "Split it.")
            self._out.write(len(request).to_bytes(PREFIX_BYTES, "big"))
            self._out.write(request)
        self.frames += 1

    def close(self) -> None:
        """Complete the file and give it its name."""
        if self._out is not self._file:
            self._out.close()
        self._file.close()
        self._partial.replace(self._path)

    def discard(self) -> None:
        """Leave no trace."""
        self._file.close()
        self._partial.unlink(missing_ok=True)

    def _refuse(self, found: str, expected: str, hint: str) -> None:
        raise RecordingError(str(self._path), found, expected, hint)


class IndexWriter:
    """Writes the index of a recording, line by line, beside the writer of the recording itself."""

    def __init__(self, path: str | Path) -> None:
        self._lines = RecordingWriter(path, "json-native-zstd")
        self._frame = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._lines.__exit__(kind, error, at)

    def frame(self, of: Partition, offset: int, timestamp_ms: int, timestamp_type: int | None = None) -> None:
        """The next frame is this record."""
        self._lines.write(frame_entry(self._frame, of, offset, timestamp_ms, timestamp_type))
        self._frame += 1

    def dead(self, of: Partition, offset: int, timestamp_ms: int, reason: str) -> None:
        """This record has no frame, because it could not be decoded."""
        self._lines.write(dead_entry(of, offset, timestamp_ms, reason))

    def idle(self, partitions: Sequence[Partition], elapsed_ms: int) -> None:
        """These partitions have been idle for another `elapsed_ms`."""
        self._lines.write(idle_entry(partitions, elapsed_ms))
