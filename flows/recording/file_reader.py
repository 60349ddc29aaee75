"""One file of a recording, read from its first byte to its last, or to where it is damaged."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from flows.recording.blocks import MIB, Block
from flows.recording.errors import Damage, DeadFrame
from flows.recording.feed import Feed
from flows.recording.forms import FRAMED, JSON, NATIVE
from flows.recording.framing import FULL, PREFIX_BYTES, TOO_LARGE, Lines, Prefixed
from flows.recording.unpacking import Unpacker
from flows.recording.zstd_stream import ZstdStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flows.recording.forms import Form
    from flows.recording.framing import Cut, Framing
    from flows.recording.inputs import Input

    Keep = Callable[[np.ndarray], np.ndarray]

COMPRESSED_BLOCK_BYTES = 4 * MIB


class FileReader:
    """One pass over one file."""

    def __init__(self, file: Input, form: Form, block_bytes: int, max_record_bytes: int) -> None:
        self._file = file
        self._form = form
        self._block_bytes = block_bytes
        self._max = max_record_bytes
        self.damages: list[Damage] = []

    def blocks(self, frame: int, keep: Keep | None) -> Iterator[Block]:
        """The file's blocks; its first frame has the number `frame`."""
        if self._form.compression == FRAMED:
            yield from self._unpacked(frame, keep)
            return
        framing = Lines(self._max) if self._form.encoding == JSON else Prefixed(self._max)
        with closing(self._file.chunks()) as chunks:
            if self._form.compression == NATIVE:
                stream = ZstdStream(chunks)
                yield from self._cut(iter(stream), framing, self._block_bytes, frame)
                self._end_of_zstd(stream)
            else:
                yield from self._cut(chunks, framing, self._block_bytes, frame)

    def _cut(self, chunks: Iterator[bytes], framing: Framing, block_bytes: int, frame: int) -> Iterator[Block]:
        """Frames as they stand in the bytes; a frame that is not whole yet begins the next buffer."""
        feed = Feed(chunks)
        rest = np.empty(0, np.uint8)
        while not feed.ended:
            buffer = feed.fill(rest, max(block_bytes, framing.room(rest)))
            position, state = 0, FULL
            while state == FULL:
                cut = framing.cut(buffer, position)
                position, state = cut.position, cut.state
                if len(cut.starts):
                    block = self._block(buffer, cut, frame)
                    frame = block.next_frame
                    yield block
            rest = buffer[position:]
            if state == TOO_LARGE:
                self._damage("too_large", len(rest) + feed.drain(), self._too_large(framing.room(rest)))
                return
        if len(rest) and framing.is_frame(rest):
            yield Block(rest, np.array([frame]), np.array([0]), np.array([len(rest)]), frame, frame + 1)
        elif rest.tobytes().strip():
            self._damage("truncated", len(rest), "the last record has no end")

    def _block(self, buffer: np.ndarray, cut: Cut, frame: int) -> Block:
        following = frame + len(cut.starts)
        frames = np.arange(frame, following, dtype=np.int64)
        if not len(cut.dead):
            return Block(buffer, frames, cut.starts, cut.ends, frame, following)
        live = np.ones(len(frames), bool)
        live[cut.dead] = False
        detail = f"a line is longer than the {self._max:,} bytes that a record may have"
        dead = tuple(DeadFrame(frame + index, "too_large", detail) for index in cut.dead)
        return Block(buffer, frames[live], cut.starts[live], cut.ends[live], frame, following, dead)

    def _unpacked(self, frame: int, keep: Keep | None) -> Iterator[Block]:
        """Frames that are compressed each on its own, unpacked into blocks."""
        unpacker = Unpacker(frame, self._block_bytes, self._max)
        compressed_bytes = min(self._block_bytes, COMPRESSED_BLOCK_BYTES)
        with closing(self._file.chunks()) as chunks:
            for block in self._cut(chunks, Prefixed(self._max), compressed_bytes, frame):
                wanted = np.ones(len(block.frames), bool) if keep is None else keep(block.frames)
                yield from _unpacked_block(unpacker, block, wanted)
        if (last := unpacker.pack()) is not None:
            yield last

    def _end_of_zstd(self, stream: ZstdStream) -> None:
        """Report what the stream could not decode, together with the frame that it cut."""
        if not stream.problem:
            return
        cut = sum(damage.dropped_bytes for damage in self.damages)
        self.damages = []
        self._damage(stream.problem, stream.left + cut, stream.detail)

    def _damage(self, reason: str, dropped: int, detail: str) -> None:
        self.damages.append(Damage(self._file.path, reason, dropped, detail))

    def _too_large(self, size: int) -> str:
        return f"a record claims {size - PREFIX_BYTES:,} bytes, more than the {self._max:,} that one may have"


def _unpacked_block(unpacker: Unpacker, block: Block, wanted: np.ndarray) -> Iterator[Block]:
    data = block.data.data
    for start, end, is_wanted in zip(block.starts.tolist(), block.ends.tolist(), wanted.tolist(), strict=True):
        if not is_wanted:
            unpacker.skip()
        elif (full := unpacker.add(data[start:end])) is not None:
            yield full
