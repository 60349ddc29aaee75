"""`streamgauge metrics`: the reference of everything exported."""

from __future__ import annotations

import json
from typing import Annotated

import typer

_EPILOG = """\b
Examples:
  streamgauge metrics
  streamgauge metrics --json | jq -r '.[].name'
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("metrics", epilog=_EPILOG)(_metrics)


def _metrics(as_json: Annotated[bool, typer.Option("--json", help="The same as data.")] = False) -> None:
    """List every exported metric: its name, type, labels and meaning."""
    from exporters.names import reference

    rows = reference()
    if as_json:
        typer.echo(json.dumps([row._asdict() for row in rows], indent=2))
        return
    for row in rows:
        labels = f"{{{row.labels}}}" if row.labels else ""
        typer.echo(f"{row.name} ({row.kind})\n    {row.help}")
        if labels:
            typer.echo(f"    {labels}")
