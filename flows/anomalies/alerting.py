"""Scores of all keys by step → alerts: one for each service and signal that is strange. One key has all.

It is final about a step when all keys of the score step have told of it. Everything is a function of closed steps, in
order: a threshold is of the steps before, and the state machine is that of the burn rates.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flows.anomalies.fleet import Fleet, Group
from flows.anomalies.shown import ALERTNAME, SEVERITY, AnomaliesShown, AnomalyAlert
from flows.anomalies.strange import Heard, Strange, hear, plain_strange, strange_of_plain
from flows.machine import Machine
from flows.snapshot import pack, unpack
from flows.watermark import NEVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.anomalies.policy import AlertPolicy, AlertRule
    from flows.anomalies.scored import Scored
    from flows.series import OperationLabels

KEY = "anomalies"
"""The dataflow's key of the alerts."""

MOST_CONCERNED = 100
"""Operations that an alert remembers, the most extreme."""

_KIND, _VERSION = "anomaly alerts", 1
_FOR_GOOD = (1 << 63) - 1


@dataclass(slots=True)
class _Line:
    """One rule, service and signal: its alert, and the operations that it is about."""

    machine: Machine = field(default_factory=Machine)
    concerned: dict[OperationLabels, Strange] = field(default_factory=dict)

    def step(self, end_ns: int, strange: Sequence[Strange], policy: AlertPolicy) -> None:
        """The next step; `strange` is what is over the threshold."""
        machine, started = self.machine, self.machine.starts_at_ns
        machine.step(end_ns, bool(strange), policy.for_ns, policy.keep_firing_for_ns, policy.refractory_ns)
        if machine.starts_at_ns != started:
            self.concerned.clear()
        if machine.is_firing:
            self._note(strange)

    def _note(self, strange: Sequence[Strange]) -> None:
        for each in strange:
            known = self.concerned.get(each.operation)
            if known is None or each.score > known.score:
                self.concerned[each.operation] = each
        if len(self.concerned) > MOST_CONCERNED:
            self.concerned = {each.operation: each for each in self.most_extreme()[:MOST_CONCERNED]}

    def most_extreme(self) -> list[Strange]:
        """The operations, the most extreme first."""
        return sorted(self.concerned.values(), key=lambda each: (-each.score, each.operation))

    def is_forgotten(self, end_ns: int, refractory_ns: int) -> bool:
        """Whether nothing of it can matter any more."""
        machine = self.machine
        is_over = machine.ends_at_ns == NEVER or end_ns - machine.false_since >= refractory_ns
        return machine.is_quiet and is_over and not machine.is_told(end_ns)


def tell_alerts(keyed: tuple[str, Scored]) -> tuple[str, Scored]:
    """What a key scored, to the one that has all."""
    return KEY, keyed[1]


