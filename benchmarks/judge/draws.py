"""Random numbers that are the same everywhere: PCG64's bits, which numpy freezes, and our ways to shapes.

numpy promises the bits of its bit generators for ever, and what `Generator` makes of them for one version only.
"""

from __future__ import annotations

import hashlib

import numpy as np
from scipy.signal import lfilter
from scipy.special import gammaincinv, ndtri

EXACT_BELOW = 60.0
"""Means below which Poisson numbers are inverted exactly."""


class Draws:
    """A stream of random numbers with a name; another name is another, independent stream."""

    def __init__(self, name: str) -> None:
        seed = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=16).digest(), "little")
        self._bits = np.random.PCG64(np.random.SeedSequence(seed))

    def uniform(self, n: int) -> np.ndarray:
        """(n,) in (0, 1), never an end of it."""
        raw = np.atleast_1d(np.asarray(self._bits.random_raw(n), np.uint64))
        return ((raw >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52

    def one(self, low: float = 0.0, high: float = 1.0) -> float:
        """One number in (low, high)."""
        return float(low + (high - low) * self.uniform(1)[0])

    def log_one(self, low: float, high: float) -> float:
        """One number in (low, high), as likely in each octave."""
        return float(np.exp(self.one(float(np.log(low)), float(np.log(high)))))

    def integer(self, low: int, high: int) -> int:
        """One of low … high, both included."""
        return low + int(self.one() * (high - low + 1))

    def normal(self, n: int) -> np.ndarray:
        """(n,) standard normal."""
        return np.asarray(ndtri(self.uniform(n)))

    def drift(self, n: int, keep: float) -> np.ndarray:
        """(n,) an AR(1) of unit variance that keeps a share of itself at each step."""
        return np.asarray(lfilter([np.sqrt(1 - keep * keep)], [1.0, -keep], self.normal(n)))

    def gamma(self, n: int, shape: float) -> np.ndarray:
        """(n,) gamma numbers of mean 1."""
        return np.asarray(gammaincinv(shape, self.uniform(n)) / shape)


def poisson(mean: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """(n,) Poisson numbers from uniform ones: by inversion, for large means by the normal's first two terms.

    A larger mean never gives a smaller number, so that an event moves a series and does not redraw it.
    """
    mean = np.maximum(mean, 0.0)
    normal = ndtri(uniform)
    large = np.rint(mean + np.sqrt(mean) * normal + (normal * normal - 1) / 6)
    found = np.maximum(large, 0.0)
    small = np.flatnonzero(mean < EXACT_BELOW)
    left, term, count = uniform[small].copy(), np.exp(-mean[small]), np.zeros(len(small))
    going = left > term
    while going.any():
        left = np.where(going, left - term, left)
        count += going
        term = np.where(going, term * mean[small] / np.maximum(count, 1), term)
        going &= (left > term) & (count < 400)
    found[small] = count
    return found


def binomial(trials: np.ndarray, ratio: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """(n,) how many of so many trials: Poisson's number, no more than the trials."""
    return np.minimum(poisson(trials * ratio, uniform), trials)
