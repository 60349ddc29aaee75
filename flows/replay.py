"""Replay: recordings through the dataflow, by one process or several, and what came of them."""

from __future__ import annotations

import json
import os
import shutil
import signal as signals
import sys
import tempfile
import threading
from base64 import b64encode
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING, Any

from bytewax.testing import cluster_main, run_main
from rich.console import Console

from detectors import kernels
from exporters import csv_samples, openmetrics
from exporters.alert_lines import AlertLines
from flows.config.sections import MINUTE_NS
from flows.decode.encodings import decoder
from flows.emission import Slot
from flows.engine import EmissionSource, Sinks, build
from flows.errors import DataError, OutputError, UsageError
from flows.progress import REFRESH_SECONDS, Progress
from flows.publish import Publisher
from flows.recording import Recording
from flows.recording.dealing import LANES
from flows.report import as_data, show
from flows.rules import Rules
from flows.slo.announce import announce
from flows.slo.publish import slo_samples
from flows.slo.seed import read_seed, seeded
from flows.sources import LocalSink, RecordingSource
from flows.summary import Found, Summary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporters.prometheus import Registry
    from flows.config import Config
    from flows.decode.batch import Decoder
    from flows.emission import Emission
    from flows.shard import Closed
    from flows.slo.judge import SloShown
    from flows.slo.promise import Promise
    from flows.slo.seed import Seed
    from flows.windows import WindowSamples

LOCKSTEP = timedelta(0)
"""An epoch for each read: lanes of several processes then advance together, and none piles up ahead of the others."""

_PIPED_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Job:
    """What a replay is asked for; plain values, the same for all its workers."""

    recordings: tuple[str, ...]
    config: Config
    spool: Path  # a folder for what workers write
    signal: str | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    step_ns: int = MINUTE_NS
    openmetrics: bool = False
    samples: bool = False
    dead_letters: bool = False
    promises: tuple[Promise, ...] = ()
    seed: Seed | None = None

    def open(self) -> Recording:
        """The recording, told by its bytes."""
        return Recording([*self.recordings], signal=self.signal)


class Worker:
    """One process's share of a replay.

    Args:
        job: what is asked for.
        number: of the worker.
        stopped: asked before each read.
        registry: where the page is made, if one is wanted.
    """

    def __init__(self, job: Job, number: int, stopped: Callable[[], bool], registry: Registry | None = None) -> None:
        self.job = job
        self.recording = job.open()
        config = job.config
        counters = job.openmetrics or registry is not None
        self.rules = seeded(Rules.of(config, step_ns=job.step_ns, counters=counters, promises=job.promises), job.seed)
        dimensions = [dimension.label for dimension in config.decoder_dimensions()]
        self._publisher = Publisher(self.rules, dimensions, config.span_metrics.bounds_ms, job.step_ns)
        self._registry = registry
        self._pages: dict[str, dict[str, list[Any]]] = {}
        self.summary = Summary(self.rules)
        folder = job.spool / str(number)
        windows = [self._publisher.window_name(window) for window in self.rules.windows.windows]
        self._metrics = openmetrics.OpenMetricsSpool(folder / "openmetrics") if job.openmetrics else None
        quantiles = [quantile / 1_000_000 for quantile in self.rules.windows.quantiles]
        self._table = csv_samples.CsvSpool(folder / "samples", dimensions, windows, quantiles) if job.samples else None
        folder.mkdir(parents=True, exist_ok=True)
        self._letters = (folder / "dead_letters.jsonl").open("w") if job.dead_letters else None
        self._letters_left = config.dead_letters.count
        source = EmissionSource(RecordingSource(self.recording, self._slot, stopped), LANES)
        self._links = config.links.links()
        sinks = Sinks(
            LocalSink(self._read), LocalSink(self._closed), LocalSink(self._windows), slos=LocalSink(self._slos)
        )
        self.flow = build(source, sinks, self.rules)

    def _decoder(self) -> Decoder:
        config = self.job.config
        return decoder(
            self.recording.encoding, config.decoder_dimensions(), config.decoder_limits(), config.sampling.weighted
        )

    def _slot(self, number: int) -> Slot:
        dedupe = self.job.config.dedupe
        entries = dedupe.entries if dedupe.enabled else 0
        return Slot(number, lambda _: self._decoder(), self.rules.time, entries, self.job.start_ns, self.job.end_ns)

    def _read(self, emissions: list[Emission]) -> None:
        for emission in emissions:
            self.summary.read(emission)
            if self._letters is None:
                continue
            for letter in emission.dead:
                if self._letters_left <= 0:
                    break
                self._letters_left -= 1
                plain = letter._asdict()
                plain["payload"] = b64encode(letter.payload).decode()
                self._letters.write(json.dumps(plain) + "\n")

    def _closed(self, items: list[tuple[str, Closed]]) -> None:
        for key, closed in items:
            self.summary.closed(key, closed)
            if not self.rules.shard.counters:
                continue
            samples = self._publisher.closed(key, closed)
            if self._metrics is not None:
                for block in samples:
                    self._metrics.append(block)
            if self._registry is not None and samples:
                self._show(key, "counters", [block for block in samples if block.at_ns == samples[-1].at_ns])

    def _windows(self, items: list[tuple[str, WindowSamples]]) -> None:
        for key, sample in items:
            self.summary.windows(sample)
            if self._table is not None:
                self._table.append(
                    self._publisher.end_ns(sample.end),
                    self._publisher.window_name(sample.window),
                    self._publisher.operations(sample),
                    sample.calls >> 20,
                    sample.errors >> 20,
                    sample.quantiles,
                )
            if self._metrics is None and self._registry is None:
                continue
            samples = self._publisher.windows(sample)
            if self._metrics is not None:
                for block in samples:
                    self._metrics.append(block)
            if self._registry is not None:
                self._show(key, f"window {sample.window}", samples)

    def _slos(self, items: list[tuple[str, SloShown]]) -> None:
        for _, shown in items:
            self.summary.alerts(announce(shown.alerts, self._links, shown.end_ns))
            if self._metrics is not None and shown.end_ns % self.job.step_ns == 0:
                for block in slo_samples(shown):
                    self._metrics.append(block)

    def _show(self, key: str, part: str, samples: list[Any]) -> None:
        assert self._registry is not None
        page = self._pages.setdefault(key, {})
        page[part] = samples
        self._registry.replace(key, [block for blocks in page.values() for block in blocks])

    def finish(self) -> Found:
        """Close what was written; returns what was found."""
        for spool in (self._metrics, self._table, self._letters):
            if spool is not None:
                spool.close()
        return self.summary.finish()


