"""The current samples of all owners, rendered as one page: Prometheus' text 0.0.4 or OpenMetrics 1.0.

The page is rendered in the process that serves it, never in a worker: a render in a thread beside compiled kernels
takes most of a worker's throughput. Sources: Prometheus, "Exposition formats"; OpenMetrics 1.0.0.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from exporters.lines import column_lines, frame, histogram_lines, metadata
from exporters.merging import combine
from exporters.names import BY_NAME, page_order
from exporters.negotiation import OPENMETRICS, TEXT, wants_openmetrics
from exporters.process import process_families, sample_names

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from prometheus_client.registry import Collector

    from exporters.names import Family
    from exporters.samples import Column, Exemplars, Samples


class _Rows(NamedTuple):
    """Rows of one family with the same columns, of one owner or of several that were combined."""

    texts: list[str]
    values: np.ndarray
    sums: np.ndarray | None
    exemplars: Exemplars | None


class Registry:
    """What every owner shows now. Owners are shards, the gather step, the process: anything hashable.

    `replace` swaps an owner's blocks as a whole, so that a page never mixes two states of one owner; it may be called
    from any thread while another renders.

    >>> import numpy as np
    >>> from exporters.names import RECORDS
    >>> from exporters.samples import single
    >>> registry = Registry()
    >>> registry.replace("process", [single(RECORDS, 0, 7)])
    >>> print(registry.render("")[1].decode(), end="")
    # HELP streamgauge_records_total Records read from a topic or recording.
    # TYPE streamgauge_records_total counter
    streamgauge_records_total 7
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks: dict[Hashable, tuple[Samples, ...]] = {}
        self._collectors: list[Collector] = []

    def replace(self, owner: Hashable, blocks: Iterable[Samples]) -> None:
        """Show these blocks of `owner` from now on, and nothing else of it."""
        blocks = tuple(blocks)
        with self._lock:
            self._blocks[owner] = blocks

    def remove(self, owner: Hashable) -> None:
        """Show nothing of `owner`; no error where nothing was shown."""
        with self._lock:
            self._blocks.pop(owner, None)

    def attach(self, collector: Collector) -> None:
        """Append the families of a `prometheus_client` registry or collector to every page.

        Its `_created` series are left out. A family that comes from several collectors is shown once.

        Raises:
            ValueError: it has a family under a name of ours.
        """
        ours = {name for family in BY_NAME.values() for name in (family.name, *family.sample_names)}
        clashes = {name for metric in collector.collect() for name in sample_names(metric)} & ours
        if clashes:
            raise ValueError(
                f"the collector has {', '.join(sorted(clashes))}, which streamgauge exports itself; rename them there"
            )
        with self._lock:
            self._collectors.append(collector)

    def render(self, accept: str = "", buckets: bool = True) -> tuple[str, bytes]:
        """The page as (content type, UTF-8 bytes).

        Args:
            accept: the scraper's Accept header; OpenMetrics where it prefers that, else text 0.0.4.
            buckets: False leaves out the classic buckets but for +Inf, which formats demand.
        """
        openmetrics = wants_openmetrics(accept)
        with self._lock:
            blocks = [block for owned in self._blocks.values() for block in owned]
            collectors = list(self._collectors)
        parts: list[str] = []
        for family, columns in _by_family(blocks):
            parts.append(metadata(family, openmetrics))
            for column_set, same in columns.items():
                parts += _lines(family, column_set, _rows(family, same), openmetrics, buckets)
        taken = {name for block in blocks for name in (block.family.name, *block.family.sample_names)}
        parts += process_families(collectors, taken, openmetrics)
        if openmetrics:
            parts.append("# EOF\n")
        return OPENMETRICS if openmetrics else TEXT, "".join(parts).encode()


def _by_family(blocks: Iterable[Samples]) -> list[tuple[Family, dict[tuple[Column, ...], list[Samples]]]]:
    """The blocks by family, in page order, and then by columns: what is one piece on the page."""
    families: dict[str, tuple[Family, dict[tuple[Column, ...], list[Samples]]]] = {}
    for block in blocks:
        columns = families.setdefault(block.family.name, (block.family, {}))[1]
        columns.setdefault(block.columns, []).append(block)
    return sorted(families.values(), key=lambda item: page_order(item[0]))


def _rows(family: Family, blocks: Sequence[Samples]) -> list[_Rows]:
    """The rows of blocks with the same columns, as they are unless a label set is in them twice."""
    rows = [
        _Rows([label.text for label in block.labels], block.values, block.sums, block.exemplars) for block in blocks
    ]
    texts: set[str] = set()
    for part in rows:
        texts.update(part.texts)
    return rows if len(texts) == sum(len(part.texts) for part in rows) else [_combined(family, rows)]


def _combined(family: Family, rows: Sequence[_Rows]) -> _Rows:
    """One row per label set; exemplars of several owners are dropped, since none is the slowest of all for sure."""
    texts = [text for part in rows for text in part.texts]
    index = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    which = np.fromiter((index[text] for text in texts), np.int64, len(texts))
    order = np.argsort(which, kind="stable")
    starts = np.flatnonzero(np.diff(which[order], prepend=-1))
    sums = None
    if family.kind == "histogram":
        stacked = np.concatenate([part.sums for part in rows if part.sums is not None]).reshape(-1, 1)
        sums = combine(stacked[order], starts, family.across)[:, 0]
    values = combine(np.concatenate([part.values for part in rows])[order], starts, family.across)
    return _Rows(list(index), values, sums, None)


def _lines(
    family: Family, columns: tuple[Column, ...], rows: Sequence[_Rows], openmetrics: bool, buckets: bool
) -> list[str]:
    """The lines of rows that have the same columns."""
    lines: list[str] = []
    first = 0 if buckets or family.kind != "histogram" else len(columns) - 1
    for texts, values, sums, exemplars in rows:
        if sums is not None:
            shown = exemplars if openmetrics else None
            lines += histogram_lines(family.name, columns[first:], texts, values[:, first:], sums, None, shown)
            continue
        for index, column in enumerate(columns):
            lines += column_lines(frame(family.page_name, column), texts, values[:, index], None)
    return lines
