"""Dedupe: drops spans that a source partition has already shown, as far back as it remembers.

Two open-addressing tables of 64-bit fingerprints: the younger fills, and when it is half full the older is forgotten.
So between one and two times `entries` / 2 of the latest ids are known, in `entries` x 16 bytes, all of it in the
source's snapshot. What it does not catch: a repeat further back than that, or in another partition. What it may drop
wrongly: a span whose fingerprint equals another's, one in 2^64 / entries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from detectors.kernels import kernel

if TYPE_CHECKING:
    from flows.decode.batch import SpanBatch


class Dedupe:
    """Remembers the latest ids of one source partition.

    Args:
        entries: places in a table; rounded up to a power of two.
    """

    def __init__(self, entries: int) -> None:
        capacity = 1 << max(4, (entries - 1).bit_length())
        self._tables = np.zeros((2, capacity), np.uint64)
        self._state = np.zeros(2, np.int64)  # which table is the younger, how many it holds

    def mark(self, spans: SpanBatch, fate: np.ndarray) -> None:
        """Set fate (n_spans,) uint8 to REPEATED where a span's (trace id, span id) was seen before."""
        mark_repeated(spans.trace_hi, spans.trace_lo, spans.span_id, self._tables, self._state, fate)

    def snapshot(self) -> list[np.ndarray]:
        """Plain values for `restore`."""
        return [self._tables, self._state]

    def restore(self, fields: list[np.ndarray]) -> None:
        """The state that `snapshot` gave; ids are forgotten where the number of entries was changed."""
        if fields[0].shape == self._tables.shape:
            self._tables, self._state = fields


@kernel
def mark_repeated(
    trace_hi: np.ndarray,
    trace_lo: np.ndarray,
    span_id: np.ndarray,
    tables: np.ndarray,
    state: np.ndarray,
    fate: np.ndarray,
) -> None:
    """Look ids up and remember them; spans without a span id are never repeats.

    Args:
        trace_hi: (n,) uint64.
        trace_lo: (n,) uint64.
        span_id: (n,) uint64.
        tables: (2, capacity) uint64, 0 where free; capacity a power of two; written.
        state: (2,) int64: the younger table, ids in it; written.
        fate: (n,) uint8, written: 4 (REPEATED) for repeats.
    """
    mask = np.uint64(tables.shape[1] - 1)
    for i in range(len(span_id)):
        if span_id[i] == 0:
            continue
        # Multiply and fold thrice (a murmur-like finish): fixed, since a snapshot must mean the same after a restart.
        mixed = span_id[i] * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(32)) ^ trace_lo[i]) * np.uint64(0xD6E8FEB86659FD93)
        mixed = (mixed ^ (mixed >> np.uint64(32)) ^ trace_hi[i]) * np.uint64(0xD6E8FEB86659FD93)
        mixed = max(mixed ^ (mixed >> np.uint64(32)), np.uint64(1))
        found = False
        for which in range(2):
            place = mixed & mask
            while tables[which, place] != 0 and tables[which, place] != mixed:
                place = (place + np.uint64(1)) & mask
            found = found or tables[which, place] == mixed
        if found:
            fate[i] = 4
            continue
        if 2 * (state[1] + 1) > tables.shape[1]:
            state[0] = 1 - state[0]
            state[1] = 0
            tables[state[0], :] = 0
        place = mixed & mask
        while tables[state[0], place] != 0:
            place = (place + np.uint64(1)) & mask
        tables[state[0], place] = mixed
        state[1] += 1
