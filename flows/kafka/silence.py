"""How long partitions have stayed at their ends, by the monotonic clock; who does not answer is no silent one."""

from __future__ import annotations

from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from flows.kafka.reader import Reader
    from flows.records import Partition

_STALE_SECONDS = 3.0
"""Statistics come every second; a client that gives none for so long says nothing of its broker."""

_NS_PER_MS = 1_000_000


class Looked(NamedTuple):
    """What a look at a reader's partitions brought."""

    news: bool  # whether there was anything new to look at
    stayed: dict[Partition, int]  # at its end for so many ns more, whole milliseconds; 0 where that begins
    doubted: list[Partition]  # was at its end, and nobody can say whether it still is


class Silence:
    """Follows a reader's partitions from look to look.

    Args:
        slept_ns: for how long each was not looked at before this began; it counts if nothing came meanwhile.
    """

    def __init__(self, slept_ns: Mapping[Partition, int] | None = None) -> None:
        self._slept_ns = dict(slept_ns or {})
        self._since: dict[Partition, int] = {}  # monotonic ns

    def look(self, reader: Reader, is_missing: Callable[[Partition], bool]) -> Looked:
        """What is new since the last look: something once a second, with librdkafka's statistics.

        Args:
            reader: whose partitions it is about.
            is_missing: whether a partition's topic does not exist: nothing can come from it.
        """
        if not reader.new_statistics():
            stale = monotonic() - reader.heard_at > _STALE_SECONDS
            return Looked(False, {}, self._doubt(reader.partitions) if stale else [])
        now = monotonic_ns() // _NS_PER_MS * _NS_PER_MS
        stayed: dict[Partition, int] = {}
        silent: list[Partition] = []
        for partition, reading in reader.partitions.items():
            if is_missing(partition) or (reading.at_end and reading.seen.answers):
                since = self._since.get(partition)
                stayed[partition] = self._slept_ns.pop(partition, 0) if since is None else now - since
                self._since[partition] = now
            elif not reading.seen.answers:
                silent.append(partition)
            else:
                self._since.pop(partition, None)
        return Looked(True, stayed, self._doubt(silent))

    def wake(self, partition: Partition) -> None:
        """Something came of this partition, or it is another one now."""
        self._since.pop(partition, None)
        self._slept_ns.pop(partition, None)

    def _doubt(self, partitions: Iterable[Partition]) -> list[Partition]:
        return [partition for partition in partitions if self._since.pop(partition, None) is not None]
