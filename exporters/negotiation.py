"""Which of the two page formats a scraper prefers, by its Accept header (RFC 9110, section 12.5.1)."""

from __future__ import annotations

TEXT = "text/plain; version=0.0.4; charset=utf-8"
"""Content type of Prometheus' text format."""
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
"""Content type of OpenMetrics 1.0."""

_OPENMETRICS_VERSIONS = ("", "0.0.1", "1.0.0")
_TEXT_TYPES = ("text/plain", "text/*", "*/*")


def wants_openmetrics(accept: str) -> bool:
    """Whether the header prefers OpenMetrics 1.0 to the text format, or takes both alike.

    Who names neither gets text: a browser, or a tool that sends no header. Version 0.0.1 is what older scrapers call
    the same format.

    >>> wants_openmetrics("application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
    True
    >>> wants_openmetrics("text/html,*/*;q=0.8"), wants_openmetrics("application/openmetrics-text;q=0")
    (False, False)
    """
    openmetrics = text = 0.0
    for part in accept.split(","):
        kind, *parameters = (item.strip().lower() for item in part.split(";"))
        values = {name.strip(): value.strip(' "') for name, _, value in (item.partition("=") for item in parameters)}
        weight = _weight(values.get("q", "1"))
        if kind == "application/openmetrics-text" and values.get("version", "") in _OPENMETRICS_VERSIONS:
            openmetrics = max(openmetrics, weight)
        elif kind in _TEXT_TYPES:
            text = max(text, weight)
    return openmetrics > 0 and openmetrics >= text


def _weight(text: str) -> float:
    """A quality value; what is none counts as 0, so that a broken header gets the text format."""
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0
