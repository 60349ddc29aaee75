"""The one decorator for compiled kernels, and where their machine code is cached.

numba's own cache looks only at the file of the function it compiles: when a callee in another file changes, stale
machine code runs. So the cache folder is named after a hash of every source file that can hold a kernel, the versions
of numba and Python, and the CPU: any change compiles anew, nothing stale can run.

This module must be imported before any kernel is defined, which importing `kernel` from it ensures.

    python -m detectors.kernels

ends with 0 where everything is compiled, with 1 where it is not.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numba
from llvmlite import binding

if TYPE_CHECKING:
    from collections.abc import Callable

PACKAGES = ("detectors", "flows", "exporters")
CONSTANTS = ("anomaly_state.py", "scale.py")
"""Files without a kernel, whose numbers kernels have in them."""


def _fingerprint() -> str:
    """A hash of all that decides what machine code comes out."""
    digest = hashlib.blake2b(digest_size=12)
    root = Path(__file__).resolve().parent.parent
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            source = path.read_bytes()
            compiled = any(mark in source for mark in (b"@kernel", b"@inlined", b"@pasted"))
            if compiled or path == Path(__file__) or path.name in CONSTANTS:
                digest.update(path.relative_to(root).as_posix().encode() + b"\0" + source)
    cpu = os.environ.get("NUMBA_CPU_NAME") or binding.get_host_cpu_name()
    digest.update(f"{numba.__version__} {sys.version_info[:2]} {cpu}".encode())
    return digest.hexdigest()


def _cache_directory() -> Path:
    """Where the machine code of exactly these sources lives; `STREAMGAUGE_CACHE` moves the parent folder."""
    parent = os.environ.get("STREAMGAUGE_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "streamgauge"
    return Path(parent).expanduser() / "kernels" / _fingerprint()


CACHE_DIRECTORY = _cache_directory()
numba.config.CACHE_DIR = str(CACHE_DIRECTORY)  # type: ignore[attr-defined]


def are_compiled() -> bool:
    """Whether the kernels of exactly these sources were compiled here before, by a run that got to its end."""
    return (CACHE_DIRECTORY / "complete").exists()


def mark_compiled() -> None:
    """Remember that every kernel of these sources is in the cache."""
    CACHE_DIRECTORY.mkdir(parents=True, exist_ok=True)
    (CACHE_DIRECTORY / "complete").touch()


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a plain function over arrays: the GIL released, machine code cached.

    Only outermost functions take arrays. Their helpers are `inlined` ones over integer addresses and bounds, which is
    nine times faster (arrays drag their descriptors and reference counts along).
    """
    compiled: Callable[..., Any] = numba.njit(nogil=True, cache=True)(function)
    return compiled


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a helper that only kernels call: LLVM inlines it, so it costs no call and needs no cache entry."""
    compiled: Callable[..., Any] = numba.njit(nogil=True)(function)
    return compiled


def pasted(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a helper that takes arrays: numba pastes its source into each kernel that calls it.

    Called as a function, even where LLVM inlines it, each hand-over of arrays costs: half again the whole kernel.
    """
    compiled: Callable[..., Any] = numba.njit(nogil=True, inline="always")(function)
    return compiled


if __name__ == "__main__":
    sys.exit(0 if are_compiled() else 1)
