"""Minutes that shards have told and that are not final yet: some shards are ahead of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows.series import OperationLabels
from flows.window_samples import WindowSamples

if TYPE_CHECKING:
    from collections.abc import Sequence


class Minutes:
    """Windows by the pane at which they end, in an order that does not depend on which shard came first."""

    def __init__(self) -> None:
        self._waiting: dict[int, dict[int, list[WindowSamples]]] = {}  # by end, by slot

    def add(self, slot: int, samples: Sequence[WindowSamples]) -> None:
        """Take what a shard told."""
        for sample in samples:
            self._waiting.setdefault(sample.end, {}).setdefault(slot, []).append(sample)

    def of(self, end: int, window: int) -> list[WindowSamples]:
        """The windows of one length that end there, of all shards that have a series."""
        told = self._waiting.get(end, {})
        return [sample for slot in sorted(told) for sample in told[slot] if sample.window == window]

    def is_silent(self, end: int, window: int) -> bool:
        """Whether nothing at all was called in the window."""
        return not any(sample.calls.any() for sample in self.of(end, window))

    def drop(self, upto: int) -> None:
        """Forget what ends up to there."""
        for end in [end for end in self._waiting if end <= upto]:
            del self._waiting[end]

    def snapshot(self) -> list[Any]:
        """Plain values and arrays."""
        return [
            [slot, *each[:3], [of.plain() for of in each.operations], *each[4:]]
            for told in self._waiting.values()
            for slot, samples in told.items()
            for each in samples
        ]

    def restore(self, fields: list[Any]) -> None:
        """What `snapshot` gave."""
        for slot, end, window, complete, operations, *rest in fields:
            labels = list(map(OperationLabels.of, operations))
            self.add(slot, [WindowSamples(end, window, complete, labels, *rest)])
