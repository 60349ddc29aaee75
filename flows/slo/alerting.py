"""What tiers, silence and budgets say of lines → their alerts; a loop over those that are not quiet, no others."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from detectors.evaluation import TierState, evaluate
from detectors.tiers import MINUTE_NS
from flows.machine import Machine
from flows.slo.shown import SloAlert
from flows.watermark import NEVER

if TYPE_CHECKING:
    from detectors.tiers import Severity
    from flows.slo.bank import Bank
    from flows.slo.lines import Line, Lines

SPENT = (50, 90, 100)
"""Per cent of the budget at which an alert says so."""

_SEVERITIES: tuple[Severity, ...] = ("critical", "warning")
_ABSENT = "absent"


class _Said(NamedTuple):
    """What tiers say of lines; a tier that a line does not have is released."""

    state: np.ndarray  # (n_lines, places) int8: a TierState
    long_ratio: np.ndarray  # (n_lines, places)
    short_ratio: np.ndarray  # (n_lines, places)


def judge(lines: Lines, bank: Bank, end_ns: int) -> None:
    """Step the alerts of a bank's lines at the end of a pane."""
    if not len(lines):
        return
    said = _tiers(lines, bank)
    silent_ns = _silent_ns(lines, bank, end_ns)
    absent = silent_ns >= lines.arrays.absent_ns
    remaining = bank.remaining(lines.arrays.row, lines.arrays.objective)
    spent = (1.0 - remaining) * 100.0
    level = sum((spent >= least).astype(np.int8) for each in SPENT for least in (each - 1, each))
    all_said = np.column_stack([said.state, absent, level]).astype(np.int8)

    loud = absent | (spent >= SPENT[0]) | (said.state == TierState.ABOVE).any(axis=1)
    loud[list(lines.busy)] = True
    # Numbers are said anew once a minute, by some of the lines at each pane: every change is a POST somewhere.
    pane_ns = bank.rings.rules.pane_ns
    is_turn = (np.arange(len(lines)) + end_ns // pane_ns) % (MINUTE_NS // pane_ns) == 0
    loud &= is_turn | (all_said != lines.arrays.settled).any(axis=1)
    for i in np.flatnonzero(loud).tolist():
        line, anew = lines.all[i], bool(is_turn[i])
        tiers = _OfLine(line, [TierState(state) for state in said.state[i].tolist()], said, i)
        for severity in _SEVERITIES:
            _judge_tiers(tiers, severity, bank, end_ns, anew=anew)
        _judge_absence(line, bool(absent[i]), int(silent_ns[i]), end_ns, anew=anew)
        _judge_budget(line, float(remaining[i]), end_ns, anew=anew)
        lines.note(i, all_said[i])


class _OfLine(NamedTuple):
    """What tiers say of one line."""

    line: Line
    states: list[TierState]  # by place
    said: _Said
    number: int  # of the line


def alerts(lines: Lines, end_ns: int) -> list[SloAlert]:
    """Every alert of a bank's lines that fires, or ended a little while ago."""
    return [
        _alert(line, key, machine)
        for line in lines.all
        for key, machine in line.machines.items()
        if machine.is_told(end_ns)
    ]


def pending(lines: Lines) -> list[tuple[str, Severity]]:
    """Name and severity of every alert of a bank's lines that waits for its time to fire."""
    return [
        _identity(key)[:2] for i in lines.busy for key, machine in lines.all[i].machines.items() if machine.is_pending
    ]


def _tiers(lines: Lines, bank: Bank) -> _Said:
    """What all tiers of all lines say."""
    shape = len(lines), lines.arrays.n_places
    said = _Said(np.full(shape, TierState.RELEASED, np.int8), np.zeros(shape), np.zeros(shape))
    for watch in lines.arrays.watches:
        found = evaluate(
            bank.filled(watch.long_ns).take(watch.row, axis=0),
            bank.window(watch.short_ns).take(watch.row, axis=0),
            watch.threshold,
            bank.rings.armed(watch.long_ns)[watch.row],
            watch.guarded,
            watch.min_events,
        )
        for column, values in zip(said, found, strict=True):
            column[watch.line, watch.place] = values
    return said


def _silent_ns(lines: Lines, bank: Bank, end_ns: int) -> np.ndarray:
    """(n_lines,) for how long each had no events; −1 before its first: what never came is not missing."""
    last = bank.seen.last[lines.arrays.row]
    return np.where(last == NEVER, -1, end_ns - (last + 1) * bank.rings.rules.pane_ns)


def _judge_tiers(of: _OfLine, severity: Severity, bank: Bank, end_ns: int, *, anew: bool) -> None:
    """One alert for each severity, whichever of its tiers fires."""
    mine = [(place, each) for place, each in enumerate(of.line.tiers) if each.severity == severity]
    above = [place for place, _ in mine if of.states[place] == TierState.ABOVE]
    machine = of.line.machines.get(severity)
    if not above and (machine is None or machine.is_quiet):
        return
    machine = of.line.machines.setdefault(severity, Machine())
    holds = machine.latched.step(end_ns, [(each.name, of.states[place], each.long_ns) for place, each in mine])
    if above and (anew or not machine.is_firing):
        machine.says = _says(of, above[0], bank)
    # The tier that is spoken of also says how long to wait; it may be gone, if the promise was edited meanwhile.
    tier = next((each for _, each in mine if each.name == machine.says.get("tier")), None)
    machine.step(end_ns, holds, tier.for_ns if tier else 0, tier.keep_firing_for_ns if tier else 0)


def _says(of: _OfLine, place: int, bank: Bank) -> dict[str, str]:
    tier = of.line.tiers[place]
    high, low = bank.seen.trace[of.line.row].tolist()
    return {
        "tier": tier.name,
        "factor": f"{tier.factor:g}",
        "threshold": f"{tier.threshold:.6g}",
        "long_ratio": f"{of.said.long_ratio[of.number, place]:.6g}",
        "short_ratio": f"{of.said.short_ratio[of.number, place]:.6g}",
        "long_ns": str(tier.long_ns),
        "short_ns": str(tier.short_ns),
        "trace": f"{high:016x}{low:016x}" if high or low else "",
    }


def _judge_absence(line: Line, is_absent: bool, silent_ns: int, end_ns: int, *, anew: bool) -> None:
    """No events for as long as a total outage would need to fire."""
    if not is_absent and _ABSENT not in line.machines:
        return
    machine = line.machines.setdefault(_ABSENT, Machine())
    if is_absent and (anew or not machine.is_firing):
        machine.says = {"silent_s": str(silent_ns // 1_000_000_000)}
    machine.step(end_ns, is_absent)


def _judge_budget(line: Line, remaining: float, end_ns: int, *, anew: bool) -> None:
    """Alerts that so much of the budget is spent; one per cent less ends them."""
    spent = (1.0 - remaining) * 100.0
    for level in SPENT:
        key = f"spent {level}"
        if spent < level and key not in line.machines:
            continue
        machine = line.machines.setdefault(key, Machine())
        is_so = spent >= level or (machine.is_firing and spent >= level - 1)
        if is_so and (anew or not machine.is_firing):
            machine.says = {"remaining": f"{remaining:.6g}"}
        machine.step(end_ns, is_so)


def _alert(line: Line, key: str, machine: Machine) -> SloAlert:
    """The alert that a machine of a line is of."""
    name, severity, spent = _identity(key)
    ends_at_ns = None if machine.is_firing else machine.ends_at_ns
    promise, group = line.promise, line.group
    return SloAlert(name, promise, group, severity, spent, machine.starts_at_ns, ends_at_ns, machine.says)


def _identity(key: str) -> tuple[str, Severity, int]:
    """Name, severity and level of the alert that a machine is of."""
    if key == _ABSENT:
        return "SLOAbsent", "critical", 0
    if key.startswith("spent "):
        return "SLOBudgetSpent", "warning", int(key.removeprefix("spent "))
    return "SLOBurnRate", "critical" if key == "critical" else "warning", 0
