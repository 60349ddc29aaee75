"""Span templates: all that is the same in every span of one operation, role and outcome."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from flows.generate.slots import SlottedText, parse_slots
from flows.generate.wire import (
    END,
    PARENT_ID,
    SPAN_ID,
    START,
    TRACE_ID,
    Piece,
    attribute,
    hole,
    integer,
    joined,
    message,
)
from flows.generate.wire import tag as wire_tag
from flows.generate.wire import text as wire_text

INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = 1, 2, 3, 4, 5
"""OTLP's span kinds."""

UNSET, ERROR = 0, 2
"""OTLP's status codes."""

SAMPLED, REMOTE_KNOWN, REMOTE = 0x001, 0x100, 0x200
"""Span flags: W3C's sampled bit, and whether the parent is known to be in another process."""


class Variable(NamedTuple):
    """An attribute whose value every span draws: an integer, or one of the catalogue's texts."""

    key: str
    is_text: bool


class Thrown(NamedTuple):
    """The exception event of a span that failed by itself."""

    type: str
    message: str


@dataclass(frozen=True)
class SpanTemplate:
    """What spans of one kind have in common; texts may hold slots."""

    service: str
    name: str
    kind: int
    status: int
    attributes: tuple[tuple[str, str | bool | int | float], ...]
    variables: tuple[Variable, ...] = ()
    is_root: bool = False
    message: str = ""  # of the status
    thrown: Thrown | None = None

    @property
    def flags(self) -> int:
        """The span's flags: the parent of a server or consumer is elsewhere."""
        remote = REMOTE if self.kind in {SERVER, CONSUMER} and not self.is_root else 0
        return SAMPLED | REMOTE_KNOWN | remote

    @cached_property
    def slotted_name(self) -> SlottedText:
        """The name with its slots found."""
        return parse_slots(self.name)

    def head(self) -> Piece:
        """The span's fields up to and with its fixed attributes; the variable ones follow."""
        return joined(
            (
                hole(1, TRACE_ID, 16, 2),
                hole(2, SPAN_ID, 8, 2),
                *(() if self.is_root else (hole(4, PARENT_ID, 8, 2),)),
                wire_text(5, self.name),
                integer(6, self.kind),
                hole(7, START, 8, 1),
                hole(8, END, 8, 1),
                *(attribute(9, key, value) for key, value in self.attributes),
            )
        )

    def tail(self) -> Piece:
        """The span's fields after its attributes."""
        pieces = []
        if self.thrown:
            details = {"exception.type": self.thrown.type, "exception.message": self.thrown.message}
            event = (hole(1, END, 8, 1), wire_text(2, "exception"), *(attribute(3, *item) for item in details.items()))
            pieces.append(message(11, *event))
        if self.status:
            reason = (wire_text(2, self.message),) if self.message else ()
            pieces.append(message(15, *reason, integer(3, self.status)))
        pieces.append(Piece(wire_tag(16, 5) + self.flags.to_bytes(4, "little")))
        return joined(pieces)
