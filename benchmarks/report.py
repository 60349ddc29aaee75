"""What every benchmark says in the same way: the machine, a table for people, and a JSON file for the record."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numba
import numpy as np
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

RESULTS = Path(__file__).parent / "results"


def recorded_data() -> Path:
    """Where the recorded data is: `$STREAMGAUGE_DATA`, else beside the repository."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("STREAMGAUGE_DATA", default))


def machine() -> dict[str, str | int]:
    """What the figures were measured on."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count() or 0,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _cpu_model() -> str:
    """The CPU's name as Linux has it, else what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def cpu_seconds(work: Callable[[], object], repeats: int = 5, at_least: float = 0.2) -> float:
    """CPU seconds of this process for one call: the best of some repeats, as others only ever make it slower.

    A first call is not measured: it compiles, and warms the caches.
    """
    work()
    best = float("inf")
    for _ in range(repeats):
        calls, begin = 0, time.process_time()
        while (taken := time.process_time() - begin) < at_least:
            work()
            calls += 1
        best = min(best, taken / calls)
    return best


def publish(name: str, title: str, rows: Sequence[Mapping[str, object]], notes: str = "") -> None:
    """Print the rows as a table and write them, with the machine, to `results/<name>.json`.

    Args:
        name: The benchmark's, without its suffix.
        title: The question the benchmark answers.
        rows: One a line of the table; the keys of the first are its columns.
        notes: What a reader must know to judge the figures.
    """
    about = machine()
    table = Table(title=title, caption=f"{about['cpu']}, {about['cores']} cores, Python {about['python']}")
    for column in rows[0]:
        table.add_column(str(column), justify="left" if isinstance(rows[0][column], str) else "right")
    for row in rows:
        table.add_row(*(_shown(row.get(column, "")) for column in rows[0]))
    console = Console(width=None if sys.stdout.isatty() else 200)  # in a file there is room
    console.print(table)
    if notes:
        console.print(notes)
    RESULTS.mkdir(exist_ok=True)
    content = {
        "benchmark": name,
        "question": title,
        "machine": about,
        "rows": [dict(row) for row in rows],
        "notes": notes,
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _shown(value: object) -> str:
    """A figure with three digits that count, a word as it is."""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
