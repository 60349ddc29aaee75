"""What a platform is made of: services, their operations, what these call and how long all that takes."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from flows.generate.durations import Duration

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class Model(BaseModel):
    """Frozen, and a misspelt key is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Latency(Model):
    """A mixture of two log-normals: the usual, and a slow share that takes `slow_times` as long."""

    median: Duration
    spread: Annotated[float, Field(ge=0, le=3)] = 0.4
    """Standard deviation of the logarithm."""
    slow_share: Share = 0.01
    slow_times: Positive = 5.0

    @model_validator(mode="after")
    def _takes_time(self) -> Self:
        if self.median == 0:
            raise ValueError("median is 0; nothing takes no time, write 1us or more")
        return self


class Amount(Model):
    """An integer attribute drawn for each span: log-normal, and `follows` says how far it goes with the latency."""

    median: Positive
    spread: Annotated[float, Field(ge=0, le=3)] = 0.5
    follows: Annotated[float, Field(ge=-1, le=1)] = 0.0
    """Correlation with the span's own latency, on the logarithms."""


class Choice(Model):
    """A text attribute drawn for each span: value → weight."""

    choices: Annotated[dict[str, Positive], Field(min_length=1)]


Scalar = str | bool | int | float


def _attribute(value: object) -> object:
    if isinstance(value, dict):
        return Choice.model_validate(value) if "choices" in value else Amount.model_validate(value)
    if isinstance(value, str | bool | int | float | Amount | Choice):
        return value
    raise ValueError(
        f"{value!r} is no attribute value; write text, a number, true, false, {{median: …}} or {{choices: …}}"
    )


Attribute = Annotated[Any, BeforeValidator(_attribute)]
Attributes = dict[str, Attribute]
"""Name → `Scalar`, `Amount` or `Choice`; text may hold slots (`slots.py`)."""


def _latency(value: object) -> object:
    return {"median": value} if isinstance(value, str | int) else value


LatencyField = Annotated[Latency, BeforeValidator(_latency)]
"""A latency, or its median alone."""


class Call(Model):
    """One operation calling another, or a dependency."""

    to: str
    """`service.operation` or `dependency.operation`."""
    share: Share = 1.0
    """How often it is made at all."""
    times: Annotated[int, Field(ge=1, le=50)] = 1
    """How many in a row, each with `share`."""
    optional: bool = False
    """A failure of it does not fail the caller."""


def _groups(value: object) -> object:
    if not isinstance(value, list):
        raise ValueError(f"calls is {value!r}; write a list of calls, and a list inside it for calls side by side")  # noqa: TRY004
    groups = [item if isinstance(item, list) else [item] for item in value]
    return [[{"to": call} if isinstance(call, str) else call for call in group] for group in groups]


Groups = Annotated[tuple[tuple[Call, ...], ...], BeforeValidator(_groups)]
"""Calls one after the other; those of one inner group run side by side."""


class Operation(Model):
    """What a service does when asked (HTTP, RPC), when a record arrives (`consumes`), or by itself (`internal`)."""

    http: str | None = None
    """Method and route: a server span such as `GET /api/proposals/{id}`."""
    rpc: str | None = None
    """Service and method of gRPC: `search.v1.Search/Query`."""
    consumes: str | None = None
    """The topic whose records it processes: a consumer span."""
    internal: str | None = None
    """The name of work inside the service: an internal span."""
    name: str | None = None
    """The span's name where it is not the usual one; may hold slots, as platforms that forget to template do."""
    path: str | None = None
    """`url.path`; may hold slots."""
    own: LatencyField
    """Time spent in the operation itself, besides what it calls."""
    errors: Share = 0.0
    """How often it fails by itself."""
    error: str = "InternalError"
    """`error.type` and `exception.type` of its own failures."""
    calls: Groups = ()
    attributes: Attributes = {}

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        given = [key for key in ("http", "rpc", "consumes", "internal") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(f"an operation is one of http, rpc, consumes, internal; found {given or 'none of them'}")
        if self.http is not None and len(self.http.split(" ", 1)) != 2:
            raise ValueError(f"http is {self.http!r}; write method and route, such as GET /api/proposals/{{id}}")
        return self

    @property
    def span_name(self) -> str:
        """The name of its span."""
        if self.consumes is not None:
            return self.name or f"process {self.consumes}"
        return self.name or self.http or self.rpc or self.internal or ""


class Service(Model):
    """A service: some pods of one version."""

    version: str = "1.0.0"
    pods: Annotated[int, Field(ge=1, le=100)] = 1
    language: str = "python"
    attributes: dict[str, str] = {}
    """Further resource attributes."""
    operations: Annotated[dict[str, Operation], Field(min_length=1)]


class Delivery(Model):
    """A topic's record reaching a consumer."""

    to: str
    share: Share = 1.0
    lag: LatencyField = Latency(median=40_000_000, spread=0.6)
    """From the producer's end to the consumer's start."""


class DependencyOperation(Model):
    """One kind of call to a dependency, seen as a client (or producer) span of the caller."""

    name: str
    own: LatencyField
    errors: Share = 0.0
    error: str = "Error"
    timeout: Duration | None = None
    """A call that would take longer is given up, and fails, after this long."""
    attributes: Attributes = {}
    deliveries: tuple[Delivery, ...] = ()


class Dependency(Model):
    """Something that sends no spans itself: a database, a cache, a broker, a provider of AI."""

    kind: Literal["client", "producer"] = "client"
    attributes: Attributes = {}
    operations: Annotated[dict[str, DependencyOperation], Field(min_length=1)]
