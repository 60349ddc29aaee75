"""Runs the workers of a replay: one here, or several in a cluster of processes on loopback."""

from __future__ import annotations

import os
import signal as signals
import threading
from multiprocessing import get_context
from socket import socket
from typing import TYPE_CHECKING, Any

from bytewax.testing import cluster_main, run_main

from flows.errors import DataError, UsageError
from flows.progress import REFRESH_SECONDS, Progress
from flows.replay.job import LOCKSTEP
from flows.replay.worker import Worker, damages_of
from flows.summary import Found

if TYPE_CHECKING:
    from rich.console import Console

    from flows.replay.job import Job


def run(job: Job, workers: int, errors: Console) -> tuple[Found, bool, list[str]]:
    """What all workers found, whether they were interrupted, and what is damaged of the files.

    Raises:
        UsageError: several workers, and standard input.
        DataError: a worker ended without an answer.
    """
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
