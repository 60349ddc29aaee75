"""The two recordings with injected faults, as steps of each operation's latency and traffic.

Both were cut: one to three minutes around each fault, minutes of nothing between. A step is used if it was recorded as
a whole. Of the others nothing is known: they are neither learnt nor alerted, and no traffic is not a stop there.
"""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from rich.console import Console

from detectors.spells import joined
from flows.backtest.labels import read_labels
from flows.config.load import parse
from flows.replay.compute import compute
from flows.replay.files import write_answers
from flows.replay.job import Job
from flows.units import format_duration, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flows.backtest.labels import Fault

SECOND = 10**9
MINUTE = 60 * SECOND
STEPS = (MINUTE, 15 * SECOND)
LASTS = 4 * MINUTE
"""How long a fault lasts at most; recorded is less, and nothing after it."""

CUT = MINUTE
"""A longer silence of all services is a cut: traffic is never that low."""

NAMES = ("online-boutique-2022-08-22", "train-ticket-2023-01-30")


class Steps(NamedTuple):
    """Operations by step.

    Attributes:
        step_ns: How long one is.
        times_ns: (n_steps,) int64 ends of those that were recorded as a whole.
        operations: (n_operations,) service and span name.
        calls: (n_steps, n_operations) float64.
        values: By signal, likewise: `p95` in seconds, NaN without calls; `rate` in calls per second, NaN before an
            operation's first call.
    """

    step_ns: int
    times_ns: np.ndarray
    operations: list[tuple[str, str]]
    calls: np.ndarray
    values: dict[str, np.ndarray]


class Recorded(NamedTuple):
    """One recording.

    Attributes:
        name: Its folder.
        faults: In the order of time.
        panes: (n,) int64 numbers of those in which a span ended, rising.
        pane_ns: How long they are.
        steps: For each of `STEPS`.
    """

    name: str
    faults: tuple[Fault, ...]
    panes: np.ndarray
    pane_ns: int
    steps: tuple[Steps, ...]


def recorded(folder: Path) -> Recorded:
    """Replay a recording as production would read it."""
    windows = [format_duration(step) for step in STEPS]
    config = parse(f"windows: [{', '.join(windows)}]\nquantiles: [0.95]")
    with tempfile.TemporaryDirectory() as name:
        spool = Path(name)
        job = Job((str(folder / "traces.pb.zst"),), config, spool, step_ns=min(STEPS), samples=True)
        panes = np.array(sorted(compute(job, 1, Console(stderr=True)).panes), np.int64)
        table = spool / "samples.csv"
        write_answers(spool, 1, None, table, None)
        with table.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
    pane_ns = config.time.pane_ns
    steps = tuple(
        _steps([row for row in rows if row["window"] == window], step, whole_steps(panes, pane_ns, step))
        for window, step in zip(windows, STEPS, strict=True)
    )
    return Recorded(folder.name, read_labels(folder / "labels.json", LASTS), panes, pane_ns, steps)


def whole_steps(panes: np.ndarray, pane_ns: int, step_ns: int) -> np.ndarray:
    """(n,) int64 ends of the steps that were recorded as a whole; the first and the last pane of a stretch were not.

    >>> whole_steps(np.arange(1, 17), 5, 20).tolist()
    [40, 60, 80]
    """
    stretches = joined(np.column_stack((panes, panes + 1)) * pane_ns, CUT) + np.array([pane_ns, -pane_ns])
    ends = [np.arange(-(-begin // step_ns) + 1, end // step_ns + 1) * step_ns for begin, end in stretches.tolist()]
    return np.concatenate(ends)


def _steps(rows: Iterable[dict[str, str]], step_ns: int, times_ns: np.ndarray) -> Steps:
    numbers: dict[tuple[str, str], int] = {}
    cells = [
        (parse_time(row["timestamp"]), numbers.setdefault((row["service_name"], row["span_name"]), len(numbers)), row)
        for row in rows
    ]
    place = {time: at for at, time in enumerate(times_ns.tolist())}
    p95, calls = np.full((len(place), len(numbers)), np.nan), np.zeros((len(place), len(numbers)))
    for time, number, row in cells:
        if time in place:
            p95[place[time], number] = float(row["p95"] or np.nan)
            calls[place[time], number] += int(row["calls"])
    rate = np.where(np.cumsum(calls, axis=0) == 0, np.nan, calls / step_ns * SECOND)
    return Steps(step_ns, times_ns, list(numbers), calls, {"p95": p95, "rate": rate})
