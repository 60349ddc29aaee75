"""Admission: which series a shard shows, within each service's budget.

An **entry** is a label set the shard has heard of. When the pane closes in which it first has spans on time, it is
admitted, candidates of one pane in hash order, and gets a **slot**: its place in the counters. Without a slot its spans
count for `__overflow__` of its service; without a place for the service, for the service `__overflow__`, which is not
this shard's. All this is decided by closed panes alone, never by what arrives when.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flows.demand import Demand
from flows.series import OVERFLOW, SHARDS, HashedLabels, OperationLabels, SeriesLabels, hash_order

if TYPE_CHECKING:
    from collections.abc import Iterable

NO_SLOT = -1
"""Not admitted: a candidate, or refused."""

ELSEWHERE = -2
"""Its service is not admitted: what it counts goes to the service `__overflow__`."""

_CANDIDATES = 2
"""Entries without a slot that a service may have in open panes, as a multiple of its budget; beyond, they overflow at
once. A service within its budget never has that many, so that it stays exact."""


@dataclass(frozen=True, slots=True)
class ServiceBudget:
    """What one service may show."""

    series: int = 2_000
    values_per_dimension: int = 200


@dataclass(frozen=True, slots=True)
class Budgets:
    """Budgets by service; `max_services` is shared by all shards, each admits at most twice its part of it."""

    default: ServiceBudget = ServiceBudget()
    services: dict[str, ServiceBudget] = field(default_factory=dict)
    max_services: int = 1_000

    def of(self, service: str) -> ServiceBudget:
        """The budget of one service."""
        return self.services.get(service, self.default)

    @property
    def services_per_shard(self) -> int:
        """Twice the even part: services hash to shards unevenly (1,000 over 64 give 16 ± 4)."""
        return max(1, 2 * -(-self.max_services // SHARDS))


class Service:
    """What a shard knows of one service."""

    __slots__ = ("admitted", "budget", "candidates", "demand", "name", "overflowed", "series", "slots", "values")

    def __init__(self, name: str, budget: ServiceBudget, n_dimensions: int) -> None:
        self.name = name
        self.budget = budget
        self.admitted = False
        self.series = 0  # admitted ones, `__overflow__` not counted
        self.slots = 0  # admitted ones, `__overflow__` counted
        self.candidates = 0  # entries without a slot
        self.values: list[dict[str, int]] = [{} for _ in range(n_dimensions)]  # value → admitted series that have it
        self.overflowed = 0  # spans counted for __overflow__, ever
        self.demand = Demand()


class Opened(NamedTuple):
    """A series that got a slot."""

    slot: int
    operation: int
    labels: SeriesLabels


class Slots:
    """Small integers that are given out, and again only after a quarantine, so that old panes cannot confuse two."""

    def __init__(self, quarantine: int) -> None:
        self.size = 0
        self._quarantine = quarantine
        self._freed: deque[tuple[int, int]] = deque()

    def take(self, pane: int) -> int:
        """A free one at pane `pane`."""
        if self._freed and self._freed[0][0] <= pane:
            return self._freed.popleft()[1]
        self.size += 1
        return self.size - 1

    def free(self, number: int, pane: int) -> None:
        """Give one back; it rests for the quarantine."""
        self._freed.append((pane + self._quarantine, number))

    def snapshot(self) -> list[Any]:
        """Plain values for `restore`."""
        return [self.size, [list(pair) for pair in self._freed]]

    def restore(self, fields: list[Any]) -> None:
        """The state that `snapshot` gave."""
        self.size = fields[0]
        self._freed = deque((ready, number) for ready, number in fields[1])


class Admission:
    """Entries, services, slots and operations of one shard.

    Args:
        budgets: per service.
        n_dimensions: how many dimensions a label set has.
        quarantine: panes before the number of an ended series or operation is used again; at least the longest window.
    """

    def __init__(self, budgets: Budgets, n_dimensions: int, quarantine: int) -> None:
        self.budgets = budgets
        self.n_dimensions = n_dimensions
        self.labels: list[HashedLabels] = []  # by entry
        self.entry_of: dict[SeriesLabels, int] = {}
        self.slot_of = np.full(64, NO_SLOT, np.int32)  # by entry
        self._free_entries: list[int] = []
        self.services: dict[str, Service] = {}
        self.slots = Slots(quarantine)
        self.entry_of_slot: dict[int, int] = {}
        self.overflow_slots: dict[int, Service] = {}  # slots of `__overflow__`, and whose
        self.operations = Slots(quarantine)
        self._operation: dict[OperationLabels, list[int]] = {}  # → [number, series]
        self._operation_of_slot: dict[int, OperationLabels] = {}
        self._elsewhere: dict[tuple[int, int], int] = {}
        self.crowded = False  # whether an entry was crowded out since the unused were forgotten

    # Entries

    def entry(self, hashed: HashedLabels) -> int:
        """The entry of a label set on arrival; a crowded-out one gets its overflow's."""
        found = self.entry_of.get(hashed.labels)
        if found is not None:
            return found
        labels = hashed.labels
        service = self.services.get(labels.service)
        if service is None:
            if len(self.services) >= _CANDIDATES * self.budgets.services_per_shard:
                self.crowded = True
                return self._elsewhere_entry(labels)
            service = Service(labels.service, self.budgets.of(labels.service), self.n_dimensions)
            self.services[labels.service] = service
        if service.candidates >= _CANDIDATES * service.budget.series and labels.span_name != OVERFLOW:
            service.demand.see(hashed.order)
            self.crowded = True
            known = self.entry_of.get(_crowded(service, labels))
            return self.entry(hash_order(labels.overflowed())) if known is None else known
        service.candidates += 1
        return self._new_entry(hashed)

    def _elsewhere_entry(self, labels: SeriesLabels) -> int:
        """The entry of the service `__overflow__` for spans of this kind and status."""
        key = (labels.kind, labels.status)
        if key not in self._elsewhere:
            stand_in = SeriesLabels(OVERFLOW, OVERFLOW, *key, ("",) * self.n_dimensions)
            self._elsewhere[key] = self._new_entry(hash_order(stand_in))
            self.slot_of[self._elsewhere[key]] = ELSEWHERE
        return self._elsewhere[key]

    def _new_entry(self, hashed: HashedLabels) -> int:
        if self._free_entries:
            entry = self._free_entries.pop()
            self.labels[entry] = hashed
        else:
            entry = len(self.labels)
            self.labels.append(hashed)
            if entry == len(self.slot_of):
                self.slot_of = np.concatenate([self.slot_of, np.full(len(self.slot_of), NO_SLOT, np.int32)])
        self.slot_of[entry] = NO_SLOT
        self.entry_of[hashed.labels] = entry
        return entry

    def forget_unused(self, used: np.ndarray) -> np.ndarray:
        """Free the entries without a slot that no open row uses; returns those freed, (n,) int64."""
        self.crowded = False
        n = len(self.labels)
        idle = self.slot_of[:n] < 0
        idle[used] = False
        idle[self._free_entries] = False
        freed = np.flatnonzero(idle)
        for entry in freed.tolist():
            labels = self.labels[entry].labels
            del self.entry_of[labels]
            if self.slot_of[entry] == ELSEWHERE and self._elsewhere.get((labels.kind, labels.status)) == entry:
                del self._elsewhere[labels.kind, labels.status]
                continue
            service = self.services[labels.service]
            service.candidates -= 1
            if not service.admitted and not service.candidates:
                del self.services[labels.service]
        self._free_entries.extend(freed.tolist())
        return freed

    # Closing a pane

    def admit(self, entries: Iterable[int], pane: int) -> list[Opened]:
        """Admit the candidates of one closing pane, in hash order, as far as the budgets go."""
        opened: list[Opened] = []
        for entry in sorted(entries, key=lambda number: (self.labels[number].order, self.labels[number].labels)):
            if self.slot_of[entry] < 0:
                self._admit_one(entry, pane, opened)
        return opened

    def _admit_one(self, entry: int, pane: int, opened: list[Opened]) -> None:
        hashed = self.labels[entry]
        labels = hashed.labels
        service = self.services.get(labels.service)
        if service is None or not self._admit_service(service):
            return
        if labels.span_name == OVERFLOW:
            self._open(entry, service, pane, opened)
            return
        crowded = _crowded(service, labels)
        if crowded != labels:
            service.demand.see(hashed.order)
            self._admit_stand_in(service, crowded, pane, opened)
            return
        if service.series >= service.budget.series:
            service.demand.see(hashed.order)
            return
        self._open(entry, service, pane, opened)

    def _admit_service(self, service: Service) -> bool:
        if not service.admitted:
            taken = sum(other.admitted for other in self.services.values())
            service.admitted = taken < self.budgets.services_per_shard
        return service.admitted

    def _admit_stand_in(self, service: Service, labels: SeriesLabels, pane: int, opened: list[Opened]) -> None:
        """Admit the label set with `__overflow__` for the values over budget."""
        other = self.entry_of.get(labels)
        if other is None:
            service.candidates += 1
            other = self._new_entry(hash_order(labels))
        if self.slot_of[other] < 0 and service.series < service.budget.series:
            self._open(other, service, pane, opened)

    def _open(self, entry: int, service: Service, pane: int, opened: list[Opened]) -> None:
        labels = self.labels[entry].labels
        slot = self.slots.take(pane)
        self.slot_of[entry] = slot
        self.entry_of_slot[slot] = entry
        service.candidates -= 1
        service.slots += 1
        if labels.span_name != OVERFLOW:
            service.series += 1
            for value, seen in zip(labels.dimensions, service.values, strict=True):
                if value and value != OVERFLOW:
                    seen[value] = seen.get(value, 0) + 1
        else:
            self.overflow_slots[slot] = service
        operation = self._operation.setdefault(labels.operation, [NO_SLOT, 0])
        if operation[0] == NO_SLOT:
            operation[0] = self.operations.take(pane)
        operation[1] += 1
        self._operation_of_slot[slot] = labels.operation
        opened.append(Opened(slot, operation[0], labels))

    def stand_in_slot(self, entry: int, pane: int, opened: list[Opened]) -> int:
        """Where the rows of an entry without a slot count: its service's overflow, or ELSEWHERE."""
        labels = self.labels[entry].labels
        service = self.services.get(labels.service)
        if service is not None and labels.service == OVERFLOW:
            service.admitted = True  # the last refuge: nothing stands in for it
        if self.slot_of[entry] == ELSEWHERE or service is None or not service.admitted:
            return ELSEWHERE
        crowded = self.entry_of.get(_crowded(service, labels))
        if crowded is not None and self.slot_of[crowded] >= 0:
            return int(self.slot_of[crowded])
        overflow = labels.overflowed()
        other = self.entry_of.get(overflow)
        if other is None:
            service.candidates += 1
            other = self._new_entry(hash_order(overflow))
        if self.slot_of[other] < 0:
            self._open(other, service, pane, opened)
        return int(self.slot_of[other])

    def close(self, slot: int, pane: int) -> int | None:
        """End an idle series; returns its operation if that ended with it. Its entry becomes a candidate again."""
        entry = self.entry_of_slot.pop(slot)
        labels = self.labels[entry].labels
        service = self.services[labels.service]
        self.slot_of[entry] = NO_SLOT
        self.slots.free(slot, pane)
        service.candidates += 1
        if labels.span_name != OVERFLOW:
            service.series -= 1
            for value, seen in zip(labels.dimensions, service.values, strict=True):
                if value in seen:
                    seen[value] -= 1
                    if not seen[value]:
                        del seen[value]
        else:
            del self.overflow_slots[slot]
        service.slots -= 1
        if not service.slots:
            service.admitted = False
            service.demand = Demand()
        operation = self._operation[self._operation_of_slot.pop(slot)]
        operation[1] -= 1
        if operation[1]:
            return None
        del self._operation[labels.operation]
        self.operations.free(operation[0], pane)
        return operation[0]

    # State

    def snapshot(self) -> dict[str, Any]:
        """Plain values for `restore`: entries in their order, services, numbers in use."""
        free = set(self._free_entries)
        return {
            "entries": [None if entry in free else _plain(hashed) for entry, hashed in enumerate(self.labels)],
            "slot_of": self.slot_of[: len(self.labels)],
            "services": [
                [service.name, service.admitted, service.overflowed, service.demand.snapshot()]
                for service in self.services.values()
            ],
            "slots": self.slots.snapshot(),
            "operations": self.operations.snapshot(),
            "operation_of_slot": [[slot, self._operation[o][0]] for slot, o in self._operation_of_slot.items()],
        }

    def opened(self) -> list[Opened]:
        """Every series that has a slot, by slot."""
        labels = ((slot, self.labels[entry].labels) for slot, entry in sorted(self.entry_of_slot.items()))
        return [Opened(slot, self._operation[of.operation][0], of) for slot, of in labels]

    def restore(self, fields: dict[str, Any]) -> None:
        """The state that `snapshot` gave."""
        for name, admitted, overflowed, demand in fields["services"]:
            service = self.services[name] = Service(name, self.budgets.of(name), self.n_dimensions)
            service.admitted, service.overflowed = admitted, overflowed
            service.demand.restore(demand)
        self.slots.restore(fields["slots"])
        self.operations.restore(fields["operations"])
        self.slot_of = np.concatenate([fields["slot_of"], np.full(64, NO_SLOT, np.int32)])
        numbers = dict(fields["operation_of_slot"])
        for entry, plain in enumerate(fields["entries"]):
            if plain is None:
                self.labels.append(HashedLabels(SeriesLabels("", "", 0, 0, ()), 0))
                self._free_entries.append(entry)
                continue
            labels = SeriesLabels(plain[0], plain[1], plain[2], plain[3], tuple(plain[4]))
            self.labels.append(hash_order(labels))
            self.entry_of[labels] = entry
            slot = int(self.slot_of[entry])
            if slot == ELSEWHERE:
                self._elsewhere[labels.kind, labels.status] = entry
            elif slot == NO_SLOT:
                self.services[labels.service].candidates += 1
            else:
                self._restore_slot(entry, slot, numbers[slot])

    def _restore_slot(self, entry: int, slot: int, operation: int) -> None:
        labels = self.labels[entry].labels
        service = self.services[labels.service]
        self.entry_of_slot[slot] = entry
        service.slots += 1
        if labels.span_name != OVERFLOW:
            service.series += 1
            for value, seen in zip(labels.dimensions, service.values, strict=True):
                if value and value != OVERFLOW:
                    seen[value] = seen.get(value, 0) + 1
        else:
            self.overflow_slots[slot] = service
        self._operation_of_slot[slot] = labels.operation
        self._operation.setdefault(labels.operation, [operation, 0])[1] += 1


def _crowded(service: Service, labels: SeriesLabels) -> SeriesLabels:
    """The label set with `__overflow__` for values that a full dimension has no place for."""
    limit = service.budget.values_per_dimension
    dimensions = tuple(
        OVERFLOW if value and value not in seen and len(seen) >= limit else value
        for value, seen in zip(labels.dimensions, service.values, strict=True)
    )
    return labels._replace(dimensions=dimensions)


def _plain(hashed: HashedLabels) -> list[Any]:
    return [*hashed.labels[:4], list(hashed.labels.dimensions)]
