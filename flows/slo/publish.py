"""What the judge of promises shows → samples under the exporters' names."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from exporters import names
from exporters.labels import LabelSet
from exporters.samples import Samples, by_label
from flows.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporters.names import Family
    from flows.slo.judge import SloFigures, SloShown


def slo_samples(shown: SloShown) -> list[Samples]:
    """The gauges of every objective, and how many alerts fire."""
    figures = shown.figures
    identities = [_identity(each) for each in figures]
    labels = [LabelSet(pairs) for pairs in identities]
    in_windows = [
        (LabelSet([*pairs, (names.WINDOW, format_duration(window.window_ns))]), window)
        for each, pairs in zip(figures, identities, strict=True)
        for window in each.windows
    ]
    windowed = [label for label, _ in in_windows]

    def of_windows(family: Family, values: Sequence[float]) -> Samples:
        return by_label(family, shown.end_ns, windowed, np.array(values, np.float64))

    def of_objectives(family: Family, values: Sequence[float]) -> Samples:
        return by_label(family, shown.end_ns, labels, np.array(values, np.float64))

    return [
        of_windows(names.SLO_ERROR_RATIO, [window.error_ratio for _, window in in_windows]),
        of_windows(names.SLO_BURN_RATE, [window.burn_rate for _, window in in_windows]),
        by_label(names.SLO_EVENTS, shown.end_ns, windowed, np.array([w.events for _, w in in_windows], np.int64)),
        of_objectives(names.SLO_OBJECTIVE, [each.promise.objective for each in figures]),
        of_objectives(names.SLO_BUDGET_REMAINING, [each.budget_remaining for each in figures]),
        of_objectives(names.SLO_EXHAUSTION, [each.exhausted_in_s for each in figures]),
        of_objectives(names.SLO_ARMED, [each.armed for each in figures]),
        of_objectives(names.SLO_UNKNOWN, [each.unknown for each in figures]),
        _alerts(shown),
    ]


def _identity(figures: SloFigures) -> list[tuple[str, str]]:
    promise = figures.promise
    pairs = [(names.SLO, promise.name), (names.SERVICE, promise.service), (names.OBJECTIVE, promise.objective_name)]
    return [*pairs, (names.GROUP, figures.group)] if figures.group else pairs


def _alerts(shown: SloShown) -> Samples:
    firing = Counter((each.name, each.severity) for each in shown.alerts if each.ends_at_ns is None)
    for kind in (("SLOBurnRate", "critical"), ("SLOBurnRate", "warning"), ("SLOAbsent", "critical")):
        firing[kind] += 0
    labels = [
        LabelSet([(names.ALERTNAME, name), (names.SEVERITY, severity), (names.STATE, "firing")])
        for name, severity in firing
    ]
    return by_label(names.ALERTS, shown.end_ns, labels, np.array(list(firing.values()), np.int64))


def slos_json(shown: SloShown) -> bytes:
    """How every objective stands, for programs and curious people."""
    return msgspec.json.encode(
        [
            {
                "slo": each.promise.name,
                "service": each.promise.service,
                "objective": each.promise.objective_name,
                "group": each.group,
                "target": each.promise.objective,
                "mode": each.promise.mode,
                "at": shown.end_ns / 1e9,
                "budget_remaining": _finite(each.budget_remaining),
                "exhausted_in_seconds": _finite(each.exhausted_in_s),
                "armed": each.armed,
                "unknown": each.unknown,
                "windows": {
                    format_duration(window.window_ns): {
                        "events": window.events,
                        "error_ratio": _finite(window.error_ratio),
                        "burn_rate": _finite(window.burn_rate),
                    }
                    for window in each.windows
                },
            }
            for each in shown.figures
        ]
    )


def _finite(value: float) -> float | None:
    """JSON has no word for what is not known or never ends."""
    return value if np.isfinite(value) else None
