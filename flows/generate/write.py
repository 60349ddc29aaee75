"""A scenario → a recording and its labels, as files."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from flows.errors import OutputError
from flows.generate.generator import generate
from flows.generate.labels import labels, write_labels
from flows.recording.writer import DEFAULT_FORMAT, RecordingWriter

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from flows.generate.generator import Encoding
    from flows.generate.scenario import Scenario


class Written(NamedTuple):
    """What was written."""

    records: int
    spans: int
    recording: Path
    labels: Path


def _unheard(spans: int) -> None:
    """Progress that nobody watches."""


def write_recording(
    scenario: Scenario,
    out: str | Path,
    *,
    form: str = DEFAULT_FORMAT,
    seed: int = 1,
    start: datetime | None = None,
    duration: timedelta | None = None,
    rate: float | None = None,
    progress: Callable[[int], None] = _unheard,
) -> Written:
    """Generate a recording from a scenario, and write `labels.json` into its folder, which is made.

    Args:
        scenario: what happens.
        out: the recording; it appears when it is complete.
        form: one of `flows.recording.writer.FORMATS`.
        seed: 0 or more.
        start: instead of the scenario's.
        duration: instead of the scenario's.
        rate: spans a second at the start, instead of the scenario's.
        progress: told now and then how many spans have been written.

    Raises:
        UsageError: An argument cannot be used.
        RecordingError: The form is none of those known.
        OutputError: A file cannot be written.
    """
    out, spans = Path(out), 0
    encoding: Encoding = "otlp_json" if form.startswith("json") else "otlp_proto"
    records = generate(scenario, seed=seed, start=start, duration=duration, rate=rate, encoding=encoding)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with RecordingWriter(out, form) as writer:
            for record in records:
                writer.write(record.request)
                spans += record.spans
                if writer.frames % 100 == 0:
                    progress(spans)
        path = write_labels(out, labels(scenario, start=start, duration=duration))
    except OSError as error:
        raise OutputError(f"{out}: {error.strerror}", hint="Name another place for the recording.") from error
    return Written(writer.frames, spans, out, path)
