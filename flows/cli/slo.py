"""`streamgauge slo check | show | seed`: what is wrong with files of promises, what they mean, and their history."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import ConfigFile, HeldSignal
from flows.cli.replay import check_recordings

if TYPE_CHECKING:
    from flows.slo import Promises

_CHECK = """\b
Examples:
  streamgauge slo check slos/*.yaml
  streamgauge slo check --config streamgauge.yaml slos/*.yaml    selectors may be over its dimensions
"""
_SHOW = """\b
Examples:
  streamgauge slo show slos/*.yaml
  streamgauge slo show --rate 250 slos/checkout.yaml    budgets in events too, at 250 a second
  streamgauge slo show --config streamgauge.yaml        the files that it names
"""
_SEED = """\b
Examples:
  streamgauge slo seed traces.pb.zst --slos 'slos/*.yaml' --out history.seed.json
  streamgauge run --config streamgauge.yaml --slos 'slos/*.yaml' --seed history.seed.json
"""

Files = Annotated[
    list[str] | None,
    typer.Argument(metavar="FILE...", help="OpenSLO files or globs; by default `slos` of the configuration."),
]


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Check and explain SLOs.")
    group.command("check", epilog=_CHECK)(_check)
    group.command("show", epilog=_SHOW)(_show)
    group.command("seed", epilog=_SEED)(_seed)
    app.add_typer(group, name="slo")


def _check(files: Files = None, config: ConfigFile = None) -> None:
    """Check files: all that is wrong in them, with lines; what is ignored; what was found."""
    promises = _loaded(files, config)
    for warning in promises.warnings:
        typer.echo(f"warning: {warning}", err=True)
    slos = len({promise.name for promise in promises.promises})
    counts = f"{_count(slos, 'SLO')} with {_count(len(promises.promises), 'objective')}"
    typer.echo(f"{', '.join(promises.files)}: fine, {counts}")


def _show(
    files: Files = None,
    config: ConfigFile = None,
    rate: Annotated[
        float | None, typer.Option("--rate", metavar="NUMBER", min=0, help="Events a second, for budgets in events.")
    ] = None,
) -> None:
    """Show each objective: its budget, when its tiers fire, how long an outage takes to trip them."""
    from flows.slo.table import explain

    for promise in _loaded(files, config).promises:
        typer.echo(explain(promise, rate))


def _seed(
    recordings: Annotated[list[str], typer.Argument(metavar="RECORDING", help="What `streamgauge replay` reads.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The seed to write (JSON).")],
    slos: Annotated[
        list[str] | None,
        typer.Option("--slos", metavar="GLOB", help="OpenSLO files, instead of the configuration's; repeatable."),
    ] = None,
    config: ConfigFile = None,
    signal: HeldSignal = None,
) -> None:
    """Count a recording for SLOs, so that new ones begin with a history: --seed of run and replay.

    Without one, a tier is armed once it has seen half of its long window.
    """
    check_recordings(recordings)
    from flows.config import load
    from flows.errors import UsageError

    settings = load(config)
    if not slos and not settings.slos:
        raise UsageError("there are no SLOs", "a seed holds what they counted", "Name their files with --slos.")
    promises = _loaded(slos, config).promises
    from flows.slo.seeding import make_seed  # brings the dataflow engine

    typer.echo(make_seed(recordings, promises, settings, out, "spans" if signal else None))


def _loaded(files: list[str] | None, config: Path | None) -> Promises:
    from flows.config import load
    from flows.errors import UsageError
    from flows.slo import load as load_promises

    settings = load(config)
    patterns = files or settings.slos
    if not patterns:
        hint = "Write streamgauge slo check slos/*.yaml, or `slos` in the configuration and --config."
        raise UsageError("there is no FILE", "promises are in OpenSLO files", hint)
    names = [each.label for each in settings.decoder_dimensions()]
    return load_promises(patterns, names)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"
