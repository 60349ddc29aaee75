"""A text file that appears under its name only when it is whole."""

from __future__ import annotations

import gzip
import io
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BUFFER_BYTES = 1 << 20
_GZIP_LEVEL = 3  # four times as fast as 6, for files a tenth larger


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """A text file (UTF-8, no carriage returns) to write to; renamed to `path` at the end, removed if the block raises.

    With the suffix `.gz` it is compressed, without a date in it, so that the same text gives the same bytes. Until the
    end it is called `path` with `.part` behind.

    Raises:
        OSError: the folder is not there, is full, or may not be written.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb", buffering=_BUFFER_BYTES) as raw, _text(raw, compress=path.suffix == ".gz") as text:
            yield text
        os.replace(part, path)  # noqa: PTH105 - Path.replace says no better what it does
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def _text(raw: BinaryIO, compress: bool) -> Iterator[TextIO]:
    if not compress:
        with io.TextIOWrapper(raw, encoding="utf-8", newline="\n", write_through=True) as text:
            yield text
        return
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=_GZIP_LEVEL, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="\n", write_through=True) as text,
    ):
        yield text
