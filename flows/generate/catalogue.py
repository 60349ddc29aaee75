"""The catalogue: all templates of a scenario by outcome, and all texts that drawn attributes may have.

Every node of a trace has three templates in a row: it went well, it failed, it was rejected (roots only; elsewhere the
third repeats the first).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from flows.generate.platform import Amount, Choice
from flows.generate.templates import SpanTemplate, Variable

if TYPE_CHECKING:
    from collections.abc import Mapping

OK, FAILED, REJECTED = 0, 1, 2
"""Outcomes: how far a span's template is from its node's first."""

Pairs = tuple[tuple[str, str | bool | int | float], ...]


Outcomes = tuple[SpanTemplate, ...]
"""The templates of one node: went well, failed, and maybe rejected."""


class Drawn(NamedTuple):
    """A variable attribute and what its values are drawn from; None is the trace's tenant."""

    variable: Variable
    source: Amount | Choice | None


@dataclass
class Catalogue:
    """All templates, and all texts that variable attributes may have."""

    templates: list[SpanTemplate] = field(default_factory=list)
    rows: dict[Outcomes, int] = field(default_factory=dict)  # three templates → number of the first
    texts: dict[str, int] = field(default_factory=dict)  # text → id

    def text_id(self, text: str) -> int:
        """The number of a text."""
        return self.texts.setdefault(text, len(self.texts))

    def add(self, outcomes: Outcomes) -> int:
        """The number of the first of three templates in a row, which may be there already."""
        key = (*outcomes, outcomes[0])[:3]
        if key not in self.rows:
            self.rows[key] = len(self.templates)
            self.templates += key
        return self.rows[key]


def split_attributes(attributes: Mapping[str, object]) -> tuple[Pairs, tuple[Drawn, ...]]:
    """The attributes that are the same in all spans, and those that are drawn."""
    fixed = tuple((k, v) for k, v in attributes.items() if isinstance(v, str | bool | int | float))
    drawn = tuple(
        Drawn(Variable(k, isinstance(v, Choice)), v) for k, v in attributes.items() if isinstance(v, Amount | Choice)
    )
    return fixed, drawn
