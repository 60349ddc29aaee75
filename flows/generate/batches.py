"""When spans leave: every pod's exporter wakes at its own rhythm and sends what has ended since.

A request holds the spans of one pod that ended between two of its ticks, in the order of their ends, at most so many; a
few whole ticks are late, as after a retry. Requests come out in the order of the times at which they are sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flows.generate.hashing import mixed
from flows.generate.spans import Spans

if TYPE_CHECKING:
    from flows.generate.scenario import Export, Lateness


@dataclass(frozen=True, slots=True)
class Batches:
    """Spans dealt to requests: request i has the spans `starts[i]:starts[i + 1]`, all of one instance."""

    spans: Spans
    starts: np.ndarray  # (n_requests + 1,) int64
    sent_ns: np.ndarray  # (n_requests,) int64, Unix ns, in order

    def __len__(self) -> int:
        return len(self.sent_ns)


class Exporters:
    """All pods' exporters, and the spans that wait in them. Times are Unix ns by the true clock."""

    def __init__(self, export: Export, late: Lateness, seed: int, start_ns: int, n_values: int) -> None:
        self._export = export
        self._late = late
        self._seed = np.uint64(seed & (1 << 64) - 1)
        self._start_ns = start_ns
        self._waiting = Spans.none(n_values)
        self._sent_ns = np.empty(0, np.int64)
        self._tick = np.empty(0, np.int64)

    def send(self, ended: Spans, until_ns: int) -> Batches:
        """Take spans over, and send what is due from the recording's start to before `until_ns`."""
        tick = self._ticks(ended)
        spans = Spans.joined((self._waiting, ended))
        tick = np.concatenate((self._tick, tick))
        sent = np.concatenate((self._sent_ns, self._times(ended, tick[len(self._tick) :])))
        later = np.flatnonzero(sent >= until_ns)
        self._waiting, self._tick, self._sent_ns = spans.take(later), tick[later], sent[later]
        due = np.flatnonzero((sent >= self._start_ns) & (sent < until_ns))
        order = due[np.lexsort((spans.end_ns[due], tick[due], spans.instance[due], sent[due]))]
        return self._dealt(spans.take(order), tick[order], sent[order])

    def _ticks(self, spans: Spans) -> np.ndarray:
        """When each span's exporter wakes next: after the span's end, for pods do not wake together."""
        every = self._export.every
        phase = (mixed(spans.instance.astype(np.uint64) ^ self._seed) % np.uint64(every)).astype(np.int64)
        return ((spans.end_ns - phase) // every + 1) * every + phase

    def _times(self, spans: Spans, tick: np.ndarray) -> np.ndarray:
        """When each span is sent: at its tick, or later if that tick of that pod has bad luck."""
        luck = mixed(mixed(tick.astype(np.uint64) ^ self._seed) + spans.instance.astype(np.uint64))
        is_late = luck < np.uint64(int(self._late.share * ((1 << 64) - 1025)))
        how_late = mixed(luck).astype(np.float64) / 2.0**64
        delay = self._late.least * (self._late.most / self._late.least) ** how_late
        return tick + np.where(is_late, delay.astype(np.int64), 0)

    def _dealt(self, spans: Spans, tick: np.ndarray, sent: np.ndarray) -> Batches:
        """Cut sorted spans into requests."""
        if len(spans) == 0:
            return Batches(spans, np.zeros(1, np.int64), sent)
        same = (np.diff(sent) == 0) & (np.diff(spans.instance) == 0) & (np.diff(tick) == 0)
        groups = np.flatnonzero(np.concatenate(([True], ~same)))
        sizes = np.diff(np.concatenate((groups, [len(spans)])))
        rank = np.arange(len(spans)) - np.repeat(groups, sizes)
        starts = np.flatnonzero(rank % self._export.spans == 0)
        return Batches(spans, np.concatenate((starts, [len(spans)])), sent[starts])
