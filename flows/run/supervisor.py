"""The supervisor: owns the workers of a machine, their lock, their signals, their restarts, and the page."""

from __future__ import annotations

import faulthandler
import os
import signal as signals
import threading
from datetime import timedelta
from multiprocessing import connection, get_context
from socket import socket
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from confluent_kafka import KafkaException

from flows import log
from flows.errors import StateError, UsageError
from flows.kafka.careful import noted
from flows.kafka.cluster import Cluster
from flows.run.alerting import Alerting
from flows.run.allocator import small_pages
from flows.run.crashes import Crashes
from flows.run.gate import Gate
from flows.run.link import ALERTS, REPORT, PageReader, Report, decode_report
from flows.run.state import StateDirectory
from flows.run.view import View
from flows.run.warm import ensure_compiled
from flows.run.work import Work, work

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess
    from pathlib import Path

    from flows.config import Config
    from flows.slo.promise import Promise
    from flows.slo.seed import Seed

GAVE_UP, KILLED = 70, 75
"""Exit codes: crashes that no record explains; a stop that took too long."""

_TICK_SECONDS = 0.2
_SETTLED_SECONDS = 60.0
_FIRST_BACKOFF_SECONDS = 0.5
_START_SECONDS = 60.0
"""How long a start may take on top of the time without an epoch that counts as hanging."""
_SNAPSHOT_BYTES_PER_SECOND = 250e6

_log = log.get("supervisor")


class Place(NamedTuple):
    """Which machine of how many, and how many workers each has."""

    workers: int = 1
    machine: int = 0
    addresses: tuple[str, ...] = ()  # host:port of each machine's first worker; empty: this machine alone


