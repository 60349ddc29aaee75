"""Alerts of anomalies as people read them: which operations, what was seen, what was expected, how rare, since when."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from exporters.alerts import Alert, alert
from exporters.links import About
from flows.anomalies.shown import ALERTNAME, SEVERITY
from flows.decode.batch import KINDS
from flows.readable import about, clock, per_second, percent, seconds
from flows.slo.announce import AROUND_NS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporters.links import Links
    from flows.anomalies.shown import AnomalyAlert
    from flows.anomalies.strange import Strange
    from flows.series import OperationLabels

NAMED = 5
"""Operations that an alert names; of the others it says how many."""

_UNITS: dict[str, Callable[[float], str]] = {"rate": per_second, "error_ratio": percent}
_NAMES = {"rate": "traffic", "error_ratio": "error ratio"}
_NOT_SAID = ("SPAN_KIND_UNSPECIFIED", "SPAN_KIND_SERVER")


def announce_anomalies(alerts: Sequence[AnomalyAlert], links: Links, at_ns: int) -> list[Alert]:
    """What leaves.

    Args:
        alerts: as they are shown.
        links: configured templates.
        at_ns: event time that the alerts are as of.
    """
    return [_alert(each, links, at_ns) for each in alerts]


def _alert(of: AnomalyAlert, links: Links, at_ns: int) -> Alert:
    first = of.concerned[0]
    linked = links.about(
        About(
            service=of.service,
            operation=first.operation.span_name,
            alertname=ALERTNAME,
            severity=SEVERITY,
            from_ns=of.starts_at_ns - AROUND_NS,
            to_ns=of.ends_at_ns or at_ns,
        )
    )
    annotations = {"summary": _summary(of), "description": _description(of), **linked}
    return alert(of.labels, annotations, starts_at_ns=of.starts_at_ns, ends_at_ns=of.ends_at_ns)


def _summary(of: AnomalyAlert) -> str:
    first, more = of.concerned[0], len(of.concerned) - 1
    others = f" (and {more} more operation{'s' if more > 1 else ''})" if more else ""
    return f"{of.service}: {_NAMES.get(of.signal, of.signal)} of {_name(first.operation)}{others} is {_seen(first)}"


def _description(of: AnomalyAlert) -> str:
    named = [
        f"{_name(each.operation)}: {_seen(each)} ({_band(each)}), {_rarity(each)}" for each in of.concerned[:NAMED]
    ]
    more = len(of.concerned) - NAMED
    return f"{'; '.join([*named, f'and {more} more'] if more > 0 else named)}. Since {clock(of.starts_at_ns)} UTC."


def _name(operation: OperationLabels) -> str:
    """An operation with its dimensions; its kind, where it is not a server's."""
    kind = KINDS[operation.kind]
    said = "" if kind in _NOT_SAID else f"({kind.removeprefix('SPAN_KIND_').lower()})"
    return " ".join(filter(None, [operation.span_name, *operation.dimensions, said]))


def _seen(of: Strange) -> str:
    """The value and what was expected, in people's units."""
    unit = _UNITS.get(of.signal, seconds)
    return f"{unit(of.value)}, expected {unit(of.expected)}"


def _band(of: Strange) -> str:
    """What is ordinary; no signal goes below 0."""
    unit = _UNITS.get(of.signal, seconds)
    return f"{unit(max(of.lower, 0.0))} to {unit(of.upper)}"


def _rarity(of: Strange) -> str:
    """How rare; only what the past can tell."""
    if math.isinf(of.once_in_ns):
        return "rarer than its past can tell"
    return f"as rare as once in {about(of.once_in_ns)}"
