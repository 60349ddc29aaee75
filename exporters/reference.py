"""The metric reference as a document: `python -m exporters.reference > docs/metrics.md`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from exporters.labels import MAX_VALUE_CHARACTERS
from exporters.names import CLASSIC_BOUNDS_MS, FAMILIES

if TYPE_CHECKING:
    from exporters.names import Family

_HEAD = """\
# Metrics

Made by `python -m exporters.reference`; `streamgauge metrics` prints the same. Every name comes from
`exporters/names.py`.

| name | kind | unit | labels | says |
|---|---|---|---|---|
"""

_NOTES = """
## What all of them have in common

*dimensions* stands for the configured ones: the attribute `http.response.status_code` becomes the label
`http_response_status_code`. An attribute whose label is taken (`span.name`) gets `attr_` in front; two dimensions under
one label are refused. A dimension without a value is left out of a series.

Label values may hold anything but control characters (tab and newline are allowed) and lone surrogates, which become
U+FFFD, and have at most {characters} characters. A value that had to be changed ends in `…` and 16 hexadecimal digits,
a hash of the original, so that two values that differ still differ.

Names without a unit count things. Times are Unix seconds. A quantile is absent where its window has no span. Counters
only grow; a new series begins with 0. There are no `_created` series. Where two parts of streamgauge show the same
series (the overflow of several shards), the page has their sum; of a quantile the largest, of a watermark the least.

The histogram's bounds are configurable; the defaults are the Collector's, in milliseconds: {bounds}. The OpenMetrics
page attaches the trace of a slow span to its bucket as an exemplar. `le` is written `2.0` in both formats, as
Prometheus 3 stores it.

The page also has what `prometheus_client` says of the process itself (`process_*`, `python_*`).
"""


def markdown() -> str:
    """The reference as Markdown: the text of `docs/metrics.md`."""
    rows = "".join(_row(family) for family in FAMILIES)
    bounds = " ".join(map(str, CLASSIC_BOUNDS_MS))
    return _HEAD + rows + _NOTES.format(characters=MAX_VALUE_CHARACTERS, bounds=bounds)


def _row(family: Family) -> str:
    labels = ", ".join((*(f"`{label}`" for label in family.labels), *(("*dimensions*",) if family.dimensions else ())))
    name = f"`{family.page_name}`"
    if family.kind == "histogram":
        name += " (`_bucket`, `_count`, `_sum`)"
    return f"| {name} | {family.kind} | {family.unit or '-'} | {labels or '-'} | {family.help} |\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
