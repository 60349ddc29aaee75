"""Rows on disk, to be read back in order: an external merge sort, so that memory does not grow with a replay.

A spool is a folder. Its writer keeps up to a budget of bytes, sorts them and appends them to a file as a *run*. The
reader of one or several spools divides the keys into pieces that fit into memory; a piece is one slice of every run,
put together and sorted (Knuth, The Art of Computer Programming 3, 5.4, with key ranges instead of a tree of runs).
What sorts first is the label text, for files that want every series in one piece, or the time, for tables.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

Order = Literal["label", "time"]

VERSION = 1
MANIFEST = "spool.json"
LABELS = "labels.txt"
BUDGET_BYTES = 16 << 20


class SpoolError(RuntimeError):
    """A spool cannot be read: it was not closed, is another version's, or does not fit the others."""


@dataclass(slots=True)
class _Table:
    """What the writer knows of one table: rows not yet on disk, and where its runs are."""

    file: str
    pending: list[tuple[np.ndarray, int, np.ndarray]] = field(default_factory=list)  # ids, at_ns, values
    runs: list[tuple[int, int]] = field(default_factory=list)  # offset in bytes, rows
    size: int = 0


class SpoolWriter:
    """Appends rows to a spool: a label text, a time, and some 8-byte values each.

    Args:
        directory: the spool's folder; made if it is not there.
        order: what sorts first.
        budget_bytes: how much is kept in memory before a run is written; sorting needs twice as much for a moment.
    """

    def __init__(self, directory: Path, order: Order, budget_bytes: int = BUDGET_BYTES) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._order: Order = order
        self._budget = budget_bytes
        self._kept = 0
        self._ids: dict[str, int] = {}
        self._tables: dict[tuple[str, str, int], _Table] = {}

    def append(self, table: str, texts: Sequence[str], at_ns: int, values: np.ndarray) -> None:
        """Add one row per text; nothing is sorted or written yet unless the budget is spent.

        Args:
            table: rows of one table come back together; it may have int64 and float64 rows.
            texts: (n,) label texts without newlines.
            at_ns: the rows' time.
            values: (n, width) int64 or float64; copied.
        """
        ids = self._ids
        numbers = np.fromiter((ids.setdefault(text, len(ids)) for text in texts), np.int32, len(texts))
        key = table, values.dtype.str, values.shape[1]
        found = self._tables.get(key)
        if found is None:
            found = self._tables[key] = _Table(f"table-{len(self._tables)}.rows")
            (self._directory / found.file).write_bytes(b"")
        found.pending.append((numbers, at_ns, values.copy()))
        self._kept += numbers.nbytes + values.nbytes + 8 * len(numbers)
        if self._kept >= self._budget:
            self._flush()

    def close(self) -> None:
        """Write what is left, and the manifest without which no reader takes the spool."""
        self._flush()
        (self._directory / LABELS).write_text("".join(f"{text}\n" for text in self._ids), "utf-8", newline="\n")
        tables = [
            {"table": table, "type": kind, "width": width, "file": found.file, "runs": found.runs}
            for (table, kind, width), found in self._tables.items()
        ]
        manifest = {"version": VERSION, "order": self._order, "labels": len(self._ids), "tables": tables}
        (self._directory / MANIFEST).write_text(json.dumps(manifest), "utf-8")

    def _flush(self) -> None:
        ranks = _ranks(list(self._ids))
        for found in self._tables.values():
            if found.pending:
                self._write_run(found, ranks)
        self._kept = 0

    def _write_run(self, found: _Table, ranks: np.ndarray) -> None:
        ids = np.concatenate([numbers for numbers, _, _ in found.pending])
        times = np.repeat(
            np.array([at_ns for _, at_ns, _ in found.pending], np.int64),
            [len(numbers) for numbers, _, _ in found.pending],
        )
        order = np.argsort(ranks[ids] if self._order == "label" else times, kind="stable")
        values = np.concatenate([block for _, _, block in found.pending])
        found.pending.clear()
        with (self._directory / found.file).open("ab") as file:
            for column in (ids, times, values):
                column[order].tofile(file)
        found.runs.append((found.size, len(ids)))
        found.size += len(ids) * (12 + 8 * values.shape[1])


def _ranks(texts: list[str]) -> np.ndarray:
    """(n,) int32: the place of each text among all, sorted."""
    ranks = np.empty(len(texts), np.int32)
    ranks[sorted(range(len(texts)), key=texts.__getitem__)] = np.arange(len(texts), dtype=np.int32)
    return ranks


class Rows(NamedTuple):
    """Rows read back, in the spool's order."""

    labels: np.ndarray  # (n,) int32: index into the reader's texts
    at_ns: np.ndarray  # (n,) int64
    values: np.ndarray  # (n, width)


