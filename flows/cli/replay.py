"""`streamgauge replay`: recordings through the dataflow, and what came of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import DURATION, TIME, Anomalies, ConfigFile, HeldSignal, Prime, Seed, Workers
from flows.errors import InputError, UsageError

_EPILOG = """\b
Examples:
  streamgauge replay traces.pb.zst
  streamgauge replay traces-1.json traces-2.json --from 2026-03-02T09:05:00Z --to 2026-03-02T09:10:00Z
  streamgauge replay traces.pb.zst --openmetrics history.om --step 1m
  streamgauge replay traces.pb.zst --anomalies --samples scores.csv.gz --prime last_week.csv.gz
  streamgauge replay traces.pb.zst --slos 'slos/*.yaml' --seed history.seed.json --alerts alerts.jsonl
  zstdcat traces.pb.zst | streamgauge replay - --signal traces --json

\b
The OpenMetrics file fills a Prometheus with the past:
  promtool tsdb create-blocks-from openmetrics history.om DATA_DIRECTORY
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay", epilog=_EPILOG)(_replay)


def _replay(
    recordings: Annotated[
        list[str],
        typer.Argument(
            metavar="RECORDING",
            help="Files that the OpenTelemetry Collector's file exporter wrote (JSON or protobuf, plain or zstd); "
            "several are the parts of one, in order; - is standard input.",
        ),
    ],
    config: ConfigFile = None,
    openmetrics: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all samples with their times, for promtool.")
    ] = None,
    samples: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write closed windows as CSV; a name in .gz is compressed.")
    ] = None,
    step: Annotated[
        int | None,
        typer.Option(
            parser=DURATION, metavar="TIME", help="Thin the OpenMetrics samples to multiples of it, such as 1m."
        ),
    ] = None,
    dead_letters: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write records that could not be decoded, as JSON lines.")
    ] = None,
    slos: Annotated[
        list[str] | None,
        typer.Option("--slos", metavar="GLOB", help="OpenSLO files whose promises are judged; repeatable."),
    ] = None,
    anomalies: Anomalies = False,
    alerts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Append every alert's beginning and end, as JSON lines.")
    ] = None,
    seed: Seed = None,
    prime: Prime = None,
    signal: HeldSignal = None,
    start: Annotated[
        int | None,
        typer.Option(
            "--from", parser=TIME, metavar="TIME", help="Leave out what ended before, such as 2026-03-02T09:05Z."
        ),
    ] = None,
    end: Annotated[
        int | None, typer.Option("--to", parser=TIME, metavar="TIME", help="Leave out what ended at it or later.")
    ] = None,
    workers: Workers = 1,
    top: Annotated[int, typer.Option(min=1, metavar="N", help="Operations in the table, the busiest first.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="The summary as JSON instead of tables.")] = False,
) -> None:
    """Replay recorded spans and show percentiles, calls and errors by operation.

    Event time is the spans' own: the answers are those of the live run, as fast as the machine goes.
    """
    _check(recordings, start, end)
    from flows.config import load
    from flows.config.anomalies import with_anomalies
    from flows.replay.command import replay

    replay(
        recordings,
        config=with_anomalies(load(config)) if anomalies else load(config),
        openmetrics=openmetrics,
        samples=samples,
        step_ns=step,
        dead_letters=dead_letters,
        slos=slos or (),
        alerts=alerts,
        seed=seed,
        prime=prime,
        signal="spans" if signal else None,
        start_ns=start,
        end_ns=end,
        workers=workers,
        top=top,
        as_json=as_json,
    )


def _check(recordings: list[str], start_ns: int | None, end_ns: int | None) -> None:
    """Refuse what cannot be, before anything slow is imported."""
    if start_ns is not None and end_ns is not None and start_ns >= end_ns:
        raise UsageError("--from is not before --to", hint="Swap them, or leave one out.")
    check_recordings(recordings)


def check_recordings(recordings: list[str]) -> None:
    """Refuse what is no list of files, nor standard input.

    Raises:
        UsageError: standard input stands among files.
        InputError: a file is not there.
    """
    if "-" in recordings and len(recordings) > 1:
        raise UsageError("- stands among other recordings", "standard input is read alone", "Give one or the other.")
    for recording in recordings:
        if recording != "-" and not Path(recording).is_file():
            found = "a directory" if Path(recording).is_dir() else "no such file"
            raise InputError(
                f"{recording}: {found}", hint="Give a file that the Collector's file exporter wrote, or -."
            )
