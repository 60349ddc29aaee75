"""`streamgauge backtest`: from a recording and its labels to what each rule is worth."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console

from exporters.whole_file import whole_file
from flows.backtest.answer import Answer, as_data, show
from flows.backtest.drawing import draw
from flows.backtest.labels import read_labels
from flows.backtest.stretch import Terms, stretch
from flows.backtest.thresholds import raised_at, thresholds
from flows.backtest.verdict import Raised, verdict
from flows.errors import DataError, OutputError, UsageError
from flows.picture import check_picture
from flows.replay.compute import before, compute, history, promised, spool_folder
from flows.replay.job import Job
from flows.report import screen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from exporters.alerts import Alert
    from flows.backtest.thresholds import Threshold
    from flows.config import Config
    from flows.slo.promise import Promise
    from flows.summary import Found


class Asked(NamedTuple):
    """What a backtest is asked for, besides the recording."""

    labels: Path
    lasts_ns: int  # of faults whose label has no end
    terms: Terms
    out: Path | None = None
    picture: Path | None = None
    budget: float | None = None  # alerts a day of each rule of anomalies; None: what the configuration says


def backtest(
    recordings: Sequence[str],
    asked: Asked,
    *,
    config: Config,
    slos: Sequence[str] = (),
    seed: Path | None = None,
    prime: Path | None = None,
    signal: str | None = None,
    workers: int = 1,
) -> None:
    """Replay recordings, compare what was raised with labels: progress on standard error, tables on standard output.

    Raises:
        UsageError: there is nothing that could raise an alert, or a picture cannot be of that kind.
        InputError: the labels cannot be read.
        DataError: they are no labels, or there is no span.
        OutputError: a file cannot be written.
    """
    errors = Console(stderr=True)
    if asked.picture is not None:
        check_picture(asked.picture)
    faults = read_labels(asked.labels, asked.lasts_ns)
    promises = promised(config, slos, errors)
    if not promises and not any(each.alerts.enabled for each in config.anomalies):
        hint = "Name SLOs with --slos, or say --anomalies."
        raise UsageError("there are no rules", "a backtest is of what raises alerts", hint)
    with spool_folder() as spool:
        job = Job(
            tuple(recordings),
            config,
            spool,
            signal,
            promises=promises,
            seed=history(seed, promises, errors),
            scores=bool(config.anomalies),
            pasts=before(prime, config, errors),
        )
        found = compute(job, workers, errors)
    if not found.panes:
        raise DataError(f"{recordings[0]} has no span on time", "there is nothing to judge")
    time = stretch(found.panes, config.time.pane_ns, faults, asked.terms)
    chosen = thresholds(time, found.scores, _budgets(config, asked.budget))
    raised = _raised(found, chosen)
    judged = verdict(time, raised, asked.terms.aftermath_ns)
    answer = Answer(time, judged, _silent(promises, found.alerts), chosen)
    show(screen(), answer)
    if asked.out is not None:
        errors.print(_write(answer, asked.out), highlight=False)
    if asked.picture is not None:
        errors.print(draw(asked.picture, ", ".join(recordings), time, raised), highlight=False)


def _budgets(config: Config, budget: float | None) -> dict[tuple[str, str], float]:
    """Alerts a day by rule of anomalies and signal, each the same: else one that is often strange would take all."""
    return {
        (rule.name, signal): (rule.alerts.per_day if budget is None else budget) / len(rule.signals)
        for rule in config.anomalies
        if rule.alerts.enabled
        for signal in rule.signals
    }


def _raised(found: Found, chosen: Sequence[Threshold]) -> list[Raised]:
    """Alerts as they were, and as thresholds on the score would have raised them."""
    at_thresholds = (alert for threshold in chosen for alert in raised_at(threshold, found.scores))
    return [*map(Raised.of_alert, found.alerts), *at_thresholds]


def _silent(promises: Sequence[Promise], alerts: Sequence[Alert]) -> tuple[str, ...]:
    """SLOs that raised no alert."""
    labels = [dict(each.labels) for each in alerts]
    raised = {(each.get("slo"), each.get("objective")) for each in labels}
    return tuple(
        f"{each.name} {each.objective_name}" for each in promises if (each.name, each.objective_name) not in raised
    )


def _write(answer: Answer, path: Path) -> str:
    try:
        with whole_file(path) as out:
            json.dump(as_data(answer), out, indent=1)
            out.write("\n")
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}", hint="Name another file.") from error
    return f"{path}: {len(answer.verdict.figures)} rules"
