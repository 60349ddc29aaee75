"""Sends alerts to Alertmanagers (API v2), each by a thread of its own, so that a dead one delays none of the others.

    sender = AlertSender([Endpoint(alerts_url("http://127.0.0.1:9093"))])
    sender.start()
    sender.set_alerts(all_there_are_now)   # whenever they change
    sender.touch()                         # often: whoever judges is alive
    sender.stop()

What is due when is `outbox.py`'s; here are threads, batches, and the search for the alert that spoils a batch.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter
from dataclasses import dataclass
from time import monotonic, time_ns
from typing import TYPE_CHECKING, NamedTuple

from exporters.endpoint import REASONS, Answer, Client
from exporters.outbox import Instant, Outbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporters.alerts import Alert
    from exporters.endpoint import Endpoint
    from exporters.outbox import Posting

RESEND_SECONDS = 60.0
KEEP_RESOLVED_SECONDS = 900.0

_BATCH = 64
_TICK_SECONDS = 0.5
_PATH = "/api/v2/alerts"

logger = logging.getLogger(__name__)


def alerts_url(base: str) -> str:
    """Where an Alertmanager takes alerts, by its own URL, path prefix and all.

    >>> alerts_url("https://alerts.example/am/")
    'https://alerts.example/am/api/v2/alerts'
    """
    return base.rstrip("/") + _PATH


class AlertCounters(NamedTuple):
    """What became of alerts so far, counted an alert a sending; every series begins with 0."""

    sent: dict[str, int]  # by Alertmanager
    failed: dict[tuple[str, str], int]  # by Alertmanager and reason
    dropped: dict[str, int]  # by reason: alerts that were given up


@dataclass(frozen=True, slots=True)
class Target:
    """One Alertmanager and how often it is sent what fires."""

    endpoint: Endpoint
    resend_seconds: float = RESEND_SECONDS


class AlertSender:
    """Keeps any number of Alertmanagers told. All methods may be called from any thread, and none waits for a network.

    Hand over alerts only when they are all known: one that fired and is missing counts as resolved. After a restart
    that means: not before the judges have caught up.

    Args:
        targets: where to send.
        keep_seconds: for how long a resolved alert is sent again.
    """

    def __init__(self, targets: Sequence[Target], *, keep_seconds: float = KEEP_RESOLVED_SECONDS) -> None:
        self._lanes = [_Lane(target, keep_seconds) for target in targets]

    def start(self) -> None:
        """Start the threads."""
        for lane in self._lanes:
            lane.thread.start()

    def stop(self, seconds: float = 2.0) -> None:
        """End the threads. What fires stays: it ends by itself unless another run says it again in time."""
        for lane in self._lanes:
            lane.stop()
        until = monotonic() + seconds
        for lane in self._lanes:
            if lane.thread.is_alive():
                lane.thread.join(max(0.0, until - monotonic()))

    def set_alerts(self, alerts: Sequence[Alert]) -> None:
        """Hand over all alerts there are, firing and resolved; the newest state wins. Counts as `touch()`."""
        for lane in self._lanes:
            lane.set_alerts(alerts)

    def touch(self) -> None:
        """Say that those who judge are alive, also where nothing moves: without it, alerts end by themselves."""
        for lane in self._lanes:
            lane.touch()

    def counters(self) -> AlertCounters:
        """What became of alerts so far."""
        dropped: Counter[str] = Counter({"bad_alert": 0, "undelivered": 0})
        for lane in self._lanes:
            dropped.update(lane.dropped())
        return AlertCounters(
            {lane.name: lane.sent for lane in self._lanes},
            {(lane.name, reason): lane.failed[reason] for lane in self._lanes for reason in REASONS},
            dict(dropped),
        )


def _now() -> Instant:
    return Instant(monotonic(), time_ns())


class _Lane:
    """One Alertmanager: its outbox, its thread, its counters."""

    def __init__(self, target: Target, keep_seconds: float) -> None:
        self.name = target.endpoint.shown
        self.sent = 0
        self.failed: Counter[str] = Counter()
        self.thread = threading.Thread(target=self._run, name=f"alerts to {self.name}", daemon=True)
        self._client = Client(target.endpoint)
        self._outbox = Outbox(target.resend_seconds, keep_seconds)
        self._changed = threading.Condition()  # its lock guards the outbox
        self._is_over = False
        self._bad = 0
        self._trouble: str | None = None

    def set_alerts(self, alerts: Sequence[Alert]) -> None:
        with self._changed:
            self._outbox.set(alerts, _now())
            self._changed.notify()

    def touch(self) -> None:
        with self._changed:
            self._outbox.touch(_now())

    def stop(self) -> None:
        with self._changed:
            self._is_over = True
            self._changed.notify()

    def dropped(self) -> dict[str, int]:
        return {"bad_alert": self._bad, "undelivered": self._outbox.undelivered}

    def _run(self) -> None:
        try:
            self._client.prepare()
            while not self._is_over:
                with self._changed:
                    due = self._outbox.due(_now())
                    if not due:
                        self._changed.wait(_TICK_SECONDS)
                        continue
                self._send(due)
        finally:
            self._client.close()

    def _send(self, due: Sequence[Posting]) -> None:
        """Send it in batches, until one fails for another reason than what is in it."""
        rest = _batches(due)
        while rest and not self._is_over:
            batch = rest.pop(0)
            answer = self._post(batch)
            if answer.is_taken:
                self._delivered(batch)
            elif answer.is_content and len(batch) > 1:
                # Alertmanager has stored the good ones, but does not say which are bad: halve until each stands alone.
                middle = len(batch) // 2
                rest[:0] = [batch[:middle], batch[middle:]]
            elif answer.is_content:
                self._refused(batch[0], answer)
            else:
                self._failed(len(batch), answer)
                return

    def _post(self, batch: Sequence[Posting]) -> Answer:
        # Escaped throughout: a lone surrogate has no UTF-8, and one such text must not keep the others back.
        body = json.dumps([posting.as_json() for posting in batch], separators=(",", ":")).encode()
        return self._client.post(body)

    def _delivered(self, batch: Sequence[Posting]) -> None:
        with self._changed:
            self._outbox.delivered(batch, _now())
            self.sent += len(batch)
        if self._trouble is not None:
            self._trouble = None
            logger.info("%s takes alerts again", self.name)

    def _refused(self, posting: Posting, answer: Answer) -> None:
        with self._changed:
            news = self._outbox.refused(posting, _now())
            self.failed["bad_alert"] += 1
            self._bad += news
        if news:
            logger.error("%s refuses the alert %s: %s", self.name, dict(posting.alert.labels), answer.detail)

    def _failed(self, alerts: int, answer: Answer) -> None:
        assert answer.reason is not None
        with self._changed:
            self._outbox.failed(_now(), answer.retry_after_seconds)
            self.failed[answer.reason] += alerts
        if self._trouble != answer.reason:
            self._trouble = answer.reason
            logger.warning("%s does not take alerts, they are sent again: %s", self.name, answer.detail)


def _batches(due: Sequence[Posting]) -> list[Sequence[Posting]]:
    """Batches of those that may go together, and one for each of the others."""
    together = [posting for posting in due if not posting.alone]
    batches: list[Sequence[Posting]] = [together[i : i + _BATCH] for i in range(0, len(together), _BATCH)]
    return [*batches, *([posting] for posting in due if posting.alone)]
