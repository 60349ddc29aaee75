"""The command `streamgauge`: its commands, its exit codes, and what an error looks like."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from flows.cli import backtest, config, deadletters, detect, generate, metrics, record, replay, run, slo
from flows.errors import EXIT_CODES, StreamgaugeError

INTERRUPTED = 130

_EPILOG = """\b
Examples:
  streamgauge replay traces.pb.zst
  streamgauge generate datasets/demo.yaml demo/traces.pb.zst
  streamgauge config show

\b
Exit codes:
""" + "\n".join(f"  {code:>3}  {meaning}" for code, meaning in EXIT_CODES.items())

app = typer.Typer(
    name="streamgauge",
    help="Latency percentiles, calls and errors of OpenTelemetry spans, computed in event time on the stream.",
    epilog=_EPILOG,
    rich_markup_mode=None,  # boxes break at other widths and in files; plain text reads well everywhere
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
run.register(app)
replay.register(app)
backtest.register(app)
record.register(app)
deadletters.register(app)
generate.register(app)
detect.register(app)
config.register(app)
metrics.register(app)
slo.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        typer.echo(f"streamgauge {metadata.version('streamgauge')}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command and exit; an error a person can mend is a sentence or two on standard error, no traceback."""
    try:
        app()
    except StreamgaugeError as error:
        typer.echo(f"streamgauge: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("streamgauge: interrupted", err=True)
        sys.exit(INTERRUPTED)
