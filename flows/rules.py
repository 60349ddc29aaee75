"""The configuration as the stages take it: nanoseconds, panes, grids, budgets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from detectors.histogram import Grid
from flows.admission import Budgets, ServiceBudget
from flows.config.anomalies import anomaly_rules
from flows.config.exclusions import exclusions
from flows.config.live import Kafka
from flows.config.model import SHORT_WINDOW_NS
from flows.config.sections import MINUTE_NS
from flows.shard import ShardRules
from flows.slo.judge import SloRules
from flows.template import Templater
from flows.watermark import TimeRules
from flows.windows import WindowRules

if TYPE_CHECKING:
    from flows.anomalies.rules import AnomalyRules
    from flows.config import Config
    from flows.slo.promise import Promise


@dataclass(frozen=True, slots=True)
class Rules:
    """What the stages of one flow do; made once from a `Config`."""

    time: TimeRules
    grid: Grid
    template: Templater
    shard: ShardRules
    windows: WindowRules
    slo: SloRules | None = None  # None: nothing is promised
    anomalies: AnomalyRules | None = None  # None: nothing is scored

    @classmethod
    def of(
        cls,
        config: Config,
        *,
        step_ns: int | None = None,
        counters: bool = True,
        promises: tuple[Promise, ...] = (),
    ) -> Rules:
        """The rules of a configuration.

        Args:
            config: checked settings.
            step_ns: samples are shown at multiples of it, a multiple of the pane; each pane's end by default.
            counters: whether anyone reads counters at each step.
            promises: the SLOs' objectives.
        """
        time = TimeRules(
            config.time.pane_ns,
            config.time.lateness_ns,
            config.time.max_future_ns,
            config.time.max_age_ns,
            config.kafka.idle_ns if config.kafka is not None else Kafka.model_fields["idle_ns"].default,
        )
        pane = time.pane_ns
        bounds_ns = tuple(round(bound * 1_000_000) for bound in config.span_metrics.bounds_ms)
        cuts = [promise.indicator.at_most_ns for promise in promises]
        grid = Grid([*bounds_ns, *config.span_metrics.latency_thresholds_ns, *(cut for cut in cuts if cut is not None)])
        dimensions = tuple(dimension.label for dimension in config.decoder_dimensions())
        anomalies = anomaly_rules(config)
        step = max(1, (step_ns or pane) // pane)
        shard = ShardRules(
            time=time,
            grid=grid,
            bounds_ns=bounds_ns,
            budgets=_budgets(config),
            dimensions=dimensions,
            expiry=config.time.series_expiry_ns // pane,
            minute=MINUTE_NS // pane,
            step=step,
            counters=counters,
            promises=promises,
        )
        return cls(
            time=time,
            grid=grid,
            template=Templater(
                [(rule.pattern, rule.replacement) for rule in config.templates.patterns],
                config.templates.off_for,
                enabled=config.templates.enabled,
            ),
            shard=shard,
            windows=WindowRules(
                grid=grid,
                windows=tuple(window // pane for window in config.windows_ns),
                quantiles=config.parts_per_million,
                minute=shard.minute,
                step=step,
                longest_short=SHORT_WINDOW_NS // pane,
                dimensions=dimensions,
                judged=anomalies.windows if anomalies else (),
            ),
            anomalies=anomalies,
            slo=SloRules(promises, pane, exclusions=exclusions(config.exclusions)) if promises else None,
        )


def _budgets(config: Config) -> Budgets:
    limits = config.limits
    default = ServiceBudget(limits.series_per_service, limits.values_per_dimension)
    services = {
        name: ServiceBudget(
            default.series if own.series is None else own.series,
            default.values_per_dimension if own.values_per_dimension is None else own.values_per_dimension,
        )
        for name, own in limits.services.items()
    }
    return Budgets(default, services, limits.max_services)
