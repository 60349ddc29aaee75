"""The plan: each kind of request unfolded into the tree of spans it can become.

A tree is drawn as a whole (`traffic.py`): its nodes are rows, traces are columns. So every call that may happen is a
node, also the attempt that precedes a retried call, and what it is about is looked up once, here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from flows.generate import roles
from flows.generate.catalogue import Catalogue, Drawn
from flows.generate.effects import Effect, Subject, effects_on
from flows.generate.platform import Call, Choice, Latency

if TYPE_CHECKING:
    from flows.generate.scenario import Entry, Scenario

NETWORK = Latency(median=600_000, spread=0.5, slow_share=0.005, slow_times=8.0)
"""There and back between two services of one cluster."""

CONNECT_TIMEOUT = Latency(median=250_000_000, spread=0.02, slow_share=0.0)
"""How long a first attempt waits that finds nobody."""


class Role(Enum):
    """How a node's span comes about."""

    WORK = auto()  # a service's operation: own time and calls
    CALL = auto()  # a client span around another service's operation
    ATTEMPT = auto()  # a client span without an answer, before a CALL
    LEAF = auto()  # a dependency asked, and maybe records delivered by it


class Curve(NamedTuple):
    """A latency as the sampler wants it: logarithms of nanoseconds."""

    mean: float
    spread: float
    slow_share: float
    slow: float

    @classmethod
    def of(cls, latency: Latency) -> Curve:
        """The curve of a latency."""
        return cls(math.log(latency.median), latency.spread, latency.slow_share, math.log(latency.slow_times))


@dataclass(eq=False, slots=True)
class Node:
    """A span that may happen in each trace of one tree."""

    index: int  # row
    parent: int  # row, -1 for the root
    role: Role
    service: int  # that sends the span
    first_template: int
    curve: Curve
    share: float
    moves: bool = False  # it draws a pod; otherwise it runs in its parent's
    optional: bool = False
    errors: float = 0.0
    timeout: int = 0  # ns, 0 is none
    drawn: tuple[Drawn, ...] = ()
    effects: tuple[Effect, ...] = ()
    groups: list[list[Node]] = field(default_factory=list)  # WORK: one after the other, side by side within
    callee: Node | None = None  # CALL
    attempt: Node | None = None  # CALL
    deliveries: list[tuple[Node, Curve]] = field(default_factory=list)  # LEAF


@dataclass(frozen=True)
class Tree:
    """All spans that one kind of request can cause, in the order of their rows: parents before children."""

    reference: str  # the root's service.operation
    entry: Entry
    nodes: tuple[Node, ...]

    @property
    def expected_spans(self) -> float:
        """The mean number of spans in a trace where nothing fails."""
        present: list[float] = []
        for node in self.nodes:
            above = 1.0 if node.parent < 0 else present[node.parent]
            if node.parent == 0:
                above *= 1 - self.entry.rejected
            present.append(above * node.share)
        return sum(present)


@dataclass(frozen=True)
class Plan:
    """A scenario unfolded."""

    scenario: Scenario
    services: tuple[str, ...]
    catalogue: Catalogue
    trees: tuple[Tree, ...]

    @classmethod
    def of(cls, scenario: Scenario) -> Plan:
        """Unfold a scenario."""
        catalogue = Catalogue()
        trees = tuple(_Unfolding(scenario, catalogue, entry).tree(name) for name, entry in scenario.traffic.items())
        choices = (drawn.source for tree in trees for node in tree.nodes for drawn in node.drawn)
        for text in chain(scenario.tenants, *(choice.choices for choice in choices if isinstance(choice, Choice))):
            catalogue.text_id(text)
        return cls(scenario, tuple(scenario.services), catalogue, trees)


class _Unfolding:
    """Builds one tree."""

    def __init__(self, scenario: Scenario, catalogue: Catalogue, entry: Entry) -> None:
        self.scenario = scenario
        self.catalogue = catalogue
        self.entry = entry
        self.services = list(scenario.services)
        self.nodes: list[Node] = []

    def tree(self, reference: str) -> Tree:
        self.work(reference, -1, 1.0, is_root=True)
        return Tree(reference, self.entry, tuple(self.nodes))

    def add(self, parent: int, role: Role, subject: Subject, curve: Curve, share: float, first_template: int) -> Node:
        effects = effects_on(self.scenario.incidents, subject)
        service = self.services.index(subject.service)
        node = Node(len(self.nodes), parent, role, service, first_template, curve, share, effects=effects)
        self.nodes.append(node)
        return node

    def work(self, reference: str, parent: int, share: float, *, is_root: bool = False) -> Node:
        """A service's operation and everything below it."""
        service, _, key = reference.partition(".")
        operation = self.scenario.operation(reference)
        outcomes, drawn = roles.work(service, operation, self.entry if is_root else None, bool(self.scenario.tenants))
        subject = Subject("work", service, operation=key, is_root=is_root)
        node = self.add(parent, Role.WORK, subject, Curve.of(operation.own), share, self.catalogue.add(outcomes))
        node.moves = operation.internal is None or is_root
        node.errors, node.drawn = operation.errors, drawn
        for group in operation.calls:
            node.groups.append([self.called(call, service, node.index) for call in group for _ in range(call.times)])
        return node

    def called(self, call: Call, service: str, parent: int) -> Node:
        owner, _, key = call.to.partition(".")
        if owner in self.scenario.dependencies:
            node = self.leaf(owner, key, service, parent, call.share)
        elif owner == service and self.scenario.operation(call.to).internal is not None:
            node = self.work(call.to, parent, call.share)
        else:
            node = self.call(call, service, owner, parent)
        node.optional = call.optional
        return node

    def call(self, call: Call, client: str, service: str, parent: int) -> Node:
        """A call to another service: the client's span, the server's below it, and maybe an attempt before."""
        templates, lost = roles.call(client, service, self.scenario.operation(call.to))
        subject = Subject("call", client, callee=service)
        node = self.add(parent, Role.CALL, subject, Curve.of(NETWORK), call.share, self.catalogue.add(templates))
        node.callee = self.work(call.to, node.index, 1.0)
        lost_template, retries = self.catalogue.add(lost), self.scenario.retries
        node.attempt = self.add(parent, Role.ATTEMPT, subject, Curve.of(CONNECT_TIMEOUT), retries, lost_template)
        return node

    def leaf(self, owner: str, key: str, service: str, parent: int, share: float) -> Node:
        """A dependency asked, and the records it delivers."""
        dependency = self.scenario.dependencies[owner]
        operation = dependency.operations[key]
        outcomes, drawn = roles.dependency(service, dependency, operation)
        subject = Subject("dependency", service, operation=key, callee=owner)
        node = self.add(parent, Role.LEAF, subject, Curve.of(operation.own), share, self.catalogue.add(outcomes))
        node.errors, node.timeout, node.drawn = operation.errors, operation.timeout or 0, drawn
        for delivery in operation.deliveries:
            consumer = self.work(delivery.to, node.index, delivery.share)
            node.deliveries.append((consumer, Curve.of(delivery.lag)))
        return node
