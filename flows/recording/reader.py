"""Recordings: files of requests, read as one stream of frames, block by block, in memory that does not grow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flows.recording.blocks import MIB
from flows.recording.errors import RecordingError
from flows.recording.file_reader import FileReader
from flows.recording.forms import PROTO, form_of
from flows.recording.inputs import STDIN, Input
from flows.recording.naming import SIGNALS, index_of, name_of, signal_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flows.recording.blocks import Block
    from flows.recording.errors import Damage
    from flows.recording.file_reader import Keep
    from flows.recording.forms import Form

MIN_BLOCK_BYTES = 64


class Recording:
    """One or many files of OTLP requests (a rotation: in this order), or "-", standard input; see `forms`.

    A file's damaged tail ends that file: what decoded is kept, `damages` says what was dropped, the next file goes on.
    A frame that is damaged or too large where the next one can still be found is dead, and has its number.

    Args:
        paths: the files.
        signal: "spans", "logs" or "metrics": for protobuf, which does not say it, where the path does not either.
        index: the index of one file or of several; None: those beside the files, if there are any.
        block_bytes: about how much is decoded at a time.
        max_record_bytes: the largest request; bounds the memory that hostile bytes can take.

    Attributes:
        name: the label of this source, from the file names.
        encoding: "otlp_proto" or "otlp_json".
        signal: "spans", "logs" or "metrics".
        indexes: the paths of its indexes: one for each file, or one for all, or none.
        total_bytes: what there is to read, as stored; None where that cannot be known (a pipe).
        damages: what could not be read, complete when the last block was given.

    Raises:
        RecordingError: a file cannot be opened or is no recording, files do not fit together, the signal is unknown.
    """

    def __init__(
        self,
        paths: str | Path | Sequence[str | Path],
        *,
        signal: str | None = None,
        index: str | Path | None = None,
        block_bytes: int = 32 * MIB,
        max_record_bytes: int = 64 * MIB,
    ) -> None:
        self._inputs = [Input(path) for path in ([paths] if isinstance(paths, (str, Path)) else paths)]
        self._block_bytes = max(block_bytes, MIN_BLOCK_BYTES)
        self._max_record_bytes = max_record_bytes
        self._forms = [form_of(file, max_record_bytes) for file in self._inputs]
        names = [file.path for file in self._inputs]
        self.name = name_of(names)
        self.encoding = _encoding(names, self._forms)
        self.signal = _signal(names, self._forms, signal)
        self.indexes = _indexes(names) if index is None else (str(index),)
        sizes = [file.total_bytes for file in self._inputs]
        self.total_bytes = None if None in sizes else sum(size for size in sizes if size)
        self.damages: list[Damage] = []

    @property
    def bytes_read(self) -> int:
        """How much was read so far, as stored: of `total_bytes`, for a progress bar."""
        return sum(file.consumed for file in self._inputs)

    @property
    def dropped_bytes(self) -> int:
        """How many bytes gave no frame; `damages` says where and why."""
        return sum(damage.dropped_bytes for damage in self.damages)

    def __iter__(self) -> Iterator[Block]:
        return self.blocks()

    def blocks(self, keep: Keep | None = None) -> Iterator[Block]:
        """All frames from the first on, in blocks of about `block_bytes`.

        Args:
            keep: of frame numbers, (n,) int64, which are wanted, (n,) bool. Where each frame is compressed on its own,
                it is called once for each frame, in order, and what is not wanted is neither unpacked nor given;
                elsewhere it is not called, and all is given.

        Raises:
            RecordingError: a file cannot be read any more.
        """
        self.damages = []
        frame = 0
        for file, form in zip(self._inputs, self._forms, strict=True):
            reader = FileReader(file, form, self._block_bytes, self._max_record_bytes)
            for block in reader.blocks(frame, keep):
                frame = block.next_frame
                yield block
            self.damages += reader.damages


def _encoding(paths: Sequence[str], forms: Sequence[Form]) -> str:
    """The one encoding of all files; where none says any (all are empty or cut short) there is nothing to decode."""
    said = {form.encoding: path for path, form in zip(paths, forms, strict=True) if form.encoding}
    if len(said) > 1:
        both = " and ".join(f"{encoding} in {path}" for encoding, path in said.items())
        raise RecordingError(paths[0], f"files of one recording differ: {both}", "one encoding", "Replay them apart.")
    return next(iter(said), PROTO)


def _signal(paths: Sequence[str], forms: Sequence[Form], wanted: str | None) -> str:
    """What the bytes say, else what the person says, else what the paths say."""
    if wanted is not None and wanted not in SIGNALS.values():
        raise RecordingError(paths[0], f"signal {wanted!r}", "spans, logs or metrics", "Say --signal spans.")
    said = {form.signal for form in forms if form.signal}
    if wanted is not None and said - {wanted}:
        found = f"it holds {' and '.join(sorted(said))}"
        raise RecordingError(paths[0], found, f"{wanted}, as --signal says", "Leave --signal out.")
    said = said or {wanted or signal for path in paths if (signal := wanted or signal_in(path))}
    if len(said) > 1:
        found = f"files of one recording hold {' and '.join(sorted(said))}"
        raise RecordingError(paths[0], found, "one signal", "Replay them apart.")
    if said:
        return said.pop()
    if all(form.encoding is None for form in forms):
        return "spans"
    found = "neither its bytes nor its path say whether it holds spans, logs or metrics"
    raise RecordingError(paths[0], found, "a path with the word traces, logs or metrics in it", "Say --signal spans.")


def _indexes(paths: Sequence[str]) -> tuple[str, ...]:
    """The indexes beside the files: each has one, or none has."""
    found = [str(index_of(path)) for path in paths if path != STDIN and index_of(path).exists()]
    if found and len(found) < len(paths):
        without = next(path for path in paths if path == STDIN or not index_of(path).exists())
        expected = f"one beside each file where there is one, and {without} has none"
        raise RecordingError(found[0], "an index among several files", expected, "Replay the indexed files alone.")
    return tuple(found)
