"""Which series an indicator counts: labels equal, in, not, by regular expression; matched once per series."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from flows.decode.batch import KINDS, STATUSES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flows.series import SeriesLabels
    from flows.slo.place import Place

SIGNALS = ("spans",)
"""Signals that can be selected from."""

LABELS = ("service_name", "span_name", "span_kind", "status_code")
"""Labels that every series has; dimensions come after them."""

DEFAULT_KINDS = ("SPAN_KIND_CONSUMER", "SPAN_KIND_SERVER")
"""A request is counted once, where it is served, and not again by the client that made it."""

_ENUMS = {"span_kind": ("SPAN_KIND_", KINDS), "status_code": ("STATUS_CODE_", STATUSES)}

_SIGNS = {"in": "=", "not_in": "!=", "regex": "=~", "not_regex": "!~"}

Matching = Literal["in", "not_in", "regex", "not_regex"]


class Matcher(NamedTuple):
    """What one label must be; a label that a series does not have is empty text."""

    label: str
    matching: Matching
    values: tuple[str, ...]  # sorted; one pattern where it is by regular expression

    def accepts(self, value: str) -> bool:
        """Whether a value is as it must be; a pattern must match all of it, as Prometheus's do.

        >>> Matcher("span_name", "regex", ("GET .*",)).accepts("GET /a"), Matcher("x", "not_in", ("a",)).accepts("")
        (True, True)
        """
        return self.test()(value)

    def test(self) -> Callable[[str], bool]:
        """The same as a function, for many values."""
        if self.matching in ("regex", "not_regex"):
            match, wanted = re.compile(self.values[0], re.DOTALL).fullmatch, self.matching == "regex"
            return lambda value: (match(value) is not None) == wanted
        values, wanted = frozenset(self.values), self.matching == "in"
        return lambda value: (value in values) == wanted


@dataclass(frozen=True)
class Selector:
    """Series of a signal whose labels every matcher accepts; equal selectors are written alike."""

    signal: str
    matchers: tuple[Matcher, ...]  # sorted

    def matches(self, labels: SeriesLabels, dimension_names: Sequence[str]) -> bool:
        """Whether a series is selected; call it once per series, not per span.

        Args:
            labels: The series.
            dimension_names: (n_dimensions,) labels of the configured dimensions, in their order.
        """
        names = tuple(dimension_names)
        compiled = self._compiled.get(names)
        if compiled is None:
            compiled = self._compiled[names] = _compile(self.matchers, names)
        return compiled(labels)

    @cached_property
    def _compiled(self) -> dict[tuple[str, ...], Callable[[SeriesLabels], bool]]:
        """By dimensions; here and not in a cache by selector, for to hash a selector takes longer than to match it."""
        return {}

    def __reduce__(self) -> tuple[type[Selector], tuple[str, tuple[Matcher, ...]]]:
        """Functions do not travel between processes."""
        return Selector, (self.signal, self.matchers)

    def only(self, label: str) -> tuple[str, ...] | None:
        """The values that a label can have at all here, or None where no list says it: what an index is made of."""
        lists = [set(each.values) for each in self.matchers if each.label == label and each.matching == "in"]
        return tuple(sorted(set.intersection(*lists))) if lists else None

    def with_default_kinds(self, kinds: tuple[str, ...] = DEFAULT_KINDS) -> Selector:
        """The same, of what is served only, unless the selector speaks of kinds itself."""
        if any(each.label == "span_kind" for each in self.matchers):
            return self
        return Selector(self.signal, tuple(sorted((*self.matchers, Matcher("span_kind", "in", kinds)))))

    def __str__(self) -> str:
        parts = (f"{each.label}{_SIGNS[each.matching]}{'|'.join(each.values)}" for each in self.matchers)
        return f"{self.signal}{{{', '.join(parts)}}}"


def _compile(matchers: tuple[Matcher, ...], names: tuple[str, ...]) -> Callable[[SeriesLabels], bool]:
    """All matchers as one function, lists before patterns."""
    ordered = sorted(matchers, key=lambda each: each.matching.endswith("regex"))
    tests = [(_getter(each.label, names), each.test()) for each in ordered]

    def matches(labels: SeriesLabels) -> bool:
        return all(accepts(get(labels)) for get, accepts in tests)

    return matches


def label_value(labels: SeriesLabels, label: str, dimension_names: Sequence[str]) -> str:
    """The value of one label of a series, as it is exported.

    Raises:
        ValueError: There is no such label.
    """
    return _getter(label, tuple(dimension_names))(labels)


def _getter(label: str, dimension_names: tuple[str, ...]) -> Callable[[SeriesLabels], str]:
    fixed: dict[str, Callable[[SeriesLabels], str]] = {
        "service_name": lambda labels: labels.service,
        "span_name": lambda labels: labels.span_name,
        "span_kind": lambda labels: KINDS[labels.kind],
        "status_code": lambda labels: STATUSES[labels.status],
    }
    if label in fixed:
        return fixed[label]
    index = dimension_names.index(label)
    return lambda labels: labels.dimensions[index]


def parse_selector(written: Mapping[str, Any], place: Place, dimension_names: Sequence[str]) -> Selector:
    """A selector as a file has it: `{signal: spans, service_name: web, span_name: {regex: "GET .*"}}`.

    Args:
        written: Labels and what each must be: a text, a list, or a mapping of `not`, `regex`, `not_regex`.
        place: Where it stands.
        dimension_names: Labels of the configured dimensions.

    Raises:
        SloError: A label is none, or a value cannot be one.
    """
    signal = written.get("signal", "spans")
    if signal not in SIGNALS:
        raise place.at("signal").refuse(repr(signal), "promises are about spans", "Write signal: spans.")
    matchers: list[Matcher] = []
    for label, value in written.items():
        if label != "signal":
            check_label(label, place.at(label), dimension_names)
            matchers += _matchers(label, value, place.at(label))
    return Selector(signal, tuple(sorted(matchers)))


def check_label(label: str, place: Place, dimension_names: Sequence[str]) -> None:
    """Refuse a label that no series has, naming those that there are."""
    known = (*LABELS, *dimension_names)
    if label in known:
        return
    near = difflib.get_close_matches(label.replace(".", "_"), known, n=1, cutoff=0.75)
    if near:
        hint = f"Did you mean {near[0]}?"
    else:
        hint = f"There are {', '.join(known)}; add {label} to `dimensions` of the configuration to have it."
    raise place.refuse("no label of a series", "a selector is over labels and configured dimensions", hint)


def _matchers(label: str, value: object, place: Place) -> list[Matcher]:
    if not isinstance(value, dict):
        return [Matcher(label, "in", _values(label, value, place))]
    if not value:
        raise place.refuse("an empty mapping", "it says what the label must be", "Write a text, a list, or {regex: …}.")
    return [_matcher(label, key, each, place.at(key)) for key, each in value.items()]


def _matcher(label: str, key: str, value: object, place: Place) -> Matcher:
    if key == "not":
        return Matcher(label, "not_in", _values(label, value, place))
    if key not in ("regex", "not_regex"):
        raise place.refuse("no way to match", "there are not, regex and not_regex", "Write a text or a list for equal.")
    if not isinstance(value, str):
        raise place.refuse(repr(value), "a regular expression is text", "Quote it.")
    try:
        re.compile(value)
    except re.error as error:
        raise place.refuse(repr(value), f"it is no regular expression: {error.msg}") from error
    return Matcher(label, "regex" if key == "regex" else "not_regex", (value,))


def _values(label: str, value: object, place: Place) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    values: list[str] = []
    if not listed:
        raise place.refuse("an empty list", "nothing would ever match", "Leave the label out if any value will do.")
    for each in listed:
        if not isinstance(each, str):
            raise place.refuse(repr(each), "a label's value is text", "Quote it.")
        values.append(_enum(label, each, place) if label in _ENUMS else each)
    return tuple(sorted(set(values)))


def _enum(label: str, value: str, place: Place) -> str:
    """A kind or status by its full name or without the prefix, in any case: `server`, `SPAN_KIND_SERVER`."""
    prefix, known = _ENUMS[label]
    full = prefix + value.upper().removeprefix(prefix)
    if full not in known:
        raise place.refuse(repr(value), f"there are {', '.join(known)}")
    return full
