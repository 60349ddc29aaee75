"""Frames that are compressed each on its own, unpacked one after the other into blocks."""

from __future__ import annotations

import numpy as np
import zstandard

from flows.recording.blocks import Block
from flows.recording.errors import DeadFrame
from flows.recording.framing import MAX_FRAMES
from flows.recording.zstd_stream import ZstdStream


class Unpacker:
    """Takes the frames of one file in order and gives blocks of about `block_bytes`.

    A frame that does not unpack, or to more than `max_record_bytes`, is dead.
    """

    def __init__(self, first_frame: int, block_bytes: int, max_record_bytes: int) -> None:
        self._frame = first_frame
        self._block_bytes = block_bytes
        self._max = max_record_bytes
        self._decompressor = zstandard.ZstdDecompressor()
        self._begin(block_bytes)

    def _begin(self, size: int) -> None:
        self._first = self._frame
        self._data = np.empty(size, np.uint8)
        self._at = 0
        self._spans: list[tuple[int, int, int]] = []  # frame, start, end
        self._dead: list[DeadFrame] = []

    def add(self, compressed: memoryview) -> Block | None:
        """Take the next frame; gives the block of those before it if that has no room for this one."""
        found = self._unpack(compressed)
        size = 0 if isinstance(found, DeadFrame) else len(found)
        full = self._make_room(size)
        if isinstance(found, DeadFrame):
            self._dead.append(found)
        else:
            self._data.data[self._at : self._at + size] = found
            self._spans.append((self._frame, self._at, self._at + size))
            self._at += size
        self._frame += 1
        return full

    def skip(self) -> None:
        """Pass over the next frame."""
        self._frame += 1

    def pack(self) -> Block | None:
        """The block of the frames up to here, None if there are none."""
        if self._frame == self._first:
            return None
        frames, starts, ends = np.array(self._spans, np.int64).reshape(-1, 3).T.copy()
        return Block(self._data[: self._at], frames, starts, ends, self._first, self._frame, tuple(self._dead))

    def _make_room(self, size: int) -> Block | None:
        if self._at + size <= len(self._data) and len(self._spans) + len(self._dead) < MAX_FRAMES:
            return None
        full = self.pack()
        self._begin(max(self._block_bytes, size))
        return full

    def _unpack(self, compressed: memoryview) -> bytes | DeadFrame:
        """The request; what the frame says of its own size is checked before it is believed."""
        try:
            size = zstandard.frame_content_size(compressed)
            if size < 0:
                return self._unpack_unsized(compressed)
            if size <= self._max:
                return self._decompressor.decompress(compressed, allow_extra_data=False)
        except zstandard.ZstdError as error:
            return DeadFrame(self._frame, "corrupt_zstd", str(error))
        return self._too_large()

    def _unpack_unsized(self, compressed: memoryview) -> bytes | DeadFrame:
        stream, blocks, size = ZstdStream(iter([bytes(compressed)])), [], 0
        for block in stream:
            blocks.append(block)
            size += len(block)
            if size > self._max:
                return self._too_large()
        return DeadFrame(self._frame, "corrupt_zstd", stream.detail) if stream.problem else b"".join(blocks)

    def _too_large(self) -> DeadFrame:
        return DeadFrame(
            self._frame, "too_large", f"it unpacks to more than the {self._max:,} bytes that a record may have"
        )
