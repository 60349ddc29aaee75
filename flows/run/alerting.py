"""Alerts of a live run: taken from the judges, sent by the wall clock for as long as the workers live."""

from __future__ import annotations

from collections import deque
from itertools import chain
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from exporters import names
from exporters.alert_lines import AlertLines
from exporters.alertmanager import AlertSender
from exporters.alerts import Alert, alert
from exporters.labels import LabelSet
from exporters.samples import Samples, by_label
from exporters.status import AlertStatus, SloStatus
from exporters.webhook import Webhook
from flows import log
from flows.config.alerting import targets, webhook_endpoints
from flows.run.unmatched import Unmatched

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flows.config import Config
    from flows.run.link import Report
    from flows.slo.promise import Promise

_log = log.get("slos")

LATE_SHARE = 0.01
"""More late spans than this share of a source's, over the last minutes, raise `LateData`."""

_OVER_SECONDS = 600.0
_LOOK_SECONDS = 5.0
_FEWEST_LATE = 100
_STANDS_SECONDS = 120.0
"""How long the watermark may stand before the dead-man alert stops."""


class _Look(NamedTuple):
    """What the workers had counted at a moment."""

    at: float  # monotonic
    spans: dict[str, int]  # by source
    late: dict[str, int]
    overflow: dict[str, int]  # by service


