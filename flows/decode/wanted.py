"""Which attributes are looked for, and at which level: the configured dimensions as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flows.decode.batch import Level

if TYPE_CHECKING:
    from flows.decode.batch import Dimension

SERVICE_NAME = "service.name"
"""The resource attribute that owns a series; always wanted, always first among the names."""

LONGEST_TOLD_APART = 63
"""A mask of key lengths has 64 bits; keys of this length and longer share the last one."""


class WantedTable:
    """The attribute names of all dimensions, numbered, and for each dimension the slots to try in their order.

    Slot `level * n_names + name` holds what was found for a name at a level.

    >>> from flows.decode.batch import Dimension, Wanted
    >>> status = Dimension("status", (Wanted("http.response.status_code", (Level.SPAN,)), Wanted("http.status_code")))
    >>> table = WantedTable((status,))
    >>> table.names
    ('service.name', 'http.response.status_code', 'http.status_code')
    >>> table.slots.tolist(), table.slot_starts.tolist()
    ([1, 2, 5, 8], [0, 4])
    """

    def __init__(self, dimensions: tuple[Dimension, ...]) -> None:
        wanted = [place.attribute for dimension in dimensions for place in dimension.places]
        self.dimensions = dimensions
        self.names = tuple(dict.fromkeys((SERVICE_NAME, *wanted)))
        self.places = tuple(
            tuple((level, place.attribute) for place in dimension.places for level in place.levels)
            for dimension in dimensions
        )
        self.attributes = {level: self._at_level(level) for level in Level}
        numbers = {name: number for number, name in enumerate(self.names)}
        tries = [[int(level) * len(self.names) + numbers[name] for level, name in places] for places in self.places]
        self.slots = np.array([slot for slots in tries for slot in slots], np.int64)  # (n_places,)
        self.slot_starts = np.cumsum([0, *map(len, tries)], dtype=np.int64)  # (n_dimensions + 1,)
        self.keys, self.table = self._keys()
        self.masks = {level: self._mask(level) for level in Level}

    def _at_level(self, level: Level) -> frozenset[str]:
        """The names that are looked for at a level."""
        names = {name for places in self.places for at, name in places if at == level}
        return frozenset(names | {SERVICE_NAME}) if level == Level.RESOURCE else frozenset(names)

    def _keys(self) -> tuple[np.ndarray, np.ndarray]:
        """All names' bytes, which must be kept alive, and (n_names, 3) int64: address, size, a bit for each level."""
        encoded = [name.encode() for name in self.names]
        keys = np.frombuffer(b"".join(encoded) + b"\0", np.uint8)
        sizes = np.array([len(name) for name in encoded], np.int64)
        levels = [sum(1 << level for level in Level if name in self.attributes[level]) for name in self.names]
        addresses = keys.ctypes.data + np.cumsum(sizes) - sizes
        return keys, np.stack([addresses, sizes, np.array(levels, np.int64)], axis=1)

    def _mask(self, level: Level) -> int:
        """A bit for each length that a name wanted at this level has: most keys are refused by it alone."""
        bits = {min(len(name.encode()), LONGEST_TOLD_APART) for name in self.attributes[level]}
        mask = sum(1 << bit for bit in bits)
        return mask - (1 << 64) if mask >= 1 << 63 else mask
