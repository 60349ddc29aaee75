"""What commands that go on until they are told to stop share: a line of progress, and who tells them."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def progress_line(text: str) -> Iterator[Callable[[str], None]]:
    """A line on a terminal that is written over, and nothing elsewhere."""
    from rich.console import Console

    with Console(stderr=True).status(text) as status:
        yield status.update


@contextmanager
def until_told() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C or SIGTERM was heard; the second Ctrl-C ends the command at once."""
    told = Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def tell(number: int, _: object) -> None:
        told.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, tell)
    try:
        yield told.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
