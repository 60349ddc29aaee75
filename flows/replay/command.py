"""`streamgauge replay`: from recordings to a report on standard output, progress on standard error."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from rich.console import Console

from flows.config.sections import MINUTE_NS
from flows.errors import UsageError
from flows.replay.compute import before, compute, history, promised, spool_folder
from flows.replay.files import write_alerts, write_answers
from flows.replay.job import Job
from flows.report import as_data, screen, show
from flows.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flows.config import Config


def replay(
    recordings: Sequence[str],
    *,
    config: Config,
    openmetrics: Path | None = None,
    samples: Path | None = None,
    step_ns: int | None = None,
    dead_letters: Path | None = None,
    slos: Sequence[str] = (),
    alerts: Path | None = None,
    seed: Path | None = None,
    prime: Path | None = None,
    signal: str | None = None,
    start_ns: int | None = None,
    end_ns: int | None = None,
    workers: int = 1,
    top: int = 20,
    as_json: bool = False,
) -> None:
    """Replay recordings and show what was found: progress on standard error, the report on standard output.

    Raises:
        UsageError: the step is no multiple of the pane that divides a minute or is one of minutes; there is a seed and
            nothing is promised, or a past and nothing is scored.
        DataError: a file is no recording, or holds another signal.
        OutputError: a file cannot be written.
    """
    step = MINUTE_NS if step_ns is None else step_ns
    _check_step(step, config)
    errors = Console(stderr=True)
    with spool_folder() as spool:
        promises = promised(config, slos, errors)
        job = Job(
            tuple(recordings),
            config,
            spool,
            signal,
            start_ns,
            end_ns,
            step,
            openmetrics is not None,
            samples is not None,
            dead_letters is not None,
            promises,
            history(seed, promises, errors),
            pasts=before(prime, config, errors),
        )
        found = compute(job, workers, errors)
        if alerts is not None:
            errors.print(write_alerts(found, alerts), highlight=False)
        for written in write_answers(spool, workers, openmetrics, samples, dead_letters):
            errors.print(written, highlight=False)
    quantiles = Rules.of(config).windows.quantiles
    if as_json:
        sys.stdout.write(json.dumps(as_data(found, quantiles, top), indent=1) + "\n")
    else:
        show(screen(), found, quantiles, top)


def _check_step(step_ns: int, config: Config) -> None:
    pane = config.time.pane_ns
    if step_ns <= 0 or step_ns % pane or (MINUTE_NS % step_ns and step_ns % MINUTE_NS):
        raise UsageError(
            f"--step {step_ns / 1e9:g}s",
            f"a step is a multiple of the pane ({pane / 1e9:g}s) and divides a minute or is a multiple of one",
            "Try 1m.",
        )
