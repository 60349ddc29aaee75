"""The step that scores: values of a step → scores and bands, by detectors that remember each series. Sixteen keys."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import zstandard

from detectors.anomaly import PRESETS, AnomalyBank, AnomalySettings
from detectors.anomaly_state import State
from flows.anomalies.scored import Scored, ScoredSeries
from flows.anomalies.steps import SCORE_KEYS
from flows.series import OperationLabels
from flows.snapshot import SnapshotError, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flows.anomalies.past import Past
    from flows.anomalies.rules import AnomalyRule, AnomalyRules
    from flows.anomalies.steps import Chosen, RuleStep

_VERSION = 1
_QUICKLY = -5
_PRESETS = {
    "p50": PRESETS["latency"],
    "p95": PRESETS["latency"],
    "rate": PRESETS["traffic"],
    "error_ratio": PRESETS["errors"],
}


def settings_of(rule: AnomalyRule, signal: str, pane_ns: int) -> AnomalySettings:
    """The settings of the detector of a signal."""
    preset, accept = _PRESETS[signal], rule.accept_ns / 1e9
    patience = max(preset.patience, 2 * accept)  # longer than what it takes to accept a level
    return replace(preset, step=rule.step * pane_ns / 1e9, zone=rule.zone, accept=accept, patience=patience)


class Scorer:
    """The detectors of one key.

    Args:
        rules: what is scored, and how.
    """

    def __init__(self, rules: AnomalyRules) -> None:
        self.rules = rules
        self.last: dict[str, Scored] = {}
        """What each rule said last, unless it was edited since."""
        self._desks = {rule.name: _Desk(rule, rules.pane_ns, rules.pasts.get(rule.name)) for rule in rules.rules}

    def hear(self, steps: list[Chosen]) -> list[Scored]:
        """Score the steps, in order."""
        told = [self._score(step) for step in steps]
        newest = {rule: scored for scored in told for rule in scored.rules}
        self.last |= {rule: scored.of_rule(rule) for rule, scored in newest.items()}
        return told

    def _score(self, chosen: Chosen) -> Scored:
        found = [self._desks[step.rule].score(step, chosen.end_ns) for step in chosen.rules]
        columns = [np.concatenate(each) for each in zip(*(each.columns for each in found), strict=True)]
        series = found[0].series if len(found) == 1 else [each for of_rule in found for each in of_rule.series]
        rules = [step.rule for step in chosen.rules]
        return Scored(chosen.key, SCORE_KEYS, chosen.end_ns, chosen.done, rules, series, *columns)

    # State

    def snapshot(self) -> bytes:
        """The whole state as versioned bytes."""
        return pack(
            "scores",
            _VERSION,
            {
                "dimensions": list(self.rules.dimensions),
                "last": [each.plain() for each in self.last.values()],
                "desks": {name: desk.snapshot() for name, desk in self._desks.items()},
            },
        )

    @classmethod
    def restore(cls, rules: AnomalyRules, data: bytes) -> Scorer:
        """The step that `snapshot` wrote down; rules may be others: those that have the same name and step go on.

        Raises:
            SnapshotError: bytes of something else, or of a version this release does not read.
        """
        fields = unpack(data, "scores", _VERSION)
        scorer = cls(rules)
        if fields["dimensions"] == list(rules.dimensions):
            for name, desk in scorer._desks.items():
                desk.restore(fields["desks"].get(name))
            scorer._recall(map(Scored.of, fields["last"]))
        return scorer

    def _recall(self, said: Iterable[Scored]) -> None:
        known = {(rule.name, signal) for rule in self.rules.rules for signal in rule.signals}
        for each in said:
            if {(one.rule, one.signal) for one in each.series} <= known:
                self.last[each.rules[0]] = each


class _Found(NamedTuple):
    """What one rule found in a step."""

    series: list[ScoredSeries]  # (n,)
    columns: tuple[np.ndarray, ...]  # (n,) each, as `Scored` has them


class _Desk:
    """The detectors of one rule: a bank for each signal, all with the same rows."""

    def __init__(self, rule: AnomalyRule, pane_ns: int, past: Past | None) -> None:
        self._rule = rule
        self._past = past
        self._step_ns = rule.step * pane_ns
        self._remember_ns = rule.remember * pane_ns
        self._operations: list[OperationLabels] = []  # (n_rows,)
        self._rows: dict[OperationLabels, int] = {}
        self._scored_ns = np.zeros(0, np.int64)  # (n_rows,) when each was scored last
        self._banks = {signal: AnomalyBank(settings_of(rule, signal, pane_ns), 0) for signal in rule.signals}
        self._series: tuple[list[OperationLabels], list[ScoredSeries]] = [], []

    def score(self, step: RuleStep, end_ns: int) -> _Found:
        """Score what a step has of the rule, and learn it."""
        self._forget(set(step.forgotten), end_ns)
        rows = self._find(step.operations, end_ns)
        self._scored_ns[rows] = end_ns
        judged = [self._judge(i, rows, step, end_ns) for i in range(len(self._rule.signals))]
        *figures, memory_ns, why = (np.concatenate(each) for each in zip(*judged, strict=True))
        calls, excluded = (np.tile(each, len(self._rule.signals)) for each in (step.calls, step.excluded))
        columns = step.values.T.ravel(), *figures, calls, memory_ns, why, excluded
        return _Found(self._named(step.operations), columns)

    def _judge(self, signal: int, rows: np.ndarray, step: RuleStep, end_ns: int) -> tuple[np.ndarray, ...]:
        values = np.full((1, len(self._operations)), np.nan)
        values[0, rows] = np.where(step.excluded, np.nan, step.values[:, signal])
        bank = self._banks[self._rule.signals[signal]]
        *figures, why = (column[0, rows] for column in bank.run(np.array([end_ns], np.int64), values))
        return *figures, bank.memory_rows[rows] * (bank.settings.step * 1e9), why

    def _named(self, operations: list[OperationLabels]) -> list[ScoredSeries]:
        """The series; the same list for as long as they are the same."""
        if operations != self._series[0]:
            rule = self._rule
            named = [ScoredSeries(rule.name, each, signal) for signal in rule.signals for each in operations]
            self._series = operations, named
        return self._series[1]

    # Rows

    def _find(self, operations: Sequence[OperationLabels], end_ns: int) -> np.ndarray:
        """(n,) int64 rows; made where there are none, and these learn their past."""
        new = [operation for operation in operations if operation not in self._rows]
        if new:
            self._set([*self._operations, *new], np.append(self._scored_ns, np.zeros(len(new), np.int64)))
            for number, (signal, bank) in enumerate(self._banks.items()):
                more = AnomalyBank(bank.settings, len(new))
                if self._past is not None:
                    self._past.teach(more, new, number, end_ns - self._step_ns)
                self._banks[signal] = _joined(bank, more)
        return np.array([self._rows[operation] for operation in operations], np.int64)

    def _forget(self, operations: set[OperationLabels], end_ns: int) -> None:
        """Drop the rows of these, and of those that nobody has spoken of for long."""
        if not operations and (self._scored_ns > end_ns - self._remember_ns).all():
            return
        kept = self._scored_ns > end_ns - self._remember_ns
        kept &= [operation not in operations for operation in self._operations]
        self._take(np.flatnonzero(kept))

    def _take(self, rows: np.ndarray) -> None:
        self._set([self._operations[row] for row in rows.tolist()], self._scored_ns[rows])
        self._banks = {signal: bank.take(rows) for signal, bank in self._banks.items()}

    def _set(self, operations: list[OperationLabels], scored_ns: np.ndarray) -> None:
        self._operations, self._scored_ns = operations, scored_ns
        self._rows = {operation: row for row, operation in enumerate(operations)}

    # State

    def snapshot(self) -> dict[str, Any]:
        """Plain values, arrays and the banks' bytes."""
        return {
            "operations": [each.plain() for each in self._operations],
            "scored": self._scored_ns,
            "banks": {signal: _compressed(bank) for signal, bank in self._banks.items()},
        }

    def restore(self, fields: dict[str, Any] | None) -> None:
        """What `snapshot` gave, where it gave something."""
        if fields is None:
            return
        self._set(list(map(OperationLabels.of, fields["operations"])), fields["scored"])
        for signal, bank in self._banks.items():
            self._banks[signal] = self._restored(bank, fields["banks"].get(signal))

    def _restored(self, fresh: AnomalyBank, content: bytes | None) -> AnomalyBank:
        """What a signal has learnt; nothing, where it was another step, which is another series."""
        try:
            stored = None if content is None else _decompressed(content)
        except (ValueError, zstandard.ZstdError) as error:
            raise SnapshotError(f"the detectors of {self._rule.name}: {error}") from error
        if stored is None or stored.settings.step != fresh.settings.step:
            return AnomalyBank(fresh.settings, len(self._operations))
        return AnomalyBank.of(fresh.settings, stored.state)


def _compressed(bank: AnomalyBank) -> bytes:
    """The bank's bytes, half of which are zeros: quick compression costs less than storing them all."""
    return zstandard.ZstdCompressor(level=_QUICKLY).compress(bank.save())


def _decompressed(content: bytes) -> AnomalyBank:
    return AnomalyBank.load(zstandard.ZstdDecompressor().decompress(content))


def _joined(bank: AnomalyBank, more: AnomalyBank) -> AnomalyBank:
    """A bank with the rows of another at its end."""
    return AnomalyBank.of(
        bank.settings, State(*(np.concatenate(each) for each in zip(bank.state, more.state, strict=True)))
    )
