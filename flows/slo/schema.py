"""The seven kinds of `openslo/v1` as pydantic models: every field of the schema, also those that are refused later.

A field that is here and not evaluated is refused or warned of by `openslo.py`, with a reason; `fields.py` lists them.
Source: OpenSLO specification v1 and the types of its Go SDK (`pkg/openslo/v1`).
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from flows.config.sections import Section, tuple_of, type_of_list
from flows.errors import ConfigError
from flows.slo.shorthand import Shorthand, parse_shorthand

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def _name(value: str) -> str:
    if not _DNS_LABEL.fullmatch(value):
        nearest = re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")[:63].strip("-")
        expected = "a name is at most 63 lower-case letters, digits and -, as in a host's name"
        raise ConfigError("", repr(value), expected, f"Write {nearest}." if nearest else "")
    return value


def _duration(value: object) -> object:
    return parse_shorthand(value) if isinstance(value, str) else value


def _texts(value: object) -> object:
    return (value,) if isinstance(value, str) else tuple_of(value)


Name = Annotated[str, AfterValidator(_name)]
Duration = Annotated[Shorthand, BeforeValidator(_duration)]
Label = Annotated[tuple[str, ...], BeforeValidator(_texts), Field(min_length=1)]
Operator = Literal["gt", "gte", "lt", "lte"]
Description = Annotated[str, Field(max_length=1050)]


class Part(Section):
    """What all parts share: those of the configuration, with the schema's camel case."""

    model_config = ConfigDict(alias_generator=to_camel, field_title_generator=None)


class Metadata(Part):
    """Names, labels and annotations of any object."""

    name: Name
    display_name: Annotated[str, Field(max_length=63)] = ""
    labels: dict[str, Label] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class MetricSource(Part):
    """Where a metric comes from; `spec` is the source's own."""

    metric_source_ref: Name | None = None
    type: str = ""
    spec: dict[str, Any]


class Metric(Part):
    """One metric."""

    metric_source: MetricSource


class RatioMetric(Part):
    """Good or bad of total, or a ratio that somebody else has computed."""

    counter: bool = True
    good: Metric | None = None
    bad: Metric | None = None
    total: Metric | None = None
    raw_type: Literal["success", "failure"] | None = None
    raw: Metric | None = None


class SLISpec(Part):
    """An indicator."""

    description: Description = ""
    threshold_metric: Metric | None = None
    ratio_metric: RatioMetric | None = None


class InlineIndicator(Part):
    """An indicator within an SLO."""

    metadata: Metadata | None = None
    spec: SLISpec


class Calendar(Part):
    """Where a calendar window begins."""

    start_time: str
    time_zone: str


class TimeWindow(Part):
    """The period of a budget."""

    duration: Duration
    is_rolling: bool | None = None
    calendar: Calendar | None = None


class Objective(Part):
    """One target."""

    display_name: str = ""
    op: Operator | None = None
    value: float | None = None
    target: float | None = None
    target_percent: float | None = None
    time_slice_target: float | None = None
    time_slice_window: Duration | None = None
    indicator: InlineIndicator | None = None
    indicator_ref: Name | None = None
    composite_weight: float | None = None


class ConditionDetails(Part):
    """When a condition is met."""

    kind: Literal["burnrate"]
    op: Operator
    threshold: float
    lookback_window: Duration
    alert_after: Duration | None = None


class ConditionSpec(Part):
    """A condition and how bad it is."""

    severity: Annotated[str, Field(min_length=1)]
    condition: ConditionDetails
    description: Description = ""


class TargetSpec(Part):
    """Where a notification goes."""

    target: Annotated[str, Field(min_length=1)]
    description: Description = ""


class PolicyCondition(Part):
    """A condition within a policy, or the name of one."""

    condition_ref: Name | None = None
    kind: Literal["AlertCondition"] | None = None
    metadata: Metadata | None = None
    spec: ConditionSpec | None = None


class PolicyTarget(Part):
    """A target within a policy, or the name of one."""

    target_ref: Name | None = None
    kind: Literal["AlertNotificationTarget"] | None = None
    metadata: Metadata | None = None
    spec: TargetSpec | None = None


class PolicySpec(Part):
    """When to alert, and whom."""

    description: Description = ""
    alert_when_no_data: bool | None = None
    alert_when_breaching: bool | None = None
    alert_when_resolved: bool | None = None
    conditions: Annotated[tuple[PolicyCondition, ...], type_of_list] = ()
    notification_targets: Annotated[tuple[PolicyTarget, ...], type_of_list] = ()


class SLOPolicy(Part):
    """A policy within an SLO, or the name of one."""

    alert_policy_ref: Name | None = None
    kind: Literal["AlertPolicy"] | None = None
    metadata: Metadata | None = None
    spec: PolicySpec | None = None


class SLOSpec(Part):
    """An SLO."""

    description: Description = ""
    service: Annotated[str, Field(min_length=1)]
    indicator: InlineIndicator | None = None
    indicator_ref: Name | None = None
    budgeting_method: Literal["Occurrences", "Timeslices", "RatioTimeslices"]
    time_window: Annotated[tuple[TimeWindow, ...], type_of_list] = ()
    objectives: Annotated[tuple[Objective, ...], type_of_list] = ()
    alert_policies: Annotated[tuple[SLOPolicy, ...], type_of_list] = ()


class ServiceSpec(Part):
    """A service."""

    description: Description = ""


class DataSourceSpec(Part):
    """Where metrics come from."""

    description: Description = ""
    type: Annotated[str, Field(min_length=1)]
    connection_details: Any = None


class Object(Part):
    """What every object begins with; each kind adds its `spec`."""

    api_version: Literal["openslo/v1"]
    metadata: Metadata


class SLO(Object):
    """Kind SLO."""

    kind: Literal["SLO"]
    spec: SLOSpec


class SLI(Object):
    """Kind SLI."""

    kind: Literal["SLI"]
    spec: SLISpec


class Service(Object):
    """Kind Service."""

    kind: Literal["Service"]
    spec: ServiceSpec = Field(default_factory=ServiceSpec)


class DataSource(Object):
    """Kind DataSource."""

    kind: Literal["DataSource"]
    spec: DataSourceSpec


class AlertPolicy(Object):
    """Kind AlertPolicy."""

    kind: Literal["AlertPolicy"]
    spec: PolicySpec


class AlertCondition(Object):
    """Kind AlertCondition."""

    kind: Literal["AlertCondition"]
    spec: ConditionSpec


class AlertNotificationTarget(Object):
    """Kind AlertNotificationTarget."""

    kind: Literal["AlertNotificationTarget"]
    spec: TargetSpec


AnyObject = SLO | SLI | Service | DataSource | AlertPolicy | AlertCondition | AlertNotificationTarget

KINDS: dict[str, type[AnyObject]] = {
    "SLO": SLO,
    "SLI": SLI,
    "Service": Service,
    "DataSource": DataSource,
    "AlertPolicy": AlertPolicy,
    "AlertCondition": AlertCondition,
    "AlertNotificationTarget": AlertNotificationTarget,
}
"""The model of each kind."""
