"""What the kernel of `jaeger_proto.py` makes of the tags it found: the rules of `jaeger_tags.py`, once more over bytes.

Tags are in slots, as `jaeger_span.py` left them; the slots of those that are looked at here stand in a table of
addresses, in the order of SETTLED.
"""

from __future__ import annotations

from detectors.kernels import inlined
from flows.decode import jaeger_tags
from flows.decode.attributes import BOOL, INT, NOTHING, STRING, TYPE_BITS, TYPE_MASK, clear_slots
from flows.decode.batch import ERROR, WEIGHT_ONE, Dimension, Level, Wanted
from flows.decode.context import BITS, META, RESOURCES
from flows.decode.jaeger_tags import CLIENT, KIND_WORDS, LARGEST_NUMBER, SERVER
from flows.decode.memory import load1, load_word, same_bytes, store_word
from flows.decode.sampling import weight_at

_SPAN_TAGS = (
    jaeger_tags.SPAN_KIND,
    jaeger_tags.ERROR_TAG,
    jaeger_tags.STATUS_CODE,
    jaeger_tags.STATUS_DESCRIPTION,
    jaeger_tags.HTTP_STATUS,
    jaeger_tags.TRACE_STATE,
    jaeger_tags.SCOPE_NAME,
    jaeger_tags.SCOPE_VERSION,
)
SETTLED = Dimension(
    "",
    (
        *(Wanted(tag, (Level.SPAN,)) for tag in _SPAN_TAGS),
        *(Wanted(tag, (Level.RESOURCE,)) for tag in (jaeger_tags.HOSTNAME, jaeger_tags.HOST_NAME)),
    ),
)
"""No dimension: the tags the kernel looks at itself, in the order of the words below."""
_KIND, _ERROR, _STATUS, _DESCRIPTION, _HTTP, _STATE, _SCOPE, _VERSION, _HOSTNAME, _HOST_NAME = range(10)

_NO_SERVICE_SIZE = len(jaeger_tags.NO_SERVICE)

_CLIENT, _SERVER, _PRODUCER, _CONSUMER, _INTERNAL, _OK, _ERROR_WORD = (
    int.from_bytes(word, "little")
    for word in (b"client", b"server", b"producer", b"consumer", b"internal", b"OK", b"ERROR")
)
_PRODUCER_KIND, _CONSUMER_KIND, _INTERNAL_KIND = (KIND_WORDS[word] for word in ("producer", "consumer", "internal"))
_LONGEST_WORD = 8


@inlined
def type_of(slot: int) -> int:
    """The type of the value in a slot."""
    return load_word(slot, META) & TYPE_MASK


@inlined
def _clear(slot: int) -> None:
    store_word(slot, META, NOTHING)


@inlined
def _word(slot: int, upper: bool) -> int:
    """Text of up to eight bytes as a little-endian number, its letters in capitals if asked; 0 for any other value."""
    size = load_word(slot, META) >> TYPE_BITS
    if type_of(slot) != STRING or size > _LONGEST_WORD:
        return 0
    at = load_word(slot, BITS)
    word = 0
    for index in range(size):
        byte = load1(at + index)
        if upper and 97 <= byte <= 122:
            byte -= 32
        word |= byte << (8 * index)
    return word


@inlined
def _kind(slot: int) -> int:
    word = _word(slot, False)
    if word == _SERVER:
        return SERVER
    if word == _CLIENT:
        return CLIENT
    if word == _PRODUCER:
        return _PRODUCER_KIND
    if word == _CONSUMER:
        return _CONSUMER_KIND
    return _INTERNAL_KIND if word == _INTERNAL else 0


@inlined
def _digits(at: int, end: int) -> tuple[bool, int]:
    """Whether text is a whole number that int64 holds, and the number."""
    sign = load1(at) if at < end else 0
    if sign == 43 or sign == 45:
        at += 1
    # As many digits as `jaeger_tags` takes.
    if at >= end or end - at > 64:
        return False, 0
    number = 0
    while at < end:
        digit = load1(at) - 48
        if digit < 0 or digit > 9 or number > (LARGEST_NUMBER - digit) // 10:
            return False, 0
        number = number * 10 + digit
        at += 1
    return True, -number if sign == 45 else number


@inlined
def _http_status(slot: int, kind: int) -> int:
    """`jaeger_tags.status_of_http` of what a slot holds; 0 where it is no number."""
    known, code = type_of(slot) == INT, load_word(slot, BITS)
    if type_of(slot) == STRING:
        at = code
        known, code = _digits(at, at + (load_word(slot, META) >> TYPE_BITS))
    if not known or (kind == SERVER and 400 <= code < 500) or 100 <= code < 399:
        return 0
    return ERROR


@inlined
def _status(settled: int, kind: int) -> int:
    """The status that tags say; those that only said so are cleared (`jaeger_tags.settle`)."""
    error, code = load_word(settled, _ERROR), load_word(settled, _STATUS)
    if type_of(error) == BOOL and load_word(error, BITS) != 0:
        status = ERROR
        _clear(error)
    elif type_of(code) != NOTHING:
        word = _word(code, True)
        status = ERROR if word == _ERROR_WORD else (1 if word == _OK else 0)
    else:
        return _http_status(load_word(settled, _HTTP), kind)
    _clear(code)
    _clear(load_word(settled, _DESCRIPTION))
    return status


@inlined
def _weight(slot: int, context: int) -> int:
    """What the span weighs by the trace state in a slot."""
    size = load_word(slot, META) >> TYPE_BITS
    if type_of(slot) != STRING:
        return WEIGHT_ONE
    return weight_at(load_word(slot, BITS), load_word(slot, BITS) + size, context)


@inlined
def settle_process(settled: int, service: int, name: int, size: int, nothing: int, context: int) -> None:
    """Give the service its name, unless a tag says another, and the host its (`jaeger_tags.resource_of`)."""
    if size == _NO_SERVICE_SIZE and same_bytes(name, nothing, size):
        clear_slots(load_word(context, RESOURCES), context)
        return
    if size > 0 and type_of(service) == NOTHING:
        store_word(service, META, size << TYPE_BITS | STRING)
        store_word(service, BITS, name)
    old, new = load_word(settled, _HOSTNAME), load_word(settled, _HOST_NAME)
    if type_of(old) != NOTHING and type_of(new) == NOTHING:
        store_word(new, META, load_word(old, META))
        store_word(new, BITS, load_word(old, BITS))
        _clear(old)


@inlined
def settle_span(settled: int, context: int) -> tuple[int, int, int]:
    """The kind, status and weight that a span's tags say; those that only said so are cleared.

    Args:
        settled: Address of the table of slots.
        context: See `context.py`.
    """
    kind = _kind(load_word(settled, _KIND))
    status = _status(settled, kind)
    weight = _weight(load_word(settled, _STATE), context)
    _clear(load_word(settled, _KIND))
    _clear(load_word(settled, _STATE))
    if type_of(load_word(settled, _SCOPE)) != NOTHING:
        _clear(load_word(settled, _SCOPE))
        _clear(load_word(settled, _VERSION))
    return kind, status, weight
