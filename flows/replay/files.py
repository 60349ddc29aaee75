"""What a replay writes: answers of all workers joined, and alerts."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from exporters import csv_samples, openmetrics
from exporters.alert_lines import AlertLines
from flows.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path

    from flows.summary import Found


def write_alerts(found: Found, path: Path) -> str:
    """Every alert's beginning and end, in order, as JSON lines; says what is where."""
    try:
        with AlertLines(path) as lines:
            times = sorted(
                {at for each in found.alerts for at in (each.starts_at_ns, each.ends_at_ns) if at is not None}
            )
            for at_ns in times:
                lines.set_alerts([each.as_of(at_ns) for each in found.alerts if each.starts_at_ns <= at_ns], at_ns)
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}", hint="Name another file.") from error
    return f"{path}: {len(found.alerts):,} alerts"


def write_answers(
    spool: Path, workers: int, metrics: Path | None, samples: Path | None, dead_letters: Path | None
) -> list[str]:
    """Join what the workers wrote; says what is where."""
    said = []
    folders = [spool / str(number) for number in range(workers)]
    try:
        if metrics is not None:
            n = openmetrics.merge([folder / "openmetrics" for folder in folders], metrics)
            said.append(f"{metrics}: {n:,} samples for promtool tsdb create-blocks-from openmetrics")
        if samples is not None:
            n = csv_samples.merge([folder / "samples" for folder in folders], samples)
            said.append(f"{samples}: {n:,} windows")
        if dead_letters is not None:
            with dead_letters.open("w") as out:
                for folder in folders:
                    with (folder / "dead_letters.jsonl").open() as letters:
                        shutil.copyfileobj(letters, out)
    except OSError as error:
        raise OutputError(f"{error.filename}: {error.strerror}", hint="Name another file.") from error
    return said
