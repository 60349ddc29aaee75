"""`streamgauge generate`: a scenario as a recording with known truth, or in real time into a Kafka topic."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import DURATION
from flows.cli.terminal import progress_line, until_told
from flows.errors import InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from flows.generate.generator import Encoding
    from flows.generate.live import Fed
    from flows.generate.scenario import Scenario

_EPILOG = """\b
Examples:
  streamgauge generate datasets/demo.yaml demo/traces.pb.zst
  streamgauge generate datasets/slow_database.yaml traces.json --format json --seed 7 --duration 5m
  streamgauge generate datasets/platform.yaml big/traces.pb.zst --rate 5000 --duration 1h
  streamgauge generate datasets/demo.yaml --kafka 127.0.0.1:9092 --topic otlp_spans --rate 1000

\b
What goes wrong, when and where is written beside the recording, as labels.json.
"""


class Format(StrEnum):
    """The forms of the Collector's file exporter; a topic has records, so for one there are only the first two."""

    PROTO = "proto"
    JSON = "json"
    PROTO_ZSTD = "proto-zstd"
    JSON_ZSTD = "json-zstd"
    PROTO_NATIVE_ZSTD = "proto-native-zstd"
    JSON_NATIVE_ZSTD = "json-native-zstd"


_OF_RECORDS: dict[Format | None, Encoding] = {None: "otlp_proto", Format.PROTO: "otlp_proto", Format.JSON: "otlp_json"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("generate", epilog=_EPILOG)(_generate)


def _generate(
    scenario: Annotated[Path, typer.Argument(metavar="SCENARIO", help="A scenario file (YAML); see datasets/.")],
    out: Annotated[
        Path | None, typer.Argument(metavar="[OUT]", help="The recording to write; its folder is made.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Same scenario, same seed: same bytes.")] = 1,
    duration: Annotated[
        int | None,
        typer.Option(parser=DURATION, metavar="TIME", help="Such as 15m; else the scenario's, with --kafka endless."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.001, metavar="SPANS_PER_S", help="Spans a second; else the scenario's.")
    ] = None,
    form: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="Encoding and compression; -zstd is the Collector's own framing.  [default: proto-native-zstd]",
        ),
    ] = None,
    kafka: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Feed a Kafka topic in real time instead of writing OUT.")
    ] = None,
    topic: Annotated[
        str | None, typer.Option(metavar="NAME", help="The topic; made if it is missing.  [default: otlp_spans]")
    ] = None,
) -> None:
    """Generate a recording whose faults are known, from a scenario.

    Seeded traffic of a platform: the same scenario, seed and options give the same bytes. With --kafka the same traffic
    goes to a topic as time passes, with event times that are now, until Ctrl-C.
    """
    if kafka is None and out is None:
        raise UsageError("neither OUT nor --kafka", "spans go to a file or a topic", "Name one of them.")
    if kafka is not None and out is not None:
        raise UsageError(f"both OUT ({out}) and --kafka", "spans go to a file or a topic", "Leave one of them out.")
    if kafka is None and topic is not None:
        raise UsageError("--topic without --kafka", "a topic is in a Kafka", "Add --kafka HOST:PORT.")
    if kafka is not None and form not in _OF_RECORDS:
        raise UsageError(f"--format {form} with --kafka", "records are proto or json", "Leave --format out.")
    if not scenario.is_file():
        raise InputError(
            f"{scenario}: no such file", hint="The scenarios are in datasets/, such as datasets/demo.yaml."
        )
    from flows.generate.scenario import Scenario

    described = Scenario.load(scenario)
    length = None if duration is None else timedelta(microseconds=duration // 1_000)
    if out is not None:
        _write(described, out, form or Format.PROTO_NATIVE_ZSTD, seed, length, rate)
    elif kafka is not None:
        _feed(described, kafka, topic or "otlp_spans", _OF_RECORDS[form], seed, length, rate)


def _write(
    scenario: Scenario, out: Path, form: Format, seed: int, duration: timedelta | None, rate: float | None
) -> None:
    """Write a recording, counting on a terminal as it grows."""
    from flows.generate.write import write_recording

    with progress_line("generating") as say:

        def progress(spans: int) -> None:
            say(f"generating: {spans:,} spans")

        done = write_recording(
            scenario, out, form=form.value, seed=seed, duration=duration, rate=rate, progress=progress
        )
    typer.echo(
        f"{out}: {done.spans:,} spans in {done.records:,} records; what goes wrong, and when, is in {done.labels}"
    )


def _feed(
    scenario: Scenario,
    bootstrap: str,
    topic: str,
    encoding: Encoding,
    seed: int,
    duration: timedelta | None,
    rate: float | None,
) -> None:
    """Feed a topic until the time is over or somebody ends it."""
    from flows.generate.live import Feed, live_records

    feed = Feed(bootstrap, topic)
    feed.open()
    with progress_line("getting ready") as say, until_told() as stopped:
        start, records = live_records(scenario, seed=seed, duration=duration, rate=rate, encoding=encoding)
        for message in _announced(scenario, start, duration):
            typer.echo(message, err=True)
        for fed in feed.send(records, stopped):
            say(_so_far(topic, fed))
    typer.echo(f"{topic} at {bootstrap}: {feed.fed.spans:,} spans in {feed.fed.records:,} records")


def _so_far(topic: str, fed: Fed) -> str:
    lost = f", {fed.lost_spans:,} lost ({fed.trouble})" if fed.lost_records else ""
    behind = f", {fed.behind_seconds:.0f} s behind: it cannot keep this rate" if fed.behind_seconds > 1 else ""
    return f"feeding {topic}: {fed.spans:,} spans{lost}{behind}; Ctrl-C ends it"


def _announced(scenario: Scenario, start: datetime, duration: timedelta | None) -> Iterator[str]:
    """What will go wrong, and when, as sentences in local time."""
    from datetime import datetime

    from flows.generate.labels import labels
    from flows.generate.live import ENDLESS

    for label in labels(scenario, start=start, duration=duration or ENDLESS):
        at, until = (datetime.fromisoformat(label[key]).astimezone() for key in ("at", "until"))
        yield f"{label['kind']} in {label['service']} from {at:%H:%M:%S} to {until:%H:%M:%S}"
