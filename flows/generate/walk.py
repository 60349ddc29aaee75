"""A walk through a tree: what each request of a slice does, how long it takes and whether it fails.

All times are integers, ns from the request's arrival, and every array is (n_traces,) or (n_nodes, n_traces). A node's
own time is split evenly before, between and after its calls; calls of a group run side by side and the slowest decides;
a failed call ends its caller unless it is optional. So children lie within their parents, except what a record that
was produced leads to, which begins later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flows.generate.catalogue import FAILED, OK, REJECTED
from flows.generate.plan import Role
from flows.generate.platform import Amount, Choice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.generate.plan import Curve, Node, Plan, Tree

SIZE_SPREAD = 0.25
"""Spread of what makes all of a request faster or slower (the size of the document, mostly)."""

SIZED = (Role.WORK, Role.LEAF)
"""The network does not know how large the document is."""

SHORTEST_NS = 1_000
"""No span is shorter."""


@dataclass(frozen=True, slots=True)
class Draws:
    """All random numbers of a tree's requests in a slice; how many there are never depends on incidents."""

    trace_hi: np.ndarray  # (n_traces,) uint64
    trace_lo: np.ndarray  # (n_traces,) uint64
    size: np.ndarray  # (n_traces,) normal
    tenant: np.ndarray  # (n_traces,) uniform
    rejected: np.ndarray  # (n_traces,) uniform
    normal: np.ndarray  # (n_nodes, n_traces)
    present: np.ndarray  # (n_nodes, n_traces) uniform
    failing: np.ndarray  # (n_nodes, n_traces) uniform
    slow: np.ndarray  # (n_nodes, n_traces) uniform
    amounts: np.ndarray  # (n_drawn, n_traces) normal
    choices: np.ndarray  # (n_drawn, n_traces) uniform

    @classmethod
    def of(cls, random: np.random.Generator, tree: Tree, n_traces: int) -> Draws:
        """Draw them."""
        nodes, drawn = len(tree.nodes), sum(len(node.drawn) for node in tree.nodes)
        trace_hi, trace_lo = random.integers(1, (1 << 64) - 1, (2, n_traces), np.uint64)
        tenant, rejected = random.random((2, n_traces))
        present, failing, slow = random.random((3, nodes, n_traces))
        return cls(
            trace_hi=trace_hi,
            trace_lo=trace_lo,
            size=random.standard_normal(n_traces),
            tenant=tenant,
            rejected=rejected,
            normal=random.standard_normal((nodes, n_traces)),
            present=present,
            failing=failing,
            slow=slow,
            amounts=random.standard_normal((drawn, n_traces)),
            choices=random.random((drawn, n_traces)),
        )


