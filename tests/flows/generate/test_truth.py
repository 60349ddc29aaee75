"""Generated traffic: deterministic, readable by protobuf's own parser, and equal to its own truth."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from flows.generate.generator import generate
from flows.generate.labels import labels
from flows.generate.scenario import Scenario

if TYPE_CHECKING:
    from pathlib import Path

SCENARIOS = (
    "ai_provider_slow",
    "cpu_starved",
    "demo",
    "error_burst",
    "lossy_network",
    "platform",
    "slow_database",
    "traffic_drop",
)


def requests(path: Path, seed: int = 1, seconds: int = 20) -> list[bytes]:
    """The first seconds of a scenario."""
    scenario = Scenario.load(path)
    return [record.request for record in generate(scenario, seed=seed, duration=timedelta(seconds=seconds))]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(repository: Path) -> None:
    """Determinism is what makes a recording's truth worth anything."""
    path = repository / "datasets" / "demo.yaml"
    first, again, other = (sha256(b"".join(requests(path, seed))).digest() for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_makes_requests_that_protobuf_reads(name: str, repository: Path) -> None:
    """Each span has a service, a name, ids, and ends after it starts."""
    spans = 0
    for data in requests(repository / "datasets" / f"{name}.yaml"):
        for of_resource in ExportTraceServiceRequest.FromString(data).resource_spans:
            assert any(attribute.key == "service.name" for attribute in of_resource.resource.attributes)
            for of_scope in of_resource.scope_spans:
                for span in of_scope.spans:
                    spans += 1
                    assert span.name
                    assert len(span.trace_id) == 16
                    assert len(span.span_id) == 8
                    assert span.end_time_unix_nano >= span.start_time_unix_nano
    assert spans > 100


def test_synchronous_children_lie_within_their_parents(repository: Path) -> None:
    """A server's own work contains the calls that it makes."""
    inside = outside = 0
    found = {}
    for data in requests(repository / "datasets" / "platform.yaml"):
        for of_resource in ExportTraceServiceRequest.FromString(data).resource_spans:
            for of_scope in of_resource.scope_spans:
                for span in of_scope.spans:
                    found[span.span_id] = span
    for span in found.values():
        parent = found.get(span.parent_span_id)
        if parent is not None and span.kind == 3:
            within = parent.start_time_unix_nano <= span.start_time_unix_nano
            within = within and span.end_time_unix_nano <= parent.end_time_unix_nano
            inside, outside = inside + within, outside + (not within)
    assert inside > 100
    assert outside == 0


def test_labels_say_what_goes_wrong_and_when(repository: Path) -> None:
    """The truth beside the demo."""
    truth = labels(Scenario.load(repository / "datasets" / "demo.yaml"))
    assert truth
    assert all({"at", "until", "kind", "service"} <= set(label) for label in truth)
