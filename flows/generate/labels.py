"""The truth about a recording's incidents, in the form that `backtest` reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flows.generate.moments import duration_ns, rfc3339, unix_ns
from flows.generate.plan import Plan, Role

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime, timedelta
    from pathlib import Path

    from flows.generate.plan import Node, Tree
    from flows.generate.scenario import Scenario

LABELS_NAME = "labels.json"
"""The file's name, in the recording's folder."""


def labels(
    scenario: Scenario, *, start: datetime | None = None, duration: timedelta | None = None
) -> list[dict[str, Any]]:
    """One label an incident that begins within the recording, in order of time.

    Each has `at` and `until` (RFC 3339; `until` is the recording's end where the incident outlasts it), the same in
    Unix ns, `kind`, `service` (where it is), `affects` (all services whose own spans or whose waiting for others it
    moves, `service` among them where it sends spans) and the incident's own numbers.
    """
    begin = unix_ns(scenario, start)
    length = duration_ns(scenario, duration)
    plan = Plan.of(scenario)
    found = []
    for number, incident in enumerate(scenario.incidents):
        if incident.at >= length:
            continue
        at, until = begin + incident.at, begin + min(incident.at + incident.lasts, length)
        details = incident.model_dump(exclude={"at", "lasts", "ramp", "kind", "service"}, exclude_none=True)
        label = {"at": rfc3339(at), "at_unix_nano": at, "until": rfc3339(until), "until_unix_nano": until}
        label |= {"kind": incident.kind, "service": incident.service, "affects": _affected(plan, number)}
        found.append({**label, **{_unit(key): value for key, value in details.items()}})
    return sorted(found, key=lambda label: label["at_unix_nano"])


def write_labels(recording: Path, found: list[dict[str, Any]]) -> Path:
    """Write labels beside a recording; the path they are at."""
    path = recording.parent / LABELS_NAME
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return path


def _unit(key: str) -> str:
    return "delay_ns" if key == "delay" else key


def _affected(plan: Plan, incident: int) -> list[str]:
    """The services that have a node the incident acts on, or wait for one."""
    affected: set[int] = set()
    for tree in plan.trees:
        for node in tree.nodes:
            mine = [effect for effect in node.effects if effect.incident == incident]
            if any(effect.dropped for effect in mine):
                affected.update(each.service for each in tree.nodes)
            elif mine:
                affected.update(_waiting(tree, node))
    return sorted(plan.services[service] for service in affected)


def _waiting(tree: Tree, node: Node) -> Iterator[int]:
    """The node's service and those that wait for it: up to the root, or to the record that made it begin."""
    yield node.service
    while node.parent >= 0 and tree.nodes[node.parent].role is not Role.LEAF:
        node = tree.nodes[node.parent]
        yield node.service
