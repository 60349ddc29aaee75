"""The strangest of each service: the largest score of its operations that may matter, by rule, signal and step."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.anomalies.strange import Strange


class Group(NamedTuple):
    """What one alert would be about."""

    rule: str
    signal: str
    service: str


class Pool:
    """The scores of one group where it is strange; plain values, 16 bytes a step."""

    def __init__(self) -> None:
        self._times_ns, self._score = array("q"), array("d")

    def append(self, end_ns: int, score: float) -> None:
        """The next strange step's."""
        self._times_ns.append(end_ns)
        self._score.append(score)

    @property
    def times_ns(self) -> np.ndarray:
        """(n,) int64 ends of steps, rising."""
        return np.array(self._times_ns, np.int64)

    @property
    def score(self) -> np.ndarray:
        """(n,) float64."""
        return np.array(self._score, np.float64)


class Pools:
    """Collects what keys score. A service has one key, so that of a step all its operations come together."""

    def __init__(self) -> None:
        self.found: dict[Group, Pool] = {}

    def add(self, end_ns: int, strange: Sequence[Strange]) -> None:
        """Take what is strange at the end of a key's next step."""
        most: dict[Group, float] = {}
        for each in strange:
            group = Group(each.rule, each.signal, each.operation.service)
            most[group] = max(most.get(group, 0.0), each.score)
        for group, score in most.items():
            self.found.setdefault(group, Pool()).append(end_ns, score)
