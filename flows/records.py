"""Records: what a source reads, still bytes, with where each came from."""

from __future__ import annotations

from ctypes import string_at
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

NO_TIMESTAMP = -1
"""A record's timestamp where its source gives none (a recording without an index)."""

_HEADER = bytes.__basicsize__ - 1
"""How far behind a `bytes` object's id its bytes stand: CPython's layout, which never moves an object."""

if np.frombuffer(b"probe", np.uint8).ctypes.data != id(b"probe") + _HEADER:
    raise ImportError("streamgauge finds the bytes of a `bytes` object where CPython has them; this is another Python")


def bytes_at(address: int, size: int) -> bytes:
    """A copy of `size` bytes of memory; whoever calls knows that they are there."""
    return string_at(address, size) if size else b""


NEVER = -1
"""The frontier of a partition that nothing was heard from, and the pane of a shard that has closed none."""


class Partition(NamedTuple):
    """A source partition: a topic's, or a lane of a recording. Its frontier is its own."""

    source: str
    number: int


@dataclass(frozen=True, slots=True)
class Records:
    """Records of one source partition, in the order of their offsets.

    Record i stands in memory from the address `starts[i]` to `ends[i]`, wherever its source has put it: no byte is
    copied to deal a recording to its lanes, or to gather what a broker sent. `kept` keeps those bytes alive; whoever
    holds an address beyond the life of its `Records` holds `kept` as well.
    """

    partition: Partition
    kept: object
    starts: np.ndarray  # (n_records,) int64
    ends: np.ndarray  # (n_records,) int64
    offsets: np.ndarray  # (n_records,) int64, increasing
    timestamps_ms: np.ndarray  # (n_records,) int64, NO_TIMESTAMP where the source gives none

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def n_bytes(self) -> int:
        """How many bytes the records themselves have."""
        return int((self.ends - self.starts).sum())

    def payload(self, index: int) -> bytes:
        """The bytes of one record."""
        return bytes_at(int(self.starts[index]), int(self.ends[index] - self.starts[index]))

    @classmethod
    def within(
        cls,
        partition: Partition,
        data: np.ndarray,
        starts: np.ndarray,
        ends: np.ndarray,
        offsets: np.ndarray,
        timestamps_ms: np.ndarray,
    ) -> Records:
        """Records that lie in one array, (n_bytes,) uint8 without gaps: record i is `data[starts[i]:ends[i]]`.

        Foreign bytes, other lanes' frames, may lie between them.
        """
        base = data.ctypes.data
        return cls(partition, data, starts + base, ends + base, offsets, timestamps_ms)

    @classmethod
    def apart(
        cls, partition: Partition, values: Sequence[bytes], offsets: np.ndarray, timestamps_ms: np.ndarray
    ) -> Records:
        """Records that are byte strings of their own.

        Raises:
            TypeError: one of them is not `bytes`, so nobody knows where its bytes stand.
        """
        if any(kind is not bytes for kind in set(map(type, values))):
            raise TypeError("records are `bytes`, nothing that looks like them")
        kept = tuple(values)
        starts = np.fromiter(map(id, kept), np.int64, len(kept)) + _HEADER
        lengths = np.fromiter(map(len, kept), np.int64, len(kept))
        return cls(partition, kept, starts, starts + lengths, offsets, timestamps_ms)

    @classmethod
    def of(
        cls,
        values: Sequence[bytes],
        partition: Partition = Partition("test", 0),
        first_offset: int = 0,
        timestamps_ms: Sequence[int] | None = None,
    ) -> Records:
        """Records from separate byte strings, one after the other from `first_offset`.

        >>> records = Records.of([b"ab", b"", b"c"], first_offset=7)
        >>> len(records), records.payload(0), records.payload(1), records.offsets.tolist()
        (3, b'ab', b'', [7, 8, 9])
        >>> Records.of([bytearray(b"ab")])
        Traceback (most recent call last):
        ...
        TypeError: records are `bytes`, nothing that looks like them
        """
        stamps = (
            np.full(len(values), NO_TIMESTAMP, np.int64) if timestamps_ms is None else np.array(timestamps_ms, np.int64)
        )
        return cls.apart(partition, values, first_offset + np.arange(len(values), dtype=np.int64), stamps)
