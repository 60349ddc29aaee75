"""The step that chooses: minutes of all shards → which series are scored, and their values. One key has all.

It is final about a minute when all shards have told it. While nothing at all is called it waits: when calls come back
within five minutes, the minutes without them are told as such. Else it is a gap of the stream: that is told once, and
then nothing until calls come back, nor of the minute in which they do, for it is no whole one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flows.anomalies.pool import Pool
from flows.anomalies.rules import silence
from flows.anomalies.steps import SCORE_KEYS, Chosen, RuleStep, score_key
from flows.anomalies.waiting import Minutes
from flows.decode.batch import WEIGHT_ONE
from flows.series import SHARDS
from flows.snapshot import pack, unpack
from flows.watermark import NEVER, TimeRules, Watermark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.anomalies.rules import AnomalyRules
    from flows.anomalies.steps import MinutesPart
    from flows.series import OperationLabels
    from flows.window_samples import WindowSamples

GAP_MINUTES = 5
"""Silence of the whole stream from which on it is a gap."""

_SOURCES = SHARDS + 1
_VERSION = 1
_MOST_KNOWN = 200_000


class Chooser:
    """Chooses series for all rules.

    Args:
        rules: what may be scored.
    """

    def __init__(self, rules: AnomalyRules) -> None:
        self.rules = rules
        self.watermark = Watermark(_SOURCES, TimeRules(pane_ns=1, lateness_ns=0))
        self.position = NEVER  # what ends up to here is told, or never will be
        self.whole_from = NEVER  # a step that begins before is no whole one
        self._silent = 0  # minutes after the position in which nothing was called; counted again after a restart
        self._in_gap = False
        self._minutes = Minutes()
        self._pools = [Pool(rule, rules.pane_ns) for rule in rules.rules]
        self._rule_of: dict[OperationLabels, int] = {}

    # Hearing

    def hear(self, parts: list[MinutesPart]) -> list[Chosen]:
        """Take the minutes of shards; returns the steps that are final now, each for every key."""
        for part in parts:
            if part.progress.slot not in self.watermark.partitions:
                self.whole_from = max(self.whole_from, part.since)
            self._minutes.add(part.progress.slot, part.samples)
            self.watermark.hear(part.progress)
        upto, first = self.watermark.closable(), self.watermark.first_pane()
        if upto == NEVER or first == NEVER:
            return []
        if self.position == NEVER:
            self.whole_from = max(self.whole_from, first)
            self._move(self.whole_from - self.whole_from % self.rules.minute)
        return self._pass(upto)

    def _pass(self, upto: int) -> list[Chosen]:
        told: list[Chosen] = []
        minute = self.rules.minute
        while (end := self.position + (self._silent + 1) * minute) <= upto:
            told += self._hush(end) if self._minutes.is_silent(end, minute) else self._speak(end)
        if self.watermark.done():
            told[-SCORE_KEYS:] = [each._replace(done=True) for each in told[-SCORE_KEYS:]]
        return told

    def _hush(self, end: int) -> list[Chosen]:
        """Nothing was called in a minute: wait, unless it is a gap by now."""
        self._silent += 1
        if self._in_gap or self._silent == GAP_MINUTES:
            told = [] if self._in_gap else self._tell_gap(end)
            self._in_gap = True
            self._move(end)
            return told
        return []

    def _speak(self, end: int) -> list[Chosen]:
        """Something was called: the silent minutes before were a part of the stream, or a gap ends."""
        if self._in_gap:
            self._in_gap, self.whole_from = False, end
        first = self.position + self.rules.minute
        told = [each for minute in range(first, end + 1, self.rules.minute) for each in self._close(minute)]
        self._move(end)
        return told

    def _move(self, to: int) -> None:
        self.position, self._silent = to, 0
        self._minutes.drop(to)

    # A minute

    def _close(self, end: int) -> list[Chosen]:
        """Note who was called in a minute, and tell of the steps that end with it."""
        for sample in self._minutes.of(end, self.rules.minute):
            self._note(sample)
        due = [p for p in self._pools if end % p.rule.step == 0 and end - p.rule.step >= self.whole_from]
        return self._tell(end, [self._step(pool, end) for pool in due]) if due else []

    def _note(self, sample: WindowSamples) -> None:
        called = np.flatnonzero(sample.calls).tolist()
        by_rule: dict[int, list[int]] = {}
        for i in called:
            by_rule.setdefault(self._rule(sample.operations[i]), []).append(i)
        for number, mine in by_rule.items():
            if number >= 0:
                self._pools[number].called([sample.operations[i] for i in mine], sample.calls[mine], sample.end)

    def _rule(self, operation: OperationLabels) -> int:
        number = self._rule_of.get(operation)
        if number is None:
            if len(self._rule_of) >= _MOST_KNOWN:
                self._rule_of.clear()
            number = self._rule_of[operation] = self.rules.rule_of(operation)
        return number

    def _step(self, pool: Pool, end: int) -> RuleStep:
        forgotten = pool.choose(end)
        values, calls = silence(pool.rule, len(pool.operations)), np.zeros(len(pool.operations))
        for sample in self._minutes.of(end, pool.rule.step):
            at = pool.find(sample.operations)
            values[at[at >= 0]] = self.rules.values(pool.rule, sample)[at >= 0]
            calls[at[at >= 0]] = sample.calls[at >= 0] / WEIGHT_ONE
        scored = pool.scored
        operations = [pool.operations[i] for i in scored.tolist()]
        excluded = self.rules.excluded(pool.rule, operations, end)
        return RuleStep(pool.rule.name, operations, values[scored], calls[scored], excluded, forgotten)

    def _tell_gap(self, end: int) -> list[Chosen]:
        steps = []
        for pool in self._pools:
            operations = [pool.operations[i] for i in pool.scored.tolist()]
            n = len(operations)
            absent = np.full((n, len(pool.rule.signals)), np.nan)
            steps.append(RuleStep(pool.rule.name, operations, absent, np.zeros(n), np.ones(n, np.bool_), []))
        return self._tell(end, steps)

    def _tell(self, end: int, steps: Sequence[RuleStep]) -> list[Chosen]:
        """The steps of all rules, dealt to the keys."""
        dealt = [_deal(step) for step in steps]
        end_ns = end * self.rules.pane_ns
        return [Chosen(key, end_ns, False, [of_keys[key] for of_keys in dealt]) for key in range(SCORE_KEYS)]

    # State

    def snapshot(self) -> bytes:
        """The whole state as versioned bytes."""
        return pack(
            "anomalies",
            _VERSION,
            {
                "dimensions": list(self.rules.dimensions),
                "windows": list(self.rules.windows),
                "position": self.position,
                "whole_from": self.whole_from,
                "in_gap": self._in_gap,
                "watermark": self.watermark.snapshot(),
                "minutes": self._minutes.snapshot(),
                "pools": {pool.rule.name: pool.snapshot() for pool in self._pools},
            },
        )

    @classmethod
    def restore(cls, rules: AnomalyRules, data: bytes) -> Chooser:
        """The step that `snapshot` wrote down; rules may be others: those that have the same name go on.

        Raises:
            SnapshotError: bytes of something else, or of a version this release does not read.
        """
        fields = unpack(data, "anomalies", _VERSION)
        chooser = cls(rules)
        chooser.position, chooser.whole_from = fields["position"], fields["whole_from"]
        chooser._in_gap = fields["in_gap"]
        chooser.watermark.restore(fields["watermark"])
        if fields["dimensions"] == list(rules.dimensions):
            chooser._minutes.restore(fields["minutes"])
            for pool in chooser._pools:
                chooser._restore(pool, fields["pools"].get(pool.rule.name))
        if (fields["dimensions"], fields["windows"]) != (list(rules.dimensions), list(rules.windows)):
            # What shards have told already is of other operations, or not of all windows.
            told = (each.position for each in chooser.watermark.all_partitions())
            chooser.whole_from = max(chooser.whole_from, *told)
        return chooser

    def _restore(self, pool: Pool, fields: dict[str, Any] | None) -> None:
        if fields is not None:
            pool.restore(fields, lambda operation: self.rules.rules[self._rule(operation)] is pool.rule)


def _deal(step: RuleStep) -> list[RuleStep]:
    """What each key has of a step."""
    keys = np.array([score_key(operation.service) for operation in step.operations], np.int64)
    forgotten = [score_key(operation.service) for operation in step.forgotten]
    return [
        RuleStep(
            step.rule,
            [step.operations[i] for i in mine.tolist()],
            step.values[mine],
            step.calls[mine],
            step.excluded[mine],
            [operation for operation, of in zip(step.forgotten, forgotten, strict=True) if of == key],
        )
        for key in range(SCORE_KEYS)
        for mine in (np.flatnonzero(keys == key),)
    ]
