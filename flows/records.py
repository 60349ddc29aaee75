"""Records: what a source reads, still bytes, with where each came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

NO_TIMESTAMP = -1
"""A record's timestamp where its source gives none (a recording without an index)."""


class Partition(NamedTuple):
    """A source partition: a topic's, or a lane of a recording. Its frontier is its own."""

    source: str
    number: int


@dataclass(frozen=True, slots=True)
class Records:
    """Records of one source partition, in the order of their offsets.

    `data[starts[i]:ends[i]]` is record i. Records may lie anywhere in `data`, which may hold foreign bytes between
    them (other lanes' frames), so that no byte is copied to deal a recording to its lanes.
    """

    partition: Partition
    data: np.ndarray  # (n_bytes,) uint8
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
        return self.data[self.starts[index] : self.ends[index]].tobytes()

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
        """
        lengths = np.fromiter((len(value) for value in values), np.int64, len(values))
        ends = np.cumsum(lengths, dtype=np.int64)
        stamps = (
            np.full(len(values), NO_TIMESTAMP, np.int64) if timestamps_ms is None else np.array(timestamps_ms, np.int64)
        )
        return cls(
            partition=partition,
            data=np.frombuffer(b"".join(values), np.uint8),
            starts=ends - lengths,
            ends=ends,
            offsets=first_offset + np.arange(len(values), dtype=np.int64),
            timestamps_ms=stamps,
        )
