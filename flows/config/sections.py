"""The sections of the configuration, each checked by itself: what one setting may be, and what two of them forbid.

Fields that hold durations end in `_ns` in the code and not in the file: `time.pane: 5s` is `config.time.pane_ns`.
The description of a field is what `docs/configuration.md` and the JSON schema say about it.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from exporters.names import CLASSIC_BOUNDS_MS
from flows.config.scalars import Count, Duration, Milliseconds, Size
from flows.errors import ConfigError
from flows.units import DURATION_UNITS, format_duration

MINUTE_NS = DURATION_UNITS["m"]


def _key(name: str) -> str:
    """What the file calls a field: durations have their unit in the value there."""
    return name.removesuffix("_ns")


class Section(BaseModel):
    """What all sections share: frozen, no unknown keys, values of the right type and not merely convertible."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,  # a traceback may end in a log, and a secret may stand in the input
        alias_generator=_key,
        field_title_generator=lambda name, _: _key(name),
        validate_by_name=True,
        validate_by_alias=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _empty_means_default(cls, value: object) -> object:
        """A key with nothing after it, all its own keys commented out, keeps its default."""
        if not isinstance(value, dict):
            return value
        known = {field.alias for field in cls.model_fields.values()}
        return {key: each for key, each in value.items() if each is not None or key not in known}


def tuple_of(value: object) -> object:
    """A YAML list as the tuple that a frozen section holds."""
    return tuple(value) if isinstance(value, list) else value


type_of_list = BeforeValidator(tuple_of)


class Place(Section):
    """One place to look for a dimension's value."""

    attribute: str = Field(min_length=1, description="The attribute's key, such as `http.route`.")
    levels: Annotated[tuple[Literal["span", "scope", "resource"], ...], type_of_list] = Field(
        default=("span", "scope", "resource"), min_length=1, description="Where to look for it, in this order."
    )


def _as_place(value: object) -> object:
    return {"attribute": value} if isinstance(value, str) else value


class DimensionSetting(Section):
    """A label taken from attributes of the span, its scope or its resource."""

    label: str = Field(
        default="",
        description="The label's name; by default the first attribute's, with `_` for what a label may not hold.",
    )
    places: Annotated[
        tuple[Annotated[Place, BeforeValidator(_as_place, json_schema_input_type=str | Place)], ...], type_of_list
    ] = Field(
        alias="from",
        min_length=1,
        description="Attributes, or `{attribute, levels}`; the first that a span has gives the value.",
    )


def _as_dimension(value: object) -> object:
    return {"from": [value]} if isinstance(value, str) else value


AnyDimension = Annotated[
    DimensionSetting, BeforeValidator(_as_dimension, json_schema_input_type=str | DimensionSetting)
]
"""In the file an attribute's name alone is a dimension too."""


class Budget(NamedTuple):
    """What one service may cost."""

    series: int
    values_per_dimension: int


class ServiceLimits(Section):
    """What one service may cost, where it differs from all others."""

    series: Count | None = Field(default=None, description="Series of this service; else the general limit.")
    values_per_dimension: Count | None = Field(
        default=None, description="Values of each of its dimensions; else the general."
    )


class Limits(Section):
    """Budgets that keep one service's mistake from starving the others, and hostile records from filling memory."""

    series_per_service: Count = Field(
        default=2_000, description="Series (label sets) a service may have; what is over goes to its `__overflow__`."
    )
    values_per_dimension: Count = Field(
        default=200, description="Values a dimension may have within a service; further ones become `__overflow__`."
    )
    max_services: Count = Field(
        default=1_000, description='Services; further ones are counted together as `service_name="__overflow__"`.'
    )
    services: dict[str, ServiceLimits] = Field(
        default_factory=dict, description="Exceptions by service name: `{series, values_per_dimension}`."
    )
    spans_per_record: Annotated[int, Field(ge=1, le=10_000_000)] = Field(
        default=100_000, description="Spans read from one record; the rest is dropped and counted."
    )
    attributes_per_span: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=1_024, description="Attributes read of one span; the rest is skipped and counted."
    )
    string_bytes: Annotated[Size, Field(ge=16, le=1 << 20)] = Field(
        default=1_024, description="Bytes of a service's, span's or dimension's name; a longer one is cut and counted."
    )

    def budget(self, service: str) -> Budget:
        """What a service may cost, its exceptions applied."""
        own = self.services.get(service)
        series = own.series if own else None
        values = own.values_per_dimension if own else None
        return Budget(series or self.series_per_service, values or self.values_per_dimension)


