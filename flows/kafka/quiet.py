"""Who is at its end and who does not answer, from what librdkafka says of itself once a second.

librdkafka reports an end of partition once, not again while nothing comes; and a broker that has stopped looks like one
that has nothing new. So a partition counts as staying at its end only while the connection to its leader is up and was
heard on a moment ago, which a fetch that finds nothing sees to twice a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from flows.records import Partition

if TYPE_CHECKING:
    from collections.abc import Mapping

STATISTICS_MS = 1000
_FRESH_US = 1_500_000
"""A connection that was not heard on for longer does not answer; fetches that find nothing return after 0.5 s."""


class _Broker(msgspec.Struct):
    nodeid: int
    state: str = ""
    rxidle: int = -1


class _PartitionStatistics(msgspec.Struct):
    partition: int
    leader: int = -1
    fetch_state: str = ""
    ls_offset: int = -1001
    hi_offset: int = -1001


class _Topic(msgspec.Struct):
    topic: str
    partitions: dict[str, _PartitionStatistics] = {}


class _Statistics(msgspec.Struct):
    brokers: dict[str, _Broker] = {}
    topics: dict[str, _Topic] = {}


def _end(of: _PartitionStatistics) -> int:
    """Its last stable offset; brokers older than transactions know of none but the last."""
    return max(of.ls_offset if of.ls_offset >= 0 else of.hi_offset, -1)


_decoder = msgspec.json.Decoder(_Statistics)


class Seen(NamedTuple):
    """What the client knows of a partition."""

    answers: bool  # its leader was heard a moment ago, and it is being fetched
    end: int  # the last stable offset it was told, -1 before the first fetch


NOT_SEEN = Seen(answers=False, end=-1)


def seen_in(statistics: str | bytes) -> Mapping[Partition, Seen]:
    """What librdkafka's statistics (JSON) say of each partition (librdkafka, STATISTICS.md)."""
    found = _decoder.decode(statistics)
    alive = {
        broker.nodeid
        for broker in found.brokers.values()
        if broker.nodeid >= 0 and broker.state == "UP" and 0 <= broker.rxidle < _FRESH_US
    }
    return {
        Partition(topic.topic, each.partition): Seen(each.leader in alive and each.fetch_state == "active", _end(each))
        for topic in found.topics.values()
        for each in topic.partitions.values()
        if each.partition >= 0
    }
