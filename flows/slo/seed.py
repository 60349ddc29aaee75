"""Seeds: what promises counted before a run began, as a file that people can read and anyone can make anew.

A new promise knows nothing, and tiers with long windows are armed only after half of these. A seed gives its rows a
past: counts by how long before its end they happened, which become counts before the moment at which a row begins.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from detectors.rings import BAD, RAW_BAD, RAW_TOTAL, TOTAL, WEIGHT_BITS, Rings
from exporters.alerts import rfc3339
from flows.errors import DataError, InputError, OutputError, UsageError
from flows.slo.counting import Column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from flows.rules import Rules
    from flows.slo.bank import Bank
    from flows.slo.promise import Promise

_FORMAT = "streamgauge slo seed"
_VERSION = 1
_SECOND_NS = 1_000_000_000
_MINUTE_NS = 60 * _SECOND_NS
_HOUR_NS = 60 * _MINUTE_NS
_MINUTES = 360
"""The newest so many minutes are kept one by one, what is older by hours: a window of 6 h or less is then exact."""
_ABOUT = (
    "counts: [seconds from its begin to the end of the history, its length in seconds, events, bad ones]; of sampled "
    "spans also their weight and bad weight in 2^-20"
)
_AGAIN = "Make it anew: streamgauge slo seed RECORDING --slos GLOB --out FILE."
_PER_LINE = 8


class Spread(NamedTuple):
    """Counts by pane, as `Rings.add` takes them."""

    panes: np.ndarray  # (n,) int64
    counts: np.ndarray  # (n, 4) int64


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """What one row counted, by time before the end."""

    length_ns: int  # how far back it is known
    age_ns: np.ndarray  # (n,) int64: from an entry's begin to the end
    span_ns: np.ndarray  # (n,) int64: an entry's length
    counts: np.ndarray  # (n, 4) int64 (`detectors.rings`)

    def panes(self, pane_ns: int) -> int:
        """How far back it is known, in whole panes."""
        return self.length_ns // pane_ns

    def before(self, end: int, pane_ns: int) -> Spread:
        """The same counts by pane, the newest just before pane `end`.

        An entry of up to a minute is spread evenly over its panes, a longer one over its minutes; what does not divide
        goes to the first of them. So nothing is lost, and nowhere is more bad than there is.

        >>> minute = np.array([60 * 1_000_000_000])
        >>> past = History(int(minute[0]), minute, minute, np.array([[5 << 20, 1 << 20, 5, 1]]))
        >>> spread = past.before(100, 15 * 1_000_000_000)
        >>> spread.panes.tolist(), spread.counts[:, 2:].tolist()
        ([96, 97, 98, 99], [[2, 1], [1, 0], [1, 0], [1, 0]])
        """
        first = np.minimum(-np.rint(self.age_ns / pane_ns).astype(np.int64), -1)
        step = np.where(self.span_ns > _MINUTE_NS, max(_MINUTE_NS // pane_ns, 1), 1)
        n = np.maximum(np.rint(self.span_ns / (pane_ns * step)).astype(np.int64), 1)
        entry = np.repeat(np.arange(len(n)), n)
        place = np.arange(len(entry)) - np.repeat(np.cumsum(n) - n, n)
        panes = end + np.minimum(first[entry] + place * step[entry], -1)
        return Spread(panes, _shares(self.counts, n, entry, place))


def _shares(counts: np.ndarray, n: np.ndarray, entry: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Counts (e, 4) divided into n (e,) parts each; whole events where nothing was sampled."""
    parts = counts[entry] // n[entry, None] + (place[:, None] < counts[entry] % n[entry, None])
    plain = (counts[:, [TOTAL, BAD]] == counts[:, [RAW_TOTAL, RAW_BAD]] << WEIGHT_BITS).all(axis=1)[entry]
    parts[plain, TOTAL] = parts[plain, RAW_TOTAL] << WEIGHT_BITS
    parts[plain, BAD] = parts[plain, RAW_BAD] << WEIGHT_BITS
    whole: np.ndarray = parts
    return whole


