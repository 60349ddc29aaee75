"""Progress of long work: a line on a terminal, nothing elsewhere."""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from flows.summary import Found

REFRESH_SECONDS = 0.2


class Progress:
    """A line on a terminal: how far, how fast, what time it is in the recording, how long still."""

    def __init__(self, console: Console, total_bytes: int | None) -> None:
        from rich import progress
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn

        self._progress = progress.Progress(
            TextColumn("replaying"),
            BarColumn(bar_width=24),
            DownloadColumn(),
            TextColumn("{task.fields[said]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("replay", total=total_bytes, said="")
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Progress:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join()
        self._progress.stop()

    def watch(self, state: Callable[[], tuple[int, Found]]) -> None:
        """Show the state some times a second."""
        from flows.readable import clock

        begun = monotonic()

        def follow() -> None:
            while not self._done.wait(REFRESH_SECONDS):
                read, found = state()
                spans = sum(tally["spans", ""] for slot in list(found.tallies.values()) for tally in slot.values())
                said = f"{spans:,} spans, {spans / (monotonic() - begun):,.0f}/s"
                if found.upto_ns > 0:
                    said += f", at {clock(found.upto_ns)}"
                self._progress.update(self._task, completed=read, said=said)

        if not self._progress.disable:
            self._thread = threading.Thread(target=follow, daemon=True)
            self._thread.start()
