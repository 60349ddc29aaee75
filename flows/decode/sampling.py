"""How many spans a sampled one stands for, from the `ot=th:` of its trace state.

A sampler that keeps a span when its 56 random bits are at or above a threshold T writes T, without its trailing zeros,
as hexadecimal digits: the span then stands for 1 / (1 − T / 2^56) spans. What is not well-formed says nothing about
sampling: the span stands for itself.

Source: https://opentelemetry.io/docs/specs/otel/trace/tracestate-handling/ and W3C Trace Context, 3.3 (tracestate).
"""

from __future__ import annotations

import re

from detectors.kernels import inlined
from flows.decode.batch import WEIGHT_BITS, WEIGHT_MAX, WEIGHT_ONE
from flows.decode.memory import load1

THRESHOLD_DIGITS = 14
_RANGE = 1 << (4 * THRESHOLD_DIGITS)
_ROOM = 63
_SMALLEST_KEPT = _RANGE >> WEIGHT_BITS  # of 2^56 - T; below it the weight is above WEIGHT_MAX

_THRESHOLD = re.compile(r"[0-9a-f]{1,14}")

_SPACE, _TAB, _COMMA, _SEMICOLON, _EQUALS, _COLON = (ord(character) for character in " \t,;=:")
_O, _T, _H, _ZERO, _NINE, _A, _F = (ord(character) for character in "oth09af")


def weight_of(trace_state: str) -> tuple[int, bool]:
    """The weight in units of 2^-20, and whether it had to be capped.

    >>> weight_of("vendor=x,ot=rv:abcdef01234567;th:8")  # one of two was kept
    (2097152, False)
    >>> weight_of("ot=th:0"), weight_of("ot=th:G"), weight_of("")
    ((1048576, False), (1048576, False), (1048576, False))
    >>> weight_of("ot=th:fffffffffffff8")
    (1099511627776, True)
    """
    members = (member.strip(" \t").partition("=") for member in trace_state.split(","))
    ours = next((value for name, _, value in members if name == "ot"), "")
    keys = (key.partition(":") for key in ours.split(";"))
    digits = next((value for name, _, value in keys if name == "th"), "")
    if not _THRESHOLD.fullmatch(digits):
        return WEIGHT_ONE, False
    kept = _RANGE - int(digits.ljust(THRESHOLD_DIGITS, "0"), 16)
    if kept < _SMALLEST_KEPT:
        return WEIGHT_MAX, True
    return ((_RANGE << WEIGHT_BITS) + kept // 2) // kept, False


@inlined
def _weight_of_digits(at: int, end: int) -> int:
    """The weight for a threshold's digits, 0 where it has to be capped."""
    if end - at < 1 or end - at > THRESHOLD_DIGITS:
        return WEIGHT_ONE
    threshold, shift = 0, 4 * THRESHOLD_DIGITS
    while at < end:
        digit = load1(at)
        if _ZERO <= digit <= _NINE:
            digit -= _ZERO
        elif _A <= digit <= _F:
            digit -= _A - 10
        else:
            return WEIGHT_ONE
        shift -= 4
        threshold |= digit << shift
        at += 1
    kept = _RANGE - threshold
    if kept < _SMALLEST_KEPT:
        return 0
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
def weight_at(at: int, end: int) -> int:
    """The weight for the trace state between two addresses, 0 where it has to be capped."""
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
            return WEIGHT_ONE
        at = stop + 1
    return WEIGHT_ONE
