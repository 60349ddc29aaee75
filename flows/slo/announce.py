"""Alerts as people read them: which one it is as labels, numbers as sentences, links to what was seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporters.alerts import Alert, alert
from exporters.links import About
from flows.readable import percent
from flows.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporters.links import Links
    from flows.slo.farewell import Farewell
    from flows.slo.judge import SloAlert

AROUND_NS = 15 * 60_000_000_000
"""How much time before an alert its links show."""


def announce(alerts: Sequence[SloAlert], links: Links, at_ns: int) -> list[Alert]:
    """What leaves: alerts of promises that are not in shadow.

    Args:
        alerts: of the judge.
        links: configured templates.
        at_ns: event time that the alerts are as of.
    """
    return [_alert(each, links, at_ns) for each in alerts if each.is_told]


def bid_farewell(farewells: Sequence[Farewell]) -> list[Alert]:
    """The ends of alerts that no promise has any more."""
    return [
        alert(
            each.labels,
            {
                "summary": f"{each.labels['slo']}: this is promised no longer",
                "description": "The SLO was removed or is another one now; nothing is known of how it went on.",
            },
            starts_at_ns=each.starts_at_ns,
            ends_at_ns=each.ends_at_ns,
        )
        for each in farewells
    ]


def _alert(of: SloAlert, links: Links, at_ns: int) -> Alert:
    promise, labels = of.promise, of.labels
    about = About(
        service=labels["service"],
        trace_id=of.says.get("trace", ""),
        slo=promise.name,
        objective=promise.objective_name,
        alertname=of.name,
        severity=of.severity,
        from_ns=of.starts_at_ns - AROUND_NS,
        to_ns=of.ends_at_ns or at_ns,
    )
    summary, description = _says(of)
    annotations = {"summary": summary, "description": description, **links.about(about)}
    if promise.runbook:
        annotations["runbook_url"] = promise.runbook
    if "tier" in of.says:
        annotations["tier"] = of.says["tier"]
    return alert(labels, annotations, starts_at_ns=of.starts_at_ns, ends_at_ns=of.ends_at_ns)


def _says(of: SloAlert) -> tuple[str, str]:
    """A summary and a description, numbers as people read them."""
    promise, says = of.promise, of.says
    name = f"{promise.title or promise.name}{f' ({of.group})' if of.group else ''}"
    promised = f"{promise.objective_name} of {promise.service} over {promise.period.text}"
    if of.name == "SLOAbsent":
        seconds = int(says.get("silent_s", "0"))
        silent = format_duration(seconds * 1_000_000_000)
        return f"{name}: no events", f"Nothing was seen for {silent} of what {promised} is promised for."
    if of.name == "SLOBudgetSpent":
        left = float(says.get("remaining", "nan"))
        summary = f"{name}: {of.spent} % of the error budget is spent"
        return summary, f"{percent(max(left, 0.0))} of the budget of {promised} is left."
    long_ratio, short_ratio = float(says["long_ratio"]), float(says["short_ratio"])
    long, short = format_duration(int(says["long_ns"])), format_duration(int(says["short_ns"]))
    description = (
        f"{percent(long_ratio)} of the last {long} and {percent(short_ratio)} of the last {short} were bad; "
        f"the tier {says['tier']} fires above {percent(float(says['threshold']))}, a burn rate of {says['factor']}. "
        f"Promised is {promised}."
    )
    return f"{name}: {percent(long_ratio)} of events are bad", description
