"""What tiers, silence and budgets say of lines → their alerts; a loop over those that are not quiet, no others."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from detectors.evaluation import TierState, evaluate
from detectors.tiers import MINUTE_NS
from flows.slo.machine import Machine
from flows.slo.shown import SloAlert
from flows.watermark import NEVER

if TYPE_CHECKING:
    from detectors.tiers import Severity
    from flows.slo.bank import Bank
    from flows.slo.lines import Line, Lines
    from flows.slo.promise import UserTier

SPENT = (50, 90, 100)
"""Per cent of the budget at which an alert says so."""

RESOLVED_FOR_NS = 20 * MINUTE_NS
"""How long an alert that ended is still told of: longer than whoever sends it repeats it."""

_SEVERITIES: tuple[Severity, ...] = ("critical", "warning")
_ABSENT = "absent"


class _Said(NamedTuple):
    """What a tier says of a line."""

    state: TierState
    long_ratio: float
    short_ratio: float


_RELEASED = _Said(TierState.RELEASED, 0.0, 0.0)


def judge(lines: Lines, bank: Bank, end_ns: int) -> None:
    """Step the alerts of a bank's lines at the end of a pane."""
    if not len(lines):
        return
    said = _tiers(lines, bank)
    silent_ns = _silent_ns(lines, bank, end_ns)
    remaining = bank.remaining(lines.arrays.row, lines.arrays.objective)
    spent = (1.0 - remaining) * 100.0
    absent = silent_ns >= lines.arrays.absent_ns
    loud = {*lines.busy, *said, *np.flatnonzero(absent | (spent >= SPENT[0])).tolist()}
    for i in sorted(loud):
        line, of_line = lines.all[i], said.get(i, {})
        for severity in _SEVERITIES:
            _judge_tiers(line, severity, of_line, bank, end_ns)
        _judge_absence(line, bool(absent[i]), int(silent_ns[i]), end_ns)
        _judge_budget(line, float(spent[i]), float(remaining[i]), end_ns)
        lines.note(i)


def alerts(lines: Lines, end_ns: int) -> list[SloAlert]:
    """Every alert of a bank's lines that fires, or ended a little while ago."""
    return [
        _alert(line, key, machine)
        for line in lines.all
        for key, machine in line.machines.items()
        if machine.is_firing or (machine.ends_at_ns != NEVER and end_ns - machine.ends_at_ns <= RESOLVED_FOR_NS)
    ]


def _tiers(lines: Lines, bank: Bank) -> dict[int, dict[str, _Said]]:
    """Line → tier → what it says: of lines where a tier is above, or an alert is there that it may hold."""
    is_busy = np.zeros(len(lines), np.bool_)
    is_busy[list(lines.busy)] = True
    said: dict[int, dict[str, _Said]] = {}
    for watch in lines.arrays.watches:
        found = evaluate(
            bank.filled(watch.long_ns)[watch.row],
            bank.window(watch.short_ns)[watch.row],
            watch.threshold,
            bank.rings.armed(watch.long_ns)[watch.row],
            watch.guarded,
            watch.min_events,
        )
        matters = (found.state == TierState.ABOVE) | (is_busy[watch.line] & (found.state != TierState.RELEASED))
        for n in np.flatnonzero(matters).tolist():
            ratios = float(found.long_ratio[n]), float(found.short_ratio[n])
            said.setdefault(int(watch.line[n]), {})[watch.tiers[n].name] = _Said(TierState(found.state[n]), *ratios)
    return said


def _silent_ns(lines: Lines, bank: Bank, end_ns: int) -> np.ndarray:
    """(n_lines,) for how long each had no events; −1 before its first: what never came is not missing."""
    last = bank.seen.last[lines.arrays.row]
    return np.where(last == NEVER, -1, end_ns - (last + 1) * bank.rings.rules.pane_ns)


def _judge_tiers(line: Line, severity: Severity, said: dict[str, _Said], bank: Bank, end_ns: int) -> None:
    """One alert for each severity, whichever of its tiers fires."""
    mine = [each for each in line.tiers if each.severity == severity]
    above = [each for each in mine if said.get(each.name, _RELEASED).state == TierState.ABOVE]
    machine = line.machines.get(severity)
    if not above and (machine is None or machine.is_quiet):
        return
    machine = line.machines.setdefault(severity, Machine())
    states = [(each.name, said.get(each.name, _RELEASED).state, each.long_ns) for each in mine]
    holds = machine.latched.step(end_ns, states)
    if above and _is_news(machine, end_ns):
        machine.says = _says(above[0], said[above[0].name], bank.seen.trace[line.row])
    # The tier that is spoken of also says how long to wait; it may be gone, if the promise was edited meanwhile.
    tier = next((each for each in mine if each.name == machine.says.get("tier")), None)
    machine.step(end_ns, holds, tier.for_ns if tier else 0, tier.keep_firing_for_ns if tier else 0)


def _is_news(machine: Machine, end_ns: int) -> bool:
    """Whether numbers are said anew: when an alert begins, then once a minute; each change is a POST somewhere."""
    return not machine.is_firing or end_ns % MINUTE_NS == 0


def _says(tier: UserTier, said: _Said, trace: np.ndarray) -> dict[str, str]:
    high, low = (int(half) for half in trace)
    return {
        "tier": tier.name,
        "factor": f"{tier.factor:g}",
        "threshold": f"{tier.threshold:.6g}",
        "long_ratio": f"{said.long_ratio:.6g}",
        "short_ratio": f"{said.short_ratio:.6g}",
        "long_ns": str(tier.long_ns),
        "short_ns": str(tier.short_ns),
        "trace": f"{high:016x}{low:016x}" if high or low else "",
    }


def _judge_absence(line: Line, is_absent: bool, silent_ns: int, end_ns: int) -> None:
    """No events for as long as a total outage would need to fire."""
    if not is_absent and _ABSENT not in line.machines:
        return
    machine = line.machines.setdefault(_ABSENT, Machine())
    if is_absent and _is_news(machine, end_ns):
        machine.says = {"silent_s": str(silent_ns // 1_000_000_000)}
    machine.step(end_ns, is_absent)


def _judge_budget(line: Line, spent: float, remaining: float, end_ns: int) -> None:
    """Alerts that so much of the budget is spent; one per cent less ends them."""
    for level in SPENT:
        key = f"spent {level}"
        if spent < level and key not in line.machines:
            continue
        machine = line.machines.setdefault(key, Machine())
        is_so = spent >= level or (machine.is_firing and spent >= level - 1)
        if is_so and _is_news(machine, end_ns):
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