class Supervisor:
    """Runs until it is told to stop.

    Args:
        config: with a `kafka` section.
        place: which workers of the cluster are ours.
        promises: of the SLOs.
        seed: what they counted before.
        alert_lines: a file that every alert's beginning and end is appended to.
        accept_state_loss: begin anew where the state cannot be used.
        work: the life of a worker process.
    """

    def __init__(
        self,
        config: Config,
        place: Place = Place(),  # noqa: B008  immutable
        *,
        promises: tuple[Promise, ...] = (),
        seed: Seed | None = None,
        alert_lines: Path | None = None,
        accept_state_loss: bool = False,
        work: Callable[[Work, Connection], None] = work,
    ) -> None:
        assert config.kafka is not None
        self._config = config
        self._place = place
        self._accept_state_loss = accept_state_loss
        self._work = work
        self._stop = threading.Event()
        self._promises = promises
        self._seed = seed
        self._alerting = Alerting(config, alert_lines, promises)
        self._view = View(config, self._alerting)
        self._cluster = Cluster(
            config.kafka.librdkafka(),
            [topic.name for topic in config.kafka.topics],
            config.kafka.metadata_refresh_ns / 1e9,
        )

    def stop(self, *_: object) -> None:
        """End the run: what a signal does."""
        self._stop.set()

    def run(self) -> int:
        """Run until stopped; the exit code.

        Raises:
            StateError: the state directory is held by another, or cannot be used.
            UsageError: the page's address is taken.
        """
        config = self._config
        faulthandler.register(signals.SIGUSR1, all_threads=True)  # where it is, for who asks
        before = {number: signals.signal(number, self.stop) for number in (signals.SIGINT, signals.SIGTERM)}
        try:
            with StateDirectory(config.state_directory, self._place.machine) as state:
                if self._place.machine == 0:
                    resumed = state.open(config.frozen(), accept_loss=self._accept_state_loss)
                else:
                    resumed = True
                ensure_compiled()
                self._view.serve(state)
                self._alerting.start()
                self._cluster.begin()
                try:
                    return self._run(state, resumed=resumed)
                finally:
                    self._cluster.stop()
                    self._alerting.stop()
                    self._view.close()
        finally:
            for number, handler in before.items():
                signals.signal(number, handler)

    def _forget_unfinished(self, state: StateDirectory) -> bool:
        """Make the recovery files ready for a new life, as soon as there is room; False: told to stop meanwhile."""
        while True:
            try:
                state.forget_unfinished()
            except StateError as error:
                if not state.is_full():
                    raise
                _log.error("workers wait for room on the disk", why=str(error), disk_full=True)
                self._view.pause(f"only {state.free_bytes():,} bytes are free under the state directory")
            else:
                return True
            if self._stop.wait(_FIRST_BACKOFF_SECONDS):
                return False

    def _run(self, state: StateDirectory, *, resumed: bool) -> int:
        crashes = Crashes(state.crashes_file)
        backoff = _FIRST_BACKOFF_SECONDS
        while True:
            begun = monotonic()
            if not self._forget_unfinished(state):
                return 0  # told to stop while there was no room
            run = Run(self._config, self._promises, self._place, state, crashes, self._work, self._seed)
            gate = Gate(shut=resumed, floor=state.shown_up_to(), whole_cluster=not self._place.addresses)
            self._view.begin(run, gate)
            ended = self._watch(run, gate, state)
            if self._stop.is_set():
                return run.stop(self._config.supervision.stop_grace_ns / 1e9)
            run.kill()
            resumed = True  # what was shown must not be taken back, whether it was stored or not
            self._view.restarts += 1
            note = noted(run.notes[ended.worker]) if run.notes else None
            full = state.is_full()
            _log.error("workers ended", why=ended.why, exit_code=ended.exit_code, disk_full=full)
            if not full and not crashes.crashed(ended.exit_code, run.start_positions(), note):
                _log.error("workers crash again and again at the same offsets, and for no record's sake")
                return GAVE_UP
            if note is not None and note in crashes.skip:
                _log.error("workers died of a record three times; it is set aside", **note._asdict())
            backoff = _FIRST_BACKOFF_SECONDS if monotonic() - begun > _SETTLED_SECONDS else backoff
            self._view.pause(ended.why)
            if self._stop.wait(backoff):
                return 0
            backoff = min(2 * backoff, self._config.supervision.restart_backoff_most_ns / 1e9)

    def _watch(self, run: Run, gate: Gate, state: StateDirectory) -> Ended:
        """Follow the workers until one ends or hangs, or a stop is asked for."""
        asking: threading.Thread | None = None
        while not self._stop.is_set():
            ended = run.listen(lambda *said: self._take(gate, *said), _TICK_SECONDS)
            if ended is not None:
                return ended
            if not gate.is_open and gate.ends is None and (asking is None or not asking.is_alive()):
                asking = threading.Thread(target=self._ask_ends, args=(run, gate), daemon=True)
                asking.start()
            if gate.look(run.reports, monotonic()):
                run.tell(None)  # nothing more is asked of them
                _log.info("caught up; the page is shown again")
            hanging = run.hanging(self._config.supervision.hang_ns / 1e9)
            if hanging is not None:
                return hanging
            if gate.is_open:
                shown = max((report.shown_up_to for report in run.reports), default=gate.floor)
                if shown > gate.floor:
                    gate.floor = shown
                    state.show_up_to(shown)
            self._alerting.look(run.reports, is_open=gate.is_open)
            self._view.refresh()
        return Ended("a stop was asked for", 0)

    def _take(self, gate: Gate, worker: int, message: bytes, reader: PageReader) -> None:
        """What a worker says: a part of the page, or the alerts."""
        if message[:1] == ALERTS:
            self._alerting.take(message[1:], is_open=gate.is_open)
        else:
            self._view.take(worker, message[1:], reader)

    def _ask_ends(self, run: Run, gate: Gate) -> None:
        """Ask where the topics end, until there is an answer, and tell the workers."""
        while not self._stop.is_set() and not run.is_over:
            partitions = self._cluster.partitions()
            if partitions is not None:
                try:
                    run.tell(gate.ask(self._cluster.ends(partitions)))
                except KafkaException as error:
                    _log.warning("the cluster does not say where its topics end", why=error.args[0].str())
                else:
                    return
            self._stop.wait(0.2)


class Ended(NamedTuple):
    """Why a run is over."""

    why: str
    exit_code: int | None  # None: it hung
    worker: int = 0  # of this machine, which ended first


