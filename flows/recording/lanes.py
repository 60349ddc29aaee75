"""A recording, dealt to 8 lanes, so that any number of processes may share it and no answer changes."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from flows.recording.dealing import LANES, ByIndex, ByNumber
from flows.recording.errors import RecordingError
from flows.recording.index import EXPECTED

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from flows.recording.blocks import Block
    from flows.recording.dealing import Dealer
    from flows.recording.reader import Recording
    from flows.recording.shares import Share
    from flows.records import Partition


class Lanes:
    """The lanes of a recording that one process reads: one pass over the files for all of them.

    Without an index, frame n belongs to lane n modulo 8, and the lane is its source partition. With one, a frame
    belongs to the partition it was recorded from, and lanes carry partitions.

    A block is kept until each open lane has taken its share, so lanes should be read in turn, and one that is not
    read any more closed.

    Raises:
        RecordingError: its index cannot be read.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._dealer: Dealer = ByIndex(recording.indexes) if recording.indexes else ByNumber(recording.name)
        self._since: dict[int, int] = {}
        self._queues: dict[int, deque[Share]] = {}
        self._blocks: Iterator[Block] | None = None
        self._ended = False

    def partitions(self, lane: int) -> tuple[Partition, ...]:
        """All source partitions that a lane will carry, known from the start."""
        return self._dealer.partitions(lane)

    @property
    def missing_frames(self) -> int:
        """Frames that the index has and the recording, cut short, has not; known at the end."""
        return self._dealer.missing_frames if isinstance(self._dealer, ByIndex) else 0

    def open(self, lane: int, from_position: int = 0) -> Lane:
        """A lane, from the position of the last share that was taken of it.

        Raises:
            ValueError: there is no such lane, it is open, or others have begun to read.
        """
        if not 0 <= lane < LANES:
            raise ValueError(f"lane {lane}: a recording has lanes 0 to {LANES - 1}")
        if lane in self._since:
            raise ValueError(f"lane {lane} is open already: open each lane once")
        if self._blocks is not None:
            raise ValueError(f"lane {lane} would miss what others have read: open all lanes before reading any")
        self._since[lane] = from_position
        self._queues[lane] = deque()
        return Lane(self, lane)

    def next_share(self, lane: int) -> Share | None:
        """The next share of an open lane, None at the end; use `Lane.next`."""
        queue = self._queues[lane]
        while not queue and not self._ended and lane in self._since:
            self._read_on()
        return queue.popleft() if queue else None

    def close(self, lane: int) -> None:
        """Keep nothing for this lane any more; use `Lane.close`."""
        self._since.pop(lane, None)
        self._queues[lane] = deque()

    def _read_on(self) -> None:
        if self._blocks is None:
            self._blocks = self.recording.blocks(self._wanted)
        block = next(self._blocks, None)
        if block is None:
            self._ended = True
            shares = self._dealer.end(self.recording.damages, self._since)
        else:
            self._refuse_frames_after_damage()
            shares = self._dealer.deal(block, self._since)
        for lane, share in shares.items():
            self._queues[lane].extend(share)

    def _wanted(self, frames: np.ndarray) -> np.ndarray:
        return self._dealer.wanted(frames, self._since)

    def _refuse_frames_after_damage(self) -> None:
        """Frames after a hole have other numbers than in the index: they would get the coordinates of others."""
        if self.recording.indexes and self.recording.damages:
            path, reason, dropped, _ = self.recording.damages[0]
            found = f"{path} is {reason} ({dropped:,} bytes dropped), and frames follow it"
            raise RecordingError(self.recording.indexes[0], found, EXPECTED, "Replay the files up to the damaged one.")


class Lane:
    """One lane, read share by share."""

    def __init__(self, lanes: Lanes, number: int) -> None:
        self._lanes = lanes
        self.number = number
        self.partitions = lanes.partitions(number)

    def next(self) -> Share | None:
        """What this lane has of the next block, perhaps nothing; None at the end.

        Raises:
            RecordingError: a file cannot be read any more, or contradicts the index.
        """
        return self._lanes.next_share(self.number)

    def close(self) -> None:
        """Stop reading it."""
        self._lanes.close(self.number)
