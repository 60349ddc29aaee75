"""What `/status` says, and what decides whether the page may be shown: plain values that the supervisor fills in.

The JSON of `/status` is these structures as they are, so a field that is renamed here is renamed for everyone who reads
them. Times are Unix seconds, None where a thing is not known (yet).
"""

from __future__ import annotations

from typing import Literal

import msgspec

State = Literal["starting", "catching up", "running", "degraded", "stopping"]


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the metrics page may be shown, and what keeps the whole from being ready.

    >>> Health(gate="catching up: 12,345 records left").unready
    ('catching up: 12,345 records left',)
    """

    gate: str = ""
    """Why `/metrics` must not be shown yet, as a sentence; empty when it may be."""
    reasons: tuple[str, ...] = ()
    """What else keeps it from being ready: a broker that does not answer, a full disk."""

    @property
    def unready(self) -> tuple[str, ...]:
        """All reasons, the gate first; empty when ready."""
        return (self.gate, *self.reasons) if self.gate else self.reasons


class PartitionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One source partition."""

    partition: int
    state: str
    """`reading`, `idle`, `unknown` and so on, as the source calls it."""
    lag_records: int | None = None
    position: int | None = None
    """The offset of the next record."""
    frontier_seconds: float | None = None
    """How far its event time has got."""
    idle_since_seconds: float | None = None


class SourceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One topic."""

    topic: str
    signal: str = "spans"
    encoding: str = ""
    partitions: list[PartitionStatus] = msgspec.field(default_factory=list)


class WatermarkStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Up to which event time everything has been seen, and who keeps it from being later."""

    timestamp_seconds: float | None = None
    held_by: str = ""
    """In words: `otlp_spans partition 3 (unknown)`."""


class StateStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The state directory."""

    directory: str = ""
    size_bytes: int | None = None
    free_bytes: int | None = None
    """What is left on its file system."""
    epoch: int | None = None
    """The last one that was snapshotted."""
    epoch_age_seconds: float | None = None


class WorkerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One worker process."""

    worker: int
    state: str
    pid: int | None = None
    resident_bytes: int | None = None
    restarts: int = 0


class WindowStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One window of one objective; None where there were no events."""

    events: int
    error_ratio: float | None = None
    burn_rate: float | None = None


class SloStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One objective, or one value of its `group-by`; also what `/slos` lists."""

    slo: str
    service: str
    objective: str
    group: str = ""
    target: float
    mode: str = "active"
    at: float
    """The event time that it is as of, Unix seconds."""
    budget_remaining: float | None = None
    """1 is untouched; below 0 it is overspent."""
    exhausted_in_seconds: float | None = None
    """At the burn of the last hour; None: never, or not known."""
    armed: bool
    """Whether history is long enough for all its tiers."""
    unknown: bool
    """The shortest window has no events."""
    windows: dict[str, WindowStatus]
    """By length, the shortest first: `5m`."""


class AlertStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One alert that fires, or ended a little while ago."""

    status: str
    """`firing` or `resolved`."""
    starts_seconds: float
    ends_seconds: float | None = None
    labels: dict[str, str]
    annotations: dict[str, str]


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that `/status` shows."""

    state: State
    at_seconds: float
    """When this was true."""
    reasons: list[str] = msgspec.field(default_factory=list)
    """Why it is in that state, if it is not simply running."""
    version: str = ""
    started_seconds: float | None = None
    watermark: WatermarkStatus = WatermarkStatus()
    sources: list[SourceStatus] = msgspec.field(default_factory=list)
    storage: StateStatus = StateStatus()
    workers: list[WorkerStatus] = msgspec.field(default_factory=list)
    alerts: list[AlertStatus] = msgspec.field(default_factory=list)
    slos: list[SloStatus] = msgspec.field(default_factory=list)
    late_by_reason: dict[str, int] = msgspec.field(default_factory=dict)
    """Since the state began, as the counters of the page; likewise the two below."""
    dead_letters_by_reason: dict[str, int] = msgspec.field(default_factory=dict)
    overflow_by_service: dict[str, int] = msgspec.field(default_factory=dict)
    """Spans that went to a service's overflow; the readable page shows the 20 largest."""


def to_json(status: Status) -> bytes:
    """The status as JSON, UTF-8.

    >>> to_json(Status(state="running", at_seconds=0.0))[:36]
    b'{"state":"running","at_seconds":0.0,'
    """
    return msgspec.json.encode(status)
