"""The configuration as a whole: every top key, and what one section asks of another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from detectors.scale import QUANTILE_UNIT
from flows.config.alerting import (
    AlertmanagerSetting,
    ExternalLabels,
    LinkSettings,
    WebhookSetting,
    check_receivers,
)
from flows.config.anomalies import AnomalySetting, anomaly_rules
from flows.config.exclusions import ExclusionSetting
from flows.config.frozen import Frozen, fingerprint_of, frozen_settings
from flows.config.live import (
    DEFAULT_STATE,
    DeadLetters,
    Kafka,
    Listen,
    LogSettings,
    Supervision,
    TelemetrySettings,
    split_address,
)
from flows.config.scalars import Duration, FilePath, Quantile
from flows.config.sections import (
    MINUTE_NS,
    AnyDimension,
    Dedupe,
    Limits,
    Sampling,
    Section,
    SpanMetrics,
    Templates,
    Time,
    type_of_list,
)
from flows.errors import ConfigError
from flows.units import format_duration

if TYPE_CHECKING:
    import flows.decode.batch as columns

SHORT_WINDOW_NS = 5 * MINUTE_NS
"""Windows up to this slide by panes, longer ones by minutes."""


class Config(Section):
    """All settings. They are read once, at start, and never change.

    >>> Config().time.pane_ns, Config().windows_ns
    (5000000000, (60000000000, 300000000000, 3600000000000))
    """

    dimensions: Annotated[tuple[AnyDimension, ...], type_of_list] = Field(
        default=(),
        max_length=16,
        description="Labels beside service, span name, kind and status: attributes, or `{label, from}`.",
    )
    time: Time = Field(default_factory=Time, description="Panes, lateness, expiry.")
    windows_ns: Annotated[tuple[Duration, ...], type_of_list] = Field(
        default=(MINUTE_NS, 5 * MINUTE_NS, 60 * MINUTE_NS),
        min_length=1,
        max_length=16,
        description="How long the windows are; up to 5m they slide by panes, longer ones by minutes.",
    )
    quantiles: Annotated[tuple[Quantile, ...], type_of_list] = Field(
        default=(0.5, 0.95, 0.99), max_length=16, description="Quantiles of the duration in every window, as ratios."
    )
    span_metrics: SpanMetrics = Field(default_factory=SpanMetrics, description="Classic buckets, exact thresholds.")
    templates: Templates = Field(default_factory=Templates, description="Ids in span names.")
    sampling: Sampling = Field(default_factory=Sampling, description="Weights of sampled spans.")
    dedupe: Dedupe = Field(default_factory=Dedupe, description="Repeated spans.")
    limits: Limits = Field(default_factory=Limits, description="Budgets of services, bounds of records.")
    slos: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], type_of_list] = Field(
        default=(),
        description="OpenSLO files, paths or globs, such as `slos/*.yaml`; `docs/slos.md` says what they hold.",
    )
    exclusions: Annotated[tuple[ExclusionSetting, ...], type_of_list] = Field(
        default=(),
        max_length=1000,
        description="Maintenance, whose events count for no SLO and no anomaly: `{match, from, to}`.",
    )
    anomalies: Annotated[tuple[AnomalySetting, ...], type_of_list] = Field(
        default=(), max_length=100, description="What is scored against its own past; nothing by default."
    )
    dead_letters: DeadLetters = Field(default_factory=DeadLetters, description="What is kept of undecodable records.")
    kafka: Kafka | None = Field(default=None, description="What a live run reads; a replay needs none.")
    state_directory: FilePath = Field(
        default=DEFAULT_STATE, description="Where a live run keeps its state; one directory, one run."
    )
    listen: Listen = Field(
        default="127.0.0.1:9464", description="`host:port` of a live run's pages; an IPv6 address in brackets."
    )
    web_config: FilePath | None = Field(
        default=None, description="A web configuration file of Prometheus's exporters: TLS, basic auth."
    )
    supervision: Supervision = Field(default_factory=Supervision, description="How a live run is kept alive.")
    alertmanagers: Annotated[tuple[AlertmanagerSetting, ...], type_of_list] = Field(
        default=(), max_length=16, description="Where a live run sends alerts: `{url}` of each Alertmanager."
    )
    webhooks: Annotated[tuple[WebhookSetting, ...], type_of_list] = Field(
        default=(), max_length=16, description="URLs that get every alert's beginning and end as JSON."
    )
    external_labels: ExternalLabels = Field(
        default_factory=dict, description="Labels that every alert gets, such as `{cluster: eu-1, env: prod}`."
    )
    links: LinkSettings = Field(default_factory=LinkSettings, description="Templates of the links in alerts.")
    log: LogSettings = Field(default_factory=LogSettings, description="What is said on standard error.")
    telemetry: TelemetrySettings = Field(
        default_factory=TelemetrySettings, description="The process's own traces and metrics; off by default."
    )

    @model_validator(mode="after")
    def _windows_fit(self) -> Self:
        for i, window in enumerate(self.windows_ns):
            step, name = (self.time.pane_ns, "the pane") if window <= SHORT_WINDOW_NS else (MINUTE_NS, "a minute")
            if window <= 0 or window % step:
                expected = f"a window is a multiple of {name}, {format_duration(step)}"
                raise ConfigError(f"windows[{i}]", format_duration(window), expected)
            if window in self.windows_ns[:i]:
                raise ConfigError(f"windows[{i}]", format_duration(window), "that window stands there before")
        if self.time.series_expiry_ns < max(self.windows_ns):
            expected = f"a series must outlive the longest window, {format_duration(max(self.windows_ns))}"
            raise ConfigError("time.series_expiry", format_duration(self.time.series_expiry_ns), expected)
        return self

    @model_validator(mode="after")
    def _dimensions_have_labels(self) -> Self:
        if self.dimensions:
            self.decoder_dimensions()
        return self

    @model_validator(mode="after")
    def _quantiles_differ(self) -> Self:
        for i, quantile in enumerate(self.quantiles):
            if quantile in self.quantiles[:i]:
                raise ConfigError(f"quantiles[{i}]", str(quantile), "that quantile stands there before")
        return self

    @model_validator(mode="after")
    def _anomalies_fit(self) -> Self:
        anomaly_rules(self)
        return self

    @model_validator(mode="after")
    def _dead_letters_have_a_topic(self) -> Self:
        topic = self.dead_letters.topic
        if topic is None:
            return self
        if self.kafka is None:
            raise ConfigError("dead_letters.topic", topic, "there is no section kafka", "Name a file instead.")
        if topic in [each.name for each in self.kafka.topics]:
            expected = "that topic is read: its dead letters would be read again, without end"
            raise ConfigError("dead_letters.topic", topic, expected, "Name another topic.")
        return self

    @model_validator(mode="after")
    def _receivers_differ(self) -> Self:
        check_receivers(self.alertmanagers, self.webhooks)
        return self

    @property
    def parts_per_million(self) -> tuple[int, ...]:
        """The quantiles as windows take them, increasing."""
        return tuple(sorted(round(quantile * QUANTILE_UNIT) for quantile in self.quantiles))

    @property
    def listen_address(self) -> tuple[str, int]:
        """Host and port of the pages; port 0 takes a free one."""
        return split_address(self.listen)

    def live(self) -> Kafka:
        """What a live run reads.

        Raises:
            ConfigError: The configuration says nothing of it.
        """
        if self.kafka is None:
            hint = "Write kafka: {bootstrap_servers: …, topics: [{name: …, signal: spans, encoding: otlp_proto}]}."
            raise ConfigError("kafka", "missing", "a live run reads topics", hint)
        return self.kafka

    def frozen(self) -> Frozen:
        """The settings that a state directory was made with and keeps, as plain JSON values."""
        return frozen_settings(self)

    def fingerprint(self) -> str:
        """16 hexadecimal digits that differ where anything frozen does."""
        return fingerprint_of(self)

    def decoder_dimensions(self) -> tuple[columns.Dimension, ...]:
        """The dimensions as decoders take them, labels made valid.

        Raises:
            ConfigError: Two dimensions would have one label, or a label is one that every series has.
        """
        from flows.config.dimensions import decoder_dimensions

        return decoder_dimensions(self.dimensions)

    def decoder_limits(self) -> columns.Limits:
        """What decoders may read of one record."""
        from flows.decode.batch import Limits as DecoderLimits

        limits = self.limits
        return DecoderLimits(limits.spans_per_record, limits.attributes_per_span, limits.string_bytes)
