"""Demand: how many distinct series a service over its budget would have taken."""

from __future__ import annotations

import heapq

_KEPT = 512
"""Smallest hashes kept: a standard error of 1 / sqrt(_KEPT - 2) = 4.4 %."""

_SPACE = 1 << 64


class Demand:
    """Distinct count of 64-bit hashes by the k minimum values (Bar-Yossef et al., RANDOM 2002).

    Exact up to 512 distinct hashes, then within some 4.4 % (one standard error); its size is bounded, and the order of
    arrival does not matter.

    >>> demand = Demand()
    >>> for order in (5, 9, 5, 7):
    ...     demand.see(order)
    >>> demand.distinct()
    3
    """

    __slots__ = ("_heap", "_kept")

    def __init__(self) -> None:
        self._heap: list[int] = []
        self._kept: set[int] = set()

    def see(self, order: int) -> None:
        """Count a hash, uniform in [0, 2^64), once."""
        if order in self._kept:
            return
        if len(self._heap) < _KEPT:
            heapq.heappush(self._heap, -order)
            self._kept.add(order)
        elif order < -self._heap[0]:
            self._kept.discard(-heapq.heapreplace(self._heap, -order))
            self._kept.add(order)

    def distinct(self) -> int:
        """How many different hashes were seen, estimated."""
        if len(self._heap) < _KEPT:
            return len(self._heap)
        return round((_KEPT - 1) * _SPACE / -self._heap[0])

    def snapshot(self) -> list[int]:
        """Plain values for `restore`."""
        return sorted(self._kept)

    def restore(self, fields: list[int]) -> None:
        """The state that `snapshot` gave."""
        self._kept = set(fields)
        self._heap = [-order for order in fields]
        heapq.heapify(self._heap)
