"""What an SLO promises, as plain values: one `Promise` for each objective of each SLO."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import IntEnum
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal

from detectors.burn_rate import error_budget
from detectors.tiers import Severity as Severity  # the judge takes it from here
from detectors.tiers import Tier, default_tiers, usable
from flows.decode.batch import ERROR
from flows.slo.selector import label_value
from flows.units import DURATION_UNITS, format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.series import SeriesLabels
    from flows.slo.selector import Selector

FEWEST_SLICES = 5
"""A window of fewer time slices has ratios too coarse to alert on."""

CALENDAR_FACTORS_NS = 30 * DURATION_UNITS["d"]
"""Calendar periods have the default tiers of this one."""

MINUTE_NS = DURATION_UNITS["m"]


class Verdict(IntEnum):
    """What a promise makes of the spans of one series."""

    OUT = 0  # they count nowhere
    GOOD = 1
    BAD = 2
    GOOD_AT_MOST = 3  # good if they lasted at most `Indicator.at_most_ns`, else bad
    BAD_AT_MOST = 4  # the reverse


@dataclass(frozen=True)
class Indicator:
    """What counts, and what of it is good.

    A span counts if its series is in `total`. It is good (or bad, where `bad` is set) if its series is in that selector
    and its duration meets the threshold, where there is one.
    """

    kind: Literal["ratio", "latency"]
    total: Selector
    good: Selector | None = None
    bad: Selector | None = None
    threshold_ns: int | None = None
    threshold_op: Literal["lt", "lte", "gt", "gte"] = "lte"
    include_failed: bool = False  # latency only: whether failed spans are in the total

    @property
    def at_most_ns(self) -> int | None:
        """The threshold as the longest duration on its short side: durations are whole nanoseconds."""
        if self.threshold_ns is None:
            return None
        return self.threshold_ns - (self.threshold_op in ("lt", "gte"))

    def verdict(self, labels: SeriesLabels, dimension_names: Sequence[str]) -> Verdict:
        """What the spans of a series are; once per series."""
        if not self.total.matches(labels, dimension_names):
            return Verdict.OUT
        if self.kind == "latency" and not self.include_failed and labels.status == ERROR:
            return Verdict.OUT
        chosen = self.bad or self.good
        inside = chosen is None or chosen.matches(labels, dimension_names)
        good_inside = self.bad is None
        if self.threshold_ns is None or not inside:
            return Verdict.GOOD if inside == good_inside else Verdict.BAD
        short_side_meets = self.threshold_op in ("lt", "lte")
        return Verdict.GOOD_AT_MOST if short_side_meets == good_inside else Verdict.BAD_AT_MOST


@dataclass(frozen=True)
class Rolling:
    """The budget of the last so many nanoseconds, at any time."""

    period_ns: int
    text: str  # as written


@dataclass(frozen=True)
class Calendar:
    """A budget that begins anew at a local boundary."""

    count: int
    unit: Literal["d", "w", "M", "Q", "Y"]
    start: str  # local time, ISO 8601 without a zone: boundaries are this plus whole multiples of the period
    time_zone: str  # IANA
    text: str  # as written

    period_ns: int  # nominal: a month is 30 days


@dataclass(frozen=True)
class Timeslices:
    """A slice of time is good as a whole if at least `target` of its events are."""

    slice_ns: int
    target: float


@dataclass(frozen=True)
class UserTier:
    """A burn-rate tier of one promise: fires while the error ratios of both windows are above `threshold`."""

    name: str
    severity: Severity
    long_ns: int
    short_ns: int
    factor: float  # burn rate
    threshold: float  # error ratio: factor x (1 − objective)
    for_ns: int = 0  # how long its alert waits before it starts
    keep_firing_for_ns: int = 0  # and before it ends

    @classmethod
    def of(cls, tier: Tier, objective: float, for_ns: int, keep_firing_for_ns: int) -> UserTier:
        """A tier at an objective."""
        threshold = tier.threshold(objective)
        return cls(
            tier.name, tier.severity, tier.long_ns, tier.short_ns, tier.factor, threshold, for_ns, keep_firing_for_ns
        )


@dataclass(frozen=True)
class GroupBy:
    """One SLO for each value of a label, at most `cap`; further values share an overflow."""

    label: str
    cap: int = 100


@dataclass(frozen=True)
class Policy:
    """When alerts start and end, where it is not the tiers that say so; None means the default."""

    min_events: int | None = None  # bad events a page needs to start; 10 for pages, none for tickets
    guard: bool | None = None  # whether the ratio must be significantly above; on for pages, off for tickets
    absence: bool | None = None  # whether no events alert; by default for critical ones
    critical: bool = False
    for_ns: int = 0
    keep_firing_for_critical_ns: int = 10 * MINUTE_NS
    keep_firing_for_warning_ns: int = 60 * MINUTE_NS
    alert_when_no_data: bool | None = None
    alert_when_breaching: bool = True
    alert_when_resolved: bool = True

    def keep_firing_for_ns(self, severity: Severity) -> int:
        """How long an alert still fires when no tier does."""
        return self.keep_firing_for_critical_ns if severity == "critical" else self.keep_firing_for_warning_ns

    @property
    def alerts_on_absence(self) -> bool:
        """Whether no events raise an alert: said by the annotation, by the policy, or because it is critical."""
        said = self.absence if self.absence is not None else self.alert_when_no_data
        return self.critical if said is None else said


@dataclass(frozen=True)
class Promise:
    """One objective of one SLO."""

    name: str
    service: str
    objective_name: str  # displayName, else the target as written: the label `objective`
    objective: float  # ratio, 0 < objective < 1
    indicator: Indicator
    period: Rolling | Calendar
    budgeting: Timeslices | None = None  # None: Occurrences
    tiers: tuple[UserTier, ...] | None = None  # None: the default ones; see `alert_tiers`
    policy: Policy = Policy()
    labels: tuple[tuple[str, str], ...] = ()  # sorted; of alerts
    title: str = ""
    description: str = ""
    runbook: str = ""
    mode: Literal["active", "shadow"] = "active"
    group_by: GroupBy | None = None
    exclude: Selector | None = None
    source: str = ""  # file:line

    def __hash__(self) -> int:
        """Of what tells promises apart: pages look all of them up at every pane, and selectors are slow to hash."""
        return hash((self.name, self.service, self.objective_name))

    @property
    def error_budget(self) -> float:
        """The ratio of events that may be bad: 0.001 for 0.999."""
        return error_budget(self.objective)

    def alert_tiers(self) -> tuple[tuple[UserTier, ...], tuple[str, ...]]:
        """The tiers in force, the user's or the default ones, and a note for each default that is left out."""
        if self.tiers is not None:
            return self.tiers, ()
        nominal = self.period.period_ns
        defaults = default_tiers(nominal if isinstance(self.period, Rolling) else CALENDAR_FACTORS_NS)
        kept, notes = usable(defaults, self.objective, nominal)
        coarse = tuple(note for each in kept if (note := self.too_few_slices(each)))
        alerts = (
            UserTier.of(each, self.objective, self.policy.for_ns, self.policy.keep_firing_for_ns(each.severity))
            for each in kept
            if not self.too_few_slices(each)
        )
        return tuple(alerts), (*notes, *coarse)

    def too_few_slices(self, tier: Tier) -> str:
        """Why a tier's short window is too short for time slices; nothing where it is not, or where there are none."""
        if self.budgeting is None or tier.short_ns >= FEWEST_SLICES * self.budgeting.slice_ns:
            return ""
        least = format_duration(FEWEST_SLICES * self.budgeting.slice_ns)
        short = format_duration(tier.short_ns)
        return f"tier {tier.name} has a short window of {short}; with these time slices it takes at least {least}"

    @cached_property
    def state_key(self) -> str:
        """16 hexadecimal digits: what its counters depend on. Another objective, name, period or policy keeps it."""
        parts = [asdict(part) if part else None for part in (self.indicator, self.exclude, self.budgeting)]
        text = json.dumps([*parts, self.group_by and self.group_by.label], sort_keys=True)
        return blake2b(text.encode(), digest_size=8).hexdigest()

    def verdict(self, labels: SeriesLabels, dimension_names: Sequence[str]) -> Verdict:
        """What the spans of a series are to this promise; once per series."""
        if self.exclude and self.exclude.matches(labels, dimension_names):
            return Verdict.OUT
        return self.indicator.verdict(labels, dimension_names)

    def group(self, labels: SeriesLabels, dimension_names: Sequence[str]) -> str:
        """The value that a series belongs to, empty where the promise is one for all."""
        return label_value(labels, self.group_by.label, dimension_names) if self.group_by else ""


@dataclass(frozen=True)
class Promises:
    """All promises of some files, and what in them is ignored."""

    promises: tuple[Promise, ...]  # by file and line
    warnings: tuple[str, ...] = ()  # sentences with file and line
    files: tuple[str, ...] = ()
