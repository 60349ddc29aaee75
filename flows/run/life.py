"""One life of all workers of a machine: their processes, what they say, and how they end."""

from __future__ import annotations

import os
import signal as signals
import threading
from datetime import timedelta
from multiprocessing import connection, get_context
from socket import socket
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from flows import log
from flows.errors import UsageError
from flows.run.allocator import small_pages
from flows.run.link import REPORT, PageReader, Report, decode_report
from flows.run.work import Work

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess
    from pathlib import Path

    from flows.anomalies.past import Pasts
    from flows.config import Config
    from flows.run.crashes import Crashes
    from flows.run.state import StateDirectory
    from flows.slo.promise import Promise
    from flows.slo.seed import Seed

GAVE_UP, KILLED = 70, 75
"""Exit codes: crashes that no record explains; a stop that took too long."""

_START_SECONDS = 60.0
"""How long a start may take on top of the time without an epoch that counts as hanging."""
_SNAPSHOT_BYTES_PER_SECOND = 250e6

_log = log.get("supervisor")


class Place(NamedTuple):
    """Which machine of how many, and how many workers each has."""

    workers: int = 1
    machine: int = 0
    addresses: tuple[str, ...] = ()  # host:port of each machine's first worker; empty: this machine alone


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
        pasts: Pasts | None = None,
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
                pasts,
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
