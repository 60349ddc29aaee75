"""`streamgauge detect`: from a file of values to alerts, by the detector that production has."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from detectors import detection
from flows.detect.answer import Answer, draw, table, write_csv
from flows.detect.series import read_series
from flows.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from detectors.detection import Detection
    from flows.detect.series import Series

_SECOND = 1_000_000_000


def detect(
    path: Path,
    *,
    preset: str,
    zone: str,
    threshold: float,
    step_ns: int | None = None,
    out: Path | None = None,
    picture: Path | None = None,
    top: int = 20,
) -> None:
    """Score a file: progress on standard error, alerts on standard output, files where they are asked for.

    Raises:
        InputError: it cannot be read.
        DataError: it holds no series.
        UsageError: a setting is not what it should be, or there is no such kind of picture.
        OutputError: a file cannot be written.
    """
    errors = Console(stderr=True)
    series = read_series(path)
    found = _score(series, errors, preset=preset, zone=zone, threshold=threshold, step=step_ns and step_ns / _SECOND)
    answer = Answer(series, found.score, found.lower, found.upper, found.alert)
    if out is not None:
        errors.print(write_csv(answer, out), highlight=False)
    if picture is not None:
        errors.print(draw(answer, picture, path.name, threshold), highlight=False)
    _show(answer, top)


def _score(series: Series, errors: Console, **options: Any) -> Detection[np.ndarray]:
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        track = partial(progress.track, description="scoring")
        try:
            return detection.detect(series.values, series.times_ns, progress=track, **options)
        except ValueError as error:  # of settings, whose words are meant for people
            raise UsageError(str(error)) from error


def _show(answer: Answer, top: int) -> None:
    screen = Console()
    n_alerts, scored = int(answer.alert.sum()), int(np.isfinite(answer.score).sum())
    if n_alerts:
        screen.print(table(answer, top))
    screen.print(
        f"{len(answer.score):,} rows, {scored:,} of them scored, {n_alerts:,} alerts"
        + (f", the {top} strangest shown." if n_alerts > top else "."),
        highlight=False,
    )
