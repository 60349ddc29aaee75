"""The pods that send spans: each service has some, and others while a release is out."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.generate.hashing import generator
from flows.generate.incidents import ErrorBurst

if TYPE_CHECKING:
    from flows.generate.scenario import Scenario

POD_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""What Kubernetes makes random names of: no vowels, so no words."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One pod: its resource attributes, and its clock."""

    service: int
    resource: tuple[tuple[str, str], ...]
    scope: tuple[str, str]  # name and version of the instrumentation
    ahead_ns: int  # of true time


@dataclass(frozen=True, slots=True)
class Fleet:
    """All pods of a scenario. Those of service s, version v and pod p: `first[s] + v * pods[s] + p`."""

    instances: tuple[Instance, ...]
    first: tuple[int, ...]
    pods: tuple[int, ...]
    releases: tuple[tuple[int, ...], ...]  # by service: the incidents that bring its versions 1, 2, …

    @classmethod
    def of(cls, scenario: Scenario, seed: int) -> Fleet:
        """The pods of a scenario; their names and clocks depend on the seed."""
        instances: list[Instance] = []
        first, pods, releases = [], [], []
        for number, (name, service) in enumerate(scenario.services.items()):
            bad = [
                i for i, each in enumerate(scenario.incidents) if isinstance(each, ErrorBurst) and each.service == name
            ]
            bad = [i for i in bad if scenario.incidents[i].version is not None]  # type: ignore[union-attr]
            first.append(len(instances))
            pods.append(service.pods)
            releases.append(tuple(bad))
            versions = [service.version, *(str(scenario.incidents[i].version) for i in bad)]  # type: ignore[union-attr]
            for version in versions:
                instances += [_instance(scenario, seed, number, name, version, pod) for pod in range(service.pods)]
        return cls(tuple(instances), tuple(first), tuple(pods), tuple(releases))


def _instance(scenario: Scenario, seed: int, number: int, name: str, version: str, pod: int) -> Instance:
    """One pod of one version of a service."""
    service = scenario.services[name]
    release = generator(seed, "release", name, version)
    own = generator(seed, "pod", name, version, pod)
    replica_set = "".join(release.choice(list(POD_LETTERS), 9))
    pod_name = f"{name}-{replica_set}-{''.join(own.choice(list(POD_LETTERS), 5))}"
    resource = {
        "service.name": name,
        "service.version": version,
        "service.namespace": "platform",
        "service.instance.id": str(uuid.UUID(bytes=own.bytes(16), version=4)),
        "deployment.environment.name": scenario.environment,
        "k8s.namespace.name": "platform",
        "k8s.pod.name": pod_name,
        "k8s.deployment.name": name,
        "telemetry.sdk.language": service.language,
        "telemetry.sdk.name": "opentelemetry",
        **service.attributes,
    }
    ahead = round(generator(seed, "clock", name, version, pod).standard_normal() * scenario.clocks.skew)
    ahead += scenario.clocks.ahead.get(name, 0) if pod == 0 else 0
    return Instance(number, tuple(resource.items()), (f"platform.{name}", version), ahead)
