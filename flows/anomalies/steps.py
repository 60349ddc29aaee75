"""What the two steps of the anomaly judge are told: minutes of shards, then steps of keys; plain values."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from flows.records import Partition
from flows.series import OVERFLOW, SHARDS, shard_of
from flows.watermark import PartitionProgress, Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from flows.anomalies.rules import AnomalyRules
    from flows.series import OperationLabels
    from flows.window_samples import WindowSamples, WindowsShown

KEY = "anomalies"
"""The dataflow's key of the step that chooses."""

SCORE_KEYS = 16
"""How many keys have the detectors' state. Frozen: it is stored by key."""


class MinutesPart(NamedTuple):
    """What a shard that passed the end of a minute tells."""

    progress: Progress
    since: int  # it told all of panes from here on
    samples: list[WindowSamples]


def tell_minutes(rules: AnomalyRules) -> Callable[[tuple[str, WindowsShown]], list[tuple[str, MinutesPart]]]:
    """What a shard has for the step that chooses: nothing within a minute, so that its key is touched once in one."""

    def tell(keyed: tuple[str, WindowsShown]) -> list[tuple[str, MinutesPart]]:
        key, shown = keyed
        if shown.since // rules.minute == shown.upto // rules.minute and not shown.done:
            return []
        number = SHARDS if key == OVERFLOW else int(key)
        place = PartitionProgress(Partition("shard", number), shown.upto, shown.first_pane, shown.upto - 1, shown.upto)
        return [(KEY, MinutesPart(Progress(number, (place,), shown.done), shown.since, shown.judged))]

    return tell


class RuleStep(NamedTuple):
    """What one rule scores in one step, of the operations of one key."""

    rule: str
    operations: list[OperationLabels]  # (n,) in a stable order
    values: np.ndarray  # (n, n_signals) float64, NaN where there is none
    calls: np.ndarray  # (n,) float64
    excluded: np.ndarray  # (n,) bool: neither learnt nor scored
    forgotten: list[OperationLabels]  # nobody waits for them any more


class Chosen(NamedTuple):
    """What one key scores at the end of a step; every key is told of every step."""

    key: int
    end_ns: int
    done: bool  # nothing follows
    rules: list[RuleStep]  # those of which a step ends


@lru_cache(maxsize=65_536)
def score_key(service: str) -> int:
    """Which key has the detectors of a service; the same in every process and every release."""
    return shard_of(service) % SCORE_KEYS


def dealt_to(key: int) -> str:
    """The dataflow's key of one that scores."""
    return f"{KEY}/{key}"


def deal_steps(keyed: tuple[str, Chosen]) -> tuple[str, Chosen]:
    """A step to its key."""
    return dealt_to(keyed[1].key), keyed[1]