def replay(
    recordings: Sequence[str],
    *,
    config: Config,
    openmetrics: Path | None = None,
    samples: Path | None = None,
    step_ns: int | None = None,
    dead_letters: Path | None = None,
    slos: Sequence[str] = (),
    alerts: Path | None = None,
    seed: Path | None = None,
    signal: str | None = None,
    start_ns: int | None = None,
    end_ns: int | None = None,
    workers: int = 1,
    top: int = 20,
    as_json: bool = False,
) -> None:
    """Replay recordings and show what was found: progress on standard error, the report on standard output.

    Raises:
        UsageError: the step is no multiple of the pane that divides a minute or is one of minutes; there is a seed and
            nothing is promised.
        DataError: a file is no recording, or holds another signal.
        OutputError: a file cannot be written.
    """
    step = MINUTE_NS if step_ns is None else step_ns
    _check_step(step, config)
    errors = Console(stderr=True)
    spool = Path(tempfile.mkdtemp(prefix="streamgauge-"))
    try:
        promises = _promises(config, slos, errors)
        job = Job(
            tuple(recordings),
            config,
            spool,
            signal,
            start_ns,
            end_ns,
            step,
            openmetrics is not None,
            samples is not None,
            dead_letters is not None,
            promises,
            None if seed is None else read_seed(seed, promises, lambda said: _warn(errors, said)),
        )
        recording = job.open()
        if recording.signal != "spans":
            raise DataError(f"{recordings[0]} holds {recording.signal}", "replay reads spans", "Name traces.")
        if not kernels.are_compiled():
            errors.print("Compiling kernels, once for this version: about 15 s.")
        found, stopped, damages = _run(job, workers, errors)
        kernels.mark_compiled()
        if alerts is not None:
            errors.print(_write_alerts(found, alerts), highlight=False)
        for written in _write(spool, workers, openmetrics, samples, dead_letters):
            errors.print(written, highlight=False)
    finally:
        shutil.rmtree(spool, ignore_errors=True)
    for damage in damages:
        _warn(errors, damage)
    if stopped:
        errors.print("Stopped; this is what was computed so far.")
    quantiles = Rules.of(config).windows.quantiles
    if as_json:
        sys.stdout.write(json.dumps(as_data(found, quantiles, top), indent=1) + "\n")
    else:
        out = Console()
        # A file or a pipe has no width of its own.
        show(out if out.is_terminal else Console(width=_PIPED_WIDTH), found, quantiles, top)


def _promises(config: Config, slos: Sequence[str], errors: Console) -> tuple[Promise, ...]:
    """The promises of the configuration, or of other files where these are given."""
    patterns = slos or config.slos
    if not patterns:
        return ()
    from flows.config.exclusions import exclusions
    from flows.slo.exclusions import check_exclusions
    from flows.slo.openslo import load

    loaded = load(patterns, [dimension.label for dimension in config.decoder_dimensions()])
    for warning in loaded.warnings:
        _warn(errors, warning)
    for warning in check_exclusions(exclusions(config.exclusions), loaded.promises):
        _warn(errors, warning)
    return loaded.promises


def _warn(errors: Console, said: str) -> None:
    errors.print(f"[yellow]{said}[/yellow]", highlight=False)


def _write_alerts(found: Found, path: Path) -> str:
    """Every alert's beginning and end, in order, as JSON lines; says what is where."""
    try:
        with AlertLines(path) as lines:
            times = sorted(
                {at for each in found.alerts for at in (each.starts_at_ns, each.ends_at_ns) if at is not None}
            )
            for at_ns in times:
                lines.set_alerts([each.as_of(at_ns) for each in found.alerts if each.starts_at_ns <= at_ns], at_ns)
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}", hint="Name another file.") from error
    return f"{path}: {len(found.alerts):,} alerts"


