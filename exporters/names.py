"""Every exported metric and label name, as data: what is not here is not exported.

Names that others' dashboards read (`traces_span_metrics_*`) are the OpenTelemetry Collector's; our own begin with
`streamgauge_`. Base units, `_total` for counters, no colons: those are for recording rules (Prometheus, "Metric and
label naming").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram"]
Across = Literal["sum", "max", "min"]

SERVICE_NAME = "service_name"
SPAN_NAME = "span_name"
SPAN_KIND = "span_kind"
STATUS_CODE = "status_code"
WINDOW = "window"
QUANTILE = "quantile"
BOUND = "le"
SOURCE = "source"
PARTITION = "partition"
REASON = "reason"
SIGNAL = "signal"
DIRECTION = "direction"
WHAT = "what"
TYPE = "type"
SLO = "slo"
SERVICE = "service"
OBJECTIVE = "objective"
GROUP = "group"
ALERTNAME = "alertname"
SEVERITY = "severity"
STATE = "state"
ALERTMANAGER = "alertmanager"
EXPECTED_BOUND = "bound"
ANOMALY = "anomaly"

IDENTITY_LABELS = (SERVICE_NAME, SPAN_NAME, SPAN_KIND, STATUS_CODE)
"""The labels that every span series has, empty or not; dimensions follow them and are left out where empty."""

RESERVED_LABELS = frozenset((*IDENTITY_LABELS, WINDOW, QUANTILE, BOUND, SIGNAL, EXPECTED_BOUND))
"""Labels that a dimension cannot have: on a span's metrics they already mean something."""

CLASSIC_BOUNDS_MS = (2, 4, 6, 8, 10, 50, 100, 200, 400, 800, 1000, 1400, 2000, 5000, 10000, 15000)
"""Upper bounds of the duration histogram in milliseconds: the defaults of the Collector's `span_metrics` connector."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family: its name, what kind it is, what it says, and which labels it has.

    `name` is OpenMetrics' family name; the samples of a counter add `_total` to it (`page_name`). `unit` is empty or
    the name's last word. Families with `dimensions` have the configured ones after `labels`. `across` says what becomes
    of one label set that several owners show at once, such as the overflow of many shards.

    >>> RECORDS.name, RECORDS.page_name
    ('streamgauge_records', 'streamgauge_records_total')
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    dimensions: bool = False
    across: Across = "sum"

    @property
    def page_name(self) -> str:
        """The name in front of a sample's labels (of a histogram: its stem)."""
        return f"{self.name}_total" if self.kind == "counter" else self.name

    @property
    def sample_names(self) -> tuple[str, ...]:
        """Every name under which the family's samples are found in Prometheus."""
        if self.kind == "histogram":
            return tuple(f"{self.name}_{part}" for part in ("bucket", "count", "sum"))
        return (self.page_name,)


