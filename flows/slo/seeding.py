"""A recording counted for promises: the same stages as a replay's, and what their judge has in its rings at the end."""

from __future__ import annotations

import signal as signals
import threading
from typing import TYPE_CHECKING, NamedTuple

from bytewax.testing import run_main
from rich.console import Console

from detectors import kernels
from flows.decode.encodings import decoder
from flows.emission import Slot
from flows.engine import EmissionSource, Sinks, build
from flows.errors import DataError
from flows.progress import Progress
from flows.recording import Recording
from flows.recording.dealing import LANES
from flows.replay.job import LOCKSTEP
from flows.replay.worker import damages_of
from flows.rules import Rules
from flows.slo.judge import SloJudge, tell_judge
from flows.slo.seed import Seed, histories, save
from flows.sources import LocalSink, RecordingSource
from flows.summary import Summary

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flows.config import Config
    from flows.emission import Emission
    from flows.shard import Closed
    from flows.slo.promise import Promise
    from flows.window_samples import WindowsShown


class Counted(NamedTuple):
    """What a recording holds for promises."""

    seed: Seed
    from_ns: int  # event time
    to_ns: int
    damages: list[str]


def make_seed(
    recordings: Sequence[str], promises: Sequence[Promise], config: Config, out: Path, signal: str | None = None
) -> str:
    """Count recordings for promises and write a seed; says what is in it.

    Raises:
        DataError: a file is no recording, holds another signal, or nothing in it is promised.
        OutputError: the seed cannot be written.
    """
    errors = Console(stderr=True)
    if not kernels.are_compiled():
        errors.print("Compiling kernels, once for this version: about 15 s.")
    found = count(recordings, promises, config, errors, signal)
    kernels.mark_compiled()
    for damage in found.damages:
        errors.print(f"[yellow]{damage}[/yellow]", highlight=False)
    rows = len(found.seed.histories)
    if not rows:
        raise DataError(
            f"nothing in {recordings[0]} is what these SLOs count",
            "a seed holds counts",
            "`streamgauge replay RECORDING` shows which services and operations it holds.",
        )
    size = save(out, found.seed, found.from_ns, found.to_ns)
    hours = (found.to_ns - found.from_ns) / 3_600_000_000_000
    return f"{out}: {rows:,} rows of counts from {hours:,.1f} h, {size:,} bytes, for --seed of run and replay"


def count(
    recordings: Sequence[str],
    promises: Sequence[Promise],
    config: Config,
    errors: Console,
    signal: str | None = None,
) -> Counted:
    """Count recordings for promises; Ctrl-C ends it like any other error.

    Raises:
        DataError: a file is no recording, or holds another signal.
    """
    recording = Recording([*recordings], signal=signal)
    if recording.signal != "spans":
        raise DataError(f"{recordings[0]} holds {recording.signal}", "promises are about spans", "Name traces.")
    rules = Rules.of(config, counters=False, promises=tuple(promises))
    assert rules.slo is not None
    judge, summary, stop = SloJudge(rules.slo), Summary(rules), threading.Event()
    dimensions, limits = config.decoder_dimensions(), config.decoder_limits()
    entries = config.dedupe.entries if config.dedupe.enabled else 0

    def slot(number: int) -> Slot:
        return Slot(
            number,
            lambda _: decoder(recording.encoding, dimensions, limits, config.sampling.weighted),
            rules.time,
            entries,
        )

    def read(emissions: list[Emission]) -> None:
        for emission in emissions:
            summary.read(emission)

    def closed(items: list[tuple[str, Closed]]) -> None:
        for item in items:
            judge.hear([tell_judge(item)[1]])
            summary.found.upto_ns = judge.position * rules.time.pane_ns

    def windows(_: list[tuple[str, WindowsShown]]) -> None:
        """They are not asked for."""

    flow = build(
        EmissionSource(RecordingSource(recording, slot, stop.is_set), LANES),
        Sinks(LocalSink(read), LocalSink(closed), LocalSink(windows)),
        rules,
        is_stored=False,
    )
    before = signals.signal(signals.SIGINT, lambda *_: stop.set())
    try:
        with Progress(errors, recording.total_bytes) as progress:
            progress.watch(lambda: (recording.bytes_read, summary.found))
            run_main(flow, epoch_interval=LOCKSTEP)  # type: ignore[no-untyped-call]
    finally:
        signals.signal(signals.SIGINT, before)
    if stop.is_set():
        raise KeyboardInterrupt  # half a history is none
    seed = histories(judge.banks)
    to_ns = judge.position * rules.time.pane_ns
    length_ns = max((history.length_ns for history in seed.histories.values()), default=0)
    return Counted(seed, to_ns - length_ns, to_ns, damages_of(recording))
