"""`streamgauge backtest`: what alert rules would have made of a recording whose faults are known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import DURATION, LENGTH, Anomalies, ConfigFile, HeldSignal, Prime, Seed, Workers
from flows.cli.replay import check_recordings

_LASTS_NS, _AFTERMATH_NS = 300 * 10**9, 1_800 * 10**9
_LEARNS_NS = 9_000 * 10**9  # a detector of anomalies, before it says anything
_EPILOG = """\b
Examples:
  streamgauge backtest traces.pb.zst --labels labels.json --slos 'slos/*.yaml' --seed slos.seed.json
  streamgauge backtest traces.pb.zst --labels labels.json --anomalies --budget 2
  streamgauge backtest traces.pb.zst --labels labels.json --config streamgauge.yaml --out backtest.json
  streamgauge backtest traces.pb.zst --labels labels.json --anomalies --prime last_week.csv.gz

\b
labels.json is a list of what went wrong:
  [{"at": "2026-03-02T09:05:00Z", "until": "2026-03-02T09:10:00Z", "kind": "outage", "service": "shop"}]
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("backtest", epilog=_EPILOG)(_backtest)


def _backtest(
    recordings: Annotated[list[str], typer.Argument(metavar="RECORDING", help="What `streamgauge replay` reads.")],
    labels: Annotated[Path, typer.Option(metavar="FILE", help="What went wrong, when and where (JSON).")],
    config: ConfigFile = None,
    slos: Annotated[
        list[str] | None,
        typer.Option("--slos", metavar="GLOB", help="OpenSLO files whose promises are judged; repeatable."),
    ] = None,
    anomalies: Anomalies = False,
    budget: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            metavar="N",
            help="Alerts a day of each rule of anomalies, for which a score is suggested.  [default: its `per_day`]",
        ),
    ] = None,
    seed: Seed = None,
    prime: Prime = None,
    signal: HeldSignal = None,
    lasts: Annotated[
        int | None,
        typer.Option(
            parser=DURATION,
            metavar="TIME",
            help="How long a fault lasts whose label has no `until`.  [default: 5m]",
        ),
    ] = None,
    aftermath: Annotated[
        int | None,
        typer.Option(
            parser=LENGTH,
            metavar="TIME",
            help="After a fault: an alert may be its, and none is false.  [default: 30m]",
        ),
    ] = None,
    warm_up: Annotated[
        int | None,
        typer.Option(
            parser=LENGTH,
            metavar="TIME",
            help="Of the recording's beginning: what happens does not count.  [default: 2h30m with anomalies, 0 if "
            "primed]",
        ),
    ] = None,
    split: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of the recording to look at; the rest is held out.")
    ] = 0.6,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="All figures as JSON.")] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Faults and alerts by service as a picture: PNG, SVG or PDF.")
    ] = None,
    workers: Workers = 1,
) -> None:
    """Replay a recording whose faults are known, and show which alerts saw them, how soon, and which were false.

    Alerts are those that `streamgauge replay` would have raised. What is tuned by looking at the first part of a
    recording should be believed by its second.
    """
    check_recordings(recordings)
    from flows.backtest.command import Asked, backtest
    from flows.backtest.stretch import Terms
    from flows.config import load
    from flows.config.anomalies import with_anomalies

    settings = with_anomalies(load(config)) if anomalies else load(config)
    learns = _LEARNS_NS if settings.anomalies and prime is None else 0
    backtest(
        recordings,
        Asked(
            labels,
            _LASTS_NS if lasts is None else lasts,
            Terms(learns if warm_up is None else warm_up, _AFTERMATH_NS if aftermath is None else aftermath, split),
            out,
            plot,
            budget,
        ),
        config=settings,
        slos=slos or (),
        seed=seed,
        prime=prime,
        signal="spans" if signal else None,
        workers=workers,
    )