CALLS = Family(
    "traces_span_metrics_calls",
    "counter",
    "Spans that ended, as the Collector's span_metrics connector counts them, late ones too.",
    IDENTITY_LABELS,
    dimensions=True,
)
DURATION_MILLISECONDS = Family(
    "traces_span_metrics_duration_milliseconds",
    "histogram",
    "Duration of spans, counted exactly at classic bounds.",
    IDENTITY_LABELS,
    unit="milliseconds",
    dimensions=True,
)
SPAN_DURATION = Family(
    "streamgauge_span_duration_seconds",
    "gauge",
    "A quantile of the duration of the spans in the window that closed last; absent where the window has none.",
    (SERVICE_NAME, SPAN_NAME, SPAN_KIND, WINDOW, QUANTILE),
    unit="seconds",
    dimensions=True,
    across="max",
)
SPAN_CALLS = Family(
    "streamgauge_span_calls",
    "gauge",
    "Spans in the window that closed last.",
    (SERVICE_NAME, SPAN_NAME, SPAN_KIND, WINDOW),
    dimensions=True,
)
SPAN_ERRORS = Family(
    "streamgauge_span_errors",
    "gauge",
    "Failed spans (STATUS_CODE_ERROR) in the window that closed last.",
    (SERVICE_NAME, SPAN_NAME, SPAN_KIND, WINDOW),
    dimensions=True,
)
RECORDS = Family("streamgauge_records", "counter", "Records read from a topic or recording.", (SOURCE,))
SPANS = Family("streamgauge_spans", "counter", "Spans decoded, whatever became of them after.", (SOURCE,))
DEAD_LETTERS = Family(
    "streamgauge_dead_letters", "counter", "Records or spans that could not be decoded and were set aside.", (REASON,)
)
LATE = Family(
    "streamgauge_late",
    "counter",
    "Spans whose pane had closed when they came: in the counters, in no window.",
    (SIGNAL, REASON),
)
TIME_REJECTED = Family(
    "streamgauge_time_rejected",
    "counter",
    "Spans whose time is too far ahead of (future) or behind (past) their record's.",
    (DIRECTION,),
)
LIMITED = Family(
    "streamgauge_limited", "counter", "What was left out because a limit of the decoder or fold was met.", (WHAT,)
)
DEDUPLICATED = Family(
    "streamgauge_deduplicated", "counter", "Spans dropped because they had been seen; only with dedupe on.", (SOURCE,)
)
DURATIONS_CLAMPED = Family(
    "streamgauge_durations_clamped",
    "counter",
    "Spans that end before they start: counted with duration 0.",
    (SOURCE,),
)
UNWEIGHTED = Family(
    "streamgauge_unweighted_spans_ratio",
    "gauge",
    "Share of a source's spans that a sampler kept without saying how many they stand for (`ot=` in the trace state, "
    "without a `th:`): error ratios are not to be trusted where it is not small.",
    (SOURCE,),
    unit="ratio",
    across="max",
)
IDLE_CLOSURES = Family(
    "streamgauge_idle_closures",
    "counter",
    "Panes closed by the passing of time while all sources were idle; exactness does not cover them.",
    (SOURCE,),
    across="max",
)
DATA_LOSS = Family(
    "streamgauge_data_loss_records",
    "counter",
    "Records that were deleted (by retention, say) before they could be read.",
    (SOURCE, PARTITION),
)
SOURCE_TIMESTAMP_TYPE = Family(
    "streamgauge_source_timestamp_type",
    "gauge",
    "1 for the timestamp type seen on a source's records: create_time, log_append_time or none.",
    (SOURCE, TYPE),
    across="max",
)
SERIES = Family("streamgauge_series", "gauge", "Series that a service has now.", (SERVICE_NAME,))
SERIES_DEMAND = Family(
    "streamgauge_series_demand", "gauge", "Series that a service would have without its budget.", (SERVICE_NAME,)
)
SERIES_OVERFLOW = Family(
    "streamgauge_series_overflow",
    "counter",
    "Spans counted under span_name __overflow__ because their service is over its budget of series.",
    (SERVICE_NAME,),
)
WATERMARK = Family(
    "streamgauge_watermark_timestamp_seconds",
    "gauge",
    "Event time, in Unix seconds, up to which a source partition counts as seen; the least one closes panes.",
    (SOURCE, PARTITION),
    unit="seconds",
    across="min",
)
SOURCE_LAG = Family(
    "streamgauge_source_lag_records",
    "gauge",
    "Records of a source partition that are readable and not yet read.",
    (SOURCE, PARTITION),
    across="max",
)
EPOCH_AGE = Family(
    "streamgauge_epoch_age_seconds",
    "gauge",
    "How long ago the workers last handed their state over to be stored, the slowest of them.",
    unit="seconds",
    across="max",
)
STATE_BYTES = Family("streamgauge_state_bytes", "gauge", "Size of the state directory.", unit="bytes", across="max")
STATE_FREE_BYTES = Family(
    "streamgauge_state_free_bytes", "gauge", "Free space where the state directory is.", unit="bytes", across="min"
)
WORKER_RESTARTS = Family("streamgauge_worker_restarts", "counter", "How often the workers were started again.")
ALERTS_SENT = Family(
    "streamgauge_alerts_sent",
    "counter",
    "Alerts that an Alertmanager took, each sending counted.",
    (ALERTMANAGER,),
)
ALERTS_FAILED = Family(
    "streamgauge_alerts_failed",
    "counter",
    "Alerts that an Alertmanager did not take, each sending counted; they are sent again.",
    (ALERTMANAGER, REASON),
)
ALERTS_DROPPED = Family(
    "streamgauge_alerts_dropped",
    "counter",
    "Alerts that were given up: refused for what is in them, or nobody could be told in all the time for it.",
    (REASON,),
)
SLO_ERROR_RATIO = Family(
    "streamgauge_slo_error_ratio",
    "gauge",
    "Share of bad events in the window that closed last; absent where it has none.",
    (SLO, SERVICE, OBJECTIVE, GROUP, WINDOW),
    unit="ratio",
    across="max",
)
SLO_BURN_RATE = Family(
    "streamgauge_slo_burn_rate",
    "gauge",
    "Error ratio of the window over the error budget: at 1 the budget lasts exactly its period.",
    (SLO, SERVICE, OBJECTIVE, GROUP, WINDOW),
    across="max",
)
SLO_EVENTS = Family(
    "streamgauge_slo_events", "gauge", "Events in the window.", (SLO, SERVICE, OBJECTIVE, GROUP, WINDOW), across="max"
)
SLO_OBJECTIVE = Family(
    "streamgauge_slo_objective_ratio",
    "gauge",
    "The share of events that is promised to be good.",
    (SLO, SERVICE, OBJECTIVE, GROUP),
    unit="ratio",
    across="max",
)
SLO_BUDGET_REMAINING = Family(
    "streamgauge_slo_error_budget_remaining_ratio",
    "gauge",
    "What is left of the period's error budget: 1 untouched, 0 spent, below 0 overspent.",
    (SLO, SERVICE, OBJECTIVE, GROUP),
    unit="ratio",
    across="max",
)
SLO_EXHAUSTION = Family(
    "streamgauge_slo_budget_exhaustion_seconds",
    "gauge",
    "How long the budget lasts at the last hour's burn rate; +Inf where nothing burns, absent where that is unknown.",
    (SLO, SERVICE, OBJECTIVE, GROUP),
    unit="seconds",
    across="max",
)
SLO_ARMED = Family(
    "streamgauge_slo_armed",
    "gauge",
    "1 where history covers half of every tier's long window, so that all of them may fire.",
    (SLO, SERVICE, OBJECTIVE, GROUP),
    across="max",
)
SLO_UNKNOWN = Family(
    "streamgauge_slo_unknown",
    "gauge",
    "1 where the shortest window has no events, or nothing ever matched: unknown is not good.",
    (SLO, SERVICE, OBJECTIVE, GROUP),
    across="max",
)
ANOMALY_SCORE = Family(
    "streamgauge_anomaly_score",
    "gauge",
    "How strange the signal of the step that closed last is, given its own past: 0 ordinary, 1 - log10 of its "
    "probability is -8 or less. Absent while it is learnt, in maintenance, and where there is no value.",
    (SERVICE_NAME, SPAN_NAME, SPAN_KIND, SIGNAL),
    dimensions=True,
    across="max",
)
ANOMALY_VALUE = Family(
    "streamgauge_anomaly_value",
    "gauge",
    "What was scored: seconds (p50, p95), calls per second (rate), a ratio (error_ratio).",
    (SERVICE_NAME, SPAN_NAME, SPAN_KIND, SIGNAL),
    dimensions=True,
    across="max",
)
EXPECTED = Family(
    "streamgauge_expected",
    "gauge",
    "The band of what is ordinary for the signal, its lower and its upper bound; absent as the score is.",
    (SERVICE_NAME, SPAN_NAME, SPAN_KIND, SIGNAL, EXPECTED_BOUND),
    dimensions=True,
    across="max",
)
ANOMALY_THRESHOLD = Family(
    "streamgauge_anomaly_threshold",
    "gauge",
    "The score from which on a series raises an alert, by rule: it follows the rule's budget of alerts a day.",
    (ANOMALY,),
    across="max",
)
ALERTS = Family(
    "streamgauge_alerts",
    "gauge",
    "How many alerts are in a state: pending, firing.",
    (ALERTNAME, SEVERITY, STATE),
    across="sum",
)
BUILD_INFO = Family(
    "streamgauge_build_info",
    "gauge",
    "1, with the versions that run.",
    ("version", "python", "bytewax"),
    across="max",
)

