"""How many spans a sampled one stands for, from the `ot=th:` of its trace state.

A sampler that keeps a span when its 56 random bits are at or above a threshold T writes T, without its trailing zeros,
as hexadecimal digits: the span then stands for 1 / (1 − T / 2^56) spans. What is not well-formed says nothing about
how many: the span stands for itself, and it is counted where a sampler has left its mark (`ot=`) without a threshold. A
sampler that looks at what a trace contains must remove the threshold, for it makes it untrue.

Source: https://opentelemetry.io/docs/specs/otel/trace/tracestate-handling/ and W3C Trace Context, 3.3 (tracestate).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from detectors.kernels import inlined
from flows.decode.batch import WEIGHT_BITS, WEIGHT_MAX, WEIGHT_ONE
from flows.decode.context import COUNTERS, LIMITED_WEIGHTS, UNWEIGHTED, WEIGHTED
from flows.decode.memory import add_to_word, load1, load_word

THRESHOLD_DIGITS = 14
_RANGE = 1 << (4 * THRESHOLD_DIGITS)
_ROOM = 63
_SMALLEST_KEPT = _RANGE >> WEIGHT_BITS  # of 2^56 - T; below it the weight is above WEIGHT_MAX

_THRESHOLD = re.compile(r"[0-9a-f]{1,14}")

_SPACE, _TAB, _COMMA, _SEMICOLON, _EQUALS, _COLON = (ord(character) for character in " \t,;=:")
_O, _T, _H, _ZERO, _NINE, _A, _F = (ord(character) for character in "oth09af")


_CAPPED, _UNSAID = 0, -1
"""What `_weight_at` has for spans whose weight is another than it could say."""


class Weight(NamedTuple):
    """What a trace state says of its span."""

    weight: int  # units of 2^-20
    is_capped: bool = False
    is_unsaid: bool = False  # a sampler was there, and how many the span stands for is not known


def weight_of(trace_state: str) -> Weight:
    """What the span weighs.

    >>> weight_of("vendor=x,ot=rv:abcdef01234567;th:8").weight  # one of two was kept
    2097152
    >>> weight_of("ot=th:0"), weight_of("") == weight_of("vendor=x") == weight_of("ot=th:0")
    (Weight(weight=1048576, is_capped=False, is_unsaid=False), True)
    >>> weight_of("ot=th:G") == weight_of("ot=rv:abcdef01234567") == Weight(1048576, is_unsaid=True)
    True
    >>> weight_of("ot=th:fffffffffffff8")
    Weight(weight=1099511627776, is_capped=True, is_unsaid=False)
    """
    members = (member.strip(" \t").partition("=") for member in trace_state.split(","))
    ours = next((value for name, equals, value in members if (name, equals) == ("ot", "=")), None)
    if ours is None:
        return Weight(WEIGHT_ONE)
    keys = (key.partition(":") for key in ours.split(";"))
    digits = next((value for name, colon, value in keys if (name, colon) == ("th", ":")), "")
    if not _THRESHOLD.fullmatch(digits):
        return Weight(WEIGHT_ONE, is_unsaid=True)
    kept = _RANGE - int(digits.ljust(THRESHOLD_DIGITS, "0"), 16)
    if kept < _SMALLEST_KEPT:
        return Weight(WEIGHT_MAX, is_capped=True)
    return Weight(((_RANGE << WEIGHT_BITS) + kept // 2) // kept)


@inlined
def _weight_of_digits(at: int, end: int) -> int:
    """The weight for a threshold's digits, or why there is none."""
    if end - at < 1 or end - at > THRESHOLD_DIGITS:
        return _UNSAID
    threshold, shift = 0, 4 * THRESHOLD_DIGITS
    while at < end:
        digit = load1(at)
        if _ZERO <= digit <= _NINE:
            digit -= _ZERO
        elif _A <= digit <= _F:
            digit -= _A - 10
        else:
            return _UNSAID
        shift -= 4
        threshold |= digit << shift
        at += 1
    kept = _RANGE - threshold
    if kept < _SMALLEST_KEPT:
        return _CAPPED
    return _quotient(kept)


@inlined
def _quotient(kept: int) -> int:
    """2^76 / kept, rounded: long division, as the dividend does not fit in a word."""
    dividend = 1 << (_ROOM - 1)
    weight, rest = dividend // kept, dividend % kept
    for _ in range(4 * THRESHOLD_DIGITS + WEIGHT_BITS - _ROOM + 1):
        rest <<= 1
        weight <<= 1
        if rest >= kept:
            rest -= kept
            weight += 1
    return weight + 1 if 2 * rest >= kept else weight


@inlined
def weight_at(at: int, end: int, context: int) -> int:
    """What the span weighs whose trace state stands between two addresses; what is not as it should be is counted."""
    if at == end or load_word(context, WEIGHTED) == 0:
        return WEIGHT_ONE
    weight = _weight_at(at, end)
    if weight > 0:
        return weight
    add_to_word(load_word(context, COUNTERS), LIMITED_WEIGHTS if weight == _CAPPED else UNWEIGHTED, 1)
    return WEIGHT_MAX if weight == _CAPPED else WEIGHT_ONE


@inlined
def _weight_at(at: int, end: int) -> int:
    """The weight for the trace state between two addresses, or why there is none."""
    while at < end:
        stop = at
        while stop < end and load1(stop) != _COMMA:
            stop += 1
        while at < stop and (load1(at) == _SPACE or load1(at) == _TAB):
            at += 1
        if stop - at >= 3 and load1(at) == _O and load1(at + 1) == _T and load1(at + 2) == _EQUALS:
            while stop > at and (load1(stop - 1) == _SPACE or load1(stop - 1) == _TAB):
                stop -= 1
            at += 3
            while at < stop:
                key_end = at
                while key_end < stop and load1(key_end) != _SEMICOLON:
                    key_end += 1
                if key_end - at >= 3 and load1(at) == _T and load1(at + 1) == _H and load1(at + 2) == _COLON:
                    return _weight_of_digits(at + 3, key_end)
                at = key_end + 1
            return _UNSAID
        at = stop + 1
    return WEIGHT_ONE