class _Run(NamedTuple):
    """One sorted run on disk."""

    path: Path
    offset: int
    rows: int
    kind: str
    width: int
    ranks: np.ndarray  # the spool's label number → index into the reader's texts

    def labels(self, first: int = 0, last: int | None = None) -> np.ndarray:
        count = (self.rows if last is None else last) - first
        ids = np.fromfile(self.path, np.int32, count, offset=self.offset + 4 * first)
        return self.ranks[ids]

    def times(self, first: int = 0, last: int | None = None) -> np.ndarray:
        count = (self.rows if last is None else last) - first
        return np.fromfile(self.path, np.int64, count, offset=self.offset + 4 * self.rows + 8 * first)

    def values(self, first: int, last: int) -> np.ndarray:
        offset = self.offset + 12 * self.rows + 8 * self.width * first
        flat = np.fromfile(self.path, self.kind, (last - first) * self.width, offset=offset)
        return flat.reshape(-1, self.width)


class SpoolReader:
    """Reads closed spools of the same order as if they were one; `texts` are their label texts, sorted.

    Raises:
        SpoolError: a spool was not closed, is of another version, or is in another order.
    """

    def __init__(self, directories: Sequence[Path], order: Order) -> None:
        manifests = [_manifest(directory, order) for directory in directories]
        own = [(directory / LABELS).read_bytes().decode().split("\n")[:-1] for directory in directories]
        self.texts: list[str] = sorted({text for texts in own for text in texts})
        self._order: Order = order
        self._runs: dict[str, list[_Run]] = {}
        places = {text: index for index, text in enumerate(self.texts)}
        for directory, manifest, texts in zip(directories, manifests, own, strict=True):
            ranks = np.fromiter((places[text] for text in texts), np.int32, len(texts))
            for table in manifest["tables"]:
                self._runs.setdefault(table["table"], []).extend(
                    _Run(directory / table["file"], offset, rows, table["type"], table["width"], ranks)
                    for offset, rows in table["runs"]
                )

    @property
    def tables(self) -> list[str]:
        """The names of all tables, sorted."""
        return sorted(self._runs)

    def rows(self, table: str) -> int:
        """How many rows a table has."""
        return sum(run.rows for run in self._runs[table])

    def keys(self, table: str) -> tuple[np.ndarray, np.ndarray]:
        """The distinct keys that sort first (label indices, or times), increasing, and how many rows each has."""
        keys, counts = np.empty(0, np.int64), np.empty(0, np.int64)
        for run in self._runs[table]:
            more_keys, more_counts = np.unique(self._first_key(run), return_counts=True)
            keys, place = np.unique(np.concatenate((keys, more_keys)), return_inverse=True)
            counts = np.bincount(place, np.concatenate((counts, more_counts)), len(keys)).astype(np.int64)
        return keys, counts

    def pieces(self, table: str, rows_per_piece: int) -> Iterator[Rows]:
        """The table in order, sorted by label and time (or time and label), in pieces that end where a key ends.

        A piece has `rows_per_piece` rows or a few more, or as many as a single key has.
        """
        keys, counts = self.keys(table)
        piece = (np.cumsum(counts) - counts) // rows_per_piece
        splitters = keys[np.flatnonzero(np.diff(piece)) + 1]
        runs = self._runs[table]
        cuts = [[0, *np.searchsorted(self._first_key(run), splitters).tolist(), run.rows] for run in runs]
        for number in range(len(splitters) + 1):
            slices = [(run, cut[number], cut[number + 1]) for run, cut in zip(runs, cuts, strict=True)]
            full = [(run, first, last) for run, first, last in slices if first < last]
            if full:
                yield self._sorted(full)

    def _first_key(self, run: _Run) -> np.ndarray:
        return run.labels() if self._order == "label" else run.times()

    def _sorted(self, slices: list[tuple[_Run, int, int]]) -> Rows:
        labels = np.concatenate([run.labels(first, last) for run, first, last in slices])
        times = np.concatenate([run.times(first, last) for run, first, last in slices])
        values = np.concatenate([run.values(first, last) for run, first, last in slices])
        order = np.lexsort((times, labels) if self._order == "label" else (labels, times))
        return Rows(labels[order], times[order], values[order])


def _manifest(directory: Path, order: Order) -> dict[str, Any]:
    """The manifest of a closed spool."""
    path = directory / MANIFEST
    if not path.exists():
        raise SpoolError(f"{directory} has no {MANIFEST}: its writer ended before close(); run the replay again")
    manifest: dict[str, Any] = json.loads(path.read_text("utf-8"))
    found = manifest["version"], manifest["order"]
    if found != (VERSION, order):
        raise SpoolError(f"{path} is of version and order {found}, expected {(VERSION, order)}; run the replay again")
    return manifest
