"""What the judge of promises shows → samples under the exporters' names."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from exporters import names
from exporters.labels import LabelSet
from exporters.samples import Samples, by_label
from exporters.status import SloStatus, WindowStatus
from flows.publish import alert_samples
from flows.units import format_duration

if TYPE_CHECKING:
    from detectors.tiers import Severity
    from flows.slo.lines import Objectives
    from flows.slo.promise import Promise
    from flows.slo.shown import Figures, SloShown

_ALWAYS: tuple[tuple[str, Severity, str], ...] = (
    ("SLOBurnRate", "critical", "firing"),
    ("SLOBurnRate", "critical", "pending"),
    ("SLOBurnRate", "warning", "firing"),
    ("SLOBurnRate", "warning", "pending"),
    ("SLOAbsent", "critical", "firing"),
)
"""Counts that are shown when they are 0, too; only a tier may wait."""


def slo_samples(shown: SloShown) -> list[Samples]:
    """The gauges of every objective, and how many alerts fire or are pending."""
    blocks = [block for bank in shown.banks for block in _objectives(bank, shown.end_ns)]
    if shown.groupless:
        labels = [LabelSet(_identity(promise, "")) for promise in shown.groupless]
        blocks.append(by_label(names.SLO_UNKNOWN, shown.end_ns, labels, np.ones(len(labels), np.bool_)))
    firing = [(each.name, each.severity) for each in shown.alerts if each.ends_at_ns is None]
    return [*blocks, alert_samples(shown.end_ns, firing, shown.pending, _ALWAYS)]


def _objectives(bank: Figures, end_ns: int) -> list[Samples]:
    labels, objectives = _unchanging(bank.of)
    windows = tuple(((names.WINDOW, format_duration(window_ns)),) for window_ns in bank.windows_ns)
    return [
        Samples(names.SLO_ERROR_RATIO, end_ns, labels, bank.error_ratio, windows),
        Samples(names.SLO_BURN_RATE, end_ns, labels, bank.burn_rate, windows),
        Samples(names.SLO_EVENTS, end_ns, labels, bank.events, windows),
        by_label(names.SLO_OBJECTIVE, end_ns, labels, objectives),
        by_label(names.SLO_BUDGET_REMAINING, end_ns, labels, bank.budget_remaining),
        by_label(names.SLO_EXHAUSTION, end_ns, labels, bank.exhausted_in_s),
        by_label(names.SLO_ARMED, end_ns, labels, bank.armed),
        by_label(names.SLO_UNKNOWN, end_ns, labels, bank.unknown),
    ]


# A bank's objectives are one object until one is added; pages know label sets that they have met.
@lru_cache(maxsize=64)
def _unchanging(of: Objectives) -> tuple[tuple[LabelSet, ...], np.ndarray]:
    """Labels and targets of a bank's objectives."""
    labels = tuple(LabelSet(_identity(promise, group)) for promise, group in of)
    return labels, np.array([promise.objective for promise, _ in of])


def _identity(promise: Promise, group: str) -> list[tuple[str, str]]:
    pairs = [(names.SLO, promise.name), (names.SERVICE, promise.service), (names.OBJECTIVE, promise.objective_name)]
    return [*pairs, (names.GROUP, group)] if group else pairs


def slos_json(shown: SloShown) -> bytes:
    """How every objective stands, for programs and curious people."""
    return msgspec.json.encode(
        [
            SloStatus(
                slo=each.promise.name,
                service=each.promise.service,
                objective=each.promise.objective_name,
                group=each.group,
                target=each.promise.objective,
                mode=each.promise.mode,
                at=shown.end_ns / 1e9,
                budget_remaining=_finite(each.budget_remaining),
                exhausted_in_seconds=_finite(each.exhausted_in_s),
                armed=each.armed,
                unknown=each.unknown,
                windows={
                    format_duration(window.window_ns): WindowStatus(
                        events=window.events,
                        error_ratio=_finite(window.error_ratio),
                        burn_rate=_finite(window.burn_rate),
                    )
                    for window in each.windows
                },
            )
            for each in shown.figures
        ]
    )


def _finite(value: float) -> float | None:
    """JSON has no word for what is not known or never ends."""
    return value if np.isfinite(value) else None