class AnomalyAlerts:
    """Judges the scores of all keys.

    Args:
        rules: of the series that are scored.
    """

    def __init__(self, rules: Sequence[AlertRule]) -> None:
        self.rules = {rule.name: rule for rule in rules}
        self.position_ns = NEVER
        self._fleets = {rule.name: Fleet(rule) for rule in rules}
        self._lines: dict[tuple[str, Group], _Line] = {}
        self._reached: dict[int, int] = {}  # by key, the end of the last step it told of
        self._waiting: dict[int, dict[int, Heard]] = {}  # by end of a step, by key

    # Hearing

    def hear(self, parts: Sequence[Scored]) -> list[AnomaliesShown]:
        """Take what keys have scored; returns what is shown of the steps that are final now."""
        n_keys = 0
        for part in parts:
            n_keys = part.n_keys
            if part.end_ns > self._reached.get(part.key, NEVER):
                self._waiting.setdefault(part.end_ns, {})[part.key] = hear(part, self.rules)
            self._reached[part.key] = _FOR_GOOD if part.done else part.end_ns
        if not parts or len(self._reached) < n_keys:
            return []
        upto = min(self._reached.values())
        final = sorted(end_ns for end_ns in self._waiting if end_ns <= upto)
        return [self._close(end_ns, is_last=end_ns == final[-1]) for end_ns in final]

    def _close(self, end_ns: int, *, is_last: bool) -> AnomaliesShown:
        heard = [each for _, each in sorted(self._waiting.pop(end_ns).items())]
        self.position_ns = end_ns
        by_group: dict[tuple[str, Group], list[Strange]] = defaultdict(list)
        for each in heard:
            for strange in each.strange:
                by_group[strange.rule, (strange.operation.service, strange.signal)].append(strange)
        for rule in self.rules.values():
            if end_ns % rule.step_ns == 0:
                n_scored = sum(each.n_scored.get(rule.name, 0) for each in heard)
                of_rule = {group: strange for (name, group), strange in by_group.items() if name == rule.name}
                self._judge(rule, end_ns, n_scored, of_rule)
        self._forget(end_ns)
        return self.shown(is_last=is_last)

    def _judge(self, rule: AlertRule, end_ns: int, n_scored: int, groups: dict[Group, list[Strange]]) -> None:
        fleet = self._fleets[rule.name]
        fleet.meet(n_scored)
        for group, found in groups.items():
            if any(each.score >= fleet.threshold for each in found):
                self._lines.setdefault((rule.name, group), _Line())
        for (name, group), line in self._lines.items():
            if name == rule.name:
                over = [each for each in groups.get(group, ()) if each.score >= fleet.threshold]
                line.step(end_ns, over, rule.policy)
        fleet.learn(end_ns, n_scored, {group: max(each.score for each in found) for group, found in groups.items()})

    def _forget(self, end_ns: int) -> None:
        self._lines = {
            (name, group): line
            for (name, group), line in self._lines.items()
            if not line.is_forgotten(end_ns, self._refractory_ns(name))
        }

    def _refractory_ns(self, name: str) -> int:
        """Of a rule, which may be gone."""
        return self.rules[name].policy.refractory_ns if name in self.rules else 0

    # Showing

    def shown(self, *, is_last: bool = True) -> AnomaliesShown:
        """What is shown of it as it stands."""
        waiting = sum(line.machine.is_pending for line in self._lines.values())
        thresholds = {name: fleet.threshold for name, fleet in self._fleets.items()}
        return AnomaliesShown(self.position_ns, self.alerts(), ((ALERTNAME, SEVERITY),) * waiting, thresholds, is_last)

    def alerts(self) -> list[AnomalyAlert]:
        """Every alert that fires, or ended a little while ago."""
        return [
            AnomalyAlert(
                *group,
                line.machine.starts_at_ns,
                None if line.machine.is_firing else line.machine.ends_at_ns,
                tuple(line.most_extreme()),
            )
            for (_, group), line in self._lines.items()
            if line.machine.is_told(self.position_ns)
        ]

    # State

    def snapshot(self) -> bytes:
        """The whole state as versioned bytes."""
        return pack(
            _KIND,
            _VERSION,
            {
                "position_ns": self.position_ns,
                "reached": list(self._reached.items()),
                "waiting": [
                    [end_ns, [[key, heard.plain()] for key, heard in by_key.items()]]
                    for end_ns, by_key in self._waiting.items()
                ],
                "fleets": {name: fleet.snapshot() for name, fleet in self._fleets.items()},
                "lines": [
                    [name, list(group), line.machine.snapshot(), [plain_strange(each) for each in line.most_extreme()]]
                    for (name, group), line in self._lines.items()
                ],
            },
        )

    @classmethod
    def restore(cls, rules: Sequence[AlertRule], data: bytes) -> AnomalyAlerts:
        """The alerts that `snapshot` wrote down; those of a rule that is gone end.

        Raises:
            SnapshotError: bytes of something else, or of a version this release does not read.
        """
        fields = unpack(data, _KIND, _VERSION)
        found = cls(rules)
        found.position_ns = fields["position_ns"]
        found._reached = dict(fields["reached"])
        for end_ns, by_key in fields["waiting"]:
            found._waiting[end_ns] = {key: Heard.of_plain(heard) for key, heard in by_key}
        for name, fleet in fields["fleets"].items():
            if name in found.rules:
                found._fleets[name] = Fleet.restore(found.rules[name], fleet)
        for name, (service, signal), machine, concerned in fields["lines"]:
            strange = [strange_of_plain(each) for each in concerned]
            line = _Line(Machine.restore(machine), {each.operation: each for each in strange})
            if name not in found.rules:
                line.machine.step(found.position_ns, is_so=False)
            found._lines[name, (service, signal)] = line
        return found
