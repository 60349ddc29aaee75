"""Report: what a replay found, for people (tables that read well at 100 columns) and as data."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from detectors.scale import QUANTILE_UNIT
from flows.decode.batch import KINDS
from flows.readable import clock, seconds
from flows.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.series import OperationLabels
    from flows.summary import Found, Minute, OperationFigures

_WORST = 8
_PIPED_WIDTH = 100
_MINUTE_NS = 60_000_000_000
_NOTABLE_RATIO = 2.0
"""A minute is shown where its p95 is this many times the operation's own over the whole replay, or it has errors."""


def screen() -> Console:
    """Standard output; a file or a pipe has no width of its own."""
    out = Console()
    return out if out.is_terminal else Console(width=_PIPED_WIDTH)


class Trouble(NamedTuple):
    """Minutes in a row in which one operation was not as usual, told by the worst of them."""

    start_ns: int
    end_ns: int
    worst: Minute
    what: str


def worst_minutes(found: Found, at_most: int = _WORST) -> list[Trouble]:
    """The minutes furthest from an operation's own ordinary, neighbours joined, the worst first."""
    usual = {figures.operation: figures for figures in found.operations}
    by_operation: dict[OperationLabels, list[Minute]] = defaultdict(list)
    for minute in found.minutes:
        by_operation[minute.operation].append(minute)
    scored: list[tuple[float, Trouble]] = []
    for operation, minutes in by_operation.items():
        minutes.sort(key=lambda minute: minute.end_ns)
        median = sorted(minute.p95 for minute in minutes)[len(minutes) // 2]
        row: list[tuple[float, Minute, str]] = []
        for minute in minutes:
            score, what = _notable(minute, usual[operation], median)
            if row and (not what or minute.end_ns - row[-1][1].end_ns > _MINUTE_NS):
                scored.append(_joined(row))
                row = []
            if what:
                row.append((score, minute, what))
        if row:
            scored.append(_joined(row))
    scored.sort(key=lambda item: (-item[0], item[1].start_ns, item[1].worst.operation))
    return [trouble for _, trouble in scored[:at_most]]


def _notable(minute: Minute, overall: OperationFigures, median: float) -> tuple[float, str]:
    """How far a minute is from the ordinary, and in which words; no words where it is not."""
    expected = minute.calls * overall.errors / max(overall.calls, 1)
    slow = minute.p95 / median if median else 1.0
    said = []
    if minute.errors * 2 > 3 * expected + 4:
        said.append(f"{minute.errors:,} of {minute.calls:,} failed")
    if slow >= _NOTABLE_RATIO:
        said.append(f"p95 {seconds(minute.p95)}, usually {seconds(median)}")
    return max(slow, 1.0) * minute.calls**0.5 + max(minute.errors - expected, 0), ", ".join(said)


def _joined(row: list[tuple[float, Minute, str]]) -> tuple[float, Trouble]:
    score, worst, what = max(row, key=lambda item: item[0])
    return score, Trouble(row[0][1].end_ns - _MINUTE_NS, row[-1][1].end_ns, worst, what)


def as_data(found: Found, quantiles: Sequence[int], top: int) -> dict[str, Any]:
    """The same as plain values, for `--json`."""
    operations = _busiest(found.operations)[:top]
    return {
        "from": clock(found.first_ns) + "Z" if found.first_ns >= 0 else None,
        "to": clock(found.upto_ns) + "Z" if found.first_ns >= 0 else None,
        "accounting": accounting(found),
        "operations": [
            {
                "service_name": figures.operation.service,
                "span_name": figures.operation.span_name,
                "span_kind": KINDS[figures.operation.kind],
                "dimensions": list(figures.operation.dimensions),
                "calls": figures.calls,
                "errors": figures.errors,
                **{
                    f"p{100 * quantile / QUANTILE_UNIT:.10g}_seconds": None if value != value else value
                    for quantile, value in zip(quantiles, figures.quantiles, strict=True)
                },
            }
            for figures in operations
        ],
        "alerts": [each.as_json() for each in found.alerts],
        "worst_minutes": [
            {
                "from": clock(trouble.start_ns) + "Z",
                "to": clock(trouble.end_ns) + "Z",
                "service_name": trouble.worst.operation.service,
                "span_name": trouble.worst.operation.span_name,
                "calls": trouble.worst.calls,
                "errors": trouble.worst.errors,
                "p95_seconds": trouble.worst.p95,
                "what": trouble.what,
            }
            for trouble in worst_minutes(found)
        ],
    }


def accounting(found: Found) -> dict[str, int]:
    """Where every span of the input went; the classes after `spans` add up to it."""
    total = found.total()

    def kind(what: str) -> int:
        return sum(count for (name, _), count in total.items() if name == what)

    return {
        "records": kind("records"),
        "bytes": kind("bytes"),
        "spans": kind("spans"),
        "on_time": kind("on_time"),
        "late": kind("late"),
        "time_rejected": kind("rejected"),
        "deduplicated": kind("repeated"),
        "outside": kind("outside"),
        "dead_letters": kind("dead"),
        "dead_spans": kind("dead_spans"),
        "limited": kind("limited"),
        "durations_clamped": kind("clamped"),
        "unweighted": kind("unweighted"),
        "overflowed": sum(figures.overflowed for figures in found.services.values()),
    }


def show(console: Console, found: Found, quantiles: Sequence[int], top: int) -> None:
    """Print the tables."""
    figures = accounting(found)
    if found.first_ns < 0:
        console.print("No span on time was found in this recording.")
    else:
        console.print(_operations(found, quantiles, top))
        worst = worst_minutes(found)
        if worst:
            console.print(_worst(worst))
        if found.alerts:
            console.print(_alerts(found))
        console.print(f"Event time {clock(found.first_ns)} to {clock(found.upto_ns)} UTC.", highlight=False)
    console.print(_account(figures), highlight=False)


def _busiest(operations: Sequence[OperationFigures]) -> list[OperationFigures]:
    return sorted(operations, key=lambda figures: (-figures.calls, figures.operation))


def _operations(found: Found, quantiles: Sequence[int], top: int) -> Table:
    shown = _busiest(found.operations)
    table = Table(
        title=f"Operations, the busiest {min(top, len(shown))} of {len(shown)}", title_justify="left", box=SIMPLE_HEAD
    )
    table.add_column("service", overflow="fold", max_width=18)
    table.add_column("operation", overflow="fold", min_width=16)
    table.add_column("kind", no_wrap=True)
    table.add_column("spans", justify="right", no_wrap=True)
    table.add_column("errors", justify="right", no_wrap=True)
    for quantile in quantiles:
        table.add_column(f"p{100 * quantile / QUANTILE_UNIT:.10g}", justify="right", no_wrap=True)
    for figures in shown[:top]:
        kind = KINDS[figures.operation.kind].removeprefix("SPAN_KIND_").lower()
        name = " ".join([figures.operation.span_name, *filter(None, figures.operation.dimensions)])
        failed = f"{figures.errors / figures.calls:.2%}" if figures.errors else "–"
        table.add_row(
            figures.operation.service,
            name,
            "–" if kind == "unspecified" else kind,
            f"{figures.calls:,}",
            failed,
            *(seconds(value) for value in figures.quantiles),
        )
    return table


def _alerts(found: Found) -> Table:
    """The alerts that would have been raised: when, what, why, how long."""
    table = Table(title="Alerts, as they would have been raised", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("when", no_wrap=True)
    table.add_column("severity", no_wrap=True)
    table.add_column("service", overflow="fold", max_width=18)
    table.add_column("what and why", overflow="fold")
    table.add_column("lasted", justify="right", no_wrap=True)
    for each in found.alerts:
        labels, annotations = dict(each.labels), dict(each.annotations)
        said = f"{labels['alertname']}: {annotations['summary']}. {annotations['description']}"
        lasted = "goes on" if each.ends_at_ns is None else format_duration(each.ends_at_ns - each.starts_at_ns)
        table.add_row(clock(each.starts_at_ns), labels["severity"], labels["service"], said, lasted)
    return table


def _worst(worst: Sequence[Trouble]) -> Table:
    table = Table(title="Worst minutes", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("when", no_wrap=True)
    table.add_column("service", overflow="fold", max_width=18)
    table.add_column("operation", overflow="fold", min_width=16)
    table.add_column("worst of them", overflow="fold")
    for start_ns, end_ns, minute, what in worst:
        when = f"{clock(start_ns)[11:16]} – {clock(end_ns)[11:16]}"
        table.add_row(when, minute.operation.service, minute.operation.span_name, what)
    return table


def _account(figures: dict[str, int]) -> str:
    parts = [f"{figures['spans']:,} spans in {figures['records']:,} records: {figures['on_time']:,} on time"]
    for key, words in (
        ("late", "late (counted, in no window)"),
        ("time_rejected", "rejected for their time"),
        ("deduplicated", "repeated"),
        ("outside", "outside of the time asked for"),
        ("dead_letters", "dead letters"),
        ("limited", "beyond limits"),
        ("durations_clamped", "with a negative duration"),
        ("unweighted", "kept by a sampler that does not say how many they stand for"),
        ("overflowed", "over a service's budget"),
    ):
        if figures[key]:
            parts.append(f"{figures[key]:,} {words}")
    return ", ".join(parts) + "."
