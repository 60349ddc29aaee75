"""What the judge shows at the end of a pane, as plain values: how objectives stand, and which alerts there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

    from detectors.tiers import Severity
    from flows.slo.farewell import Farewell
    from flows.slo.lines import Objectives
    from flows.slo.promise import Promise


def service_of(promise: Promise, group: str) -> str:
    """The label `service`: a promise for each service has that of its group."""
    is_by_service = promise.group_by is not None and promise.group_by.label == "service_name"
    return group if is_by_service else promise.service


class WindowFigures(NamedTuple):
    """One window of one objective."""

    window_ns: int
    events: int
    error_ratio: float  # NaN: no events
    burn_rate: float


class SloFigures(NamedTuple):
    """One objective, or one value of its `group-by`, as of the end of a pane."""

    promise: Promise
    group: str
    windows: tuple[WindowFigures, ...]
    budget_remaining: float  # 1 is untouched; below 0: overspent
    exhausted_in_s: float  # at the burn of the last hour; inf: never; NaN: unknown
    armed: bool  # all its tiers
    unknown: bool  # the shortest window has no events


class Figures(NamedTuple):
    """All objectives that have one period, as columns; no object per objective and window."""

    of: Objectives  # (n,) promise and group; the same object while nothing is added
    windows_ns: tuple[int, ...]  # (w,) the shortest first
    events: np.ndarray  # (n, w) int64, weighted
    error_ratio: np.ndarray  # (n, w) float64, NaN: no events
    burn_rate: np.ndarray  # (n, w) float64
    budget_remaining: np.ndarray  # (n,) float64
    exhausted_in_s: np.ndarray  # (n,) float64
    armed: np.ndarray  # (n,) bool
    unknown: np.ndarray  # (n,) bool

    def each(self) -> list[SloFigures]:
        """The same one by one, for those who look at a few."""
        columns = (self.events.tolist(), self.error_ratio.tolist(), self.burn_rate.tolist())
        return [
            SloFigures(promise, group, tuple(map(WindowFigures, self.windows_ns, *in_windows)), *rest)
            for (promise, group), in_windows, *rest in zip(
                self.of,
                zip(*columns, strict=True),
                self.budget_remaining.tolist(),
                self.exhausted_in_s.tolist(),
                self.armed.tolist(),
                self.unknown.tolist(),
                strict=True,
            )
        ]


class SloAlert(NamedTuple):
    """One alert that fires or did lately."""

    name: str  # SLOBurnRate, SLOAbsent, SLOBudgetSpent
    promise: Promise
    group: str
    severity: Severity
    spent: int  # of SLOBudgetSpent
    starts_at_ns: int
    ends_at_ns: int | None
    says: dict[str, str]

    @property
    def is_told(self) -> bool:
        """Whether anybody is told of it: not of a promise in shadow, nor of what its policy leaves out."""
        policy = self.promise.policy
        if self.promise.mode != "active" or (self.name == "SLOBurnRate" and not policy.alert_when_breaching):
            return False
        return self.ends_at_ns is None or policy.alert_when_resolved

    @property
    def labels(self) -> dict[str, str]:
        """Which alert it is: what changes from one pane to the next is none of them."""
        promise = self.promise
        labels = {
            **dict(promise.labels),
            "alertname": self.name,
            "severity": self.severity,
            "service": service_of(promise, self.group),
            "slo": promise.name,
        }
        if self.name != "SLOAbsent":
            labels["objective"] = promise.objective_name
        if self.spent:
            labels["spent"] = str(self.spent)
        if self.group:
            labels["group"] = self.group
        return labels


class SloShown(NamedTuple):
    """What the judge shows at the end of a pane."""

    end_ns: int
    banks: tuple[Figures, ...]  # by period
    groupless: tuple[Promise, ...]  # one for each value of a label, of which none came yet
    alerts: list[SloAlert]
    pending: tuple[tuple[str, Severity], ...]  # name and severity of those that wait for their time to fire
    farewells: tuple[Farewell, ...]  # ends of alerts that no promise has any more
    is_last: bool  # of those closed at once: what is shown live

    @property
    def figures(self) -> list[SloFigures]:
        """Every objective, one by one."""
        return [each for bank in self.banks for each in bank.each()]
