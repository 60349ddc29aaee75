"""Links into Jaeger, Kibana and Grafana, from templates of the configuration: data fills fields, never makes a URL.

    {jaeger: "https://jaeger.example/search?service={service}&start={from_us}&end={to_us}&lookback=custom"}

A field is percent-quoted throughout, so that a service called `a&b=c` or `../x` stays a value. Where the page behind
the link reads a language of its own, the field says which, and is escaped for that first: `{service:kql}`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from string import Formatter
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from exporters.alerts import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FIELDS = (
    "service",
    "operation",
    "trace_id",
    "slo",
    "objective",
    "alertname",
    "severity",
    "from_ms",
    "to_ms",
    "from_us",
    "to_us",
    "from_iso",
    "to_iso",
)
"""What a template may ask for."""

_LITERAL_HOST = re.compile(r"https?://[^/?#@\s{}]+[/?#]")
_MILLISECOND_NS, _MICROSECOND_NS = 1_000_000, 1_000


def _rison(text: str) -> str:
    """Within a string of rison, which Kibana keeps its state in: `!` escapes."""
    return text.replace("!", "!!").replace("'", "!'")


def _kql(text: str) -> str:
    """Within a quoted string of KQL, itself within rison."""
    return _rison(_json(text))


def _json(text: str) -> str:
    """Within a string of JSON: Jaeger's tags, Grafana's panes, a quoted string of LogQL or PromQL."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


ESCAPES: Mapping[str, Callable[[str], str]] = {"": str, "rison": _rison, "kql": _kql, "json": _json}
"""What may stand after a field's colon, and what is done before the value is percent-quoted."""


@dataclass(frozen=True, slots=True)
class About:
    """What a link is about; empty or None where there is nothing to say. Times are Unix nanoseconds."""

    service: str = ""
    operation: str = ""
    trace_id: str = ""
    slo: str = ""
    objective: str = ""
    alertname: str = ""
    severity: str = ""
    from_ns: int | None = None
    to_ns: int | None = None

    def values(self) -> dict[str, str]:
        """The value of every field, empty where there is none; an end is rounded up, so that it is still within."""
        found = {name: getattr(self, name) for name in FIELDS if hasattr(self, name)}
        for name, at_ns, up in (("from", self.from_ns, 0), ("to", self.to_ns, 1)):
            for unit, unit_ns in (("ms", _MILLISECOND_NS), ("us", _MICROSECOND_NS)):
                found[f"{name}_{unit}"] = "" if at_ns is None else str(-(-at_ns // unit_ns) if up else at_ns // unit_ns)
            found[f"{name}_iso"] = "" if at_ns is None else rfc3339(int(found[f"{name}_ms"]) * _MILLISECOND_NS)
        return found


class _Part(NamedTuple):
    """Literal text, and the field after it, if there is one."""

    text: str
    field: str
    escape: Callable[[str], str]


class Template:
    """One link's template, checked once.

    >>> Template("https://jaeger.example/trace/{trace_id}").fill(About(trace_id="4bf92f35"))
    'https://jaeger.example/trace/4bf92f35'
    >>> Template("https://jaeger.example/trace/{trace_id}").fill(About(service="web")) is None
    True
    >>> Template("https://kibana.example/?q=service.name:{service}").fill(About(service="a&b"))
    'https://kibana.example/?q=service.name:a%26b'

    Args:
        text: a URL with fields in braces; `{{` and `}}` stand for braces themselves.

    Raises:
        ValueError: it has an unknown field, or no host of its own; says what may stand there.
    """

    def __init__(self, text: str) -> None:
        if not _LITERAL_HOST.match(text):
            raise ValueError(
                "a link begins with http:// or https:// and a host that is written out, followed by a /; "
                "no field and no password may stand there"
            )
        if any(character.isspace() or not character.isprintable() for character in text):
            raise ValueError("a link holds no white space; write %20 for a blank")
        self._parts = tuple(_parts(text))

    def fill(self, about: About) -> str | None:
        """The link; None where a field that it needs has no value."""
        values = about.values()
        filled = []
        for part in self._parts:
            value = values[part.field] if part.field else ""
            if part.field and value in ("", ".", ".."):  # browsers take these for steps in a path, quoted or not
                return None
            filled += [part.text, quote(part.escape(value), safe="", errors="replace")]
        return "".join(filled)


def _parts(text: str) -> list[_Part]:
    try:
        parsed = list(Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"its braces do not fit ({error}); write {{{{ and }}}} for braces themselves") from error
    found = []
    for literal, name, escape, conversion in parsed:
        if name is None:
            found.append(_Part(literal, "", str))
            continue
        if name not in FIELDS or conversion:
            shown = f"{name}!{conversion}" if conversion else name
            raise ValueError(f"{{{shown}}} is no field of a link; there are {', '.join(FIELDS)}")
        if escape not in ESCAPES:
            expected = ", ".join(f"{{{name}:{each}}}" for each in ESCAPES if each)
            raise ValueError(f"{{{name}:{escape}}} is no way to write a field; there are {{{name}}}, {expected}")
        found.append(_Part(literal, name, ESCAPES[escape or ""]))
    return found


class Links:
    """The configured links, by name.

    Args:
        templates: by name; there is no link without one.

    Raises:
        ValueError: a template cannot be used.
    """

    def __init__(self, templates: Mapping[str, str]) -> None:
        self._templates = {name: Template(text) for name, text in templates.items()}

    def about(self, about: About) -> dict[str, str]:
        """Every link that has all it needs, by name: annotations of an alert."""
        filled = {name: template.fill(about) for name, template in self._templates.items()}
        return {name: link for name, link in filled.items() if link is not None}
