"""The supervisor: owns the workers of a machine, their lock, their signals, their restarts, and the page."""

from __future__ import annotations

import faulthandler
import signal as signals
import threading
from time import monotonic
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException

from flows import log
from flows.errors import StateError
from flows.kafka.careful import noted
from flows.kafka.cluster import Cluster
from flows.run.alerting import Alerting
from flows.run.crashes import Crashes
from flows.run.gate import Gate
from flows.run.life import GAVE_UP, Ended, Place, Run
from flows.run.link import ALERTS, SLOS, PageReader
from flows.run.state import StateDirectory
from flows.run.view import View
from flows.run.warm import ensure_compiled
from flows.run.work import Work, work

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from pathlib import Path

    from flows.anomalies.past import Pasts
    from flows.config import Config
    from flows.slo.promise import Promise
    from flows.slo.seed import Seed

_TICK_SECONDS = 0.2
_SETTLED_SECONDS = 60.0
_FIRST_BACKOFF_SECONDS = 0.5

_log = log.get("supervisor")


class Supervisor:
    """Runs until it is told to stop.

    Args:
        config: with a `kafka` section.
        place: which workers of the cluster are ours.
        promises: of the SLOs.
        seed: what they counted before.
        pasts: by rule of anomalies, what new detectors learn first.
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
        pasts: Pasts | None = None,
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
        self._pasts = pasts
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
            asked = self._config, self._promises, self._place, state, crashes, self._work
            run = Run(*asked, self._seed, self._pasts)
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
        """What a worker says: a part of the page, the alerts, or how objectives stand."""
        kind, content = message[:1], message[1:]
        if kind == ALERTS:
            self._alerting.take(content, is_open=gate.is_open)
        elif kind == SLOS:
            self._alerting.take_slos(content)
        else:
            self._view.take(worker, content, reader)

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