class Run:
    """One life of all workers of this machine."""

    def __init__(
        self,
        config: Config,
        promises: tuple[Promise, ...],
        place: Place,
        state: StateDirectory,
        crashes: Crashes,
        work: Callable[[Work, Connection], None],
        seed: Seed | None = None,
    ) -> None:
        spawn = get_context("spawn")
        small_pages()
        first = place.machine * place.workers
        addresses = _addresses(place)
        epoch = max(config.supervision.epoch_ns / 1e9, 10 * state.size_bytes() / _SNAPSHOT_BYTES_PER_SECOND)
        self.notes: list[Path] = []  # of a careful run: which record each worker was at
        self.reports: list[Report] = [Report() for _ in range(place.workers)]
        self.is_over = False
        self._pipes: list[Connection] = []
        self._processes: list[SpawnProcess] = []
        self._readers = [PageReader() for _ in range(place.workers)]
        self._heard_at = [monotonic()] * place.workers
        self._epoch = epoch
        if crashes.careful:
            self.notes = [state.path / f"reading-{first + index}.json" for index in range(place.workers)]
            for note in self.notes:
                note.unlink(missing_ok=True)
            _log.warning("reading one record at a time, to find the one that workers die of")
        for index in range(place.workers):
            ours, theirs = spawn.Pipe()
            asked = Work(
                config,
                first + index,
                addresses,
                state.recovery,
                state.starts_file,
                timedelta(seconds=epoch),
                crashes.skip,
                promises,
                seed,
                self.notes[index] if self.notes else None,
            )
            process = spawn.Process(target=work, args=(asked, theirs), name=f"worker {first + index}")
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        _log.info("workers started", workers=place.workers, epoch_seconds=round(epoch, 1))

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [process.pid or 0 for process in self._processes]

    def listen(self, take: Callable[[int, bytes, PageReader], None], seconds: float) -> Ended | None:
        """Take what the workers say for some time; why the run is over, if one of them ended."""
        ready = connection.wait([*self._pipes, *(process.sentinel for process in self._processes)], seconds)
        over = None
        for index, pipe in enumerate(self._pipes):
            if pipe not in ready:
                continue
            try:
                while pipe.poll():
                    message = pipe.recv_bytes()
                    if message[:1] == REPORT:
                        self.reports[index] = decode_report(message[1:])
                        self._heard_at[index] = monotonic()
                    else:
                        take(index, message, self._readers[index])
            except (EOFError, OSError):
                over = index
        for index, process in enumerate(self._processes):
            if process.sentinel in ready or over == index:
                process.join(1.0)
                return Ended(f"worker {index} (process {process.pid}) ended", process.exitcode, index)
        return None

    def hanging(self, most_seconds: float) -> Ended | None:
        """Whether a worker has stored nothing, or said nothing, for too long; its stacks go to the log."""
        now = monotonic()
        for index, report in enumerate(self.reports):
            silent = now - self._heard_at[index]
            most = most_seconds + (self._epoch if report.started else _START_SECONDS)
            if max(silent, report.epoch_age) <= most:
                continue
            process = self._processes[index]
            assert process.pid is not None
            os.kill(process.pid, signals.SIGUSR1)
            process.join(0.5)
            return Ended(f"worker {index} (process {process.pid}) stored no state for {most:.0f} s", None, index)
        return None

    def start_positions(self) -> dict[str, int]:
        """Where the workers began to read."""
        return {key: offset for report in self.reports for key, offset in report.start_positions.items()}

    def tell(self, what: object) -> None:
        """Send something to every worker; one that has just ended is noticed elsewhere."""
        for pipe in self._pipes:
            try:
                pipe.send(what)
            except OSError:
                continue

    def stop(self, grace_seconds: float) -> int:
        """End all workers at once, each with its last epoch stored; 0, or KILLED where that took too long."""
        _log.info("stopping")
        self.tell("stop")
        until = monotonic() + grace_seconds
        code = 0
        while any(process.is_alive() for process in self._processes):
            if monotonic() > until:
                _log.error("a stop took too long; the workers are killed", seconds=grace_seconds)
                for process in self._processes:
                    if process.is_alive() and process.pid is not None:
                        os.kill(process.pid, signals.SIGUSR1)
                threading.Event().wait(0.5)
                code = KILLED
                break
            self.listen(lambda *_: None, 0.05)
        if code == 0 and any(process.exitcode for process in self._processes):
            code = GAVE_UP
            _log.error("a worker failed while stopping", exit_codes=[process.exitcode for process in self._processes])
        self.kill()
        if code == 0:
            _log.info("stopped")
        return code

    def kill(self) -> None:
        """End what still lives."""
        self.is_over = True
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join()
        for pipe in self._pipes:
            pipe.close()


def _addresses(place: Place) -> tuple[str, ...]:
    """host:port of every worker of the cluster, in order: worker w of a machine is on the machine's port + w."""
    if place.addresses:
        found = []
        for address in place.addresses:
            host, _, port = address.rpartition(":")
            if not host or not port.isdigit():
                raise UsageError(f"--addresses has {address!r}", "host:port of each machine", "Write host:9500,….")
            found += [f"{host}:{int(port) + worker}" for worker in range(place.workers)]
        return tuple(found)
    if place.workers == 1:
        return ()
    sockets = [socket() for _ in range(place.workers)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return tuple(f"127.0.0.1:{each.getsockname()[1]}" for each in sockets)
    finally:
        for each in sockets:
            each.close()
