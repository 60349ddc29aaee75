"""`streamgauge record`: topics into a recording that `replay` reads, until it is told to stop."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import DURATION, ConfigFile
from flows.cli.terminal import progress_line, until_told
from flows.errors import ConfigError, InputError, UnitError
from flows.units import parse_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.record.recorder import Recorded

_EPILOG = """\b
Examples:
  streamgauge record --config streamgauge.yaml recorded/traces.pb.zst
  streamgauge record --config streamgauge.yaml traces.pb.zst --duration 15m
  streamgauge record --config streamgauge.yaml traces.pb.zst --rotate 1GiB

\b
Run again with the same OUT, it goes on where the recording ends: no record twice, none left out.
"""

_LEAST_ROTATION = 4096


def _rotation(text: str) -> int:
    try:
        size = parse_size(text)
    except UnitError as error:
        raise typer.BadParameter(str(error)) from error
    if size < _LEAST_ROTATION:
        raise typer.BadParameter(f"{text!r}; a part has at least {_LEAST_ROTATION:,} bytes.")
    return size


_rotation.__name__ = "SIZE"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("record", epilog=_EPILOG)(_record)


def _record(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="The recording; its folder is made. An index is written beside it.")
    ],
    config: ConfigFile = None,
    duration: Annotated[
        int | None, typer.Option(parser=DURATION, metavar="TIME", help="Such as 15m; else until Ctrl-C.")
    ] = None,
    rotate: Annotated[
        int | None,
        typer.Option(parser=_rotation, metavar="SIZE", help="Begin a new part, OUT-2 and so on, at this size."),
    ] = None,
) -> None:
    """Record the configured topics, so that a replay shows what the live run showed.

    Spans are kept as OTLP in protobuf, compressed, as the Collector's file exporter writes them; the index beside them
    says which record each was. Reading begins at kafka.start, or where the recording ends.
    """
    from flows import log
    from flows.config import load

    loaded = load(config)
    if loaded.kafka is None:
        hint = "`streamgauge run --help` shows a first configuration."
        raise ConfigError("kafka", "not there", "it says what to read", hint)
    log.configure(loaded.log.format, loaded.log.level)
    from flows.kafka.properties import check
    from flows.record.parts import Parts, existing_parts
    from flows.record.recorder import Recorder

    trouble = check(loaded.kafka.librdkafka())
    if trouble:
        raise ConfigError("kafka.properties", trouble, "they are librdkafka's", "Its CONFIGURATION.md lists them.")
    with until_told() as told, progress_line("getting ready") as say:
        parts = Parts(out, rotate)
        try:
            end = None if duration is None else monotonic() + duration / 1e9

            def stopped() -> bool:
                return told() or (end is not None and monotonic() >= end)

            recorder = Recorder(loaded.kafka, parts, out.with_name(f"{out.name}.start.json"))
            done = recorder.run(stopped, lambda recorded: say(_so_far(recorded)))
        finally:
            parts.close()
    if not done.was_reached and not told():
        found = f"Kafka at {loaded.kafka.bootstrap_servers} did not answer" + (done.trouble and f" ({done.trouble})")
        raise InputError(found, hint="Check the address, and that the broker runs.")
    typer.echo(_said(out, done, existing_parts(out)))


def _so_far(recorded: Recorded) -> str:
    trouble = f", waiting: {recorded.trouble}" if recorded.trouble else f", {recorded.left:,} waiting"
    counted = f"{recorded.records:,} records, {recorded.n_bytes / 1e6:,.1f} MB"
    return f"recording: {counted}{_troubles(recorded)}{trouble}; Ctrl-C ends it"


def _troubles(recorded: Recorded) -> str:
    found = [
        (recorded.dead, "that cannot be decoded (in the index)"),
        (recorded.lost, "deleted before they could be read"),
    ]
    said = "".join(f", {count:,} {what}" for count, what in found if count)
    return said + (f", {recorded.lost_spans:,} spans left out that cannot be read" if recorded.lost_spans else "")


def _said(out: Path, recorded: Recorded, parts: Sequence[Path]) -> str:
    from flows.recording.naming import signal_in

    signal = "" if any(signal_in(str(part)) for part in parts) else " --signal traces"
    replay = f"streamgauge replay {' '.join(quote(str(part)) for part in parts)}{signal}"
    return f"{out}: {recorded.records:,} records{_troubles(recorded)}; {replay}"
