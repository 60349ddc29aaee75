"""The gate: after a restart the page is not shown until it says no less than was shown before.

Every shard must have merged, of every partition, all that was there when the workers started, must know whether it is
idle, and what concerns several shards must have been gathered. Then no counter goes back. Only what idleness closed is
no function of the stream: for its sake the last pane that was shown is remembered too, and reached before it opens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.kafka.cluster import Ends
from flows.records import NEVER
from flows.series import SHARDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flows.records import Partition
    from flows.run.link import Report

_ALL = SHARDS + 1  # and the one that gathers
_SETTLED_SECONDS = 2.0


class Gate:
    """Shut until the workers have caught up with where the topics ended when they started.

    Args:
        shut: False for the very first start: nothing was shown before.
        floor: the pane up to which was shown before, -1 where that is not known.
        whole_cluster: whether all shards are on this machine; where they are not, nobody can count them, and the gate
            waits until no new one has turned up for two seconds.
    """

    def __init__(self, *, shut: bool, floor: int = NEVER, whole_cluster: bool = True) -> None:
        self.is_open = not shut
        self.ends: dict[Partition, int] | None = None
        self.floor = floor
        self._whole_cluster = whole_cluster
        self._n_shards = 0
        self._settled_at = 0.0

    def ask(self, ends: Mapping[Partition, Ends]) -> dict[Partition, int]:
        """What the workers must reach: nothing in partitions that are empty by now."""
        self.ends = {partition: end if end > low else 0 for partition, (low, end) in ends.items()}
        return self.ends

    def look(self, reports: Sequence[Report], now: float) -> bool:
        """Open if the newest reports of all workers say so; whether it opened now."""
        if self.is_open or self.ends is None or not reports:
            return False
        n_shards = sum(report.n_shards for report in reports)
        if n_shards != self._n_shards:
            self._n_shards, self._settled_at = n_shards, now
        closed = {key: pane for report in reports for key, pane in report.closed.items()}
        n_all = _ALL if any(pane != NEVER for pane in closed.values()) else SHARDS  # nothing was gathered before that
        everyone = n_shards >= n_all if self._whole_cluster else now - self._settled_at >= _SETTLED_SECONDS
        gathered = {key: pane for report in reports for key, pane in report.gathered.items()}
        behind = any(gathered.get(key, pane) < pane for key, pane in closed.items())
        reached = min(closed.values(), default=NEVER) >= self.floor
        self.is_open = everyone and not behind and reached and all(report.passed for report in reports)
        return self.is_open

    def sentence(self, reports: Sequence[Report]) -> str:
        """Why it is shut; "" where it is open."""
        if self.is_open:
            return ""
        if self.ends is None:
            return "catching up after a restart: the cluster has not said yet where its topics end"
        at = {(each.source, each.partition): each.position for report in reports for each in report.partitions}
        left = sum(
            max(end - at.get((partition.source, partition.number), 0), 0) for partition, end in self.ends.items()
        )
        return f"catching up after a restart: {left:,} records left"
