"""What the alerts of anomalies show at the end of a step, as plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from detectors.tiers import Severity
    from flows.anomalies.strange import Strange

ALERTNAME = "Anomaly"
SEVERITY: Severity = "warning"


class AnomalyAlert(NamedTuple):
    """One alert that fires or did lately: a service's operations of which one signal is strange."""

    service: str
    signal: str
    starts_at_ns: int
    ends_at_ns: int | None
    concerned: tuple[Strange, ...]  # each operation when it was most extreme, the most extreme first

    @property
    def labels(self) -> dict[str, str]:
        """Which alert it is."""
        return {"alertname": ALERTNAME, "severity": SEVERITY, "service": self.service, "signal": self.signal}


class AnomaliesShown(NamedTuple):
    """What is shown at the end of a step."""

    end_ns: int
    alerts: list[AnomalyAlert]
    pending: tuple[tuple[str, Severity], ...]  # name and severity of those that wait for their time to fire
    thresholds: dict[str, float]  # by rule, the score from which on a series is strange
    is_last: bool  # of those closed at once: what is shown live
