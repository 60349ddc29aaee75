"""Which frame goes to which lane: by its number, or by what the index says of it."""

from __future__ import annotations

import zlib
from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from flows.recording.errors import RecordingError
from flows.recording.index import EXPECTED, HINT, Index, partitions_in
from flows.recording.shares import DeadLetter, IdleTick, Share
from flows.records import NO_TIMESTAMP, Partition, Records

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flows.recording.blocks import Block
    from flows.recording.errors import Damage
    from flows.recording.index import Entry

    Shares = dict[int, list[Share]]

LANES = 8
"""Frozen: another number deals the same recording to other source partitions, with other frontiers."""


class Dealer(Protocol):
    """Deals blocks to lanes; `since` has the lanes that are open, each with the position it starts from."""

    def partitions(self, lane: int) -> tuple[Partition, ...]:
        """The source partitions that this lane will carry."""
        ...

    def wanted(self, frames: np.ndarray, since: Mapping[int, int]) -> np.ndarray:
        """Which of these frames, (n,) int64, any open lane wants: (n,) bool."""
        ...

    def deal(self, block: Block, since: Mapping[int, int]) -> Shares:
        """The shares of one block, at least one for each open lane."""
        ...

    def end(self, damages: list[Damage], since: Mapping[int, int]) -> Shares:
        """What comes after the last block."""
        ...


class ByNumber:
    """Frame n is a record of partition (name, n modulo 8) at offset n, without a timestamp; so is its position."""

    def __init__(self, name: str) -> None:
        self._name = name

    def partitions(self, lane: int) -> tuple[Partition, ...]:
        """The lane itself."""
        return (Partition(self._name, lane),)

    def wanted(self, frames: np.ndarray, since: Mapping[int, int]) -> np.ndarray:
        """Those of open lanes, from their start on."""
        starts = np.full(LANES, np.iinfo(np.int64).max)
        starts[list(since)] = list(since.values())
        wanted: np.ndarray = frames >= starts[frames % LANES]
        return wanted

    def deal(self, block: Block, since: Mapping[int, int]) -> Shares:
        """One share for each open lane."""
        lane_of = block.frames % LANES
        return {lane: [self._share(block, lane_of == lane, lane, start)] for lane, start in since.items()}

    def _share(self, block: Block, is_mine: np.ndarray, lane: int, start: int) -> Share:
        partition = Partition(self._name, lane)
        mine = np.flatnonzero(is_mine & (block.frames >= start))
        dead = tuple(
            DeadLetter(partition, lost.frame, NO_TIMESTAMP, lost.reason, lost.detail)
            for lost in block.dead
            if lost.frame % LANES == lane and lost.frame >= start
        )
        stamps = np.full(len(mine), NO_TIMESTAMP, np.int64)
        records = Records.within(
            partition, block.data, block.starts[mine], block.ends[mine], block.frames[mine], stamps
        )
        return Share((records,) if len(mine) else (), dead, None, max(start, block.next_frame))

    def end(self, damages: list[Damage], since: Mapping[int, int]) -> Shares:
        """Nothing."""
        del damages, since
        return {}


class _Row(NamedTuple):
    """A frame of one partition, until its share is complete."""

    frame: int
    offset: int
    timestamp_ms: int


