"""An alert as it leaves: labels say which one it is, annotations what there is to say of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Pairs = tuple[tuple[str, str], ...]
"""Names and values, sorted by name."""

_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert, firing or resolved. Made by `alert()`, which sorts.

    Labels are its identity, so no value that changes belongs there: Alertmanager takes another label set for another
    alert and announces it anew.
    """

    labels: Pairs
    annotations: Pairs
    starts_at_ns: int  # Unix ns, event time: the end of the pane that made it fire
    ends_at_ns: int | None = None  # likewise; None while it fires
    generator_url: str = ""

    @property
    def status(self) -> Literal["firing", "resolved"]:
        """Whether it fires."""
        return "firing" if self.ends_at_ns is None else "resolved"

    @property
    def id(self) -> str:
        """32 hexadecimal digits, of labels and start: the same wherever and however often the alert is said.

        >>> checkout = alert({"alertname": "SLOAbsent", "slo": "checkout"}, starts_at_ns=0)
        >>> checkout.id == checkout.resolved(5).id, checkout.id == checkout.with_labels({"env": "prod"}).id
        (True, False)
        """
        text = json.dumps([self.labels, self.starts_at_ns], separators=(",", ":"))
        return blake2b(text.encode(), digest_size=16).hexdigest()

    def resolved(self, at_ns: int) -> Self:
        """The same, over at a time; never before its start."""
        return replace(self, ends_at_ns=max(at_ns, self.starts_at_ns))

    def as_of(self, at_ns: int) -> Self:
        """The same as it was known at an earlier time: firing, if its end was still to come."""
        return self if self.ends_at_ns is None or self.ends_at_ns <= at_ns else replace(self, ends_at_ns=None)

    def with_labels(self, external: Mapping[str, str]) -> Self:
        """The same with more labels (`cluster`, `env`); its own win, as Prometheus has it with `external_labels`."""
        return replace(self, labels=_pairs({**external, **dict(self.labels)}))

    def as_json(self) -> dict[str, Any]:
        """What files and webhooks get: `id, startsAt, endsAt, status, labels, annotations`; `endsAt` null if firing.

        >>> alert({"alertname": "SLOAbsent"}, starts_at_ns=1_500_000_000).as_json()["startsAt"]
        '1970-01-01T00:00:01.5Z'
        """
        return {
            "id": self.id,
            "startsAt": rfc3339(self.starts_at_ns),
            "endsAt": None if self.ends_at_ns is None else rfc3339(self.ends_at_ns),
            "status": self.status,
            "labels": dict(self.labels),
            "annotations": dict(self.annotations),
        }


def alert(
    labels: Mapping[str, str],
    annotations: Mapping[str, str] | None = None,
    *,
    starts_at_ns: int,
    ends_at_ns: int | None = None,
    generator_url: str = "",
) -> Alert:
    """An alert of labels and annotations in any order; empty labels are left out, since they say nothing.

    Args:
        labels: which alert it is; `alertname` among them.
        annotations: what people read; may change from one time to the next.
        starts_at_ns: Unix nanoseconds.
        ends_at_ns: likewise; None while it fires.
        generator_url: a page that says more.
    """
    return Alert(_pairs(labels), tuple(sorted((annotations or {}).items())), starts_at_ns, ends_at_ns, generator_url)


def _pairs(labels: Mapping[str, str]) -> Pairs:
    return tuple(sorted((name, value) for name, value in labels.items() if value))


def rfc3339(at_ns: int) -> str:
    """A time as Alertmanager reads it, in UTC, to the nanosecond.

    >>> rfc3339(1_772_443_800_000_000_000), rfc3339(1)
    ('2026-03-02T09:30:00Z', '1970-01-01T00:00:00.000000001Z')
    """
    seconds, fraction = divmod(at_ns, _SECOND_NS)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}{f'.{fraction:09}'.rstrip('0') if fraction else ''}Z"


def present(alerts: Iterable[Alert]) -> dict[Pairs, Alert]:
    """One alert for each label set: of several the one that fires, else the one that started last."""
    found: dict[Pairs, Alert] = {}
    for each in alerts:
        held = found.get(each.labels)
        if held is None or _rank(each) >= _rank(held):
            found[each.labels] = each
    return found


def _rank(each: Alert) -> tuple[bool, int]:
    return each.ends_at_ns is None, each.starts_at_ns


class Transitions:
    """What began and what ended between one state of all alerts and the next, for those who want to be told once.

    >>> transitions, outage = Transitions(), alert({"alertname": "SLOBurnRate"}, starts_at_ns=10)
    >>> [[each.status for each in transitions.step(alerts, at_ns=20)] for alerts in ([outage], [outage], [])]
    [['firing'], [], ['resolved']]
    """

    def __init__(self) -> None:
        self._known: dict[Pairs, Alert] = {}

    def step(self, alerts: Sequence[Alert], at_ns: int) -> list[Alert]:
        """The alerts that fire, or are resolved, and did not or were not before; changed annotations are no news.

        Args:
            alerts: all there are now. One that fired and is missing counts as resolved.
            at_ns: Unix ns; when those that are missing ended.
        """
        now = present(alerts)
        found: list[Alert] = []
        for labels, known in self._known.items():
            if labels not in now and known.ends_at_ns is None:
                found.append(known.resolved(at_ns))
        for labels, each in now.items():
            before = self._known.get(labels)
            if before is not None and (before.starts_at_ns, before.status) == (each.starts_at_ns, each.status):
                continue
            if before is not None and before.ends_at_ns is None and before.starts_at_ns != each.starts_at_ns:
                found.append(before.resolved(min(at_ns, each.starts_at_ns)))  # its end was never shown
            found.append(each)
        self._known = now
        return found
