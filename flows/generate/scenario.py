"""A scenario: a platform, its traffic, and what goes wrong, read from a YAML file and checked at the door."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Self

from pydantic import AwareDatetime, BeforeValidator, Field, ValidationError, model_validator

from flows.errors import ConfigErrors
from flows.generate.durations import SECOND, Duration, Offset
from flows.generate.files import problems, read_scenario
from flows.generate.incidents import Incident
from flows.generate.platform import Dependency, Model, Operation, Positive, Service, Share
from flows.generate.references import check_references

DEFAULT_START = datetime(2026, 3, 2, 9, tzinfo=UTC)
"""Where event time begins unless told otherwise: a Monday morning, fixed so that recordings are reproducible."""


class Lateness(Model):
    """The part of the exports that arrive late, as after a retry: whole requests, by a time between two bounds."""

    share: Share = 0.005
    least: Duration = 2 * SECOND
    most: Duration = 180 * SECOND
    """Delays are log-uniform between the two."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not 0 < self.least <= self.most:
            raise ValueError("late.least must be above 0 and not above late.most")
        return self


class Clocks(Model):
    """How far the clocks of pods are off."""

    skew: Duration = 0
    """Standard deviation over pods."""
    ahead: dict[str, Offset] = Field(default_factory=dict)
    """Service → how far its first pod is ahead of that; negative is behind."""


class Export(Model):
    """How a pod's SDK exports: every `every`, at most `spans` a request."""

    every: Annotated[Duration, Field(gt=0)] = SECOND
    spans: Annotated[int, Field(ge=1, le=100_000)] = 512


class Rhythm(Model):
    """How traffic moves over a day and a week; only ratios matter."""

    hours: Annotated[tuple[Positive, ...], Field(min_length=24, max_length=24)] = (1.0,) * 24
    """Traffic at each full hour UTC, in between on a straight line."""
    weekend: Positive = 1.0
    """Factor on Saturdays and Sundays."""


class Entry(Model):
    """Requests that come from outside, or work that begins by itself."""

    weight: Positive
    rejected: Share = 0.0
    """Answered with `status` at once, without any call: a caller's fault, no error of ours."""
    status: int = 404


def _entry(value: object) -> object:
    return {"weight": value} if isinstance(value, int | float) else value


class Scenario(Model):
    """Everything `generate` needs besides a seed."""

    name: str
    description: str = ""
    environment: str = "production"
    start: AwareDatetime = DEFAULT_START
    duration: Annotated[Duration, Field(gt=0)] = 900 * SECOND
    rate: Positive = 300.0
    """Spans a second at the start, where nothing goes wrong; `rhythm` carries it on from there."""
    rhythm: Rhythm = Rhythm()
    late: Lateness = Lateness()
    clocks: Clocks = Clocks()
    export: Export = Export()
    tenants: dict[str, Positive] = Field(default_factory=dict)
    """`tenant.id` → weight, on server and consumer spans, one a trace."""
    retries: Share = 0.0005
    """Calls between services whose first attempt fails and is made again."""
    services: Annotated[dict[str, Service], Field(min_length=1)]
    dependencies: dict[str, Dependency] = Field(default_factory=dict)
    traffic: Annotated[dict[str, Annotated[Entry, BeforeValidator(_entry)]], Field(min_length=1)]
    """`service.operation` → how much of the traffic begins there, by weight of requests."""
    incidents: tuple[Incident, ...] = ()

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        check_references(self)
        return self

    def operation(self, reference: str) -> Operation:
        """The service's operation that `service.operation` names."""
        service, _, operation = reference.partition(".")
        return self.services[service].operations[operation]

    @classmethod
    def load(cls, path: str | Path) -> Scenario:
        """Read a scenario file, and those it extends.

        `extends: other.yaml` (beside the file) puts this file's keys over the other's: mappings merge, all else is
        replaced.

        Raises:
            InputError: A file cannot be read.
            ConfigErrors: A file is no YAML, extends itself, or says something that cannot be; all is named at once.
        """
        document = read_scenario(Path(path))
        try:
            return cls.model_validate(document.values)
        except ValidationError as error:
            raise ConfigErrors(str(path), problems(error, document.lines)) from None
