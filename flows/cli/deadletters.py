"""`streamgauge deadletters`: what could not be decoded, shown, and fed to its topics again."""

from __future__ import annotations

import sys
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import ConfigFile
from flows.errors import ConfigError, InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flows.config import Config
    from flows.emission import DeadLetter

_SHOW = """\b
Examples:
  streamgauge deadletters show state/dead_letters.jsonl
  streamgauge deadletters show --config streamgauge.yaml --reason truncated --limit 20
  streamgauge deadletters show --kafka 127.0.0.1:9092 --topic dead_letters --json
"""

_REPLAY = """\b
Examples:
  streamgauge deadletters replay state/dead_letters.jsonl --config streamgauge.yaml
  streamgauge deadletters replay --config streamgauge.yaml

\b
Each record goes to the end of the partition it came from, with its own timestamp. Those of which only
the beginning was kept, and those whose other spans were counted, are left out. Run it once: a record
that is fed twice counts twice.
"""

LettersFile = Annotated[
    Path | None,
    typer.Argument(metavar="FILE", help="Dead letters as JSON lines; by default the place that the settings name."),
]

app = typer.Typer(
    help="Records that could not be decoded: show them, or feed them to their topics again.", no_args_is_help=True
)


def register(parent: typer.Typer) -> None:
    """Add the commands."""
    parent.add_typer(app, name="deadletters")


@app.command("show", epilog=_SHOW)
def _show(
    file: LettersFile = None,
    config: ConfigFile = None,
    kafka: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Read those that went to a topic of this Kafka.")
    ] = None,
    topic: Annotated[str | None, typer.Option(metavar="NAME", help="The topic, with --kafka.")] = None,
    reason: Annotated[str | None, typer.Option(metavar="REASON", help="Only these.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="The first N only.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines, the bytes in base64.")] = False,
) -> None:
    """Show dead letters: when, which record, why, and how its bytes begin."""
    from flows.config import load
    from flows.emission import PAYLOAD_BYTES
    from flows.run.dead_letters import as_json as line_of
    from flows.run.letters import read_topic, table

    _check_places(file, config, kafka, topic)
    if kafka is not None:
        assert topic is not None
        letters = read_topic(topic, {"bootstrap.servers": kafka})
    else:
        letters = _letters(file, load(config))
    chosen = islice((letter for letter in letters if reason is None or letter.reason == reason), limit)
    if as_json:
        for letter in chosen:
            sys.stdout.buffer.write(line_of(letter, PAYLOAD_BYTES) + b"\n")
        sys.stdout.buffer.flush()
        return
    table(chosen)


@app.command("replay", epilog=_REPLAY)
def _replay(file: LettersFile = None, config: ConfigFile = None) -> None:
    """Feed dead letters to their topics again, for a release that can read them."""
    from flows.config import load
    from flows.run.letters import feed

    loaded = load(config)
    if loaded.kafka is None:
        raise ConfigError(
            "kafka", "not there", "it says where the topics are", "Name the file that `run` uses: --config."
        )
    done = feed(_letters(file, loaded), loaded.kafka)
    typer.echo(f"{sum(done.fed.values()):,} records were fed again{_listed(done.fed)}.")
    for why, count in done.left_out.items():
        typer.echo(f"{count:,} left out: {why}.")


def _listed(by_topic: Counter[str]) -> str:
    return "".join(f", {count:,} to {topic}" for topic, count in sorted(by_topic.items()))


def _check_places(file: Path | None, config: Path | None, kafka: str | None, topic: str | None) -> None:
    if (kafka is None) != (topic is None):
        there, missing = ("--kafka", "--topic NAME") if topic is None else ("--topic", "--kafka HOST:PORT")
        raise UsageError(f"{there} alone", "a topic is in a Kafka", f"Add {missing}.")
    if kafka is not None and (file is not None or config is not None):
        raise UsageError("--kafka beside another place", "dead letters are in one place", "Leave one of them out.")
    if file is None and config is None and kafka is None:
        raise UsageError(
            "no place is named", "dead letters are in a file or a topic", "Name FILE, --config or --kafka."
        )


def _letters(file: Path | None, config: Config) -> Iterator[DeadLetter]:
    """The dead letters of a file, or of the place that the settings name."""
    from flows.run.dead_letters import dead_letter_file
    from flows.run.letters import read_file, read_topic

    if file is None and config.dead_letters.topic is not None:
        assert config.kafka is not None
        return read_topic(config.dead_letters.topic, config.kafka.librdkafka())
    path = dead_letter_file(config) if file is None else file
    if not path.is_file():
        hint = "Name the file that dead_letters.file says, by default dead_letters.jsonl in the state directory."
        raise InputError(f"{path}: {'a directory' if path.is_dir() else 'no such file'}", hint=hint)
    return read_file(path)
