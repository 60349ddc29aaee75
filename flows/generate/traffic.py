"""The model of traces: who arrives in a slice of time, and what each request becomes.

A tree of the plan is drawn as a whole, for all its requests of a slice at once: rows are nodes, columns are traces.
Each (slice, tree) has a random generator of its own, and draws the same numbers whatever goes wrong in the scenario, so
two scenarios that differ in an incident have the same requests, equal to the nanosecond before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flows.generate.durations import SECOND
from flows.generate.hashing import generator, mixed
from flows.generate.rhythm import severity, traffic_at
from flows.generate.spans import Spans
from flows.generate.walk import Draws, Walk

if TYPE_CHECKING:
    from flows.generate.instances import Fleet
    from flows.generate.plan import Plan, Tree

SPANS_PER_SLICE = 50_000
LONGEST_SLICE = 60 * SECOND
SHORTEST_SLICE = SECOND
"""A slice has about so many spans: enough to make NumPy's calls cheap, few enough for memory."""


@dataclass(frozen=True)
class Traffic:
    """Where spans come from."""

    plan: Plan
    fleet: Fleet
    seed: int
    start_ns: int
    rate: float  # spans per second at the start

    @property
    def slice_ns(self) -> int:
        """The length of a slice."""
        fitting = int(SPANS_PER_SLICE / self.rate) * SECOND
        return max(SHORTEST_SLICE, min(LONGEST_SLICE, fitting))

    @property
    def n_values(self) -> int:
        """The most drawn attributes that a span has."""
        return max((len(node.drawn) for tree in self.plan.trees for node in tree.nodes), default=0)

    def slice(self, number: int) -> Spans:
        """All spans of the requests that arrive in a slice; those of slice 0 arrive from the start on.

        Slice −1 is drawn too, so that a recording does not begin in silence.
        """
        weights = [tree.entry.weight for tree in self.plan.trees]
        spans_per_request = sum(
            weight * tree.expected_spans for weight, tree in zip(weights, self.plan.trees, strict=True)
        )
        parts = [
            self._tree(number, row, tree, self.rate * weight / spans_per_request)
            for row, (tree, weight) in enumerate(zip(self.plan.trees, weights, strict=True))
        ]
        return Spans.joined(parts)

    def _tree(self, number: int, row: int, tree: Tree, requests_per_second: float) -> Spans:
        """One tree's spans in a slice."""
        random = generator(self.seed, "traffic", number + 1, row)
        arrivals = self._arrivals(random, number, requests_per_second)
        draws = Draws.of(random, tree, len(arrivals))
        incidents = self.plan.scenario.incidents
        severities = [severity(incident, arrivals) for incident in incidents]
        walk = Walk(self.plan, tree, draws, severities)
        walk.run()
        return self._spans(walk, arrivals + self.start_ns)

    def _arrivals(self, random: np.random.Generator, number: int, per_second: float) -> np.ndarray:
        """When requests arrive, ns from the recording's start: a Poisson process that follows the rhythm."""
        begin, length = number * self.slice_ns, self.slice_ns
        moments = np.array([0, begin, begin + length]) + self.start_ns
        at_start, *levels = traffic_at(self.plan.scenario.rhythm, moments)
        peak = max(levels)
        count = random.poisson(per_second * peak / at_start * length / SECOND)
        times = begin + np.sort(random.integers(0, length, count))
        keep = random.random(count) * peak < traffic_at(self.plan.scenario.rhythm, times + self.start_ns)
        kept: np.ndarray = times[keep]
        return kept

    def _spans(self, walk: Walk, arrivals: np.ndarray) -> Spans:
        """The spans that came to be, as columns; a tree's traces side by side."""
        row, column = np.nonzero(walk.exists)
        nodes = walk.tree.nodes
        begin = arrivals[column] + walk.begin[row, column]
        ids = _span_ids(walk.draws.trace_lo, len(nodes))
        parents = np.array([node.parent for node in nodes])[row]
        first = np.array([node.first_template for node in nodes], np.int32)
        return Spans(
            template=first[row] + walk.outcome[row, column],
            instance=self._instances(walk, ids)[row, column],
            trace_hi=walk.draws.trace_hi[column],
            trace_lo=walk.draws.trace_lo[column],
            span_id=ids[row, column],
            parent_id=np.where(parents >= 0, ids[parents, column], np.uint64(0)),
            start_ns=begin,
            end_ns=begin + walk.length[row, column],
            values=walk.values_of(row, column, self.n_values),
        )

    def _instances(self, walk: Walk, ids: np.ndarray) -> np.ndarray:
        """Which pod each span of each trace runs in, (n_nodes, n_traces) int32."""
        pods = np.empty(ids.shape, np.int32)
        for node in walk.tree.nodes:
            if node.moves:
                pods[node.index] = ids[node.index] % np.uint64(self.fleet.pods[node.service])
            else:
                pods[node.index] = pods[node.parent]
        for node in walk.tree.nodes:
            pods[node.index] += self.fleet.first[node.service] + self._release(walk, node.service)
        return pods

    def _release(self, walk: Walk, service: int) -> np.ndarray:
        """How many pods of earlier versions come before those that serve each trace, (n_traces,) int32."""
        version = np.zeros(len(walk.draws.size), np.int32)
        for number, incident in enumerate(self.fleet.releases[service], 1):
            severe = walk.severities[incident]
            if severe is not None:
                version[severe > 0] = number
        return version * np.int32(self.fleet.pods[service])


def _span_ids(trace_lo: np.ndarray, n_nodes: int) -> np.ndarray:
    """A span id for each node of each trace, (n_nodes, n_traces) uint64, never 0."""
    nodes = np.arange(1, n_nodes + 1, dtype=np.uint64)[:, None]
    ids: np.ndarray = np.maximum(mixed(mixed(trace_lo)[None, :] + nodes), np.uint64(1))
    return ids
