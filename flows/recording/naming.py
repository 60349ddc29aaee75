"""What a recording's paths say: its name, its signal, where its index is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from flows.recording.inputs import STDIN

if TYPE_CHECKING:
    from collections.abc import Sequence

SIGNALS = {"traces": "spans", "spans": "spans", "logs": "logs", "metrics": "metrics"}
SUFFIXES = {".json", ".jsonl", ".ndjson", ".pb", ".proto", ".binpb", ".bin", ".otlp", ".zst", ".zstd"}
INDEX_SUFFIX = ".index.jsonl.zst"


def signal_in(path: str) -> str | None:
    """The signal that a path names: its last part that names exactly one.

    >>> signal_in("traces.pb.zst"), signal_in("logs/2024/part-1.json"), signal_in("catalogs.pb")
    ('spans', 'logs', None)
    """
    for part in reversed(Path(path).parts):
        named = {SIGNALS[word] for word in re.split("[^a-z]+", part.lower()) if word in SIGNALS}
        if len(named) == 1:
            return named.pop()
    return None


def name_of(paths: Sequence[str]) -> str:
    """The source label of a recording: the file name without its suffixes; of rotated files what they share.

    >>> name_of(["data/traces.pb.zst"])
    'traces'
    >>> name_of(["traces-2024-05-01T11-50-00.000.json", "traces-2024-05-02T11-50-00.000.json", "traces.json"])
    'traces'
    """
    stems = [_stem(path) for path in paths]
    if len(set(stems)) == 1:
        return stems[0]
    shared = stems[0]
    while not all(stem.startswith(shared) for stem in stems):
        shared = shared[:-1]
    return re.sub(r"[-_.T0-9]+$", "", shared) or stems[0]


def index_of(path: str) -> Path:
    """Where the index of a recording is, if it has one.

    >>> index_of("traces.pb.zst").name
    'traces.pb.zst.index.jsonl.zst'
    """
    return Path(path + INDEX_SUFFIX)


def _stem(path: str) -> str:
    if path == STDIN:
        return "stdin"
    name = Path(path)
    while name.suffix.lower() in SUFFIXES and name.stem:
        name = name.with_suffix("")
    return name.name