@dataclass(frozen=True, slots=True)
class Seed:
    """The histories of a file, by what they count."""

    histories: dict[Column, History]
    names: dict[str, str] = field(default_factory=dict)  # by state key, as people know it

    def groups(self, state_key: str) -> list[str]:
        """The groups that have a history, in the order in which they began."""
        return [column.group for column in self.histories if column.state_key == state_key]

    def strangers(self, promises: Iterable[Promise]) -> str:
        """A sentence about what in the seed is of none of the promises; empty where all is."""
        known = {promise.state_key for promise in promises}
        strange = {column.state_key: None for column in self.histories if column.state_key not in known}
        if not strange:
            return ""
        names = ", ".join(self.names.get(key, key) for key in strange)
        return f"{len(strange)} of what the seed has counted is promised here by none and is ignored: {names}"


# Using


def read_seed(path: Path, promises: Sequence[Promise], warn: Callable[[str], None]) -> Seed:
    """The seed of a file for some promises; what is of none of them is said once.

    Raises:
        UsageError: nothing is promised.
        InputError, DataError: see `load`.
    """
    if not promises:
        raise UsageError("--seed without SLOs", "a seed is what SLOs counted before", "Name their files with --slos.")
    seed = load(path)
    strangers = seed.strangers(promises)
    if strangers:
        warn(f"{path}: {strangers}.")
    return seed


def seeded(rules: Rules, seed: Seed | None) -> Rules:
    """Rules whose promises begin with a past."""
    return rules if seed is None or rules.slo is None else replace(rules, slo=replace(rules.slo, seed=seed))


# Making


def histories(banks: Sequence[Bank]) -> Seed:
    """What banks hold, of one thing counted in several banks that with the longest period."""
    found: dict[Column, History] = {}
    names: dict[str, dict[str, None]] = {}
    for bank in sorted(banks, key=lambda bank: -bank.budgeting.period_ns):
        for promise in bank.promises:
            names.setdefault(promise.state_key, {})[promise.name] = None
        ages, spans, counts = _slots(bank.rings)
        for (column, _), row in bank.rows.items():
            some = np.flatnonzero(counts[:, row, RAW_TOTAL])
            if column in found or not len(some):
                continue
            length_ns = int(bank.rings.history_ns()[row])
            # The oldest entry may begin before anything was known.
            early = np.maximum(ages[some] - max(length_ns, 1), 0)
            early = np.where(early < spans[some], early, 0)
            found[column] = History(length_ns, ages[some] - early, spans[some] - early, counts[some, row])
    return Seed(found, {key: ", ".join(each) for key, each in names.items()})


def _slots(rings: Rings) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The counts of all rows by minutes and then by hours, the oldest first: ages (n,), lengths (n,), (n, n_rows, 4).

    A slot is what a window has more than the next shorter one.
    """
    period_ns, pane_ns = rings.rules.period_ns, rings.rules.pane_ns
    windows = [minutes * _MINUTE_NS for minutes in range(1, _MINUTES + 1)]
    windows += range(_MINUTES * _MINUTE_NS + _HOUR_NS, period_ns + 1, _HOUR_NS)
    wanted = [window for window in windows if window <= period_ns and window % pane_ns == 0]
    cut = Rings.restore(rings.snapshot(), wanted)
    before, age_ns = np.zeros_like(cut.period()), 0
    ages, spans, counts = [], [], []
    for window in cut.rules.windows_ns:
        now, back_ns = cut.window(window), (cut.position - cut.start(window)) * pane_ns
        if back_ns > age_ns:
            ages.append(back_ns)
            spans.append(back_ns - age_ns)
            counts.append(now - before)
            before, age_ns = now, back_ns
    return np.array(ages[::-1]), np.array(spans[::-1]), np.stack(counts[::-1])


# Files


def save(path: Path, seed: Seed, from_ns: int, to_ns: int) -> int:
    """Write a seed; how many bytes.

    Raises:
        OutputError: the file cannot be written.
    """
    rows = [_plain(column, history, seed.names.get(column.state_key, "")) for column, history in seed.histories.items()]
    head = {
        "format": _FORMAT,
        "version": _VERSION,
        "about": _ABOUT,
        "from": rfc3339(from_ns),
        "to": rfc3339(to_ns),
        "fingerprint": _fingerprint(rows),
    }
    lines = [f" {json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
    text = "\n".join(["{", *lines, ' "rows": [', ",\n".join(map(_written, rows)), " ]", "}", ""])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}", hint="Name another file.") from error
    return len(text.encode())


def load(path: Path) -> Seed:
    """Read a seed.

    Raises:
        InputError: the file is not there or cannot be read.
        DataError: it is no seed, one of another version, or one that was changed.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", "--seed names a file of counts", _AGAIN) from error
    try:
        head = msgspec.json.decode(data, type=_Head)
        if head.format != _FORMAT:
            raise DataError(f"{path} calls itself {head.format!r}", f"a seed is a {_FORMAT!r}", _AGAIN)
        if head.version != _VERSION:
            raise DataError(
                f"{path} is a seed of version {head.version}", f"this release reads version {_VERSION}", _AGAIN
            )
        rows = msgspec.json.decode(data, type=_File).rows
        seed = Seed(
            {Column(row.state_key, row.group): _history(row) for row in rows},
            {row.state_key: row.slo for row in rows},
        )
    except (msgspec.DecodeError, msgspec.ValidationError, ValueError, OverflowError) as error:
        raise DataError(f"{path} is no seed: {error}", hint=_AGAIN) from error
    if _fingerprint([msgspec.to_builtins(row) for row in rows]) != head.fingerprint:
        raise DataError(f"{path} was changed after it was made", "its fingerprint is of other counts", _AGAIN)
    return seed


