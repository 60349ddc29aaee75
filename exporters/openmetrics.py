"""An OpenMetrics file with timestamps: what `promtool tsdb create-blocks-from openmetrics` and strict parsers take.

Every family, and in it every label set, stands in one piece, its times increasing, in **seconds** of event time, and
`# EOF` stands at the end. A flow closes panes, so samples come by time; the spool turns them round on disk. Exemplars
are left out: what reads such files drops them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from exporters.lines import column_lines, frame, histogram_lines, metadata, seconds
from exporters.merging import combine
from exporters.names import BY_NAME, page_order
from exporters.spool import BUDGET_BYTES, Rows, SpoolError, SpoolReader, SpoolWriter
from exporters.whole_file import whole_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from exporters.names import Family
    from exporters.samples import Column, Samples

LINES_PER_PIECE = 100_000
"""How many lines are made at once: some 25 MB of text."""


class OpenMetricsSpool:
    """Collects samples of one worker on disk; `merge` makes one file of the spools of all.

    Hand over each (family, label set, columns, time) once per spool: what is there twice is combined as the family
    says (`across`), since it is then two owners' share of one sample.
    """

    def __init__(self, directory: Path, budget_bytes: int = BUDGET_BYTES) -> None:
        self._writer = SpoolWriter(directory, "label", budget_bytes)

    def append(self, samples: Samples) -> None:
        """Add a block; its arrays are copied.

        Raises:
            ValueError: the family is not one of `exporters.names`.
        """
        family = samples.family
        if BY_NAME.get(family.name) is not family:
            raise ValueError(f"{family.name} is not in exporters/names.py; every exported name is, add it there")
        values = samples.values
        if samples.sums is not None:
            sums = np.ascontiguousarray(samples.sums, np.float64).view(np.int64)
            values = np.column_stack((values, sums))
        table = json.dumps([family.name, samples.columns])
        self._writer.append(table, [label.text for label in samples.labels], samples.at_ns, values)

    def close(self) -> None:
        """Finish the spool; without this, `merge` refuses it."""
        self._writer.close()


def merge(spools: Sequence[Path], out: Path, progress: Callable[[int, int], None] | None = None) -> int:
    """Write one OpenMetrics file of closed spools; it appears under its name only when it is whole.

    The same samples give the same bytes, however they were spread over spools. Memory does not grow with time, only
    with the number of label sets, as long as a single label set's samples fit into it.

    Args:
        spools: the folders of `OpenMetricsSpool`s; left as they are.
        out: the file.
        progress: called with (rows done, rows in all).

    Returns:
        How many samples (lines) it has.

    Raises:
        SpoolError: a spool was not closed, or two blocks of a family have some of their columns in common.
        OSError: the file cannot be written.
    """
    reader = SpoolReader(spools, "label")
    total = sum(reader.rows(table) for table in reader.tables)
    done = lines = 0
    with whole_file(out) as file:
        for family, tables in _by_family(reader.tables):
            file.write(metadata(family, openmetrics=True))
            for table, columns in tables:
                height = len(columns) + (2 if family.kind == "histogram" else 0)
                for rows in reader.pieces(table, max(1, LINES_PER_PIECE // height)):
                    written = _lines(family, columns, reader.texts, _combined(family, rows))
                    lines += len(written)
                    file.write("".join(written))
                    done += len(rows.at_ns)
                    if progress is not None:
                        progress(done, total)
        file.write("# EOF\n")
    return lines


def _by_family(tables: Sequence[str]) -> list[tuple[Family, list[tuple[str, tuple[Column, ...]]]]]:
    """The tables of every family, families in page order."""
    families: dict[str, list[tuple[str, tuple[Column, ...]]]] = {}
    for table in tables:
        name, columns = json.loads(table)
        frozen = tuple(tuple((label, value) for label, value in column) for column in columns)
        families.setdefault(name, []).append((table, frozen))
    for name, parts in families.items():
        seen = [column for _, columns in parts for column in columns]
        if len(set(seen)) != len(seen):
            raise SpoolError(
                f"{name}: some blocks have only a part of their columns in common with others; "
                "hand a window's columns over together, always the same ones"
            )
    return sorted(((BY_NAME[name], parts) for name, parts in families.items()), key=lambda item: page_order(item[0]))


def _combined(family: Family, rows: Rows) -> Rows:
    """One row per label set and time."""
    new = (np.diff(rows.labels, prepend=-1) != 0) | (np.diff(rows.at_ns, prepend=0) != 0)
    new[:1] = True
    if new.all():
        return rows
    starts = np.flatnonzero(new)
    if family.kind == "histogram":
        counts = combine(rows.values[:, :-1], starts, family.across)
        sums = combine(np.ascontiguousarray(rows.values[:, -1:]).view(np.float64), starts, family.across)
        values = np.column_stack((counts, sums.view(np.int64)))
    else:
        values = combine(rows.values, starts, family.across)
    return Rows(rows.labels[starts], rows.at_ns[starts], values)


def _lines(family: Family, columns: tuple[Column, ...], all_texts: list[str], rows: Rows) -> list[str]:
    """The lines of one piece, label set by label set."""
    texts = [all_texts[label] for label in rows.labels.tolist()]
    times, which = np.unique(rows.at_ns, return_inverse=True)
    stamps = [f" {seconds(time)}" for time in times.tolist()]
    ends = [stamps[index] for index in which.tolist()]
    if family.kind == "histogram":
        sums = np.ascontiguousarray(rows.values[:, -1]).view(np.float64)
        return histogram_lines(family.name, columns, texts, rows.values[:, :-1], sums, ends)
    parts = [
        column_lines(frame(family.page_name, column), texts, rows.values[:, index], ends)
        for index, column in enumerate(columns)
    ]
    lines = parts[0] if len(parts) == 1 else list(_by_label(parts, rows.labels))
    return [line for line in lines if line]


def _by_label(parts: list[list[str]], labels: np.ndarray) -> Iterator[str]:
    """The lines of several columns: all of one label set, column by column, then the next label set's."""
    starts = np.flatnonzero(np.diff(labels, prepend=-1)).tolist()
    for first, last in zip(starts, [*starts[1:], len(labels)], strict=True):
        for part in parts:
            yield from part[first:last]
