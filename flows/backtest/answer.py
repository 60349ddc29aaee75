"""What a backtest found, for people (tables that read well at 100 columns) and as data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table

from detectors.chance import rate_interval, share_interval
from detectors.recall import DAY_NS, UNSEEN
from detectors.spells import total_ns
from exporters.alerts import rfc3339
from flows.readable import clock
from flows.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

    from detectors.recall import Figures
    from flows.backtest.stretch import Part, Stretch
    from flows.backtest.thresholds import Threshold
    from flows.backtest.verdict import Rule, Seen, Verdict

_SECOND_NS = 10**9
_HOUR_NS = 3_600 * _SECOND_NS


class Answer(NamedTuple):
    """What a backtest found."""

    stretch: Stretch
    verdict: Verdict
    silent: tuple[str, ...]  # rules that raised nothing
    thresholds: Sequence[Threshold] = ()


def show(console: Console, answer: Answer) -> None:
    """Print the tables."""
    for said in _about(answer):
        console.print(said, highlight=False)
    for number, part in enumerate(answer.stretch.parts):
        console.print(_rules(answer.verdict, number, _heading(answer.stretch, part)))
    if answer.stretch.faults:
        console.print(_faults(answer))


def _about(answer: Answer) -> Iterable[str]:
    stretch, verdict = answer.stretch, answer.verdict
    yield (
        f"Event time {clock(stretch.first_ns)} to {clock(stretch.last_ns)} UTC, "
        f"{_hours(stretch.recorded_ns())} recorded, {len(stretch.faults)} labelled faults."
    )
    for begin, end in stretch.gaps.tolist():
        yield f"Gap of {_rounded(end - begin)} from {clock(begin)}: neither faults nor alerts count there."
    if verdict.in_gaps:
        yield f"{verdict.in_gaps} alerts began in gaps."
    if answer.silent:
        yield f"Raised nothing: {', '.join(answer.silent)}."
    for rule in dict.fromkeys(each.rule for each in answer.thresholds):
        yield _suggested(rule, [each for each in answer.thresholds if each.rule == rule], stretch)


def _suggested(rule: str, thresholds: Sequence[Threshold], stretch: Stretch) -> str:
    """The scores that keep the budget of a rule."""
    part, allowed = stretch.parts[0].name, sum(each.allowed for each in thresholds)
    if any(math.isinf(each.score) for each in thresholds):
        return f"No time of {part} is ordinary: no score can be suggested for {rule}."
    scores = ", ".join(
        f"{each.signal} {each.score:g}" if each.score < 1 else f"{each.signal} none" for each in thresholds
    )
    return f"Scores that keep the budget of {rule} in {part} ({allowed:.3g} alerts in ordinary time): {scores}."


def _heading(stretch: Stretch, part: Part) -> str:
    counted, ordinary = int(stretch.counted_in(part).sum()), total_ns(stretch.ordinary_in(part))
    return (
        f"{part.name[0].upper()}{part.name[1:]}, from {clock(part.begin_ns)}: "
        f"{counted} faults, {_hours(ordinary)} of ordinary time"
    )


def _rules(verdict: Verdict, number: int, title: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    table.add_column("rule", overflow="fold")
    for column in ("seen", "95 %", "own service", "median", "worst", "false", "a day"):
        table.add_column(column, justify="right", no_wrap=True)
    for rule, parts in verdict.figures.items():
        table.add_row(rule.text, *_shown(parts[number]))
    return table


def _shown(found: Figures) -> Iterable[str]:
    yield f"{found.seen} of {found.faults}"
    low, high = share_interval(found.seen, found.faults) if found.faults else (0.0, 1.0)
    yield f"{low * 100:.0f}–{high * 100:.0f} %" if found.faults else "–"
    yield str(found.own)
    yield _rounded(found.median_delay_ns)
    yield _rounded(found.worst_delay_ns)
    yield str(found.false)
    yield "–" if not found.ordinary_ns else f"{found.false_a_day:.3g}"


def _faults(answer: Answer) -> Table:
    table = Table(title="Faults, and what saw them first", title_justify="left", box=SIMPLE_HEAD)
    for column in ("when", "kind", "service"):
        table.add_column(column, overflow="fold")
    table.add_column("after", justify="right", no_wrap=True)
    table.add_column("what saw it", overflow="fold")
    stretch, verdict = answer.stretch, answer.verdict
    for fault, why, seen in zip(stretch.faults, stretch.excluded, verdict.seen, strict=True):
        after = _rounded(seen.delay_ns) if seen and not why else "–"
        table.add_row(clock(fault.at_ns), fault.kind, fault.service, after, _what(why, seen))
    return table


def _what(why: str, seen: Seen | None) -> str:
    if why:
        return f"excluded: {why}"
    return "nothing" if seen is None else f"{seen.rule.text}, of {seen.service}"


def _hours(duration_ns: int) -> str:
    """In the unit of the figures that it stands behind.

    >>> _hours(5_400 * 10**9)
    '1.5 h'
    """
    return f"{duration_ns / _HOUR_NS:.3g} h"


def _rounded(duration_ns: int) -> str:
    """A duration to the second.

    >>> _rounded(90_400_000_000), _rounded(UNSEEN)
    ('1m30s', '–')
    """
    return "–" if duration_ns == UNSEEN else format_duration(round(duration_ns / _SECOND_NS) * _SECOND_NS)


def as_data(answer: Answer) -> dict[str, Any]:
    """The same as plain values: seconds, RFC 3339."""
    stretch, verdict = answer.stretch, answer.verdict
    return {
        "from": rfc3339(stretch.first_ns),
        "to": rfc3339(stretch.last_ns),
        "recorded_seconds": stretch.recorded_ns() / _SECOND_NS,
        "gaps": [{"from": rfc3339(begin), "to": rfc3339(end)} for begin, end in stretch.gaps.tolist()],
        "alerts_in_gaps": verdict.in_gaps,
        "raised_nothing": list(answer.silent),
        "thresholds": [each._asdict() for each in answer.thresholds],
        "faults": [_fault(answer, number) for number in range(len(stretch.faults))],
        "parts": [
            {
                "name": part.name,
                "from": rfc3339(part.begin_ns),
                "to": rfc3339(part.end_ns),
                "rules": [_rule(rule, parts[number]) for rule, parts in verdict.figures.items()],
            }
            for number, part in enumerate(stretch.parts)
        ],
    }


def _fault(answer: Answer, number: int) -> dict[str, Any]:
    fault, why, seen = answer.stretch.faults[number], answer.stretch.excluded[number], answer.verdict.seen[number]
    told = {"at": rfc3339(fault.at_ns), "until": rfc3339(fault.until_ns), "kind": fault.kind, "service": fault.service}
    if why:
        return {**told, "excluded": why}
    if seen is None:
        return {**told, "seen": None}
    first = {"after_seconds": seen.delay_ns / _SECOND_NS, "service": seen.service, **seen.rule._asdict()}
    return {**told, "seen": first}


def _rule(rule: Rule, found: Figures) -> dict[str, Any]:
    days = found.ordinary_ns / DAY_NS
    return {
        **rule._asdict(),
        "faults": found.faults,
        "seen": found.seen,
        "seen_by_its_service": found.own,
        "recall": found.seen / found.faults if found.faults else None,
        "recall_95": share_interval(found.seen, found.faults) if found.faults else None,
        "delays_seconds": [delay / _SECOND_NS for delay in found.delays_ns],
        "false_episodes": found.false,
        "ordinary_seconds": found.ordinary_ns / _SECOND_NS,
        "false_a_day": found.false_a_day if days else None,
        "false_a_day_95": rate_interval(found.false, days) if days else None,
    }
