"""What one Alertmanager is due, and when: the rules of re-sending, without a clock and without a network.

Alertmanager's API v2 is level-triggered: an alert fires while it is sent again before its `endsAt`, and is announced as
resolved when it is not. So a firing alert is sent every `resend` with `endsAt = now + 4 x resend`, and a resolved one
for 15 minutes with an `endsAt` that stays (Prometheus, "Sending alerts", does the same).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from exporters.alerts import present, rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporters.alerts import Alert, Pairs

LIFETIMES = 4
"""A firing alert lives for this many intervals of re-sending: three sendings may fail, and nobody is told it ended."""

_FIRST_BACKOFF_SECONDS = 0.5
_LONGEST_BACKOFF_SECONDS = 15.0
_TOGETHER = 0.1  # of the interval: what is due so soon goes along, or alerts of different times would each cost a POST


class Instant(NamedTuple):
    """A moment by two clocks: one that only goes forward, for intervals, and the one that the others have."""

    seconds: float  # monotonic
    unix_ns: int


class Posting(NamedTuple):
    """One alert as it is to be sent now."""

    alert: Alert
    ends_at_ns: int
    alone: bool  # it was refused before, and must not take others with it

    def as_json(self) -> dict[str, Any]:
        """As API v2 takes it (`postableAlert`)."""
        found: dict[str, Any] = {
            "labels": dict(self.alert.labels),
            "annotations": dict(self.alert.annotations),
            "startsAt": rfc3339(self.alert.starts_at_ns),
            "endsAt": rfc3339(self.ends_at_ns),
        }
        return {**found, "generatorURL": self.alert.generator_url} if self.alert.generator_url else found


@dataclass(slots=True)
class _Entry:
    alert: Alert
    due: float
    ends_at_ns: int = 0  # of a resolved one
    until: float = float("inf")  # when a resolved one has been said long enough
    is_delivered: bool = False
    is_suspect: bool = False

    @property
    def fires(self) -> bool:
        return self.alert.ends_at_ns is None


class Outbox:
    """The alerts of one receiver.

    Args:
        resend_seconds: how often a firing alert is sent again.
        keep_seconds: for how long a resolved one is.
    """

    def __init__(self, resend_seconds: float = 60.0, keep_seconds: float = 900.0) -> None:
        self._resend = resend_seconds
        self._keep = keep_seconds
        self._entries: dict[Pairs, _Entry] = {}
        self._done: dict[Pairs, int] = {}  # starts of resolved ones that were said long enough, while still handed in
        self._alive_until = float("-inf")
        self._retry_at = float("-inf")
        self._backoff = _FIRST_BACKOFF_SECONDS
        self.undelivered = 0
        """Alerts whose end nobody could be told in all the time that it was worth telling."""

    def touch(self, at: Instant) -> None:
        """Note that those who judge are alive.

        Firing alerts are sent for one more interval, then end by themselves.
        """
        self._alive_until = at.seconds + self._resend

    def set(self, alerts: Sequence[Alert], at: Instant) -> None:
        """Take the state of all alerts; what is new or changed is due at once.

        One that fired and is missing counts as resolved.
        """
        self.touch(at)
        now = present(alerts)
        self._done = {
            labels: start for labels, start in self._done.items() if labels in now and now[labels].starts_at_ns == start
        }
        for labels, entry in self._entries.items():
            if entry.fires and labels not in now:
                now[labels] = entry.alert.resolved(at.unix_ns)
        for labels, alert in now.items():
            self._take(labels, alert, at)

    def _take(self, labels: Pairs, alert: Alert, at: Instant) -> None:
        before = self._entries.get(labels)
        if before is not None and before.alert == alert:
            return
        entry = _Entry(alert, at.seconds, is_suspect=before is not None and before.is_suspect)
        if not entry.fires:
            if self._done.get(labels) == alert.starts_at_ns:
                return
            if before is not None and not before.fires and before.alert.starts_at_ns == alert.starts_at_ns:
                return  # its end was fixed when it was first seen
            entry.ends_at_ns = max(at.unix_ns, alert.starts_at_ns)
            entry.until = at.seconds + self._keep
        self._entries[labels] = entry

    def due(self, at: Instant) -> list[Posting]:
        """What is to be sent now, what was never delivered first."""
        for labels, entry in list(self._entries.items()):
            if entry.until <= at.seconds:
                self._done[labels] = entry.alert.starts_at_ns
                self.undelivered += not entry.is_delivered
                del self._entries[labels]
        if at.seconds < self._retry_at:
            return []
        alive = at.seconds <= self._alive_until
        live = [entry for entry in self._entries.values() if alive or not entry.fires]
        if not any(entry.due <= at.seconds for entry in live):
            return []
        soon = [entry for entry in live if entry.due <= at.seconds + _TOGETHER * self._resend]
        soon.sort(key=lambda entry: (entry.is_suspect, entry.is_delivered))
        return [Posting(entry.alert, self._ends(entry, at), entry.is_suspect) for entry in soon]

    def _ends(self, entry: _Entry, at: Instant) -> int:
        if not entry.fires:
            return entry.ends_at_ns
        # An event time ahead of this machine's clock: an end before the start would be refused.
        return max(at.unix_ns, entry.alert.starts_at_ns) + round(LIFETIMES * self._resend * 1e9)

    def delivered(self, postings: Sequence[Posting], at: Instant) -> None:
        """Note what the receiver took."""
        self._retry_at, self._backoff = float("-inf"), _FIRST_BACKOFF_SECONDS
        for entry in self._still(postings):
            entry.due, entry.is_delivered, entry.is_suspect = at.seconds + self._resend, True, False

    def refused(self, posting: Posting, at: Instant) -> bool:
        """Note that the receiver does not want this very alert; whether that is news.

        It is tried again with every re-sending, by itself: a proxy that is set up wrongly refuses good alerts too.
        """
        news = False
        for entry in self._still([posting]):
            news = not entry.is_suspect
            entry.due, entry.is_suspect = at.seconds + self._resend, True
        return news

    def failed(self, at: Instant, retry_after_seconds: float | None = None) -> None:
        """Note that the receiver could not be asked, or is busy: nothing is due for a while, twice as long each time.

        Args:
            at: now.
            retry_after_seconds: what it asked for; a longer time than our longest is not granted.
        """
        wait = max(self._backoff, retry_after_seconds or 0.0)
        self._retry_at = at.seconds + min(wait, _LONGEST_BACKOFF_SECONDS)
        self._backoff = min(2 * self._backoff, _LONGEST_BACKOFF_SECONDS)

    def _still(self, postings: Sequence[Posting]) -> list[_Entry]:
        """The entries that are as they were when these were handed out: what changed since is due by itself."""
        found = (self._entries.get(posting.alert.labels) for posting in postings)
        return [
            entry
            for entry, posting in zip(found, postings, strict=True)
            if entry is not None and entry.alert is posting.alert
        ]
