"""Posts each alert that begins or ends to a URL: the JSON of `alert_lines.py`, at least once and in order."""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from time import monotonic, time_ns
from typing import TYPE_CHECKING

from exporters.alert_lines import as_line
from exporters.alerts import Transitions
from exporters.endpoint import Client

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporters.alerts import Alert
    from exporters.endpoint import Answer, Endpoint

MOST_WAITING = 10_000
"""Changes that wait while the receiver is away; the oldest are dropped, and counted."""

_FIRST_BACKOFF_SECONDS = 0.5
_LONGEST_BACKOFF_SECONDS = 30.0

logger = logging.getLogger(__name__)


class Webhook:
    """One receiver, told by a thread of its own. `set_alerts` and `counters` may be called from any thread.

    A change is posted until it is taken (2xx). One whose content is refused (400, 413, 422) is dropped and counted,
    or nothing after it would ever arrive. Receivers tell repeats by `id` and `status`.

    Args:
        endpoint: where to post.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.name = endpoint.shown
        self.sent = 0
        self.failed: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter({"webhook_refused": 0, "webhook_overflow": 0})
        self._client = Client(endpoint)
        self._transitions = Transitions()
        self._waiting: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._is_over = False
        self._trouble: str | None = None
        self._thread = threading.Thread(target=self._run, name=f"alerts to {self.name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, seconds: float = 2.0) -> None:
        """End the thread; what still waits is said again by the next run, as far as it still fires."""
        with self._changed:
            self._is_over = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def set_alerts(self, alerts: Sequence[Alert]) -> None:
        """Hand over all alerts there are; one that fired and is missing counts as resolved."""
        with self._changed:
            self._waiting.extend(as_line(each).rstrip() for each in self._transitions.step(alerts, time_ns()))
            while len(self._waiting) > MOST_WAITING:
                self._waiting.popleft()
                self.dropped["webhook_overflow"] += 1
            self._changed.notify()

    def _run(self) -> None:
        backoff = _FIRST_BACKOFF_SECONDS
        try:
            self._client.prepare()
            while (body := self._next()) is not None:
                answer = self._client.post(body)
                if answer.is_taken or answer.is_content:
                    self._settle(body, answer)
                    backoff = _FIRST_BACKOFF_SECONDS
                    continue
                self._note(answer)
                self._pause(min(max(backoff, answer.retry_after_seconds or 0.0), _LONGEST_BACKOFF_SECONDS))
                backoff = min(2 * backoff, _LONGEST_BACKOFF_SECONDS)
        finally:
            self._client.close()

    def _next(self) -> bytes | None:
        """What is to be posted, when there is something; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_over)
            return None if self._is_over else self._waiting[0]

    def _pause(self, seconds: float) -> None:
        until = monotonic() + seconds
        with self._changed:
            while not self._is_over and (left := until - monotonic()) > 0:
                self._changed.wait(left)  # a new change ends the wait, not the pause

    def _settle(self, body: bytes, answer: Answer) -> None:
        with self._changed:
            if self._waiting and self._waiting[0] is body:  # else it was dropped meanwhile
                self._waiting.popleft()
            if answer.is_taken:
                self.sent += 1
            else:
                self.failed["bad_alert"] += 1
                self.dropped["webhook_refused"] += 1
        if not answer.is_taken:
            logger.error("the webhook %s refuses an alert, it is dropped: %s", self.name, answer.detail)
        elif self._trouble is not None:
            self._trouble = None
            logger.info("the webhook %s takes alerts again", self.name)

    def _note(self, answer: Answer) -> None:
        assert answer.reason is not None
        self.failed[answer.reason] += 1
        if self._trouble != answer.reason:
            self._trouble = answer.reason
            logger.warning("the webhook %s does not take alerts, they wait: %s", self.name, answer.detail)