class Alerting:
    """Keeps everyone told who is configured to be.

    Args:
        config: the settings.
        lines: a file for JSON lines, None for none.
        promises: of the SLOs.
    """

    def __init__(self, config: Config, lines: Path | None = None, promises: Sequence[Promise] = ()) -> None:
        self._external = config.external_labels
        self._sender = AlertSender(targets(config.alertmanagers))
        self._webhooks = [Webhook(endpoint) for endpoint in webhook_endpoints(config.webhooks)]
        self._lines = AlertLines(lines) if lines is not None else None
        self._judged: dict[str, list[Alert]] = {}  # by judge
        self._looks: deque[_Look] = deque()
        self._since: dict[tuple[str, ...], int] = {}  # own alerts: when they began, Unix ns
        self._watermark = (-1, monotonic())
        self._slos = b"[]"
        self._all: list[Alert] = []
        self._unmatched = Unmatched(promises)

    def start(self) -> None:
        """Start the threads that send."""
        self._sender.start()
        for webhook in self._webhooks:
            webhook.start()

    def stop(self) -> None:
        """End them; what fires ends by itself unless another run says it again in time."""
        self._sender.stop()
        for webhook in self._webhooks:
            webhook.stop()
        if self._lines is not None:
            self._lines.close()

    # What comes in

    def take(self, message: bytes, *, is_open: bool) -> None:
        """What a judge says, of a worker: all alerts that it has.

        While the gate is shut nothing is sent: only the state at its end is news.
        """
        judge, alerts = msgspec.msgpack.decode(message, type=tuple[str, list[Alert]])
        self._judged[judge] = [each.with_labels(self._external) for each in alerts]
        if is_open:
            self._send()

    def take_slos(self, document: bytes) -> None:
        """How the objectives stand (JSON)."""
        self._slos = document

    def look(self, reports: Sequence[Report], *, is_open: bool) -> None:
        """Once in a while: the workers live, and this is what they have counted."""
        now = monotonic()
        watermark = min((report.watermark_ns for report in reports if report.n_shards), default=-1)
        if watermark != self._watermark[0]:
            self._watermark = watermark, now
        if not is_open:
            return
        self._sender.touch()
        if self._looks and now - self._looks[-1].at < _LOOK_SECONDS:
            return
        for promise in self._unmatched.due(now, self.slos):
            _log.warning(
                "an SLO matches nothing: no span was counted for it", slo=promise.name, service=promise.service
            )
        self._looks.append(_looked(reports, now))
        while now - self._looks[0].at > _OVER_SECONDS:
            self._looks.popleft()
        self._send()

    def _send(self) -> None:
        self._all = [*chain(*self._judged.values()), *self._own()]
        self._sender.set_alerts(self._all)
        for webhook in self._webhooks:
            webhook.set_alerts(self._all)
        if self._lines is not None:
            self._lines.set_alerts(self._all, time_ns())

    # Our own

    def _own(self) -> list[Alert]:
        """Alerts about the run itself."""
        found: dict[tuple[str, ...], tuple[dict[str, str], str]] = {}
        if monotonic() - self._watermark[1] < _STANDS_SECONDS and self._watermark[0] >= 0:
            labels = {"alertname": "StreamgaugeAlive", "severity": "info", "service": "streamgauge"}
            found["alive",] = labels, "streamgauge is alive and its watermark advances"
        if self._looks:
            first, last = self._looks[0], self._looks[-1]
            for source, spans in last.spans.items():
                late = last.late.get(source, 0) - first.late.get(source, 0)
                total = spans - first.spans.get(source, 0)
                if late >= _FEWEST_LATE and late > LATE_SHARE * total:
                    labels = {"alertname": "LateData", "severity": "warning", "source": source}
                    summary = f"{late / max(total, 1):.1%} of the spans of {source} come late and are in no window"
                    found["late", source] = {**labels, "service": "streamgauge"}, summary
            for service, spans in last.overflow.items():
                if spans > first.overflow.get(service, spans):
                    labels = {"alertname": "SeriesOverflow", "severity": "warning", "service": service}
                    summary = f"{service} has more series than its budget; the rest is counted together"
                    found["overflow", service] = labels, summary
        self._since = {key: self._since.get(key, time_ns()) for key in found}
        return [
            alert(labels, {"summary": summary}, starts_at_ns=self._since[key]).with_labels(self._external)
            for key, (labels, summary) in found.items()
        ]

    # What is shown

    def alerts_json(self) -> bytes:
        """All alerts, as files and webhooks get them."""
        return msgspec.json.encode([each.as_json() for each in self._all])

    def slos_json(self) -> bytes:
        """How the objectives stand."""
        return self._slos

    def slos(self) -> list[SloStatus]:
        """The same, for the status."""
        return msgspec.json.decode(self._slos, type=list[SloStatus])

    def alerts(self) -> list[AlertStatus]:
        """All alerts, for the status."""
        return [
            AlertStatus(
                status=each.status,
                starts_seconds=each.starts_at_ns / 1e9,
                ends_seconds=None if each.ends_at_ns is None else each.ends_at_ns / 1e9,
                labels=dict(each.labels),
                annotations=dict(each.annotations),
            )
            for each in self._all
        ]

    def samples(self, at_ns: int) -> list[Samples]:
        """What became of alerts."""
        counters = self._sender.counters()
        if not counters.sent:
            return []
        return [
            _counted(names.ALERTS_SENT, at_ns, {(("alertmanager", k),): v for k, v in counters.sent.items()}),
            _counted(
                names.ALERTS_FAILED,
                at_ns,
                {(("alertmanager", name), ("reason", why)): v for (name, why), v in counters.failed.items()},
            ),
            _counted(names.ALERTS_DROPPED, at_ns, {(("reason", k),): v for k, v in counters.dropped.items()}),
        ]


def _counted(family: names.Family, at_ns: int, values: dict[Any, int]) -> Samples:
    return by_label(family, at_ns, [LabelSet(pairs) for pairs in values], np.array(list(values.values()), np.int64))


def _looked(reports: Sequence[Report], now: float) -> _Look:
    look = _Look(now, {}, {}, {})
    for report in reports:
        for source, tally in report.tallies.items():
            look.spans[source] = look.spans.get(source, 0) + tally.get("spans/", 0)
            look.late[source] = look.late.get(source, 0) + tally.get("late/out_of_order", 0)
        for service, spans in report.overflow.items():
            look.overflow[service] = look.overflow.get(service, 0) + spans
    return look
