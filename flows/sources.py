"""Sources and sinks as the dataflow engine takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition

from flows.emission import DeadLetter, Emission, Slot
from flows.recording.dealing import LANES
from flows.recording.lanes import Lane, Lanes

if TYPE_CHECKING:
    from collections.abc import Callable

    from flows.recording import Recording

Item = TypeVar("Item")


class RecordingSource(FixedPartitionedSource[Emission, bytes]):
    """A recording's lanes as the slots of a source; all lanes of a process share one pass over the files.

    Args:
        recording: the files.
        slot: makes the slot of a lane.
        stopped: asked before each read; True ends the replay with what was read so far.
    """

    def __init__(self, recording: Recording, slot: Callable[[int], Slot], stopped: Callable[[], bool]) -> None:
        self._lanes = Lanes(recording)
        self._slot = slot
        self._stopped = stopped

    def list_parts(self) -> list[str]:
        """Every process can read every lane."""
        return [str(lane) for lane in range(LANES)]

    def build_part(self, step_id: str, for_part: str, resume_state: bytes | None) -> _LanePartition:
        """Open one lane; a replay always begins at its beginning."""
        lane = self._lanes.open(int(for_part))
        slot = self._slot(lane.number)
        for partition in lane.partitions:
            slot.expect(partition)
        return _LanePartition(lane, slot, self._stopped)


class _LanePartition(StatefulSourcePartition[Emission, bytes]):
    def __init__(self, lane: Lane, slot: Slot, stopped: Callable[[], bool]) -> None:
        self._lane = lane
        self._slot = slot
        self._stopped = stopped
        self._ended = False

    def next_batch(self) -> list[Emission]:
        if self._ended or self._stopped():
            self._lane.close()
            raise StopIteration
        share = self._lane.next()
        if share is None:
            self._ended = True
            return [self._slot.end()]
        dead = [
            DeadLetter(*letter.partition, letter.offset, letter.timestamp_ms, letter.reason, letter.detail, b"")
            for letter in share.dead
        ]
        emission = self._slot.emit(share.records, dead)
        if share.idle is not None:
            for partition in share.idle.partitions:
                self._slot.stay(partition, share.idle.elapsed_ms * 1_000_000)
            return [emission, self._slot.emit([])]
        return [emission]

    def snapshot(self) -> bytes:
        return b""  # a replay always begins at its beginning


class LocalSink(DynamicSink[Item], Generic[Item]):
    """Hands items to a function of the process they are in.

    Args:
        take: called with each batch of items, in order.
    """

    def __init__(self, take: Callable[[list[Item]], None]) -> None:
        self._take = take

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _LocalPartition[Item]:
        """One worker's end."""
        return _LocalPartition(self._take)


class _LocalPartition(StatelessSinkPartition[Item], Generic[Item]):
    def __init__(self, take: Callable[[list[Item]], None]) -> None:
        self._take = take

    def write_batch(self, items: list[Item]) -> None:
        self._take(items)
