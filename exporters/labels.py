"""Label names and values made safe, and the label set of a series as the text that stands on every page.

A value may be anything that a stranger put into a span. What Prometheus' parsers choke on is replaced, what is too long
is cut; a value that was changed ends in `…` and a hash of the original, so that values that differed still differ.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING

from exporters.names import IDENTITY_LABELS, RESERVED_LABELS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_VALUE_CHARACTERS = 512
"""A longer value is cut; with its mark, it is then exactly this long."""

_MARK_CHARACTERS = 17  # the ellipsis and 16 hexadecimal digits
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_NO_NAME_CHARACTER = re.compile(r"[^a-zA-Z0-9_]")
# Control characters but for tab and newline (the format has an escape for that one), and lone surrogates: a NUL ends
# Prometheus' lexer, a carriage return ends lines for some readers, a surrogate has no UTF-8.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_PAIR = re.compile(r'([a-zA-Z0-9_]+)="((?:[^"\\]|\\.)*)"')
_UNESCAPED = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


def label_name(attribute: str) -> str:
    """The label for an attribute's name, as Prometheus allows it.

    Every character but ASCII letters, digits and `_` becomes `_`; a leading digit gets a `_` in front. A name that
    would then be taken (`service_name`, `le`, ...) or reserved (`__` in front) gets `attr_` in front.

    >>> label_name("http.response.status_code"), label_name("2xx"), label_name("span.name"), label_name("__name__")
    ('http_response_status_code', '_2xx', 'attr_span_name', 'attr___name__')

    Raises:
        ValueError: the attribute's name is empty.
    """
    if not attribute:
        raise ValueError("a dimension's attribute is empty; write its name, such as http.route")
    name = _NO_NAME_CHARACTER.sub("_", attribute)
    if name[0].isdigit():
        name = f"_{name}"
    return f"attr_{name}" if name in RESERVED_LABELS or name.startswith("__") else name


def check_label_name(name: str) -> str:
    """A label name that a person wrote, unchanged if it can be one.

    Raises:
        ValueError: it is no name for Prometheus, is reserved, or means something else on a span's metrics.
    """
    if not _NAME.fullmatch(name) or name.startswith("__"):
        proposal = f"; {label_name(name)} would do" if name else ""
        raise ValueError(f"{name!r} is no label name: letters, digits and _, no digit first, no __ first{proposal}")
    if name in RESERVED_LABELS:
        raise ValueError(f"the label {name} is taken by streamgauge itself; {label_name(name)} would do")
    return name


def check_distinct(labels_of: Sequence[tuple[str, str]]) -> None:
    """Refuse two attributes under one label.

    Args:
        labels_of: (attribute, label) of every dimension.

    Raises:
        ValueError: two dimensions have the same label; names both and the way out.
    """
    seen: dict[str, str] = {}
    for attribute, label in labels_of:
        if label in seen:
            raise ValueError(
                f"the dimensions {seen[label]} and {attribute} both become the label {label}; give one another label"
            )
        seen[label] = attribute


def safe_value(value: str) -> str:
    r"""A label value that breaks no page: no control characters or lone surrogates, at most 512 characters.

    Tabs and newlines stay (a page escapes the latter). A value that is changed keeps its beginning and ends in `…` and
    16 hexadecimal digits of the original's BLAKE2b, so different values stay different.

    >>> safe_value("GET /cart"), safe_value("a\0b")
    ('GET /cart', 'a�b…ffc151170352baa3')
    """
    if len(value) <= MAX_VALUE_CHARACTERS and (value.isprintable() or not _UNSAFE.search(value)):
        return value
    digest = blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    kept = value[: MAX_VALUE_CHARACTERS - _MARK_CHARACTERS]
    return f"{_UNSAFE.sub(chr(0xFFFD), kept)}…{digest}"


def escaped(value: str) -> str:
    r"""A safe value as it stands between the quotes of both text formats.

    >>> escaped('say "hi"')
    'say \\"hi\\"'
    """
    value = safe_value(value)
    if "\\" in value:
        value = value.replace("\\", r"\\")
    if '"' in value:
        value = value.replace('"', r"\"")
    return value.replace("\n", r"\n") if "\n" in value else value


@lru_cache(maxsize=4096)
def _checked(name: str) -> str:
    """A label name that stands on pages; the cache makes the check free for names in use."""
    if not _NAME.fullmatch(name) or name.startswith("__"):
        raise ValueError(f"{name!r} is no label name; label_name() makes one of an attribute's name")
    return name


class LabelSet:
    r"""The labels of one series, as the text that stands between the braces; some 250 bytes for four labels.

    Immutable. Two are equal if they have the same text, so give labels in one order (that of their family). Dimensions
    with an empty value are left out: Prometheus takes an empty label for an absent one. The identity labels of a span
    are written even if empty, as the Collector does.

    >>> labels = LabelSet([("service_name", "cart"), ("span_name", 'GET "/"'), ("http_route", "")])
    >>> print(labels.text)
    service_name="cart",span_name="GET \"/\""
    >>> labels.pairs()
    (('service_name', 'cart'), ('span_name', 'GET "/"'))

    Raises:
        ValueError: a name is no label name for Prometheus, or is there twice.
    """

    __slots__ = ("text",)

    text: str

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        names: list[str] = []
        parts: list[str] = []
        for name, value in pairs:
            names.append(_checked(name))
            if value or name in IDENTITY_LABELS:
                parts.append(f'{name}="{escaped(value)}"')
        if len(set(names)) != len(names):
            raise ValueError(f"a label is there twice: {', '.join(names)}")
        object.__setattr__(self, "text", ",".join(parts))

    @classmethod
    def from_text(cls, text: str) -> LabelSet:
        """The label set with this `text`, which must come from another one: it is not checked."""
        labels = cls.__new__(cls)
        object.__setattr__(labels, "text", text)
        return labels

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The names and (safe) values again, read from the text; slow."""
        return tuple(
            (name, re.sub(r"\\.", lambda match: _UNESCAPED[match.group()], value))
            for name, value in _PAIR.findall(self.text)
        )

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a LabelSet is immutable; {name} cannot be set")

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return LabelSet.from_text, (self.text,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LabelSet) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"{{{self.text}}}"


EMPTY = LabelSet()
"""No labels: a family with a single series."""
