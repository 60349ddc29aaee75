"""A promise as people read it: budget, tiers, and how long an outage takes to trip them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from detectors.burn_rate import seconds_to_fire
from flows.slo.promise import Rolling
from flows.units import DURATION_UNITS, format_duration

if TYPE_CHECKING:
    from flows.slo.promise import Indicator, Promise, UserTier

OUTAGES = (1.0, 0.2, 0.05)
"""Error ratios for which the time to an alert is shown."""

_HEADER = ("tier", "severity", "windows", "factor", "fires above", *(f"{ratio:.0%} bad" for ratio in OUTAGES))


def explain(promise: Promise, rate: float | None = None) -> str:
    """A few lines and a table for one promise.

    Args:
        promise: The promise.
        rate: Events a second, if the budget is to be told in events too.
    """
    lines = [
        f"{promise.name} · {promise.objective_name} · service {promise.service}{_mode(promise)}",
        *([f"  {promise.title}"] if promise.title != promise.name else []),
        f"  counts     {_counts(promise.indicator)}",
        *([f"  excludes   {promise.exclude}"] if promise.exclude else []),
        f"  objective  {promise.objective:.10g} over {_period(promise)}",
        f"  budget     {budget_text(promise, rate)}",
    ]
    tiers, notes = promise.alert_tiers()
    rows = [_HEADER, *(_row(each) for each in tiers)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADER))]
    lines += [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    lines += [f"  left out: {note}" for note in notes]
    return "\n".join(lines) + "\n"


def budget_text(promise: Promise, rate: float | None) -> str:
    """The budget in minutes of a total outage, and in events if a rate is given."""
    minutes = promise.error_budget * promise.period.period_ns / DURATION_UNITS["m"]
    text = f"{promise.error_budget:.6g} of all events: {minutes:,.4g} minutes of a total outage"
    if rate is None:
        return text
    seconds = promise.period.period_ns / DURATION_UNITS["s"]
    return f"{text}, {promise.error_budget * rate * seconds:,.0f} of {rate * seconds:,.0f} events at {rate:g} a second"


def _row(tier: UserTier) -> tuple[str, ...]:
    waits = f" for {format_duration(tier.for_ns)}" if tier.for_ns else ""
    times = (seconds_to_fire(ratio, tier.threshold, tier.long_ns) + tier.for_ns / 10**9 for ratio in OUTAGES)
    return (
        tier.name,
        "page" if tier.severity == "critical" else "ticket",
        f"{format_duration(tier.long_ns)}/{format_duration(tier.short_ns)}{waits}",
        f"{tier.factor:.4g}",
        f"{tier.threshold:.4%}",
        *map(duration_text, times),
    )


def duration_text(seconds: float) -> str:
    """Seconds with as much as matters.

    >>> duration_text(25.92), duration_text(103.7), duration_text(7200), duration_text(float("inf"))
    ('26s', '1m44s', '2h', 'never')
    """
    if math.isinf(seconds):
        return "never"
    whole = round(seconds)
    if whole >= 3_600:
        whole = round(whole / 60) * 60
    return format_duration(max(whole, 1) * DURATION_UNITS["s"])


def _counts(indicator: Indicator) -> str:
    limit = "" if indicator.threshold_ns is None else format_duration(indicator.threshold_ns)
    sign = {"lt": "<", "lte": "≤", "gt": ">", "gte": "≥"}[indicator.threshold_op]
    lasting = f"duration {sign} {limit}" if limit else ""
    chosen = indicator.bad or indicator.good
    conditions = " and ".join(filter(None, (str(chosen) if chosen else "", lasting)))
    failed = "" if indicator.kind == "ratio" or indicator.include_failed else " without failed ones"
    return f"{indicator.total}{failed}, {'bad' if indicator.bad else 'good'}: {conditions}"


def _period(promise: Promise) -> str:
    slices = promise.budgeting
    sliced = f", in slices of {format_duration(slices.slice_ns)} of which {slices.target:.4g} is good" if slices else ""
    rolling = "the last " if isinstance(promise.period, Rolling) else ""
    grouped = f", one for each {promise.group_by.label}" if promise.group_by else ""
    return f"{rolling}{promise.period.text}{sliced}{grouped}"


def _mode(promise: Promise) -> str:
    critical = " · critical" if promise.policy.critical else ""
    return f"{critical} · shadow" if promise.mode == "shadow" else critical
