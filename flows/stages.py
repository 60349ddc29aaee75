"""The stages as the dataflow engine takes them: thin adapters, no rule of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from bytewax.operators import StatefulBatchLogic

from flows.fold import Folder
from flows.part import Part
from flows.series import SHARDS, shard_key
from flows.shard import Closed, Shard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flows.anomalies.alerting import AnomalyAlerts
    from flows.anomalies.score import Scorer
    from flows.emission import DeadLetter, Emission
    from flows.rules import Rules
    from flows.shard import ShardRules
    from flows.window_samples import WindowsShown

R = TypeVar("R")
S = TypeVar("S")
V = TypeVar("V")


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
                        yield key, Part(None, partial, key)
            last = partials[-1] if partials else [None] * SHARDS
            for key, partial in zip(keys, last, strict=True):
                yield key, Part(emission.progress, partial, key)

    return fold


def dead_letters(emission: Emission) -> list[tuple[str, DeadLetter]]:
    """The dead letters of an emission, by where they come from."""
    return [(f"{letter.source}/{letter.partition}", letter) for letter in emission.dead]


class Hearer(Protocol[V, R]):
    """What hears of all keys and has an answer where something is final: the judge of promises, the anomaly steps."""

    def hear(self, values: list[V]) -> list[R]:
        """Take what was told, in order; return what is final."""

    def snapshot(self) -> bytes:
        """The whole state as versioned bytes."""


class Hearing(StatefulBatchLogic[V, R, bytes]):
    """One that hears."""

    def __init__(self, hearer: Hearer[V, R]) -> None:
        self._hearer = hearer

    def on_batch(self, values: list[V]) -> tuple[Iterable[R], bool]:
        """Hear; say what is final."""
        return self._hearer.hear(values), self.RETAIN

    def snapshot(self) -> bytes:
        """The hearer's versioned bytes."""
        return self._hearer.snapshot()


def hearing(
    rules: S,
    make: Callable[[S], Hearer[V, R]],
    restore: Callable[[S, bytes], Hearer[V, R]],
    restored: Callable[[Any], None] = lambda _: None,
) -> Callable[[bytes | None], Hearing[V, R]]:
    """Builder of those that hear: made anew, or from their bytes, of which `restored` is told."""

    def build(state: bytes | None) -> Hearing[V, R]:
        if state is None:
            return Hearing(make(rules))
        hearer = restore(rules, state)
        restored(hearer)
        return Hearing(hearer)

    return build


class Forgetting(StatefulBatchLogic[V, R, bytes]):
    """Does what another logic does, and has nothing to store: where no state is kept, it would be made in vain."""

    def __init__(self, logic: StatefulBatchLogic[V, R, bytes]) -> None:
        self._logic = logic

    def on_batch(self, values: list[V]) -> tuple[Iterable[R], bool]:
        """What the other does."""
        return self._logic.on_batch(values)

    def snapshot(self) -> bytes:
        """Nothing."""
        return b""


def forgetting(
    build: Callable[[bytes | None], StatefulBatchLogic[V, R, bytes]],
) -> Callable[[bytes | None], StatefulBatchLogic[V, R, bytes]]:
    """Builder of logics that store nothing."""
    return lambda state: Forgetting(build(state))


class Watcher:
    """What a process wants to know of the shards and judges that live in it; this one wants nothing."""

    def heard(self, shard: Shard) -> None:
        """A shard has heard parts."""

    def shard_restored(self, shard: Shard) -> None:
        """A shard came back from its state."""

    def judge_restored(self, judge: Judge) -> None:
        """A judge came back from its state."""

    def scores_restored(self, scorer: Scorer) -> None:
        """The scores of a key came back from their state."""

    def alerts_restored(self, alerts: AnomalyAlerts) -> None:
        """The alerts of anomalies came back from their state."""


class Closing(StatefulBatchLogic[Part, Closed, bytes]):
    """The close of one shard."""

    def __init__(self, shard: Shard, watcher: Watcher) -> None:
        self._shard = shard
        self._watcher = watcher

    def on_batch(self, values: list[Part]) -> tuple[Iterable[Closed], bool]:
        """Hear the parts; close what can be closed."""
        closed = self._shard.hear(values)
        self._watcher.heard(self._shard)
        return ([] if closed is None else [closed]), self.RETAIN

    def snapshot(self) -> bytes:
        """The shard's versioned bytes."""
        return self._shard.snapshot()


def closing(n_slots: int, rules: ShardRules, watcher: Watcher) -> Callable[[bytes | None], Closing]:
    """Builder of shards that hear `n_slots` slots."""

    def build(state: bytes | None) -> Closing:
        if state is None:
            return Closing(Shard(n_slots, rules), watcher)
        shard = Shard.restore(n_slots, rules, state)
        watcher.shard_restored(shard)
        return Closing(shard, watcher)

    return build


class Judge(Protocol):
    """A small deterministic function of closed panes, in order: what a judge step owns for one shard."""

    def close(self, closed: Closed) -> WindowsShown:
        """Take closed panes; return what they show."""

    def shown(self) -> WindowsShown:
        """What a page shows of it as it stands."""

    def snapshot(self) -> bytes:
        """The whole state as versioned bytes."""


class Judging(StatefulBatchLogic[Closed, "WindowsShown", bytes]):
    """A judge of one shard."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    def on_batch(self, values: list[Closed]) -> tuple[Iterable[WindowsShown], bool]:
        """Judge what was closed."""
        return [self._judge.close(closed) for closed in values], self.RETAIN

    def snapshot(self) -> bytes:
        """The judge's versioned bytes."""
        return self._judge.snapshot()


def judging(
    rules: R, make: Callable[[R], Judge], restore: Callable[[R, bytes], Judge], watcher: Watcher
) -> Callable[[bytes | None], Judging]:
    """Builder of judges: made anew, or from their bytes."""

    def build(state: bytes | None) -> Judging:
        if state is None:
            return Judging(make(rules))
        judge = restore(rules, state)
        watcher.judge_restored(judge)
        return Judging(judge)

    return build
