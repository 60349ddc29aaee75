"""A server as a process of the tests: on loopback, in a session of its own, ended by its id and never left behind."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_PORTS = range(15_000, 32_000)
"""Below the ports that the kernel gives to outgoing connections: those may take a port while its server is down, or
connect to themselves on it."""

_taken: set[int] = set()


def free_ports(n: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on, none of them given out before in this process."""
    found: list[int] = []
    chooser = random.SystemRandom()  # two test runs side by side must not choose alike, whatever they seed
    while len(found) < n:
        port = chooser.choice(_PORTS)
        if port not in _taken and _is_free(port):
            _taken.add(port)
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def wait_until(true: Callable[[], object], what: str, seconds: float = 30.0, every: float = 0.05) -> None:
    """Wait for something to become true.

    Raises:
        TimeoutError: It has not, after so many seconds; the sentence has `what`.
    """
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds:g} s still not so: {what}")
        time.sleep(every)


def _state(stat: Path) -> str:
    """The state of a process or thread by its file in /proc (proc(5)): R, S, T, Z, …; X for one that is gone."""
    try:
        return stat.read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def is_alive(pid: int) -> bool:
    """Whether a process is there and has not ended; one that waits to be collected has."""
    return _state(Path("/proc") / str(pid) / "stat") not in {"X", "Z"}


class Server(ABC):
    """A server's process, started and ended any number of times with the same arguments.

    It dies with the thread that started it (`setpriv --pdeathsig`), so start it from a thread that lives on. As a
    context manager it is started, and ended at once.

    Args:
        argv: the program and its arguments.
        log: what it says on both its outputs is appended here.
        env: its environment; the tests' own where None.
    """

    def __init__(self, argv: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None) -> None:
        self.argv = [str(each) for each in argv]
        self.log = log
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def answers(self) -> bool:
        """Whether it does its work; asked after a start until it does."""

    @property
    def pid(self) -> int:
        """The process's id.

        Raises:
            RuntimeError: It is not running.
        """
        if self._process is None:
            raise RuntimeError(f"{self.argv[0]} is not running; start() it first")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended, by itself or otherwise."""
        return self._process is not None and self._process.poll() is None

    def start(self, seconds: float = 60.0) -> Self:
        """Start it, and return when it answers.

        Raises:
            RuntimeError: It ended instead; with the end of its log.
            TimeoutError: It does not answer.
        """
        if self.is_running:
            raise RuntimeError(f"{self.argv[0]} is already running as {self.pid}; stop() it first")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *self.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=None if self._env is None else dict(self._env),
                start_new_session=True,
            )
        try:
            wait_until(self._answers_or_ended, f"{self.argv[0]} answers", seconds)
        except TimeoutError as error:
            self.kill()
            raise TimeoutError(f"{error}; {self._last_words()}") from None
        except BaseException:
            self.kill()
            raise
        return self

    def _answers_or_ended(self) -> bool:
        if not self.is_running:
            raise RuntimeError(f"{self.argv[0]} ended at once; {self._last_words()}")
        return self.answers()

    def _last_words(self) -> str:
        said = self.log.read_text(errors="replace") if self.log.exists() else ""
        return f"its log, {self.log}, ends with:\n{said[-2000:]}"

    def stop(self, seconds: float = 30.0) -> None:
        """End it as an operator would, by SIGTERM; by SIGKILL if it takes longer. Nothing if it has ended."""
        self._end(signal.SIGTERM, seconds)

    def kill(self) -> None:
        """End it at once, as a crash does. Nothing if it has ended."""
        self._end(signal.SIGKILL, 30.0)

    def pause(self) -> None:
        """Stop it where it stands (SIGSTOP): its connections stay open, and nobody answers on them.

        Returns when all its threads stand: the kernel stops them one by one, and one more may answer meanwhile.
        """
        self._signal(signal.SIGSTOP)
        wait_until(self._stands, f"{self.argv[0]} stands", every=0.002)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _stands(self) -> bool:
        threads = (Path("/proc") / str(self.pid) / "task").glob("*/stat")
        return all(_state(each) in {"T", "X"} for each in threads)

    def _signal(self, number: signal.Signals) -> None:
        if not self.is_running:
            raise RuntimeError(f"{self.argv[0]} is not running; start() it first")
        assert self._process is not None
        self._process.send_signal(number)

    def _end(self, number: signal.Signals, seconds: float) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)  # one that is paused hears SIGTERM only when it goes on
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        return self if self.is_running else self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def cpu_seconds(self) -> float:
        """What it has used so far, user and system, of all its threads."""
        fields = self._proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def resident_bytes(self) -> int:
        """What it has in memory now."""
        return self._status("VmRSS")

    @property
    def peak_resident_bytes(self) -> int:
        """The most it has had in memory."""
        return self._status("VmHWM")

    def _status(self, name: str) -> int:
        (line,) = (line for line in self._proc("status").splitlines() if line.startswith(f"{name}:"))
        return int(line.split()[1]) << 10

    def _proc(self, name: str) -> str:
        return (Path("/proc") / str(self.pid) / name).read_text()
