"""Numbers out of numbers, for what must not depend on the order in which anything is drawn."""

from __future__ import annotations

import zlib

import numpy as np


def mixed(values: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser (Steele, Lea, Flood 2014) of each of `values`, uint64: the twin of `slots.mix`.

    >>> from flows.generate.slots import mix
    >>> int(mixed(np.array([7], np.uint64))[0]) == mix(7)
    True
    """
    x = values + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def generator(seed: int, *place: int | str) -> np.random.Generator:
    """A generator of its own for one place of a recording, such as one slice of one tree.

    >>> generator(1, "traffic", 3).random() == generator(1, "traffic", 3).random()
    True
    """
    words = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in place]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *words])))