class ByIndex:
    """Each frame is the record that the index says it was; a position is a number of index entries.

    The lane of a partition is its number, turned by a hash of its topic, modulo 8.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._partitions = partitions_in(paths)
        self._index = Index(paths)
        self._ahead: deque[Entry] = deque()
        self._position = 0
        self.missing_frames = 0

    def partitions(self, lane: int) -> tuple[Partition, ...]:
        """Those of the index that fall to this lane."""
        return tuple(partition for partition in self._partitions if lane_of(partition) == lane)

    def wanted(self, frames: np.ndarray, since: Mapping[int, int]) -> np.ndarray:
        """Those of partitions of open lanes; reads the index ahead of the blocks."""
        if not len(frames):
            return np.ones(0, bool)
        self._ahead.extend(self._index.take(int(frames[-1]) + 1))
        lanes = {entry.frame: lane_of(entry.of) for entry in self._ahead if entry.frame is not None}
        return np.array([lanes[frame] in since for frame in frames.tolist()])

    def deal(self, block: Block, since: Mapping[int, int]) -> Shares:
        """For each open lane a share up to each of its idle ticks, and one of what follows."""
        taken: list[Entry] = []
        while self._ahead and (self._ahead[0].frame is None or self._ahead[0].frame < block.next_frame):
            taken.append(self._ahead.popleft())
        if not self._ahead:
            taken += self._index.take(block.next_frame)
        return self._deal(taken, block, since)

    def end(self, damages: list[Damage], since: Mapping[int, int]) -> Shares:
        """The lines after the last frame's.

        Raises:
            RecordingError: the index has more frames than the recording, and this was not cut short.
        """
        entries, self.missing_frames = self._index.rest()
        if self.missing_frames and not damages:
            found = f"it has {self.missing_frames:,} more frames than the recording"
            raise RecordingError(self._index.path, found, EXPECTED, HINT)
        return self._deal([*self._ahead, *entries], None, since)

    def _deal(self, entries: list[Entry], block: Block | None, since: Mapping[int, int]) -> Shares:
        hands = {lane: _Hand(lane, block) for lane in since}
        for entry in entries:
            self._position += 1
            for lane in _lanes_of(entry):
                if lane in hands and self._position > since[lane]:
                    hands[lane].take(entry, self._position)
        return {lane: hand.close(max(self._position, since[lane])) for lane, hand in hands.items()}


class _Hand:
    """One lane's entries of one block, until they are shares."""

    def __init__(self, lane: int, block: Block | None) -> None:
        self._lane = lane
        self._block = block
        self._lost = {} if block is None else {lost.frame: lost for lost in block.dead}
        self._rows: dict[Partition, list[_Row]] = {}
        self._dead: list[DeadLetter] = []
        self._shares: list[Share] = []

    def take(self, entry: Entry, position: int) -> None:
        """The next entry of this lane."""
        if entry.idle is not None:
            mine = tuple(partition for partition in entry.idle if lane_of(partition) == self._lane)
            self._cut(IdleTick(mine, entry.elapsed_ms), position)
        elif entry.frame is None:
            self._dead.append(DeadLetter(entry.of, entry.offset, entry.timestamp, entry.reason or ""))
        elif (lost := self._lost.get(entry.frame)) is not None:
            self._dead.append(DeadLetter(entry.of, entry.offset, entry.timestamp, lost.reason, lost.detail))
        else:
            self._rows.setdefault(entry.of, []).append(_Row(entry.frame, entry.offset, entry.timestamp))

    def close(self, position: int) -> list[Share]:
        """The shares; the last one has what came after the last idle tick, often nothing."""
        self._cut(None, position)
        return self._shares

    def _cut(self, idle: IdleTick | None, position: int) -> None:
        records = tuple(self._records(partition, rows) for partition, rows in self._rows.items())
        self._shares.append(Share(records, tuple(self._dead), idle, position))
        self._rows, self._dead = {}, []

    def _records(self, partition: Partition, rows: list[_Row]) -> Records:
        assert self._block is not None, "there are no frames after the last block"
        frames, offsets, stamps = np.array(rows, np.int64).T.copy()
        at = np.searchsorted(self._block.frames, frames)
        return Records.within(
            partition, self._block.data, self._block.starts[at], self._block.ends[at], offsets, stamps
        )


def _lanes_of(entry: Entry) -> set[int]:
    return {lane_of(entry.of)} if entry.idle is None else {lane_of(partition) for partition in entry.idle}


@lru_cache(maxsize=1 << 16)
def lane_of(partition: Partition) -> int:
    """The lane of a partition in an indexed recording, the same in every process and for ever.

    >>> lane_of(Partition("otlp_spans", 3)) == (lane_of(Partition("otlp_spans", 2)) + 1) % 8
    True
    """
    return (partition.number + zlib.crc32(partition.source.encode())) % LANES
