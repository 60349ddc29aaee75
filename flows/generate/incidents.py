"""What can go wrong in a scenario: one model a kind, each with the numbers that say how badly.

An incident concerns the requests that *arrive* from `at` on, for as long as it `lasts`: nothing that was under way
before changes, and what arrived just before its end still ends a little after it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from flows.generate.durations import Duration
from flows.generate.platform import Model, Positive, Share

Factor = Annotated[float, Field(ge=1)]


class _Incident(Model):
    at: Duration
    """When it begins, from the recording's start."""
    lasts: Annotated[Duration, Field(gt=0)]
    ramp: Duration = 0
    """How long it takes to become as bad as it says; 0 is at once."""
    service: str
    """Where it is: what a label says and a detector should find."""


class SlowDatabase(_Incident):
    """A service's database answers slowly; some queries run into their time-out."""

    kind: Literal["slow_database"]
    dependency: str
    operations: tuple[str, ...] | None = None
    """Of the dependency; all where absent."""
    factor: Factor = 8.0
    errors: Share = 0.0
    """Queries that fail besides those that time out."""


class ErrorBurst(_Incident):
    """A service's own code fails, by default after a release that is rolled back at the end."""

    kind: Literal["error_burst"]
    operations: tuple[str, ...] | None = None
    share: Share = 0.25
    version: str | None = None
    """The release's `service.version`; its pods are new ones too."""


class CpuStarved(_Incident):
    """A service gets too little CPU: its own time stretches, what it calls does not."""

    kind: Literal["cpu_starved"]
    factor: Factor = 6.0


class LossyNetwork(_Incident):
    """Packets between two services get lost: the edge from `client` slows and retries, the callee's own time stays."""

    kind: Literal["lossy_network"]
    client: str
    loss: Share = 0.3
    """Calls that wait for a retransmission."""
    delay: Duration = 400_000_000
    """What such a call waits; one in four loses the retransmission too and waits three times this."""
    retries: Share = 0.05
    """Calls whose first attempt fails and is made again."""


class TrafficDrop(_Incident):
    """Fewer requests arrive at a service that has traffic of its own."""

    kind: Literal["traffic_drop"]
    operations: tuple[str, ...] | None = None
    keep: Share = 0.1


class AiProviderSlow(_Incident):
    """A provider of AI answers slowly and at greater length: latency and cost rise together."""

    kind: Literal["ai_provider_slow"]
    dependency: str
    factor: Factor = 3.0
    tokens: Positive = 2.0
    """Factor on every `gen_ai.usage.*` amount."""


Incident = Annotated[
    SlowDatabase | ErrorBurst | CpuStarved | LossyNetwork | TrafficDrop | AiProviderSlow,
    Field(discriminator="kind"),
]
