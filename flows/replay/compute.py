"""From what is asked for to what was found, and what a person should know of it: for all that replay a recording."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from detectors import kernels
from flows.anomalies.past_file import read_past
from flows.config.anomalies import anomaly_rules
from flows.errors import DataError
from flows.replay.cluster import run
from flows.slo.seed import read_seed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from flows.anomalies.past import Pasts
    from flows.config import Config
    from flows.replay.job import Job
    from flows.slo.promise import Promise
    from flows.slo.seed import Seed
    from flows.summary import Found


@contextmanager
def spool_folder() -> Iterator[Path]:
    """A folder for what workers write, for as long as it is needed."""
    folder = Path(tempfile.mkdtemp(prefix="streamgauge-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def promised(config: Config, slos: Sequence[str], errors: Console) -> tuple[Promise, ...]:
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
    is_scored = bool(config.anomalies)
    for warning in check_exclusions(exclusions(config.exclusions), loaded.promises, is_scored=is_scored):
        _warn(errors, warning)
    return loaded.promises


def history(seed: Path | None, promises: tuple[Promise, ...], errors: Console) -> Seed | None:
    """What promises counted before, if a file says.

    Raises:
        UsageError: there is a seed and nothing is promised.
    """
    return None if seed is None else read_seed(seed, promises, lambda said: _warn(errors, said))


def before(prime: Path | None, config: Config, errors: Console) -> Pasts | None:
    """What operations did before, by rule of anomalies, if a file says; what it has is told.

    Raises:
        UsageError: there is a file and nothing is scored.
    """
    if prime is None:
        return None
    return read_past(prime, anomaly_rules(config), lambda said: errors.print(said, highlight=False))


def compute(job: Job, workers: int, errors: Console) -> Found:
    """Run a replay; says what is damaged, what matched nothing, and whether it was stopped.

    Raises:
        DataError: a file is no recording, or holds another signal than spans.
    """
    recording = job.open()
    if recording.signal != "spans":
        raise DataError(f"{job.recordings[0]} holds {recording.signal}", "replay reads spans", "Name traces.")
    if not kernels.are_compiled():
        errors.print("Compiling kernels, once for this version: about 15 s.")
    found, stopped, damages = run(job, workers, errors)
    kernels.mark_compiled()
    for damage in damages:
        _warn(errors, damage)
    for promise in job.promises:
        if (promise.name, promise.service, promise.objective_name) not in found.matched:
            _warn(errors, f"SLO {promise.name} ({promise.objective_name}) matches nothing: no span was counted for it.")
    if stopped:
        errors.print("Stopped; this is what was computed so far.")
    return found


def _warn(errors: Console, said: str) -> None:
    errors.print(f"[yellow]{said}[/yellow]", highlight=False)
