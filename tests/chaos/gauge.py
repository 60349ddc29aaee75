"""`streamgauge run` as a process, and what its page says; with every way to hurt it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import httpx
import yaml
from prometheus_client.parser import text_string_to_metric_families

from flows.run.warm import ensure_compiled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WITHIN_SECONDS = 30.0
_PROCESS_OWN = {"streamgauge_worker_restarts_total"}
"""Counters of the supervisor's own life: they begin anew when it does."""


class Series(NamedTuple):
    """A line of the page, but for its value."""

    name: str
    labels: frozenset[tuple[str, str]]


Page = dict[Series, float]


def series(name: str, **labels: str) -> Series:
    return Series(name, frozenset(labels.items()))


def read_page(text: str) -> Page:
    """Every sample of a page."""
    return {
        Series(sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Gauge:
    """One `streamgauge run`; the state directory outlives it.

    Args:
        folder: for its configuration, its log and its state.
        bootstrap: of the broker.
        topics: their names, or whole settings.
        workers: how many.
        settings: more of the configuration, over ours.
        arguments: more of the command line.
        command: instead of `streamgauge`, for a process that is broken on purpose.
    """

    def __init__(
        self,
        folder: Path,
        bootstrap: str,
        topics: Sequence[str | dict[str, Any]] = ("otlp_spans",),
        workers: int = 1,
        settings: dict[str, Any] | None = None,
        arguments: Sequence[str] = (),
        command: Sequence[str] = (sys.executable, "-m", "flows.cli"),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.state = folder / "state"
        self.workers = workers
        self._arguments = [*arguments]
        self._command = [*command]
        self.config: dict[str, Any] = {
            "kafka": {
                "bootstrap_servers": bootstrap,
                "topics": [
                    {"name": topic, "signal": "spans", "encoding": "otlp_proto"} if isinstance(topic, str) else topic
                    for topic in topics
                ],
                "idle": "1h",
                "metadata_refresh": "1s",
                "properties": {"reconnect.backoff.max.ms": 500},
            },
            "state_directory": str(self.state),
            "listen": "127.0.0.1:0",
            "supervision": {"epoch": "500ms", "restart_backoff_most": "500ms"},
        }
        for section, values in (settings or {}).items():
            known = self.config.get(section)
            self.config[section] = {**known, **values} if isinstance(known, dict) else values
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder / "run.log"
        self._log_from = 0
        self._client = httpx.Client(timeout=10.0)

    # Its life

    def start(self, *more: str) -> Self:
        """Start it; it may take a moment until it serves. Kernels are compiled before, outside of anyone's deadline."""
        ensure_compiled()
        file = self.folder / "streamgauge.yaml"
        file.write_text(yaml.safe_dump(self.config))
        self._log_from = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, "run", "--config", file, "--workers", str(self.workers), *self._arguments, *more],
                stderr=log,
                stdout=log,
                start_new_session=True,
            )
        return self

    def __enter__(self) -> Self:
        return self if self._process is not None else self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._client.close()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it was not started"
        return self._process

    def stop(self, number: int = signal.SIGTERM, within: float = 20.0) -> int:
        """End it as an operator does; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(within)

    def kill(self) -> None:
        """Kill -9 of the supervisor; its workers die with it."""
        if self._process is None:
            return
        workers = self.worker_pids()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        eventually(lambda: not any(_is_alive(pid) for pid in workers), "the workers die with their supervisor")

    def worker_pids(self) -> list[int]:
        """The workers' process ids, as the kernel knows them."""
        found = []
        for pid in _children(self.process.pid):
            try:
                if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(pid)
            except OSError:
                continue
        return found

    def kill_workers(self, most: int = 99) -> None:
        """Kill -9 of some workers, or all."""
        for pid in self.worker_pids()[:most]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    # What it says

    @property
    def log(self) -> str:
        """What it has said since it was started last."""
        return self._log.read_bytes()[self._log_from :].decode(errors="replace")

    @property
    def url(self) -> str:
        """Of its pages."""
        found = re.findall(r'"the page is served".*?"address":"([^"]+)"', self.log)
        if not found:
            raise httpx.ConnectError(f"it does not serve yet; exit code {self.process.poll()}")
        return f"http://{found[-1]}"

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self._client.get(self.url + path, headers=headers)

    def page(self) -> Page | None:
        """Its metrics, None while they are not shown."""
        try:
            answer = self.get("/metrics")
        except httpx.HTTPError:
            return None
        return read_page(answer.text) if answer.status_code == 200 else None

    def status(self) -> dict[str, Any]:
        """Its status; empty while there is none."""
        try:
            found: dict[str, Any] = self.get("/status", accept="application/json").json()
        except httpx.HTTPError:
            return {}
        return found

    def is_ready(self) -> bool:
        try:
            return self.get("/-/ready").status_code == 200
        except httpx.HTTPError:
            return False

    def wait_ready(self, within: float = 60.0) -> Self:
        eventually(self.is_ready, lambda: f"it is ready; its log: {self.log[-3000:]}", within)
        return self

    def wait_for_page(self, check: Callable[[Page], bool], what: str, within: float = WITHIN_SECONDS) -> Page:
        """The first page that passes a check."""
        found: list[Page] = []

        def passes() -> bool:
            page = self.page()
            if page is not None and check(page):
                found.append(page)
            return bool(found)

        eventually(passes, lambda: f"{what}; its log: {self.log[-3000:]}", within)
        return found[0]


def eventually(check: Callable[[], bool], what: str | Callable[[], str], within: float = WITHIN_SECONDS) -> None:
    """Wait until something is so."""
    until = time.monotonic() + within
    while not check():
        assert time.monotonic() < until, f"not within {within:g} s: {what if isinstance(what, str) else what()}"
        time.sleep(0.05)


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


class Scraper:
    """Scrapes all the time, and remembers every counter that went back."""

    def __init__(self, gauge: Gauge, every: float = 0.2) -> None:
        self.pages = 0
        self.went_back: list[str] = []
        self._gauge = gauge
        self._every = every
        self._last: Page = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._scrape, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _scrape(self) -> None:
        while not self._stop.wait(self._every):
            page = self._gauge.page()
            if page is None:
                continue
            self.pages += 1
            for key, value in page.items():
                if _is_counter(key.name) and value < self._last.get(key, 0.0):
                    self.went_back.append(f"{key.name}{sorted(key.labels)}: {self._last[key]} then {value}")
            self._last.update(page)


def _is_counter(name: str) -> bool:
    if not name.startswith(("traces_", "streamgauge_")) or name in _PROCESS_OWN:
        return False
    return name.endswith(("_total", "_bucket", "_count", "_sum"))