def _check_step(step_ns: int, config: Config) -> None:
    pane = config.time.pane_ns
    if step_ns <= 0 or step_ns % pane or (MINUTE_NS % step_ns and step_ns % MINUTE_NS):
        raise UsageError(
            f"--step {step_ns / 1e9:g}s",
            f"a step is a multiple of the pane ({pane / 1e9:g}s) and divides a minute or is a multiple of one",
            "Try 1m.",
        )


def _run(job: Job, workers: int, errors: Console) -> tuple[Found, bool, list[str]]:
    if workers == 1:
        return _run_here(job, errors)
    return _run_cluster(job, workers, errors)


def _run_here(job: Job, errors: Console) -> tuple[Found, bool, list[str]]:
    stop = threading.Event()
    worker = Worker(job, 0, stop.is_set)
    before = signals.signal(signals.SIGINT, lambda *_: stop.set())
    try:
        with Progress(errors, worker.recording.total_bytes) as progress:
            progress.watch(lambda: (worker.recording.bytes_read, worker.summary.found))
            run_main(worker.flow, epoch_interval=LOCKSTEP)  # type: ignore[no-untyped-call]
    finally:
        signals.signal(signals.SIGINT, before)
    found = worker.finish()
    return found, stop.is_set(), damages_of(worker.recording)


def damages_of(recording: Recording) -> list[str]:
    """What a person should know of damaged files."""
    return [
        f"{damage.path} is {damage.reason}: {damage.detail}; {damage.dropped_bytes:,} bytes were dropped, "
        "what came before them is in the answers."
        for damage in recording.damages
    ]


def _work(job: Job, number: int, addresses: list[str], stop: Any, progress: Any, answer: Any) -> None:
    """A worker process of a cluster."""
    signals.signal(signals.SIGINT, signals.SIG_IGN)
    os.dup2(2, 1)  # the dataflow engine talks on standard output, which is the report's
    worker = Worker(job, number, lambda: bool(stop.value))

    def report() -> None:
        while not done.wait(REFRESH_SECONDS):
            progress[number] = worker.recording.bytes_read

    done = threading.Event()
    threading.Thread(target=report, daemon=True).start()
    cluster_main(worker.flow, addresses, number, epoch_interval=LOCKSTEP)  # type: ignore[no-untyped-call]
    done.set()
    answer.send((worker.finish(), damages_of(worker.recording)))
    answer.close()


def _run_cluster(job: Job, workers: int, errors: Console) -> tuple[Found, bool, list[str]]:
    if "-" in job.recordings:
        raise UsageError("--workers with standard input", "several workers each read the files", "Use one worker.")
    spawn = get_context("spawn")
    stop, positions = spawn.Value("b", 0), spawn.Array("q", workers)
    addresses = _free_addresses(workers)
    pipes = [spawn.Pipe(duplex=False) for _ in range(workers)]
    processes = [
        spawn.Process(target=_work, args=(job, number, addresses, stop, positions, pipes[number][1]))
        for number in range(workers)
    ]

    def interrupt(*_: object) -> None:
        stop.value = 1

    before = signals.signal(signals.SIGINT, interrupt)
    found, damages = Found(), []
    try:
        with Progress(errors, job.open().total_bytes) as progress:
            progress.watch(lambda: (min(positions[:]), found))
            for process in processes:
                process.start()
            for _, sending in pipes:
                sending.close()
            for receiving, _ in pipes:
                try:
                    theirs, damages = receiving.recv()
                except EOFError as error:
                    raise DataError("a worker ended without an answer", hint="Its traceback is above.") from error
                found.add(theirs)
    finally:
        signals.signal(signals.SIGINT, before)
        for process in processes:
            if process.is_alive() and not stop.value:
                process.join(5)
            process.kill()
            process.join()
    return found, bool(stop.value), damages


def _free_addresses(n: int) -> list[str]:
    """Loopback addresses with ports that are free now."""
    sockets = [socket() for _ in range(n)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _write(
    spool: Path, workers: int, metrics: Path | None, samples: Path | None, dead_letters: Path | None
) -> list[str]:
    """Join what the workers wrote; says what is where."""
    said = []
    folders = [spool / str(number) for number in range(workers)]
    try:
        if metrics is not None:
            n = openmetrics.merge([folder / "openmetrics" for folder in folders], metrics)
            said.append(f"{metrics}: {n:,} samples for promtool tsdb create-blocks-from openmetrics")
        if samples is not None:
            n = csv_samples.merge([folder / "samples" for folder in folders], samples)
            said.append(f"{samples}: {n:,} windows")
        if dead_letters is not None:
            with dead_letters.open("w") as out:
                for folder in folders:
                    with (folder / "dead_letters.jsonl").open() as letters:
                        shutil.copyfileobj(letters, out)
    except OSError as error:
        raise OutputError(f"{error.filename}: {error.strerror}", hint="Name another file.") from error
    return said
