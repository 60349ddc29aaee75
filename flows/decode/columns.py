"""The arrays a decoding kernel fills, and the text it leaves where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from flows.decode.attributes import BOOL, DOUBLE, INT, STRING, TYPE_BITS, TYPE_MASK
from flows.decode.batch import UNKNOWN_SERVICE, Identity, SpanBatch, Text
from flows.decode.context import UNWEIGHTED
from flows.records import bytes_at

if TYPE_CHECKING:
    from flows.decode.arena import Arena
    from flows.decode.context import Context

_WORD, _NUMBER, _SMALL, _BYTE = np.dtype(np.int64), np.dtype(np.uint64), np.dtype(np.int32), np.dtype(np.uint8)
_TYPES = (
    _SMALL,
    _WORD,
    _WORD,
    _BYTE,
    _BYTE,
    _NUMBER,
    _NUMBER,
    _NUMBER,
    _WORD,
    _NUMBER,
    _NUMBER,
    _WORD,
    _SMALL,
    _SMALL,
    _WORD,
    _WORD,
)
"""Of all columns but the last two, in their order."""

_ALIGNED = 64
"""Rows come in multiples of this, so that every column starts where its type may."""


class Columns(NamedTuple):
    """Room for spans: what a `SpanBatch` shows, and where the text of each span stands.

    A value's meta is its size in bytes and its type (`attributes.py`); its bits are its address if it is
    a string, else the value's own 64 bits.
    """

    record: np.ndarray  # (room,) int32
    end_ns: np.ndarray  # (room,) int64
    duration_ns: np.ndarray  # (room,) int64
    kind: np.ndarray  # (room,) uint8
    status: np.ndarray  # (room,) uint8
    trace_hi: np.ndarray  # (room,) uint64
    trace_lo: np.ndarray  # (room,) uint64
    span_id: np.ndarray  # (room,) uint64
    weight: np.ndarray  # (room,) int64
    key_hi: np.ndarray  # (room,) uint64
    key_lo: np.ndarray  # (room,) uint64
    name_at: np.ndarray  # (room,) int64: address
    name_size: np.ndarray  # (room,) int32
    service: np.ndarray  # (room,) int32: row of the two below
    service_meta: np.ndarray  # (room,) int64
    service_bits: np.ndarray  # (room,) int64
    dimension_meta: np.ndarray  # (room, n_dimensions) int64
    dimension_bits: np.ndarray  # (room, n_dimensions) int64

    @classmethod
    def empty(cls, room: int, n_dimensions: int, arena: Arena) -> Columns:
        """Columns for so many spans, all in one block of the arena."""
        room += -room % _ALIGNED
        widths = [1] * len(_TYPES) + [n_dimensions] * 2
        kinds = [*_TYPES, _WORD, _WORD]
        sizes = [room * width * kind.itemsize for width, kind in zip(widths, kinds, strict=True)]
        ends = np.cumsum(sizes).tolist()
        block = arena.block(ends[-1])
        flat = [block[end - size : end].view(kind) for end, size, kind in zip(ends, sizes, kinds, strict=True)]
        return cls(*flat[:-2], *(wide.reshape(room, n_dimensions) for wide in flat[-2:]))

    def grown(self, filled: int, room: int, arena: Arena) -> Columns:
        """More room, with the rows filled so far."""
        larger = Columns.empty(room, self.dimension_meta.shape[1], arena)
        for old, new in zip(self, larger, strict=True):
            new[:filled] = old[:filled]
        return larger

    def batch(self, n_spans: int, kept: object, clamped: int, context: Context) -> SpanBatch:
        """The first rows as a batch over the records' bytes, which `kept` keeps alive."""
        shown = self[: self._fields.index("name_at")]
        text = LocatedText(kept, Columns(*(column[:n_spans] for column in self)))
        unweighted = int(context.counters[UNWEIGHTED])
        return SpanBatch(*(column[:n_spans] for column in shown), text, clamped, context.limited, unweighted=unweighted)


class LocatedText(Text):
    """Text that is decoded when it is asked for, from where it stands in the records' bytes."""

    def __init__(self, kept: object, columns: Columns) -> None:
        self._kept = kept
        self._columns = columns

    def identity(self, index: int, kind: int, status: int) -> Identity:
        """The identity of span `index`; text that is not UTF-8 shows U+FFFD where it is broken."""
        columns = self._columns
        owner = columns.service[index]
        service = self._value(columns.service_meta[owner], columns.service_bits[owner])
        values = zip(columns.dimension_meta[index], columns.dimension_bits[index], strict=True)
        name = self._string(int(columns.name_at[index]), int(columns.name_size[index]))
        return Identity(service or UNKNOWN_SERVICE, name, kind, status, tuple(self._value(*value) for value in values))

    def _string(self, address: int, size: int) -> str:
        return bytes_at(address, size).decode("utf-8", "replace")

    def _value(self, meta: np.int64, bits: np.int64) -> str:
        """A value as a label shows it; a double as Python's repr: 1.0 is "1.0" and never looks like the integer 1."""
        kind = int(meta) & TYPE_MASK
        if kind == STRING:
            return self._string(int(bits), int(meta) >> TYPE_BITS)
        if kind == BOOL:
            return "true" if bits else "false"
        if kind == INT:
            return str(int(bits))
        return repr(float(bits.view(np.float64))) if kind == DOUBLE else ""
