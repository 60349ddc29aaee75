"""`streamgauge replay`: from recordings to a report on standard output, progress on standard error."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from detectors import kernels
from flows.config.sections import MINUTE_NS
from flows.errors import DataError, UsageError
from flows.replay.cluster import run
from flows.replay.files import write_alerts, write_answers
from flows.replay.job import Job
from flows.report import as_data, show
from flows.rules import Rules
from flows.slo.seed import read_seed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.config import Config
    from flows.slo.promise import Promise

_PIPED_WIDTH = 100


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
            nothing is promised.
        DataError: a file is no recording, or holds another signal.
        OutputError: a file cannot be written.
    """
    step = MINUTE_NS if step_ns is None else step_ns
    _check_step(step, config)
    errors = Console(stderr=True)
    spool = Path(tempfile.mkdtemp(prefix="streamgauge-"))
    try:
        promises = _promises(config, slos, errors)
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
            None if seed is None else read_seed(seed, promises, lambda said: _warn(errors, said)),
        )
        recording = job.open()
        if recording.signal != "spans":
            raise DataError(f"{recordings[0]} holds {recording.signal}", "replay reads spans", "Name traces.")
        if not kernels.are_compiled():
            errors.print("Compiling kernels, once for this version: about 15 s.")
        found, stopped, damages = run(job, workers, errors)
        kernels.mark_compiled()
        if alerts is not None:
            errors.print(write_alerts(found, alerts), highlight=False)
        for written in write_answers(spool, workers, openmetrics, samples, dead_letters):
            errors.print(written, highlight=False)
    finally:
        shutil.rmtree(spool, ignore_errors=True)
    for damage in damages:
        _warn(errors, damage)
    for promise in promises:
        if (promise.name, promise.service, promise.objective_name) not in found.matched:
            _warn(errors, f"SLO {promise.name} ({promise.objective_name}) matches nothing: no span was counted for it.")
    if stopped:
        errors.print("Stopped; this is what was computed so far.")
    quantiles = Rules.of(config).windows.quantiles
    if as_json:
        sys.stdout.write(json.dumps(as_data(found, quantiles, top), indent=1) + "\n")
    else:
        out = Console()
        # A file or a pipe has no width of its own.
        show(out if out.is_terminal else Console(width=_PIPED_WIDTH), found, quantiles, top)


def _promises(config: Config, slos: Sequence[str], errors: Console) -> tuple[Promise, ...]:
    """The promises of the configuration, or of other files where these are given."""
    patterns = slos or config.slos
    if not patterns:
        return ()
    from flows.config.exclusions import exclusions
    from flows.slo.exclusions import check_exclusions
    from flows.slo.openslo import load

    loaded = load(patterns, [dimension.label for dimension in config.decoder_dimensions()])
    for warning in loaded.warnings:
        _warn(errors, warning)
    for warning in check_exclusions(exclusions(config.exclusions), loaded.promises):
        _warn(errors, warning)
    return loaded.promises


def _warn(errors: Console, said: str) -> None:
    errors.print(f"[yellow]{said}[/yellow]", highlight=False)


def _check_step(step_ns: int, config: Config) -> None:
    pane = config.time.pane_ns
    if step_ns <= 0 or step_ns % pane or (MINUTE_NS % step_ns and step_ns % MINUTE_NS):
        raise UsageError(
            f"--step {step_ns / 1e9:g}s",
            f"a step is a multiple of the pane ({pane / 1e9:g}s) and divides a minute or is a multiple of one",
            "Try 1m.",
        )
