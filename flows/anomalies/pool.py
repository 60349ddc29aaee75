"""The operations of one rule: how busy each is, which are scored, which are remembered.

Busy are the calls so far, halved every six hours. The busiest are scored, and stay so: one that is scored makes room
only for one that is more than twice as busy, and never in the hours after its calls stopped, when that is an anomaly.
What is scored no more is remembered by its detector for a while, so that who sleeps at night knows the morning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flows.series import OperationLabels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flows.anomalies.rules import AnomalyRule

HALVES_NS = 6 * 3_600 * 10**9
"""How long it takes until a call counts half."""
FORGETS_NS = 3_600 * 10**9
"""What was never scored and was not called for so long is nothing to choose from."""
CLEARLY = 2.0
"""How much busier one must be to take another's place."""

SEEN, REMEMBERED, SCORED = range(3)


class Pool:
    """Chooses operations for one rule.

    Args:
        rule: what may be scored.
        pane_ns: how time is cut.
    """

    def __init__(self, rule: AnomalyRule, pane_ns: int) -> None:
        self.rule = rule
        self.operations: list[OperationLabels] = []
        self.state = np.zeros(0, np.int8)
        """(n,) SEEN, REMEMBERED or SCORED."""
        self._numbers: dict[OperationLabels, int] = {}
        self._busy = np.zeros(0)  # as of the minute of the last call
        self._called = np.zeros(0, np.int64)  # the pane after that minute
        self._halves, self._forgets = HALVES_NS // pane_ns, FORGETS_NS // pane_ns
        self._protects = rule.accept_ns // pane_ns
        self._room = max(1, rule.series // len(rule.signals))
        self._memory = max(self._room, rule.remembered // len(rule.signals))

    def find(self, operations: Sequence[OperationLabels]) -> np.ndarray:
        """(n,) int64 numbers, -1 for those that are not known."""
        return np.array([self._numbers.get(operation, -1) for operation in operations], np.int64)

    def called(self, operations: Sequence[OperationLabels], calls: np.ndarray, end: int) -> None:
        """Operations were called in the minute before `end`, each once here.

        Args:
            operations: (n,) of this rule.
            calls: (n,) more than 0, in any unit that stays the same.
            end: pane after the minute.
        """
        self._add([operation for operation in operations if operation not in self._numbers], end)
        at = self.find(operations)
        self._busy[at] = self._busy_at(end)[at] + calls
        self._called[at] = end

    def _add(self, operations: Sequence[OperationLabels], end: int) -> None:
        for operation in operations:
            self._numbers[operation] = len(self.operations)
            self.operations.append(operation)
        n = len(operations)
        self.state = np.concatenate([self.state, np.zeros(n, np.int8)])
        self._busy = np.concatenate([self._busy, np.zeros(n)])
        self._called = np.concatenate([self._called, np.full(n, end, np.int64)])

    def _busy_at(self, end: int) -> np.ndarray:
        # From the last call on: however often it is asked for in between, the same comes out.
        return self._busy * np.exp2((self._called - end) / self._halves)

    @property
    def scored(self) -> np.ndarray:
        """(k,) numbers of the operations that are scored, in a stable order."""
        return np.flatnonzero(self.state == SCORED)

    # Choosing

    def choose(self, end: int) -> list[OperationLabels]:
        """Decide who is scored in the step that ends; returns those whose detectors may forget them."""
        forgotten = self._forget(end)
        busy = self._busy_at(end)
        waiting = self._waiting(busy, end)
        room = self._room - len(self.scored)
        self.state[waiting[:room]] = SCORED
        self._displace(waiting[room:], busy, end)
        forgotten += self._forget_most()
        self._drop(end)
        return forgotten

    def _waiting(self, busy: np.ndarray, end: int) -> list[int]:
        """Those that are called and not scored, and could be, the busiest first."""
        could = (self.state != SCORED) & (self._called > end - self.rule.step)
        if len(self.scored) >= self._room:
            could &= busy > CLEARLY * busy[self._displaceable(end)].min(initial=np.inf)
        return sorted(np.flatnonzero(could).tolist(), key=lambda i: (-busy[i], self.operations[i]))

    def _displaceable(self, end: int) -> np.ndarray:
        silent = end - self._called
        return np.flatnonzero((self.state == SCORED) & ((silent < self.rule.step) | (silent > self._protects)))

    def _displace(self, waiting: Sequence[int], busy: np.ndarray, end: int) -> None:
        if not waiting:
            return
        order = sorted(self._displaceable(end).tolist(), key=lambda i: (busy[i], self.operations[i]))
        for new, old in zip(waiting, order, strict=False):
            if busy[new] <= CLEARLY * busy[old]:
                return
            self.state[new], self.state[old] = SCORED, REMEMBERED

    # Forgetting

    def _forget(self, end: int) -> list[OperationLabels]:
        """Those that were not called for so long that nobody waits for them."""
        return self._let_go(np.flatnonzero((self.state != SEEN) & (self._called <= end - self.rule.remember)).tolist())

    def _forget_most(self) -> list[OperationLabels]:
        """Those beyond what may be remembered, of those not scored the least recently called first."""
        remembered = np.flatnonzero(self.state == REMEMBERED)
        surplus = len(remembered) + len(self.scored) - self._memory
        if surplus <= 0:
            return []
        return self._let_go(sorted(remembered.tolist(), key=lambda i: (self._called[i], self.operations[i]))[:surplus])

    def _let_go(self, numbers: Sequence[int]) -> list[OperationLabels]:
        self.state[numbers] = SEEN
        return [self.operations[i] for i in numbers]

    def _drop(self, end: int) -> None:
        """What was only seen is known for an hour; numbers are given anew then."""
        gone = (self.state == SEEN) & (self._called <= end - self._forgets)
        if 8 * np.count_nonzero(gone) > len(gone):
            self._keep(np.flatnonzero(~gone))

    def _keep(self, numbers: np.ndarray) -> None:
        self.operations = [self.operations[i] for i in numbers.tolist()]
        self._numbers = {operation: i for i, operation in enumerate(self.operations)}
        self.state, self._busy, self._called = self.state[numbers], self._busy[numbers], self._called[numbers]

    # State

    def snapshot(self) -> dict[str, Any]:
        """Plain values and arrays."""
        return {
            "operations": [each.plain() for each in self.operations],
            "state": self.state,
            "busy": self._busy,
            "called": self._called,
        }

    def restore(self, fields: dict[str, Any], belongs: Callable[[OperationLabels], bool]) -> None:
        """What `snapshot` gave, of the operations that still belong here."""
        self.operations = list(map(OperationLabels.of, fields["operations"]))
        self.state, self._busy, self._called = fields["state"], fields["busy"], fields["called"]
        self._keep(np.flatnonzero([belongs(operation) for operation in self.operations]))
