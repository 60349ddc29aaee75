"""`streamgauge detect FILE`: anomalies in a file of values."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import DURATION

_EPILOG = """\b
Examples:
  streamgauge detect requests.csv
  streamgauge detect latency.csv --preset latency --out scores.csv --plot latency.png
  curl -s 'http://127.0.0.1:9090/api/v1/query_range?query=…&start=…&end=…&step=60' > answer.json
  streamgauge detect answer.json --zone Europe/Berlin
"""


class Preset(StrEnum):
    """What a series measures; the detector's own names."""

    default = "default"
    latency = "latency"
    errors = "errors"
    traffic = "traffic"
    money = "money"
    saturation = "saturation"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("detect", epilog=_EPILOG)(_detect)


def _detect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV (timestamp,value) or a range query's JSON.")],
    preset: Annotated[Preset, typer.Option(help="What the values measure.")] = Preset.default,
    zone: Annotated[str, typer.Option(metavar="ZONE", help="Time zone whose days and weeks they follow.")] = "UTC",
    threshold: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Least score of an alert; 0.25 is one row in a hundred.")
    ] = 0.45,
    step: Annotated[
        int | None,
        typer.Option(parser=DURATION, metavar="TIME", help="Between two values; else as between the first ones."),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Scores as CSV, a row for each row.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="A picture, .png or .svg.")] = None,
    top: Annotated[int, typer.Option(min=1, metavar="N", help="How many alerts to show.")] = 20,
) -> None:
    """Score a series of values against its own past, and show what was strange.

    A score is 0 where a value is ordinary and 1 where it is as rare as they come; strange values less than half an hour
    apart are one alert. The first hours of a series are learnt in silence.
    """
    from flows.detect.command import detect

    detect(
        file,
        preset=preset.value,
        zone=zone,
        threshold=threshold,
        step_ns=step,
        out=out,
        picture=plot,
        top=top,
    )
