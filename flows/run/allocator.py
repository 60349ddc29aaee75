"""How a worker's memory is kept: what one emission gives back, the next one takes."""

from __future__ import annotations

import ctypes
import gc
import os

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # mallopt(3)
_ARENAS = 2
_MMAP_BYTES = 32 << 20
_KEPT_BYTES = 64 << 20
_GARBAGE_OBJECTS = 20_000


def keep_memory() -> None:
    """Have the C library keep freed memory instead of handing each array back to the kernel.

    A worker takes and frees the same arrays of some MB for every emission. By default each of them is mapped anew, and
    the kernel clears its pages: a third of the time between bytes and partials. What is kept is kept by each arena, and
    every thread of librdkafka would have one: so there are two. Where the C library has no `mallopt`, nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, _ARENAS)
        mallopt(_MMAP_THRESHOLD, _MMAP_BYTES)
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)


def small_pages() -> None:
    """Have processes started from now on keep arrays in pages of the usual size, unless somebody has decided that.

    NumPy asks for pages of 2 MB for arrays from 4 MB on: an emission fills its arrays in part, and each page is cleared
    and held whole.
    """
    os.environ.setdefault("NUMPY_MADVISE_HUGEPAGE", "0")


def collect_rarely() -> None:
    """Look for garbage in cycles now and then only, and never among what has been made so far.

    What runs through the flow is freed when its last reference goes; each look at it finds nothing.
    """
    gc.freeze()
    gc.set_threshold(_GARBAGE_OBJECTS)
