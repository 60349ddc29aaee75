"""Anomaly steps that are told minutes, shard by shard, as windows would tell them: days of event time in seconds."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from flows.anomalies.choose import Chooser
from flows.anomalies.rules import AnomalyRule, AnomalyRules
from flows.anomalies.score import Scorer
from flows.anomalies.steps import MinutesPart, deal_steps, tell_minutes
from flows.decode.batch import WEIGHT_ONE
from flows.series import OVERFLOW, SHARDS, OperationLabels, shard_key, shard_of
from flows.slo.selector import Selector
from flows.window_samples import WindowSamples, WindowsShown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.anomalies.scored import Scored
    from flows.slo.exclusions import Exclusion

MINUTE_NS = 60 * 10**9
BEGIN = 1_772_323_200 // 60  # midnight, UTC; panes are minutes
EVERYTHING = Selector("spans", ())
QUANTILES = (500_000, 950_000)


class Called(NamedTuple):
    """An operation in a minute."""

    calls: int
    errors: int = 0
    p95: float = 0.1


Minute = dict[str, Called]
"""What was called, by `service operation`."""


def rule(name: str = "all", **other) -> AnomalyRule:
    """A rule over everything."""
    whole = {
        "name": name,
        "selector": EVERYTHING,
        "signals": ("p95", "rate", "error_ratio"),
        "step": 1,
        "series": 3_000,
        "remembered": 6_000,
        "remember": 15 * 1_440,
        "zone": "UTC",
        "accept_ns": 4 * 60 * MINUTE_NS,
        **other,
    }
    return AnomalyRule(**whole)


def labels(text: str) -> OperationLabels:
    """`web get` as labels."""
    service, operation = text.split()
    return OperationLabels(service, operation, 2, ())


class Feed:
    """Both steps, told in order.

    Args:
        rules: what is scored.
        exclusions: maintenance.
        begin: pane in which the stream begins.
    """

    def __init__(self, *rules: AnomalyRule, exclusions: Sequence[Exclusion] = (), begin: int = BEGIN) -> None:
        self.rules = AnomalyRules(rules or (rule(),), MINUTE_NS, 1, QUANTILES, exclusions=tuple(exclusions))
        self.chooser = Chooser(self.rules)
        self.scorers: dict[str, Scorer] = {}
        self.begin = self.pane = begin
        self.told: list[Scored] = []
        self.found: dict[tuple[str, str], dict[int, dict[str, float]]] = defaultdict(dict)
        self._past: dict[str, list[Minute]] = defaultdict(list)  # by shard's key, a minute each
        self._operations: dict[str, list[str]] = defaultdict(list)

    def restart(self, *rules: AnomalyRule) -> None:
        """A crash; rules may be edited meanwhile."""
        if rules:
            self.rules = AnomalyRules(rules, MINUTE_NS, 1, QUANTILES)
        self.chooser = Chooser.restore(self.rules, self.chooser.snapshot())
        self.scorers = {key: Scorer.restore(self.rules, scorer.snapshot()) for key, scorer in self.scorers.items()}

    def minutes(self, *minutes: Minute) -> None:
        """Minute after minute, told by all shards."""
        for minute in minutes:
            self.hear([part for key in keys() for part in self.parts(key, [minute])])
            self.pane += 1

    def parts(self, key: str, minutes: Sequence[Minute], done: bool = False) -> list[MinutesPart]:
        """What a shard tells that closes these minutes at once, after all that it told before."""
        since = self.begin + len(self._past[key]) if self._past[key] else -1
        judged = []
        for minute in minutes:
            mine = {text: called for text, called in minute.items() if shard_key(shard_of(text.split()[0])) == key}
            self._operations[key] += [text for text in mine if text not in self._operations[key]]
            self._past[key].append(mine)
            end = self.begin + len(self._past[key])
            due = [window for window in self.rules.windows if end % window == 0 and self._operations[key]]
            judged += [self._window(key, end, window) for window in due]
        upto = self.begin + len(self._past[key])
        shown = WindowsShown(key, since, upto, self.begin, done, [], judged)
        return [part for _, part in tell_minutes(self.rules)((key, shown))]

    def _window(self, key: str, end: int, window: int) -> WindowSamples:
        past = self._past[key][-window:]
        found = [[each.get(text, Called(0)) for each in past] for text in self._operations[key]]
        calls = np.array([sum(each.calls for each in of) for of in found], np.int64) * WEIGHT_ONE
        errors = np.array([sum(each.errors for each in of) for of in found], np.int64) * WEIGHT_ONE
        p95 = np.array([max((each.p95 for each in of if each.calls), default=np.nan) for of in found])
        quantiles = np.column_stack((p95 / 2, p95))
        names = [labels(text) for text in self._operations[key]]
        return WindowSamples(end, window, True, names, calls, errors, quantiles, key)

    def hear(self, parts: list[MinutesPart]) -> None:
        """Tell both steps."""
        for chosen in self.chooser.hear(parts):
            key, step = deal_steps(("anomalies", chosen))
            if key not in self.scorers:
                self.scorers[key] = Scorer(self.rules)
            for scored in self.scorers[key].hear([step]):
                self._keep(scored)

    def _keep(self, scored: Scored) -> None:
        self.told.append(scored)
        columns = ("value", "score", "expected", "lower", "upper", "calls", "memory_ns", "why", "excluded")
        for i, series in enumerate(scored.series):
            name = f"{series.operation.service} {series.operation.span_name}", series.signal
            end = scored.end_ns // MINUTE_NS
            assert end not in self.found[name], "a step was told twice"
            self.found[name][end] = {column: getattr(scored, column)[i].item() for column in columns}

    def of(self, operation: str, signal: str, what: str = "value") -> dict[int, float]:
        """One column of a series by the minutes since the stream began, at the end of each."""
        return {end - self.begin: found[what] for end, found in self.found[operation, signal].items()}

    @property
    def scored(self) -> set[str]:
        """Operations that are scored in the last step."""
        last = max((end for found in self.found.values() for end in found), default=-1)
        return {name for (name, _), found in self.found.items() if last in found}


def keys() -> list[str]:
    """Of all shards, and of what gathers the others."""
    return [*(shard_key(shard) for shard in range(SHARDS)), OVERFLOW]
