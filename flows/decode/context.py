"""The table of words that every helper of a decoding kernel gets by its address: settings, scratch space, counters.

One address instead of a dozen arguments: each argument more costs the compiler time at every helper, and each constant
among the arguments costs it a version of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flows.decode.batch import Level
from flows.decode.hashing import SECRETS
from flows.decode.wire import MAX_GROUPS

if TYPE_CHECKING:
    from flows.decode.batch import Limits
    from flows.decode.wanted import WantedTable

# Words of the context; the levels' tables stand in the order of `Level`.
GROUPS, SEEDS, COUNTERS, KEYS, N_KEYS, MAX_ATTRIBUTES, MAX_STRING, WEIGHTED, SPANS, SCOPES, RESOURCES, SLOTS = range(12)

# Words of the counters; the first four are limits.
LIMITED_SPANS, LIMITED_ATTRIBUTES, LIMITED_STRINGS, LIMITED_WEIGHTS, CLAMPED, UNWEIGHTED = range(6)
LIMITED = ("spans", "attributes", "string_bytes", "weight")
"""What was limited, as `SpanBatch.limited` and the metric's label name it."""

# Words of a level's table: its bit among the wanted names' levels, the mask of their lengths, the address of its slots,
# the tags of the message that holds its attributes and of the attributes therein.
LEVEL, MASK, FOUND, HOLDER, ATTRIBUTE = range(5)
_TAGS = {Level.SPAN: (0, 0x4A), Level.SCOPE: (0x0A, 0x1A), Level.RESOURCE: (0x0A, 0x0A)}

# Words of a slot: what was found of one attribute at one level.
META, BITS, DIGEST_HIGH, DIGEST_LOW = range(4)
SLOT_WORDS = 4
SLOT_BYTES = 8 * SLOT_WORDS


class Context:
    """The scratch space of one call of a kernel, so that calls in several threads do not meet."""

    def __init__(self, wanted: WantedTable, limits: Limits, weighted: bool) -> None:
        self.counters = np.zeros(6, np.int64)
        self._slots = np.zeros((len(Level), len(wanted.names), SLOT_WORDS), np.int64)
        self._groups = np.zeros(MAX_GROUPS, np.int64)
        self._wanted = wanted
        self._levels = np.array(
            [(level, wanted.masks[level], self._slots[level].ctypes.data, *_TAGS[level]) for level in Level], np.int64
        )
        words = {
            GROUPS: self._groups.ctypes.data,
            SEEDS: SECRETS.ctypes.data,
            COUNTERS: self.counters.ctypes.data,
            KEYS: wanted.table.ctypes.data,
            N_KEYS: len(wanted.names),
            MAX_ATTRIBUTES: limits.attributes_per_span,
            MAX_STRING: limits.string_bytes,
            WEIGHTED: int(weighted),
            SPANS: self._levels[Level.SPAN].ctypes.data,
            SCOPES: self._levels[Level.SCOPE].ctypes.data,
            RESOURCES: self._levels[Level.RESOURCE].ctypes.data,
            SLOTS: self._slots.ctypes.data,
        }
        self.words = np.array([words[index] for index in range(len(words))], np.int64)

    @property
    def limited(self) -> dict[str, int]:
        """What was limited, and how often; nothing that never was."""
        return {what: int(count) for what, count in zip(LIMITED, self.counters.tolist(), strict=False) if count}
