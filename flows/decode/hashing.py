"""128-bit keys of identities, seeded once per process.

Two lanes of 64 bits, each the folded 128-bit product of the next 16 bytes with the lane (the idea of wyhash, Wang Yi
2019: one multiplication per word, both halves of the product kept). The lanes use secrets of their own, drawn from the
operating system when the process starts, so nobody outside can make two identities collide; by accident two of a
million do with a probability of 10^-26. Sizes and types are mixed in before the bytes, so no two sequences of texts run
together.
"""

from __future__ import annotations

import os

import numpy as np

from detectors.kernels import inlined
from flows.decode.memory import fold_product, load8, load_short

SECRETS = np.frombuffer(os.urandom(48), np.uint64) | np.uint64(1)
"""(6,) uint64: a secret of each lane for its data, a start, a factor for the sizes. They never leave the process."""


@inlined
def start(secrets: int) -> tuple[np.uint64, np.uint64]:
    """The lanes before anything was absorbed."""
    return load8(secrets + 16), load8(secrets + 24)


@inlined
def absorb_words(
    high: np.uint64, low: np.uint64, left: np.uint64, right: np.uint64, secrets: int
) -> tuple[np.uint64, np.uint64]:
    """The lanes after 16 more bytes."""
    return fold_product(left ^ load8(secrets), right ^ high), fold_product(left ^ load8(secrets + 8), right ^ low)


@inlined
def absorb(high: np.uint64, low: np.uint64, at: int, size: int, meta: int, secrets: int) -> tuple[np.uint64, np.uint64]:
    """The lanes after `size` bytes at address `at`; `meta` says what they are and must tell sizes apart."""
    high += np.uint64(meta) * load8(secrets + 32)
    low += np.uint64(meta) * load8(secrets + 40)
    end = at + size
    while end - at > 16:
        high, low = absorb_words(high, low, load8(at), load8(at + 8), secrets)
        at += 16
    if size > 16:
        return absorb_words(high, low, load8(end - 16), load8(end - 8), secrets)
    if size > 8:
        return absorb_words(high, low, load8(at), load8(end - 8), secrets)
    return absorb_words(high, low, load_short(at, size), np.uint64(0), secrets)
