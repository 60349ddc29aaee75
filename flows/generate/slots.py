"""Slots: places such as `<uuid>` in a span's name or attributes that every trace fills with ids of its own.

`<uuid>`, `<hex:N>` (N lower-case hexadecimal digits) and `<number:N>` (N decimal digits, the first not 0; 5 unless
said). What fills a slot is a hash of the trace id and of the slot's place among its kind in the text, so that the first
`<uuid>` of a route, of its path and of the callee's route are the same document all along a trace. Every filling has
the same length: spans are written from templates of bytes with patches.
"""

from __future__ import annotations

import re
from typing import NamedTuple

HEX, NUMBER = 0, 1
"""How a run of characters is filled: from hexadecimal or from decimal digits."""

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15

_SLOT = re.compile(r"<(uuid|hex|number)(?::(\d+))?>")


UUID = b"00000000-0000-4000-8000-000000000000"
UUID_RUNS = ((0, 8, 0), (9, 4, 8), (15, 3, 12), (20, 3, 15), (24, 12, 18))
"""A random (version 4) uuid: start, length, first digit of its free digits; RFC 9562 fixes the other two."""


class Run(NamedTuple):
    """Characters of a text that a trace fills."""

    position: int  # of the first byte in the UTF-8 text
    length: int  # bytes, which are characters
    kind: int  # HEX or NUMBER
    salt: int  # tells the slots of a trace apart
    first: int  # which digit of the slot's stream the run begins with


class SlottedText(NamedTuple):
    """A text with its slots: placeholder bytes, and the runs over them."""

    data: bytes
    runs: tuple[Run, ...]

    def fill(self, trace_lo: int) -> str:
        """The text of one trace: the plain twin of what the kernel writes.

        >>> parse_slots("GET /documents/<number:3>").fill(1)
        'GET /documents/340'
        """
        data = bytearray(self.data)
        for run in self.runs:
            for i in range(run.length):
                data[run.position + i] = _digit(run.kind, digit_of(trace_lo, run.salt, run.first + i), run.first + i)
        return data.decode()


def mix(x: int) -> int:
    """SplitMix64's finaliser (Steele, Lea, Flood 2014): 64 bits that depend on all bits of x."""
    x = (x + GOLDEN) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def digit_of(trace_lo: int, salt: int, index: int) -> int:
    """The slot's hexadecimal digit number `index`."""
    return (mix((trace_lo ^ salt) + index // 16) >> (4 * (index % 16))) & 15


def _digit(kind: int, nibble: int, index: int) -> int:
    if kind == HEX:
        return b"0123456789abcdef"[nibble]
    return 0x31 + nibble % 9 if index == 0 else 0x30 + nibble % 10


def parse_slots(text: str) -> SlottedText:
    """Find the slots of a text.

    >>> parse_slots("/v/<number:2>").data
    b'/v/00'
    """
    data, runs, seen, at = b"", [], dict.fromkeys(("uuid", "hex", "number"), 0), 0
    for match in _SLOT.finditer(text):
        data += text[at : match.start()].encode()
        at, word = match.end(), match[1]
        salt = mix(mix(len(word)) + seen[word])
        seen[word] += 1
        if word == "uuid":
            runs += [Run(len(data) + start, length, HEX, salt, first) for start, length, first in UUID_RUNS]
            data += UUID
        else:
            length = int(match[2] or {"hex": 32, "number": 5}[word])
            runs.append(Run(len(data), length, HEX if word == "hex" else NUMBER, salt, 0))
            data += b"0" * length
    return SlottedText(data + text[at:].encode(), tuple(runs))