class _Head(msgspec.Struct):
    format: str
    version: int
    fingerprint: str


class _Row(msgspec.Struct):
    slo: str
    state_key: str
    group: str
    history_s: int | float
    counts: list[list[int | float]]


class _File(msgspec.Struct):
    rows: list[_Row]


def _history(row: _Row) -> History:
    entries = row.counts
    if any(len(entry) not in (4, 6) for entry in entries):
        raise ValueError(f"an entry of {row.slo} has neither 4 nor 6 numbers")
    # Weights may be beyond what a float holds exactly, so there is no array of all columns.
    raw = np.array([entry[2:4] for entry in entries], np.int64).reshape(-1, 2)
    weights = raw << WEIGHT_BITS
    for i, entry in enumerate(entries):
        if len(entry) == 6:
            weights[i] = entry[4:]
    age_ns, span_ns = (np.array([_ns(entry[i]) for entry in entries], np.int64) for i in (0, 1))
    counts = np.concatenate((weights, raw), axis=1)
    if (counts < 0).any() or (counts[:, BAD] > counts[:, TOTAL]).any() or (raw[:, 1] > raw[:, 0]).any():
        raise ValueError(f"{row.slo} has counted less than nothing, or more bad events than events")
    if (span_ns <= 0).any() or (age_ns < span_ns).any():
        raise ValueError(f"an entry of {row.slo} ends after the end of the history")
    return History(_ns(row.history_s), age_ns, span_ns, counts)


def _plain(column: Column, history: History, name: str) -> dict[str, Any]:
    """A history as it is written."""
    counts = []
    for age_ns, span_ns, each in zip(
        history.age_ns.tolist(), history.span_ns.tolist(), history.counts.tolist(), strict=True
    ):
        entry = [_seconds(age_ns), _seconds(span_ns), each[RAW_TOTAL], each[RAW_BAD]]
        if each[:2] != [each[RAW_TOTAL] << WEIGHT_BITS, each[RAW_BAD] << WEIGHT_BITS]:
            entry += [each[TOTAL], each[BAD]]
        counts.append(entry)
    return {
        "slo": name,
        "state_key": column.state_key,
        "group": column.group,
        "history_s": _seconds(history.length_ns),
        "counts": counts,
    }


def _written(row: dict[str, Any]) -> str:
    """One row, some entries a line."""
    head = ", ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in row.items() if key != "counts")
    entries = [json.dumps(entry, separators=(",", ":")) for entry in row["counts"]]
    lines = [", ".join(entries[i : i + _PER_LINE]) for i in range(0, len(entries), _PER_LINE)]
    return f'  {{{head}, "counts": [\n   ' + ",\n   ".join(lines) + "]}"


def _fingerprint(rows: list[dict[str, Any]]) -> str:
    """16 hexadecimal digits of all that is counted."""
    return blake2b(json.dumps(rows, sort_keys=True).encode(), digest_size=8).hexdigest()


def _seconds(ns: int) -> int | float:
    return ns // _SECOND_NS if ns % _SECOND_NS == 0 else ns / _SECOND_NS


def _ns(seconds: float) -> int:
    return round(seconds * _SECOND_NS)