class Time(Section):
    """Event time: how it is cut into panes, and what counts as late, too old or from the future."""

    pane_ns: Duration = Field(
        default=5 * DURATION_UNITS["s"], description="The smallest interval; it divides a minute."
    )
    lateness_ns: Duration = Field(
        default=5 * DURATION_UNITS["s"], description="How long a pane waits for spans that are behind the others."
    )
    max_future_ns: Duration = Field(
        default=10 * MINUTE_NS, description="A span this far ahead of its record's timestamp is set aside and counted."
    )
    max_age_ns: Duration = Field(
        default=DURATION_UNITS["d"],
        description="A span this far behind its record's timestamp is set aside and counted.",
    )
    series_expiry_ns: Duration = Field(
        default=DURATION_UNITS["h"], description="A series without a span for this long (event time) is forgotten."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.pane_ns <= 0 or MINUTE_NS % self.pane_ns:
            raise ConfigError("pane", format_duration(self.pane_ns), "a pane divides a minute", "Write 5s, 6s or 10s.")
        if self.max_age_ns <= self.lateness_ns:
            expected = f"it must be longer than time.lateness, {format_duration(self.lateness_ns)}"
            raise ConfigError("max_age", format_duration(self.max_age_ns), expected, "The default is 1d.")
        return self


class SpanMetrics(Section):
    """The histogram that the Collector's `span_metrics` writes too, and exact counts for SLOs."""

    bounds_ms: Annotated[tuple[Milliseconds, ...], type_of_list] = Field(
        default=CLASSIC_BOUNDS_MS,
        min_length=1,
        max_length=200,
        description="Upper bounds of the classic buckets in milliseconds, increasing; the Collector's by default.",
    )
    latency_thresholds_ns: Annotated[tuple[Duration, ...], type_of_list] = Field(
        default=(),
        max_length=64,
        description="Durations at which spans are counted exactly, for latency SLOs; increasing.",
    )
    buckets: bool = Field(
        default=True, description="Whether the page has the classic buckets, or only `_sum` and `_count`."
    )

    @property
    def bounds_ns(self) -> tuple[int, ...]:
        """The bounds in nanoseconds, exactly: (n_bounds,)."""
        return tuple(round(bound * 1_000_000) for bound in self.bounds_ms)

    @model_validator(mode="after")
    def _increases(self) -> Self:
        for name, values in (("bounds_ms", self.bounds_ns), ("latency_thresholds", self.latency_thresholds_ns)):
            for i, (lower, upper) in enumerate(zip((0, *values), values, strict=False)):
                if upper <= lower:
                    after = f"more than the one before it, {format_duration(lower)}" if i else "more than 0"
                    expected = f"it must be {after}"
                    raise ConfigError(f"{name}[{i}]", format_duration(upper), expected)
        return self


class Pattern(Section):
    """One thing in span names that would make each of them a series of its own."""

    pattern: str = Field(
        min_length=1, description="A regular expression (Python's) that a whole token must match; groups as `(?:…)`."
    )
    replacement: str = Field(description="What stands there instead, such as `{order}`.")

    @model_validator(mode="after")
    def _compiles(self) -> Self:
        try:
            compiled = re.compile(f"(?:{self.pattern})")  # as one of many alternatives, which global flags cannot be
        except re.error as error:
            expected = f"as one of several alternatives it is no regular expression: {error.msg}"
            raise ConfigError("pattern", repr(self.pattern), expected) from error
        if compiled.groups:
            raise ConfigError("pattern", repr(self.pattern), "it has a group that captures", "Write (?:…) for (…).")
        if compiled.fullmatch(""):
            raise ConfigError("pattern", repr(self.pattern), "it matches even where nothing stands")
        return self


class Templates(Section):
    """Ids in span names become `{id}` and the like before they cost a series."""

    enabled: bool = Field(default=True, description="Whether names are templated at all.")
    off_for: Annotated[tuple[str, ...], type_of_list] = Field(
        default=(), description="Services whose names stay as they are."
    )
    patterns: Annotated[tuple[Pattern, ...], type_of_list] = Field(
        default=(), description="Patterns of your own, tried in order before the built-in ones."
    )


class Sampling(Section):
    """Spans that a sampler kept stand for those that it dropped."""

    weighted: bool = Field(
        default=True, description="Count a span for `1 / probability` where its trace state (`ot=th:`) says so."
    )


class Dedupe(Section):
    """Spans that were sent twice."""

    enabled: bool = Field(
        default=False, description="Drop a span whose trace id and span id were seen in its source partition."
    )
    entries: Annotated[int, Field(ge=1, le=1_000_000_000)] = Field(
        default=1_000_000, description="Ids remembered in each source partition, the latest."
    )
