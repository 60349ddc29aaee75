"""`streamgauge detect`: from a file of values to alerts, by the detector that production has."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from zoneinfo import available_timezones

import numpy as np
from rich.console import Console
from rich.progress import Progress

from detectors.anomaly import PRESETS, AnomalyBank, AnomalySettings, Judged
from detectors.episodes import raised
from flows.detect.answer import Answer, draw, table, write_csv
from flows.detect.series import Series, read_series
from flows.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

_ROWS = 20_000
"""Scored at once, between two looks at the progress."""

_NEIGHBOURS = 1.5
"""Steps: rows that follow each other are one episode, however far apart they are."""

_FIRST_ROWS = 10
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
        UsageError: there is no such time zone, or no such kind of picture.
        OutputError: a file cannot be written.
    """
    errors = Console(stderr=True)
    if zone not in available_timezones():
        raise UsageError(f"--zone {zone}", "a zone of the IANA database is expected", "Write Europe/Berlin, or UTC.")
    series = read_series(path)
    step = _step_seconds(series) if step_ns is None else step_ns / _SECOND
    settings = replace(PRESETS[preset], step=step, zone=zone)
    judged = _score(series, settings, errors)
    apart = max(settings.episode, _NEIGHBOURS * step)
    alert = raised(series.times_ns, judged.score[:, 0], threshold, round(apart * _SECOND))
    answer = Answer.of(series, judged, alert)
    if out is not None:
        errors.print(write_csv(answer, out), highlight=False)
    if picture is not None:
        errors.print(draw(answer, picture, path.name, threshold), highlight=False)
    _show(answer, top)


def _step_seconds(series: Series) -> float:
    """Between the first values: what comes later must not change how these are scored."""
    steps = np.diff(series.times_ns[: _FIRST_ROWS + 1])
    steps = steps[steps > 0]
    return float(np.median(steps)) / _SECOND if len(steps) else AnomalySettings.step


def _score(series: Series, settings: AnomalySettings, errors: Console) -> Judged:
    try:
        bank = AnomalyBank(settings, 1)
        pieces = []
        with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
            for first in progress.track(range(0, len(series.values), _ROWS), description="scoring"):
                rows = slice(first, first + _ROWS)
                pieces.append(bank.run(series.times_ns[rows], series.values[rows, None]))
    except ValueError as error:  # of settings, whose words are meant for people
        raise UsageError(str(error)) from error
    return Judged(*(np.concatenate(columns) for columns in zip(*pieces, strict=True)))


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
