"""Spans as columns, by true time: what traffic makes, batches sort and encoders write."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Spans:
    """Columns of length n_spans."""

    template: np.ndarray  # int32: number in the catalogue
    instance: np.ndarray  # int32: number in the instances, the pod that sends it
    trace_hi: np.ndarray  # uint64: first 8 bytes of the trace id, big-endian
    trace_lo: np.ndarray  # uint64: last 8 bytes
    span_id: np.ndarray  # uint64
    parent_id: np.ndarray  # uint64, 0 for roots
    start_ns: np.ndarray  # int64, Unix ns
    end_ns: np.ndarray  # int64, Unix ns
    values: np.ndarray  # (n_spans, n_values) int64: drawn attributes, integers or numbers of texts

    def __len__(self) -> int:
        return len(self.template)

    def take(self, index: np.ndarray | slice) -> Spans:
        """The spans at some places, in their order; a slice copies nothing."""
        return Spans(*(getattr(self, field.name)[index] for field in fields(self)))

    @classmethod
    def joined(cls, parts: Sequence[Spans]) -> Spans:
        """Spans one after the other."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    @classmethod
    def none(cls, n_values: int) -> Spans:
        """No spans."""
        small, word, time = np.empty(0, np.int32), np.empty(0, np.uint64), np.empty(0, np.int64)
        return cls(small, small, word, word, word, word, time, time, np.empty((0, n_values), np.int64))
