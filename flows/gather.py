"""Gather: what concerns several shards, by pane; final there when all shards have reported it.

It is the close once more: every shard is a source slot whose frontier is how far it has closed. What is gathered so far
is the service `__overflow__`, which stands for the services that no shard has a place for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flows.fold import Partial, Sender
from flows.part import Part
from flows.records import Partition
from flows.series import OVERFLOW, SeriesLabels, hash_order
from flows.shard import Closed
from flows.watermark import PartitionProgress, Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from flows.panes import Rows
    from flows.watermark import TimeRules

OVERFLOW_KEY = OVERFLOW
"""The dataflow's key of the shard that has the service `__overflow__`."""


def gather_overflow(rules: TimeRules) -> Callable[[tuple[str, Closed]], tuple[str, Part]]:
    """What each advance of a shard tells the shard of the service `__overflow__`."""

    def tell(keyed: tuple[str, Closed]) -> tuple[str, Part]:
        key, closed = keyed
        shard = int(key)
        frontier = closed.upto * rules.pane_ns + rules.lateness_ns
        partition = Partition("shard", shard)
        progress = PartitionProgress(partition, frontier, closed.first_pane, closed.upto - 1, closed.upto)
        return OVERFLOW_KEY, Part(Progress(shard, (progress,), closed.done), _overflow(shard, closed), OVERFLOW_KEY)

    return tell


def _overflow(shard: int, closed: Closed) -> Partial | None:
    """The rows of services that were not admitted, relabelled."""
    if not closed.elsewhere:
        return None
    numbers: dict[SeriesLabels, int] = {}
    series = [
        numbers.setdefault(labels.overflowed()._replace(service=OVERFLOW), len(numbers))
        for _, of_rows in closed.elsewhere
        for labels in of_rows
    ]
    parts = [rows for rows, _ in closed.elsewhere]
    lengths = np.concatenate([np.diff(rows.cell_starts) for rows in parts])
    columns = [
        _join(parts, name) for name in ("pane", "at", "raw", "sum_hi", "sum_lo", "slow_ns", "slow_hi", "slow_lo")
    ]
    sender = Sender(shard.to_bytes(2, "little"), closed.upto)
    cell_row = np.repeat(np.arange(len(series), dtype=np.int32), lengths)
    cells = (cell_row, _join(parts, "cell"), _join(parts, "cell_weight"))
    return Partial(
        sender, [hash_order(labels) for labels in numbers], 0, *(np.array(series, np.int32), *columns, *cells)
    )


def _join(parts: list[Rows], name: str) -> np.ndarray:
    return np.concatenate([getattr(rows, name) for rows in parts])
