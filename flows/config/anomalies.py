"""The section about anomalies: which series are scored against their own past."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, model_validator

from flows.anomalies.policy import AlertPolicy
from flows.anomalies.rules import QUANTILES, SIGNALS, AnomalyRule, AnomalyRules
from flows.config.exclusions import exclusions
from flows.config.scalars import Count, Duration, lasting
from flows.config.sections import MINUTE_NS, Section, type_of_list
from flows.errors import ConfigError
from flows.slo.place import Place, SloError
from flows.slo.selector import DEFAULT_KINDS, parse_selector
from flows.units import DURATION_UNITS, format_duration

if TYPE_CHECKING:
    from flows.config.model import Config
    from flows.slo.selector import Selector

HOUR_NS, DAY_NS = DURATION_UNITS["h"], DURATION_UNITS["d"]

SERVED = (*DEFAULT_KINDS, "SPAN_KIND_UNSPECIFIED")
"""What is served, or does not say: whoever writes no kinds writes them nowhere."""

Values = str | list[str]


class AnomalyAlerting(Section):
    """What of the scores of one rule is worth an alert."""

    enabled: bool = Field(default=True, description="Whether scores become alerts; else they are only shown.")
    per_day: float = Field(
        default=5.0,
        description="How many alerts all series of the rule may raise in a day on which nothing happens; 5 by default.",
    )
    for_ns: Duration = Field(
        default=0, description="How long it must be strange before the alert fires; at once by default."
    )
    keep_firing_for_ns: Duration = Field(
        default=10 * MINUTE_NS, description="How long it goes on firing after; `10m` by default."
    )
    refractory_ns: Duration = Field(
        default=30 * MINUTE_NS, description="Alerts that are less than this apart are one; `30m` by default."
    )
    calls: Count = Field(
        default=10, description="Durations and error ratios of fewer calls in a step raise no alert; 10 by default."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self._policy()
        return self

    def _policy(self) -> AlertPolicy:
        return AlertPolicy(self.per_day, self.for_ns, self.keep_firing_for_ns, self.refractory_ns, self.calls)

    @property
    def policy(self) -> AlertPolicy | None:
        """The same as the flow takes it; None where nothing is raised."""
        return self._policy() if self.enabled else None


class AnomalySetting(Section):
    """One rule: operations whose signals are scored alike."""

    name: str = Field(min_length=1, description="Its name; detectors go on after a restart where it is the same.")
    match: dict[str, Values | dict[str, Values]] = Field(
        default_factory=dict,
        description="Which operations, as an SLO selects them: `{service_name: web, span_name: {regex: …}}`; those "
        "that are served (kinds server, consumer, unspecified) unless it speaks of kinds. An operation is scored by "
        "the first rule that matches it.",
    )
    signals: Annotated[tuple[Literal["p50", "p95", "rate", "error_ratio"], ...], type_of_list] = Field(
        default=("p95", "rate", "error_ratio"),
        min_length=1,
        description="What is scored of each: `p50`, `p95`, `rate`, `error_ratio`; all but `p50` by default, for a "
        "median hardly ever moves alone.",
    )
    step_ns: Duration = Field(
        default=MINUTE_NS,
        description="How often, and over how long a window: one of `windows`, of whole minutes; `1m` by default.",
    )
    series: Count = Field(
        default=2_000,
        description="Pairs of an operation and a signal that are scored at most, the busiest first; 2,000 by default.",
    )
    remembered: Count = Field(
        default=4_000,
        description="Pairs of which state is kept at most, scored or not; 4,000 by default, each takes 11 KiB.",
    )
    remember_ns: Annotated[Duration, lasting("1d")] = Field(
        default=15 * DAY_NS,
        description="For how long an operation that is not called is still known; `15d` by default.",
    )
    zone: str = Field(
        default="UTC", description="Time zone of those who call, such as `Europe/Berlin`; `UTC` by default."
    )
    accept_ns: Annotated[Duration, lasting("2h", "1d")] = Field(
        default=4 * HOUR_NS,
        description="How long a new level is an anomaly before it is what is expected, 2h to 1d; `4h` by default.",
    )
    alerts: AnomalyAlerting = Field(
        default_factory=AnomalyAlerting, description="Which scores become alerts, named `Anomaly`."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            expected = "it is no time zone of the IANA database that this machine has"
            raise ConfigError("zone", repr(self.zone), expected, "Write Europe/Berlin or UTC.") from None
        if len(set(self.signals)) < len(self.signals):
            raise ConfigError("signals", ", ".join(self.signals), "a signal stands there once")
        if self.series < len(self.signals):
            raise ConfigError("series", str(self.series), f"one operation has {len(self.signals)} signals")
        if self.remembered < self.series:
            expected = f"it must be at least as many as are scored, {self.series}"
            raise ConfigError("remembered", str(self.remembered), expected)
        return self


def with_anomalies(config: Config) -> Config:
    """The same configuration with one rule over all that is served, unless it has rules of its own."""
    return config if config.anomalies else config.model_copy(update={"anomalies": (AnomalySetting(name="default"),)})


def anomaly_rules(config: Config) -> AnomalyRules | None:
    """The settings as the flow takes them, None where nothing is scored.

    Raises:
        ConfigError: a selector cannot be, or a step or quantile that a rule needs is not computed.
    """
    if not config.anomalies:
        return None
    dimensions = tuple(dimension.label for dimension in config.decoder_dimensions())
    names = [each.name for each in config.anomalies]
    for i, each in enumerate(config.anomalies):
        if each.name in names[:i]:
            raise ConfigError(f"anomalies[{i}].name", each.name, "that rule stands there before")
        _check(i, each, config)
    return AnomalyRules(
        tuple(_rule(i, each, config.time.pane_ns, dimensions) for i, each in enumerate(config.anomalies)),
        config.time.pane_ns,
        MINUTE_NS // config.time.pane_ns,
        config.parts_per_million,
        dimensions,
        exclusions(config.exclusions),
    )


def _check(i: int, setting: AnomalySetting, config: Config) -> None:
    """Refuse what the windows do not have."""
    if setting.step_ns % MINUTE_NS or setting.step_ns not in config.windows_ns:
        windows = ", ".join(format_duration(each) for each in config.windows_ns if each % MINUTE_NS == 0)
        found, expected = format_duration(setting.step_ns), f"it must be one of `windows` of whole minutes: {windows}"
        raise ConfigError(f"anomalies[{i}].step", found, expected, "Add it to `windows`.")
    for signal in setting.signals:
        if signal in QUANTILES and QUANTILES[signal] not in config.parts_per_million:
            wanted = QUANTILES[signal] / 1e6
            hint = f"Add {wanted} to `quantiles`, or leave {signal} out."
            raise ConfigError(f"anomalies[{i}].signals", signal, f"the quantile {wanted} is not computed", hint)


def _rule(i: int, setting: AnomalySetting, pane_ns: int, dimensions: tuple[str, ...]) -> AnomalyRule:
    return AnomalyRule(
        setting.name,
        _selector(i, setting, dimensions),
        tuple(signal for signal in SIGNALS if signal in setting.signals),
        setting.step_ns // pane_ns,
        setting.series,
        setting.remembered,
        setting.remember_ns // pane_ns,
        setting.zone,
        setting.accept_ns,
        setting.alerts.policy,
    )


def _selector(i: int, setting: AnomalySetting, dimensions: tuple[str, ...]) -> Selector:
    place = Place("", {}, path=("anomalies", i, "match"))
    if "status_code" in setting.match:
        found, expected = "a label of single spans", "an operation has all of its statuses"
        raise ConfigError(f"anomalies[{i}].match.status_code", found, expected, "Score its error_ratio.")
    try:
        return parse_selector(setting.match, place, dimensions).with_default_kinds(SERVED)
    except SloError as error:
        raise ConfigError(error.path, error.found, error.expected, error.hint) from error
