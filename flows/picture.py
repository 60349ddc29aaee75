"""What can go wrong with a picture, as sentences: before there is one, and when it is written."""

from __future__ import annotations

from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from exporters.plot import SUFFIXES
from flows.errors import OutputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def check_picture(path: Path) -> None:
    """Refuse what cannot be drawn, before anything slow is done for it.

    Raises:
        UsageError: the suffix is of no kind that is drawn, or matplotlib is not there.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(f"--plot {path}", f"a picture ends in {', '.join(SUFFIXES)}", "Name it so.")
    if find_spec("matplotlib") is None:
        raise UsageError("--plot without matplotlib", "it draws", "Install streamgauge[plot].")


@contextmanager
def drawing(path: Path) -> Iterator[None]:
    """Write a picture.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}", hint="Name another file.") from error
