"""`streamgauge generate`: a recording with known truth from a scenario file."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import DURATION
from flows.errors import InputError, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flows.generate.generator import Encoding, GeneratedRecord

_EPILOG = """\b
Examples:
  streamgauge generate datasets/demo.yaml demo/traces.pb.zst
  streamgauge generate datasets/slow_database.yaml traces.json --format json --seed 7 --duration 5m
  streamgauge generate datasets/platform.yaml big/traces.pb.zst --rate 5000 --duration 1h

\b
What goes wrong, when and where is written beside the recording, as labels.json.
"""


class Format(StrEnum):
    """The forms of the Collector's file exporter."""

    PROTO = "proto"
    JSON = "json"
    PROTO_ZSTD = "proto-zstd"
    JSON_ZSTD = "json-zstd"
    PROTO_NATIVE_ZSTD = "proto-native-zstd"
    JSON_NATIVE_ZSTD = "json-native-zstd"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("generate", epilog=_EPILOG)(_generate)


def _generate(
    scenario: Annotated[Path, typer.Argument(metavar="SCENARIO", help="A scenario file (YAML); see datasets/.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The recording to write; its folder is made.")],
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Same scenario, same seed: same bytes.")] = 1,
    duration: Annotated[
        int | None, typer.Option(parser=DURATION, metavar="TIME", help="Event time, such as 15m; else the scenario's.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.001, metavar="SPANS_PER_S", help="Spans a second; else the scenario's.")
    ] = None,
    form: Annotated[
        Format, typer.Option("--format", help="Encoding and compression; -zstd is the Collector's own framing.")
    ] = Format.PROTO_NATIVE_ZSTD,
) -> None:
    """Generate a recording whose faults are known, from a scenario.

    Seeded traffic of a platform: the same scenario, seed and options give the same bytes.
    """
    if not scenario.is_file():
        raise InputError(
            f"{scenario}: no such file", hint="The scenarios are in datasets/, such as datasets/demo.yaml."
        )
    from flows.generate.generator import generate
    from flows.generate.labels import labels, write_labels
    from flows.generate.scenario import Scenario

    described = Scenario.load(scenario)
    length = None if duration is None else timedelta(microseconds=duration // 1_000)
    encoding: Encoding = "otlp_json" if form.value.startswith("json") else "otlp_proto"
    records = generate(described, seed=seed, duration=length, rate=rate, encoding=encoding)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        n_records, n_spans = _write(records, out, form)
        truth = write_labels(out, labels(described, duration=length))
    except OSError as error:
        raise OutputError(f"{out}: {error.strerror}", hint="Name another place for the recording.") from error
    typer.echo(f"{out}: {n_spans:,} spans in {n_records:,} records; what goes wrong, and when, is in {truth}")


def _write(records: Iterable[GeneratedRecord], out: Path, form: Format) -> tuple[int, int]:
    """Write a recording, counting on a terminal as it grows; how many records and spans it has."""
    from rich.console import Console

    from flows.recording.writer import RecordingWriter

    console = Console(stderr=True)
    n_records = n_spans = 0
    with RecordingWriter(out, form.value) as writer, console.status("generating") as status:
        for n_records, record in enumerate(records, 1):
            writer.write(record.request)
            n_spans += record.spans
            if n_records % 100 == 0:
                status.update(f"generating: {n_spans:,} spans")
    return n_records, n_spans
