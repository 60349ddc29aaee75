"""What a lane hands out: records of its source partitions, and what else the recording says of these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from flows.records import Partition, Records


class DeadLetter(NamedTuple):
    """A record that gives nothing to decode: its coordinates and why."""

    partition: Partition
    offset: int
    timestamp_ms: int
    reason: str  # "corrupt_zstd", "too_large", or what the index says
    detail: str = ""


class IdleTick(NamedTuple):
    """These partitions were at their end for another `elapsed_ms` when this was recorded."""

    partitions: tuple[Partition, ...]
    elapsed_ms: int


@dataclass(frozen=True, slots=True)
class Share:
    """A lane's part of a block: first the records (and the dead), then the idle tick, if there is one.

    `position` is where the lane goes on after it: given to `Lanes.open`, no record comes twice and none is left out.
    """

    records: tuple[Records, ...]  # one for each partition that has any
    dead: tuple[DeadLetter, ...]
    idle: IdleTick | None
    position: int