FAMILIES = (
    CALLS,
    DURATION_MILLISECONDS,
    SPAN_DURATION,
    SPAN_CALLS,
    SPAN_ERRORS,
    RECORDS,
    SPANS,
    DEAD_LETTERS,
    LATE,
    TIME_REJECTED,
    LIMITED,
    DEDUPLICATED,
    DURATIONS_CLAMPED,
    UNWEIGHTED,
    IDLE_CLOSURES,
    DATA_LOSS,
    SOURCE_TIMESTAMP_TYPE,
    SERIES,
    SERIES_DEMAND,
    SERIES_OVERFLOW,
    WATERMARK,
    SOURCE_LAG,
    EPOCH_AGE,
    STATE_BYTES,
    STATE_FREE_BYTES,
    WORKER_RESTARTS,
    ALERTS_SENT,
    ALERTS_FAILED,
    ALERTS_DROPPED,
    SLO_ERROR_RATIO,
    SLO_BURN_RATE,
    SLO_EVENTS,
    SLO_OBJECTIVE,
    SLO_BUDGET_REMAINING,
    SLO_EXHAUSTION,
    SLO_ARMED,
    SLO_UNKNOWN,
    ANOMALY_SCORE,
    ANOMALY_VALUE,
    EXPECTED,
    ANOMALY_THRESHOLD,
    ALERTS,
    BUILD_INFO,
)
"""All families, in the order of the page, of the file and of the reference."""

BY_NAME = {family.name: family for family in FAMILIES}
_ORDER = {family.name: index for index, family in enumerate(FAMILIES)}


def page_order(family: Family) -> tuple[int, str]:
    """Sort key that puts families in the order of `FAMILIES`; foreign ones follow by name."""
    return _ORDER.get(family.name, len(_ORDER)), family.name


class Reference(NamedTuple):
    """One line of the metric reference, all of it text."""

    name: str
    kind: str
    labels: str
    help: str


def reference() -> list[Reference]:
    """The metric reference: what `streamgauge metrics` prints and `docs/metrics.md` shows, in page order.

    >>> row = reference()[0]
    >>> row.name, row.kind, row.labels
    ('traces_span_metrics_calls_total', 'counter', 'service_name, span_name, span_kind, status_code, dimensions')
    """
    return [
        Reference(
            name=family.page_name,
            kind=family.kind,
            labels=", ".join((*family.labels, *(("dimensions",) if family.dimensions else ()))),
            help=family.help,
        )
        for family in FAMILIES
    ]
