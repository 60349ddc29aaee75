"""The stages as the dataflow engine takes them: thin adapters, no rule of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from bytewax.operators import StatefulBatchLogic

from flows.fold import Folder
from flows.series import SHARDS, shard_key
from flows.shard import Closed, Part, Shard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flows.emission import Emission
    from flows.rules import Rules
    from flows.shard import ShardRules
    from flows.windows import WindowSamples

R = TypeVar("R")


def folding(rules: Rules) -> Callable[[list[Emission]], Iterable[tuple[str, Part]]]:
    """Emissions → a part for every shard, each with the progress of its slot."""
    folder = Folder(rules.grid, rules.template)
    keys = [shard_key(shard) for shard in range(SHARDS)]

    def fold(emissions: list[Emission]) -> Iterable[tuple[str, Part]]:
        for emission in emissions:
            partials = [folder.fold(batch.spans, batch.timed) for batch in emission.batches]
            for earlier in partials[:-1]:
                for key, partial in zip(keys, earlier, strict=True):
                    if partial is not None:
                        yield key, Part(None, partial)
            last = partials[-1] if partials else [None] * SHARDS
            for key, partial in zip(keys, last, strict=True):
                yield key, Part(emission.progress, partial)

    return fold


class Closing(StatefulBatchLogic[Part, Closed, bytes]):
    """The close of one shard."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard

    def on_batch(self, values: list[Part]) -> tuple[Iterable[Closed], bool]:
        """Hear the parts; close what can be closed."""
        closed = self._shard.hear(values)
        return ([] if closed is None else [closed]), self.RETAIN

    def snapshot(self) -> bytes:
        """The shard's versioned bytes."""
        return self._shard.snapshot()


def closing(n_slots: int, rules: ShardRules) -> Callable[[bytes | None], Closing]:
    """Builder of shards that hear `n_slots` slots."""

    def build(state: bytes | None) -> Closing:
        return Closing(Shard(n_slots, rules) if state is None else Shard.restore(n_slots, rules, state))

    return build


class Judge(Protocol):
    """A small deterministic function of closed panes, in order: what a judge step owns for one shard."""

    def close(self, closed: Closed) -> list[WindowSamples]:
        """Take closed panes; return what they show."""

    def snapshot(self) -> bytes:
        """The whole state as versioned bytes."""


class Judging(StatefulBatchLogic[Closed, "WindowSamples", bytes]):
    """A judge of one shard."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    def on_batch(self, values: list[Closed]) -> tuple[Iterable[WindowSamples], bool]:
        """Judge what was closed."""
        return [shown for closed in values for shown in self._judge.close(closed)], self.RETAIN

    def snapshot(self) -> bytes:
        """The judge's versioned bytes."""
        return self._judge.snapshot()


def judging(
    rules: R, make: Callable[[R], Judge], restore: Callable[[R, bytes], Judge]
) -> Callable[[bytes | None], Judging]:
    """Builder of judges: made anew, or from their bytes."""

    def build(state: bytes | None) -> Judging:
        return Judging(make(rules) if state is None else restore(rules, state))

    return build
