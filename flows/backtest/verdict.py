"""Alerts against faults, rule by rule and part by part."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from detectors.recall import Figures, Marks, credited, figures
from detectors.spells import contains

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exporters.alerts import Alert
    from flows.backtest.stretch import Part, Stretch

APART_NS = 1_800 * 10**9
"""Alerts less than this apart are one episode."""

_NAMING = ("slo", "objective", "spent", "signal")
"""Labels that say which rule an alert is of, besides its name and severity."""

ALL = "all of them"


class Rule(NamedTuple):
    """What raised an alert."""

    alertname: str
    severity: str
    of: str  # an SLO and its objective, or a signal
    threshold: float | None = None  # the score from which on it alerts, where that is all there is to it

    @classmethod
    def of_alert(cls, alert: Alert) -> Rule:
        """By its labels."""
        labels = dict(alert.labels)
        return cls(labels["alertname"], labels["severity"], " ".join(labels[key] for key in _NAMING if key in labels))

    @property
    def text(self) -> str:
        """As people name it.

        >>> Rule("SLOBurnRate", "critical", "open-proposal 0.999").text
        'SLOBurnRate critical: open-proposal 0.999'
        >>> Rule("AnomalyScore", "warning", "default p95", 0.513).text
        'AnomalyScore warning: default p95 ≥ 0.513'
        """
        return f"{self.kind}: {self.of}" + ("" if self.threshold is None else f" ≥ {self.threshold:g}")

    @property
    def kind(self) -> str:
        """What it has in common with others."""
        return f"{self.alertname} {self.severity}"


class Raised(NamedTuple):
    """What was raised, or would be."""

    rule: Rule
    begin_ns: int
    end_ns: int | None  # None: it fires on
    service: str

    @classmethod
    def of_alert(cls, alert: Alert) -> Raised:
        """An alert of a replay."""
        return cls(Rule.of_alert(alert), alert.starts_at_ns, alert.ends_at_ns, dict(alert.labels)["service"])

    def until_ns(self, last_ns: int) -> int:
        """When it ended; what fires on does so to the recording's end."""
        return max(last_ns, self.begin_ns) if self.end_ns is None else self.end_ns


class Seen(NamedTuple):
    """A fault, and the first alert that belongs to it."""

    delay_ns: int
    rule: Rule
    service: str


class Verdict(NamedTuple):
    """What alerts made of a recording."""

    figures: dict[Rule, list[Figures]]  # of each part
    seen: list[Seen | None]  # of each fault
    in_gaps: int  # alerts that began where nothing was recorded; they count nowhere


def verdict(stretch: Stretch, alerts: Sequence[Raised], aftermath_ns: int) -> Verdict:
    """Compare alerts with faults.

    Args:
        stretch: the recording's time.
        alerts: what was raised in it.
        aftermath_ns: how long after its end a fault may still be why.
    """
    begins = np.array([each.begin_ns for each in alerts], np.int64)
    in_gaps = contains(stretch.gaps, begins)
    alerts = [each for each, lost in zip(alerts, in_gaps.tolist(), strict=True) if not lost]
    found = {
        rule: [_figures(stretch, part, raised, aftermath_ns) for part in stretch.parts]
        for rule, raised in _by_rule(alerts).items()
    }
    return Verdict(found, list(_first_seen(stretch, alerts, aftermath_ns)), int(in_gaps.sum()))


def _by_rule(alerts: Sequence[Raised]) -> dict[Rule, list[Raised]]:
    """Alerts of each rule, and of all rules of a name and severity where there are several."""
    found: dict[Rule, list[Raised]] = {}
    for each in alerts:
        found.setdefault(each.rule, []).append(each)
    together: dict[Rule, list[list[Raised]]] = {}
    for rule, own in found.items():
        together.setdefault(rule._replace(of=ALL, threshold=None), []).append(own)
    found |= {rule: list(chain(*several)) for rule, several in together.items() if len(several) > 1}
    return {rule: found[rule] for rule in sorted(found, key=lambda rule: (rule[:2], rule.of == ALL, rule.of))}


def _figures(stretch: Stretch, part: Part, alerts: Sequence[Raised], aftermath_ns: int) -> Figures:
    numbers: dict[str, int] = {}
    fired = [(each.begin_ns, each.until_ns(stretch.last_ns), each.service) for each in alerts]
    raised, faults = _marks(fired, numbers), _marks([(f.at_ns, f.until_ns, f.service) for f in stretch.faults], numbers)
    counted, ordinary = stretch.counted_in(part), stretch.ordinary_in(part)
    return figures(raised, faults, counted, ordinary, aftermath_ns, APART_NS)


def _marks(rows: Sequence[tuple[int, int, str]], numbers: dict[str, int]) -> Marks:
    """As arrays; a service gets a number when it is first met."""
    numbered = [(begin, end, numbers.setdefault(service, len(numbers))) for begin, end, service in rows]
    columns = np.array(numbered, np.int64).reshape(-1, 3)
    return Marks(columns[:, :2], columns[:, 2])


def _first_seen(stretch: Stretch, alerts: Sequence[Raised], aftermath_ns: int) -> Iterable[Seen | None]:
    """Of each fault."""
    begins = np.array([each.begin_ns for each in alerts], np.int64)
    spells = np.array([each[:2] for each in stretch.faults], np.int64).reshape(-1, 2)
    for fault, mine in zip(stretch.faults, credited(begins, spells, aftermath_ns).T, strict=True):
        own = [alerts[i] for i in np.flatnonzero(mine).tolist()]
        first = min(own, key=lambda each: each.begin_ns, default=None)
        yield None if first is None else Seen(first.begin_ns - fault.at_ns, first.rule, first.service)
