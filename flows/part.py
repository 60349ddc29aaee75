"""What one emission tells one shard, and how it crosses to another process.

The dataflow engine pickles whatever goes to another process, item by item, and twice: once to learn its length. A part
is a dozen small arrays, whose own pickling costs several times what it took to compute them. So a part crosses as one
piece of bytes, made once; what it says of its slot is the same for all shards, and made once for all.
"""

from __future__ import annotations

import pickle
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flows.fold import CELL_COLUMNS, ROW_COLUMNS, Partial, Sender

if TYPE_CHECKING:
    from collections.abc import Callable

    from flows.watermark import Progress

# Wide columns before narrow ones: each then begins at a multiple of its items' size.
_LAYOUT = sorted((*ROW_COLUMNS.items(), *CELL_COLUMNS.items()), key=lambda column: -column[1].itemsize)
_COLUMNS = tuple((name, dtype, name in CELL_COLUMNS) for name, dtype in _LAYOUT)


class Part(NamedTuple):
    """What one emission tells one shard: where its slot stands, and the shard's partial if there is one."""

    progress: Progress | None  # None: more of the same emission follows
    partial: Partial | None
    key: str = ""  # of the shard, which learns from it who it is

    def __reduce__(self) -> tuple[Callable[..., Part], tuple[Any, ...]]:
        progress = None if self.progress is None else _packed_progress(self.progress)
        return _unpack, (self.key, progress, *(() if self.partial is None else _packed(self.partial)))


class _Said:
    """What was packed last: the parts of one emission have one progress."""

    progress: Progress | None = None
    packed = b""


def _packed_progress(progress: Progress) -> bytes:
    if _Said.progress is not progress:
        _Said.progress, _Said.packed = progress, pickle.dumps(progress)
    return _Said.packed


@lru_cache(16)
def _progress_of(packed: bytes) -> Progress:
    progress: Progress = pickle.loads(packed)  # noqa: S301  a process of this cluster wrote it
    return progress


def _packed(partial: Partial) -> tuple[Any, ...]:
    if partial.packed is None:
        columns = b"".join(getattr(partial, name).data for name, _, _ in _COLUMNS)
        sizes = len(partial.series), len(partial.cell)
        partial.packed = (*partial.sender, partial.first_new, partial.new, *sizes, columns)
    return partial.packed


def _unpack(
    key: str,
    progress: bytes | None,
    process: bytes | None = None,
    generation: int = 0,
    first_new: int = 0,
    new: list[Any] | None = None,
    n_rows: int = 0,
    n_cells: int = 0,
    columns: bytes = b"",
) -> Part:
    partial = None
    if process is not None:
        data = bytearray(columns)  # arrays that are read only would be another type to the kernels
        lengths = [n_cells if is_cell else n_rows for _, _, is_cell in _COLUMNS]
        starts = accumulate((n * dtype.itemsize for n, (_, dtype, _) in zip(lengths, _COLUMNS, strict=True)), initial=0)
        arrays = {
            name: np.frombuffer(data, dtype, n, start)
            for n, (name, dtype, _), start in zip(lengths, _COLUMNS, starts, strict=False)
        }
        partial = Partial(Sender(process, generation), new or [], first_new, **arrays)
    return Part(None if progress is None else _progress_of(progress), partial, key)
