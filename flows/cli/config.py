"""`streamgauge config show | check | schema`: what is in force, what is wrong, what could be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import ConfigFile

_SHOW = """\b
Examples:
  streamgauge config show
  streamgauge config show --config streamgauge.yaml
  streamgauge config show > streamgauge.yaml        a file to begin with: keep what differs
"""
_CHECK = """\b
Example:
  streamgauge config check streamgauge.yaml
"""
_SCHEMA = """\b
Example: completion and checks in editors that know YAML language servers
  streamgauge config schema > streamgauge.schema.json
  then begin the file with: # yaml-language-server: $schema=streamgauge.schema.json
"""


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Show, check and describe the settings.")
    group.command("show", epilog=_SHOW)(_show)
    group.command("check", epilog=_CHECK)(_check)
    group.command("schema", epilog=_SCHEMA)(_schema)
    app.add_typer(group, name="config")


def _show(config: ConfigFile = None) -> None:
    """Print every setting in force, as YAML."""
    from flows.config import load
    from flows.config.reference import as_yaml

    typer.echo(as_yaml(load(config)), nl=False)


def _check(file: Annotated[Path, typer.Argument(metavar="FILE", help="Settings (YAML).")]) -> None:
    """Check a file: all that is wrong in it, with lines."""
    from flows.config import load

    load(file)
    typer.echo(f"{file} is fine")


def _schema() -> None:
    """Print the JSON schema of the file, for editors."""
    from flows.config.reference import schema

    typer.echo(json.dumps(schema(), indent=2, ensure_ascii=False))
