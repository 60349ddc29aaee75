"""What processes cost, from /proc: CPU time and memory of a process and all its descendants."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_TICKS = os.sysconf("SC_CLK_TCK")
_QUIET_SECONDS = 1.0
_QUIET_SHARE = 0.2
_MOST_SECONDS = 600.0


class Tree:
    """A process and its descendants, as they are when it is made."""

    def __init__(self, root: int) -> None:
        self.pids = _descendants(root)

    def cpu_seconds(self) -> float:
        """User and system time of all of them so far."""
        return sum(_cpu_ticks(pid) for pid in self.pids) / _TICKS

    def peak_mb(self) -> float:
        """The sum of the most that each has had in memory, in MB."""
        return sum(_status_kib(pid, "VmHWM") for pid in self.pids) * 1024 / 1e6

    def pause(self) -> None:
        """Stop all of them where they stand."""
        for pid in self.pids:
            os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let all of them go on."""
        for pid in self.pids:
            os.kill(pid, signal.SIGCONT)

    def work(self, is_done: Callable[[], bool]) -> tuple[float, float]:
        """Wait until the work is done; CPU seconds and wall seconds that it took from now.

        Whether it is done is asked only when hardly any CPU time was used for a second, as asking costs some. That
        second is not counted.
        """
        begun, cpu = time.monotonic(), self.cpu_seconds()
        samples = [(begun, cpu)]
        while time.monotonic() - begun < _MOST_SECONDS:
            time.sleep(0.05)
            now, used = time.monotonic(), self.cpu_seconds()
            samples.append((now, used))
            quiet = [each for each in samples if each[0] >= now - _QUIET_SECONDS]
            if samples[0][0] > now - _QUIET_SECONDS or used - quiet[0][1] > _QUIET_SHARE * _QUIET_SECONDS:
                continue
            if is_done():
                return quiet[0][1] - cpu, quiet[0][0] - begun
            samples = [(time.monotonic(), self.cpu_seconds())]
        raise TimeoutError(f"not done within {_MOST_SECONDS:.0f} s")


def _descendants(root: int) -> list[int]:
    found = [root]
    for pid in found:  # grows on the way
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _status_kib(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])
