"""Whether the names in a scenario name something: calls, traffic, deliveries, incidents; and no call comes back."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from flows.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from flows.generate.incidents import Incident
    from flows.generate.platform import Dependency, Service
    from flows.generate.scenario import Scenario


def check_references(scenario: Scenario) -> None:
    """Check every name that refers to another part of the scenario.

    Raises:
        ConfigError: A name is not there, or operations call each other in a circle.
    """
    both = set(scenario.services) & set(scenario.dependencies)
    if both:
        raise ConfigError("dependencies", f"{sorted(both)}, services as well", "a name is one or the other")
    operations = set(_references(scenario.services))
    callable_ = operations | set(_references(scenario.dependencies))
    calls = _calls(scenario)
    for where, target in (each for targets in calls.values() for each in targets):
        _expect(where, target, callable_ if where.endswith(".calls") else operations)
    _expect_no_circle(calls)
    for entry in scenario.traffic:
        _expect("traffic", entry, operations)
    for service in scenario.clocks.ahead:
        _expect("clocks.ahead", service, scenario.services)
    for i, incident in enumerate(scenario.incidents):
        _check_incident(f"incidents[{i}]", incident, scenario)


def _references(owners: Mapping[str, Service | Dependency]) -> Iterator[str]:
    for owner, thing in owners.items():
        for operation in thing.operations:
            yield f"{owner}.{operation}"


def _calls(scenario: Scenario) -> dict[str, list[tuple[str, str]]]:
    """`owner.operation` → (where in the file, what it calls or delivers to)."""
    calls = {
        f"{name}.{key}": [
            (f"services.{name}.operations.{key}.calls", call.to) for group in operation.calls for call in group
        ]
        for name, service in scenario.services.items()
        for key, operation in service.operations.items()
    }
    for name, dependency in scenario.dependencies.items():
        for key, made in dependency.operations.items():
            where = f"dependencies.{name}.operations.{key}.deliveries"
            calls[f"{name}.{key}"] = [(where, delivery.to) for delivery in made.deliveries]
    return calls


def _expect(where: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, list(known), 1, 0.5)
        hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(sorted(known)[:8])}."
        raise ConfigError(where, repr(name), "nothing in the scenario has that name", hint)


def _expect_no_circle(calls: dict[str, list[tuple[str, str]]]) -> None:
    """A circle of calls would make traces without end."""
    finished: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise ConfigError("services", " → ".join((*path, name)), "calls must not come back to where they began")
        if name not in finished:
            for _, target in calls[name]:
                visit(target, (*path, name))
            finished.add(name)

    for name in calls:
        visit(name, ())


def _check_incident(where: str, incident: Incident, scenario: Scenario) -> None:
    _expect(f"{where}.service", incident.service, scenario.services)
    operations: Iterable[str] = scenario.services[incident.service].operations
    if incident.kind == "lossy_network":
        _expect(f"{where}.client", incident.client, scenario.services)
    if incident.kind in {"slow_database", "ai_provider_slow"}:
        _expect(f"{where}.dependency", incident.dependency, scenario.dependencies)
        operations = scenario.dependencies[incident.dependency].operations
    for operation in getattr(incident, "operations", None) or ():
        _expect(f"{where}.operations", operation, operations)
