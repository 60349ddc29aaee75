"""What a worker is asked for, and the process that does it: it dies with its supervisor.

The supervisor imports this, and with it nothing of the dataflow: kernels and their compiler live in workers alone.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal as signals
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flows import log
from flows.run.allocator import keep_memory

if TYPE_CHECKING:
    from datetime import timedelta
    from multiprocessing.connection import Connection
    from pathlib import Path

    from flows.anomalies.past import Pasts
    from flows.config import Config
    from flows.kafka.reading import Coordinates
    from flows.slo.promise import Promise
    from flows.slo.seed import Seed

ORPHANED = 75
"""Exit code of a worker whose supervisor is gone."""

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Work:
    """What a worker is asked for; plain values, the same for all workers of a machine but for `number`."""

    config: Config
    number: int  # in the cluster
    addresses: tuple[str, ...]  # of all workers of the cluster
    recovery: Path
    starts_file: Path
    epoch: timedelta
    skip: frozenset[Coordinates] = field(default_factory=frozenset)
    promises: tuple[Promise, ...] = ()
    seed: Seed | None = None  # what they counted before
    pasts: Pasts | None = None  # by rule of anomalies, what new detectors learn first
    careful: Path | None = None  # where to note each record before it is decoded


def work(asked: Work, pipe: Connection) -> None:
    """The whole life of a worker process."""
    _die_with_parent()
    keep_memory()
    for number in (signals.SIGINT, signals.SIGTERM):
        signals.signal(number, signals.SIG_IGN)  # stopping is the supervisor's, for all workers at once
    faulthandler.register(signals.SIGUSR1, all_threads=True)
    os.dup2(2, 1)  # the dataflow engine talks on standard output
    log.configure(asked.config.log.format, asked.config.log.level, worker=asked.number)
    from flows.run.worker import Worker

    Worker(asked, pipe).run()


def _die_with_parent() -> None:
    """The kernel kills this process when the supervisor ends, however it ends (prctl(2))."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signals.SIGKILL)
    if os.getppid() != parent:
        os._exit(ORPHANED)
