"""Bytes that were something, hurt a little: what fuzzing feeds to decoders."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random


def mutate(data: bytes, rng: random.Random) -> bytes:
    """One of: flipped bits, a cut, another byte, a piece twice, two pieces swapped, bytes put in."""
    raw = bytearray(data)
    at, to = sorted((rng.randint(0, len(raw)), rng.randint(0, len(raw))))
    match rng.randint(0, 5):
        case 0:
            for _ in range(rng.randint(1, 4)):
                raw[rng.randrange(len(raw))] ^= 1 << rng.randint(0, 7)
        case 1:
            del raw[at:]
        case 2:
            raw[rng.randrange(len(raw))] = rng.choice([0, 1, 127, 128, 255])
        case 3:
            raw[to:to] = raw[at : min(to, at + 40)]
        case 4:
            raw = raw[:at] + raw[to:] + raw[at:to]
        case _:
            raw[at:at] = rng.randbytes(rng.randint(1, 11))
    return bytes(raw)
