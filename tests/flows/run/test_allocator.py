"""How a worker's memory is kept."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref

import pytest

from flows.run.allocator import collect_rarely, small_pages

_HUGE = """
import numpy as np
array = np.ones(16 << 20, np.uint8)
at = array.ctypes.data + (8 << 20)
inside = False
for line in open("/proc/self/smaps"):
    first, _, last = line.split()[0].partition("-")
    if last:
        inside = int(first, 16) <= at < int(last, 16)
    elif inside and line.startswith("VmFlags:"):
        print("hg" in line.split())
"""


def _asks_for_huge_pages() -> bool:
    found = subprocess.run([sys.executable, "-c", _HUGE], capture_output=True, text=True, check=True)
    return found.stdout.strip() == "True"


@pytest.fixture
def undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMPY_MADVISE_HUGEPAGE", "")  # so that it is put back as it was
    monkeypatch.delenv("NUMPY_MADVISE_HUGEPAGE")


@pytest.mark.usefixtures("undecided")
def test_a_process_started_later_asks_for_no_huge_pages() -> None:
    small_pages()
    assert not _asks_for_huge_pages()


def test_who_has_decided_on_huge_pages_keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMPY_MADVISE_HUGEPAGE", "1")
    small_pages()
    assert os.environ["NUMPY_MADVISE_HUGEPAGE"] == "1"


class _Cycle:
    def __init__(self) -> None:
        self.me = self


def test_what_was_made_before_is_not_looked_at_and_new_garbage_is_still_found() -> None:
    before = gc.get_threshold()
    try:
        collect_rarely()
        assert gc.get_freeze_count() > 0
        garbage = weakref.ref(_Cycle())
        kept = [[] for _ in range(2 * gc.get_threshold()[0])]  # a collection begins by itself
        assert garbage() is None
        assert kept
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