class Walk:
    """The requests of one tree in one slice. `run` fills `exists`, `begin`, `length`, `outcome`."""

    def __init__(self, plan: Plan, tree: Tree, draws: Draws, severities: Sequence[np.ndarray | None]) -> None:
        self.plan = plan
        self.tree = tree
        self.draws = draws
        self.severities = severities
        shape = draws.normal.shape
        self.exists = np.zeros(shape, np.bool_)
        self.begin = np.zeros(shape, np.int64)
        self.length = np.zeros(shape, np.int64)
        self.outcome = np.full(shape, OK, np.int32)

    def run(self) -> None:
        """Draw every span of every request."""
        root = self.tree.nodes[0]
        n_traces = len(self.draws.size)
        dropped = self._added(root, "dropped", 0.0)
        alive = self.draws.present[0] >= dropped
        rejected = self.draws.rejected < self.tree.entry.rejected
        _, failed = self._work(root, alive, np.zeros(n_traces, np.int64), rejected)
        self.outcome[0] = np.where(rejected & ~failed, REJECTED, self.outcome[0])

    def _visit(self, node: Node, exists: np.ndarray, begin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Draw a node and all below it: where it ends (its begin, where it does not exist), and whether it failed."""
        exists = exists & (self.draws.present[node.index] < node.share)
        if node.role is Role.WORK:
            return self._work(node, exists, begin, None)
        if node.role is Role.CALL:
            return self._call(node, exists, begin)
        return self._leaf(node, exists, begin)

    def _work(
        self, node: Node, exists: np.ndarray, begin: np.ndarray, rejected: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """A service's operation."""
        steps = len(node.groups) + 1
        step = np.maximum(self._own(node) // steps, 1)
        fails, at_step = self._fails_by_itself(node, steps)
        stopped = fails & (at_step == 0)
        if rejected is not None:
            fails, stopped = fails & ~rejected, stopped | rejected
        failed, end = np.zeros_like(exists), begin + step
        for number, group in enumerate(node.groups, 1):
            going = exists & ~failed & ~stopped
            done = end
            for child in group:
                child_end, child_failed = self._visit(child, going, end)
                done = np.maximum(done, child_end)
                if not child.optional:
                    failed = failed | child_failed
            end = np.where(going, done + step, end)
            stopped = stopped | (fails & (at_step == number))
        return self._store(node, exists, begin, end, failed | fails)

    def _call(self, node: Node, exists: np.ndarray, begin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A call to another service, after an attempt that failed, maybe."""
        assert node.attempt is not None
        assert node.callee is not None
        row = node.attempt.index
        again = exists & (self.draws.present[row] < self._added(node.attempt, "retries", node.attempt.share))
        gave_up, _ = self._store(node.attempt, again, begin, begin + self._own(node.attempt), again)
        network = self._own(node) + self._retransmission(node)
        callee_end, failed = self._visit(node.callee, exists, gave_up + network // 2)
        end = callee_end + network - network // 2
        return self._store(node, exists, gave_up, end, failed)

    def _leaf(self, node: Node, exists: np.ndarray, begin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A dependency asked, and what the records it delivers lead to."""
        own = self._own(node)
        failed, _ = self._fails_by_itself(node, 1)
        if node.timeout:
            failed = failed | (own > node.timeout)
            own = np.minimum(own, node.timeout)
        end, failed = self._store(node, exists, begin, begin + own, failed)
        for consumer, lag in node.deliveries:
            # Another trace's number serves here: what a consumer waits for is not how long it will take itself.
            waits = self._time(lag, self.draws.normal[consumer.index][::-1], None)
            self._visit(consumer, exists & ~failed, end + waits)
        return end, failed

    def _store(
        self, node: Node, exists: np.ndarray, begin: np.ndarray, end: np.ndarray, failed: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Keep what became of a node."""
        failed = failed & exists
        self.exists[node.index] = exists
        self.begin[node.index] = begin
        self.length[node.index] = end - begin
        self.outcome[node.index] = np.where(failed, FAILED, OK)
        return np.where(exists, end, begin), failed

    def _own(self, node: Node) -> np.ndarray:
        """A node's own time."""
        row = node.index
        time = self._time(node.curve, self.draws.normal[row], self.draws.slow[row], sized=node.role in SIZED)
        for effect in node.effects:
            severe = self.severities[effect.incident]
            if severe is not None and effect.slower != 1:
                time = (time * (1 + (effect.slower - 1) * severe)).astype(np.int64)
        return time

    def _time(self, curve: Curve, normal: np.ndarray, slow: np.ndarray | None, *, sized: bool = False) -> np.ndarray:
        """Times along a curve, ns."""
        logarithm = curve.mean + curve.spread * normal
        if sized:
            logarithm += SIZE_SPREAD * self.draws.size
        if slow is not None and curve.slow_share:
            logarithm += np.where(slow < curve.slow_share, curve.slow, 0.0)
        return np.maximum(np.exp(logarithm), SHORTEST_NS).astype(np.int64)

    def _fails_by_itself(self, node: Node, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Which spans fail by themselves, and before which of their steps' calls."""
        share = self._added(node, "errors", node.errors)
        uniform = self.draws.failing[node.index]
        at_step = uniform * steps / np.maximum(share, 1e-12)
        return uniform < share, np.minimum(at_step, steps).astype(np.int64)

    def _added(self, node: Node, what: str, base: float) -> np.ndarray | float:
        """A share that incidents raise, at most 1."""
        share: np.ndarray | float = base
        for effect in node.effects:
            severe = self.severities[effect.incident]
            amount = getattr(effect, what)
            if severe is not None and amount:
                share = np.minimum(share + amount * severe, 1.0)
        return share

    def _retransmission(self, node: Node) -> np.ndarray | int:
        """What calls wait for lost packets: one time-out, or with the retransmission lost too, one and a double one."""
        waits: np.ndarray | int = 0
        for effect in node.effects:
            severe = self.severities[effect.incident]
            if severe is not None and effect.loss:
                uniform, lost = self.draws.failing[node.index], effect.loss * severe
                waits = waits + np.where(uniform < lost / 4, 3, uniform < lost) * effect.delay_ns
        return waits

    def values_of(self, row: np.ndarray, column: np.ndarray, n_values: int) -> np.ndarray:
        """The drawn attributes of spans at (row, column), rows in order, as (n_spans, n_values) int64."""
        values = np.zeros((len(row), n_values), np.int64)
        bounds = np.searchsorted(row, np.arange(len(self.tree.nodes) + 1))
        number = 0
        for node in self.tree.nodes:
            spans = slice(bounds[node.index], bounds[node.index + 1])
            for place, drawn in enumerate(node.drawn):
                values[spans, place] = self._value(node, drawn.source, drawn.variable.key, number)[column[spans]]
                number += 1
        return values

    def _value(self, node: Node, source: Amount | Choice | None, key: str, number: int) -> np.ndarray:
        """One drawn attribute in each trace: an integer, or the number of a text."""
        if source is None:
            return self._chosen(self.plan.scenario.tenants, self.draws.tenant)
        if isinstance(source, Choice):
            return self._chosen(source.choices, self.draws.choices[number])
        latency = self.draws.normal[node.index]
        normal = source.follows * latency + np.sqrt(1 - source.follows**2) * self.draws.amounts[number]
        amount = source.median * np.exp(source.spread * normal)
        for effect in node.effects:
            severe = self.severities[effect.incident]
            if severe is not None and key.startswith("gen_ai.usage."):
                amount *= 1 + (effect.tokens - 1) * severe
        return np.rint(amount).astype(np.int64)

    def _chosen(self, weights: dict[str, float], uniform: np.ndarray) -> np.ndarray:
        """Texts by weight, as their numbers in the catalogue."""
        ids = np.array([self.plan.catalogue.text_id(text) for text in weights])
        bounds = np.cumsum(list(weights.values()))
        chosen: np.ndarray = ids[np.searchsorted(bounds[:-1] / bounds[-1], uniform, side="right")]
        return chosen
