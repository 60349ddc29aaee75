"""What was read and not yet handed on: records by partition, and all else there is to tell of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from flows.emission import PAYLOAD_BYTES, DeadLetter
from flows.records import Partition, Records


@dataclass(slots=True)
class _Rows:
    """Records of one partition that were read and not yet handed on."""

    values: list[bytes] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    timestamps_ms: list[int] = field(default_factory=list)
    kind: str = "none"

    def records(self, partition: Partition) -> Records:
        offsets, timestamps_ms = np.array(self.offsets, np.int64), np.array(self.timestamps_ms, np.int64)
        return Records.apart(partition, self.values, offsets, timestamps_ms)


class Taken(NamedTuple):
    """What was read since the last time."""

    records: list[Records]
    dead: list[DeadLetter]
    stamped: list[tuple[Partition, str, int]]  # partition, timestamp type, records
    reached: dict[Partition, int]  # ends found, and other offsets that were passed
    lost: dict[Partition, int]  # records that were deleted before they could be read


class Gathered:
    """What one reader gathers for its next emission."""

    def __init__(self) -> None:
        self.n_bytes = 0  # of the records
        self._rows: dict[Partition, _Rows] = {}
        self._taken = Taken([], [], [], {}, {})

    def record(self, partition: Partition, offset: int, kind: str, timestamp_ms: int, value: bytes) -> None:
        """A record to be decoded."""
        rows = self._rows.get(partition)
        if rows is None:
            rows = self._rows[partition] = _Rows()
        rows.values.append(value)
        rows.offsets.append(offset)
        rows.timestamps_ms.append(timestamp_ms)
        rows.kind = kind
        self.n_bytes += len(value)

    def dead(self, partition: Partition, offset: int, stamp: int, reason: str, detail: str, value: bytes = b"") -> None:
        """A record that is not decoded."""
        kept, size = value[:PAYLOAD_BYTES], len(value) or -1
        self._taken.dead.append(DeadLetter(*partition, offset, stamp, reason, detail, kept, size=size))
        self._taken.reached[partition] = offset + 1

    def reach(self, partition: Partition, offset: int) -> None:
        """Nothing readable stands before this offset that was not read."""
        self._taken.reached[partition] = offset

    def lose(self, partition: Partition, n_records: int) -> None:
        """So many records were deleted before they could be read."""
        self._taken.lost[partition] = self._taken.lost.get(partition, 0) + n_records

    def forget(self, partition: Partition) -> None:
        """Its records are not wanted any more."""
        rows = self._rows.pop(partition, None)
        if rows is not None:
            self.n_bytes -= sum(map(len, rows.values))

    def put_back(self, taken: Taken) -> None:
        """What was taken, to be handed on with what comes; nothing was gathered since."""
        self._taken = taken

    def take(self) -> Taken:
        """Hand on everything."""
        taken, self._taken = self._taken, Taken([], [], [], {}, {})
        for partition, rows in self._rows.items():
            taken.records.append(rows.records(partition))
            taken.stamped.append((partition, rows.kind, len(rows.values)))
        self._rows, self.n_bytes = {}, 0
        return taken
