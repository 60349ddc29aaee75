"""One partition being read: where its reading stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from flows.kafka.quiet import NOT_SEEN, Seen
from flows.records import Partition

if TYPE_CHECKING:
    from concurrent.futures import Future

    from confluent_kafka import Message

    from flows.kafka.cluster import Found


class Coordinates(NamedTuple):
    """Where a record stands."""

    source: str
    partition: int
    offset: int


@dataclass(slots=True)
class Reading:
    """One partition being read."""

    position: int  # next offset to read
    topic_id: str  # of the topic as it is read: one made anew has another
    at_end: bool = False
    seen: Seen = NOT_SEEN
    error: str = ""  # why it cannot be read now
    failed_at: int = -1  # offset of a batch that cannot be unpacked
    tries: int = 0
    ends: Future[Found] | None = None  # asked because the position is out of range


def coordinates(message: Message) -> tuple[Partition, int]:
    """Where a record, or what is reported of a partition, stands; -1 for what it is not about."""
    number, offset = message.partition(), message.offset()
    partition = Partition(message.topic() or "", -1 if number is None else number)
    return partition, -1 if offset is None else offset
