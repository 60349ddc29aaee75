"""A scenario file → a recording and its labels, as files."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from flows.generate.generator import generate
from flows.generate.labels import labels, write_labels
from flows.generate.scenario import Scenario
from flows.recording.writer import DEFAULT_FORMAT, FORMATS, RecordingWriter

if TYPE_CHECKING:
    from datetime import datetime

    from flows.generate.generator import Encoding


class Written(NamedTuple):
    """What was written."""

    records: int
    spans: int
    recording: Path
    labels: Path


def write_recording(
    scenario: str | Path,
    out: str | Path,
    *,
    form: str = DEFAULT_FORMAT,
    seed: int = 1,
    start: datetime | None = None,
    duration_ns: int | None = None,
    rate: float | None = None,
) -> Written:
    """Generate a recording from a scenario file, and write `labels.json` into its folder.

    Args:
        scenario: a scenario file.
        out: the recording; it appears when it is complete.
        form: one of `flows.recording.writer.FORMATS`.
        seed: 0 or more.
        start: instead of the scenario's.
        duration_ns: instead of the scenario's; counted in microseconds.
        rate: spans a second at the start, instead of the scenario's.

    Raises:
        InputError: A scenario file cannot be read.
        ConfigErrors: A scenario says what cannot be.
        UsageError: An argument cannot be used.
        RecordingError: The form is none of those known.
    """
    loaded, out = Scenario.load(scenario), Path(out)
    duration = None if duration_ns is None else timedelta(microseconds=duration_ns // 1000)
    spans = 0
    with RecordingWriter(out, form) as writer:
        encoding: Encoding = "otlp_json" if FORMATS[form].encoding == "otlp_json" else "otlp_proto"
        for record in generate(loaded, seed=seed, start=start, duration=duration, rate=rate, encoding=encoding):
            writer.write(record.request)
            spans += record.spans
    path = write_labels(out, labels(loaded, start=start, duration=duration))
    return Written(writer.frames, spans, out, path)
