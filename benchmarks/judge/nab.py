"""The Numenta Anomaly Benchmark's own scoring (Lavin & Ahmad 2015), and its series as they were.

A window's first detection earns by how early it is, a false one costs by how far it is behind the last window, the
first 15 % of a file (at most 750 rows) count for nothing, and one threshold for the whole corpus is swept. 0 is a
detector that is silent, 100 a perfect one.
"""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Profile(NamedTuple):
    """What a false positive and a missed window cost; a window found earns 1."""

    false_positive: float
    false_negative: float


PROFILES = {"standard": Profile(0.11, 1.0), "low FP": Profile(0.22, 1.0), "low FN": Profile(0.11, 2.0)}


class File(NamedTuple):
    """One series of the corpus.

    Attributes:
        name: folder and file.
        seconds: (n,) float64 since the epoch; local time stands in for UTC.
        values: (n,) float64.
        windows: (n_windows, 2) first and last row of each labelled window.
    """

    name: str
    seconds: np.ndarray
    values: np.ndarray
    windows: np.ndarray


def corpus(folder: Path) -> list[File]:
    """All 58 files, by name."""
    labels = json.loads((folder / "windows.json").read_text(encoding="utf-8"))
    return [_file(folder / "series" / name, name, labels[name]) for name in sorted(labels)]


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def _file(path: Path, name: str, windows: list[list[str]]) -> File:
    with path.open(encoding="utf-8", newline="") as lines:
        rows = [(_seconds(stamp), float(value)) for stamp, value in list(csv.reader(lines))[1:]]
    seconds, values = np.array(rows).T
    ends = [[int(np.flatnonzero(seconds == _seconds(end))[0]) for end in window] for window in windows]
    return File(name, seconds, values, np.array(ends, np.int64).reshape(-1, 2))


def probation(rows: int) -> int:
    """Rows at a file's start that are not scored."""
    return int(min(0.15 * rows, 0.15 * 5000))


def _sigmoid(position: np.ndarray) -> np.ndarray:
    """1 far before, 0 at, −1 far behind the end of a window."""
    return np.where(position > 3.0, -1.0, 2.0 / (1.0 + np.exp(np.minimum(5.0 * position, 700.0))) - 1.0)


class Rows(NamedTuple):
    """What each row of a file, if it alerts, earns or costs.

    Attributes:
        window: (n,) int64, of the file's windows the one that the row is in, −1 outside.
        worth: (n,) float64, positive inside of windows; outside, the cost of a false positive at a weight of 1.
    """

    window: np.ndarray
    worth: np.ndarray


def rows_of(file: File) -> Rows:
    """The worth of each row."""
    n = len(file.values)
    at = np.arange(n)
    window, worth = np.full(n, -1), np.full(n, -1.0)
    for number, (first, last) in enumerate(file.windows):
        inside = (at >= first) & (at <= last)
        width = last - first + 1
        window[inside] = number
        worth[inside] = _sigmoid(-(last - at[inside] + 1) / width) / _sigmoid(np.array(-1.0))
        behind = at > last
        worth[behind] = _sigmoid((at[behind] - last) / (width - 1))
    return Rows(window, worth)


class Swept(NamedTuple):
    """The best a corpus can be given.

    Attributes:
        score: 0 silent … 100 perfect.
        threshold: That gives it: alert at scores that are no less.
    """

    score: float
    threshold: float


def sweep(files: list[File], scores: Mapping[str, np.ndarray], profile: Profile) -> Swept:
    """The best threshold for all files, and its score.

    Args:
        files: Of the corpus, or a part of it.
        scores: By name, (n,) each, larger is stranger.
        profile: The costs.
    """
    order_by, gain = [], []
    windows = sum(len(file.windows) for file in files)
    for file in files:
        rows, given = rows_of(file), np.nan_to_num(np.asarray(scores[file.name], np.float64))
        begin = probation(len(given))
        outside = np.flatnonzero(rows.window[begin:] < 0) + begin
        order_by.append(given[outside])
        gain.append(rows.worth[outside] * profile.false_positive)
        for number in range(len(file.windows)):
            inside = np.flatnonzero(rows.window[begin:] == number) + begin
            best_first = inside[np.argsort(-given[inside], kind="stable")]
            # As the threshold falls the window earns its best row so far: what each row adds to that.
            earned = np.maximum.accumulate(rows.worth[best_first])
            order_by.append(given[best_first])
            gain.append(np.diff(earned, prepend=-profile.false_negative))
    levels, changes = np.concatenate(order_by), np.concatenate(gain)
    order = np.argsort(-levels, kind="stable")
    totals = -windows * profile.false_negative + np.cumsum(changes[order])
    levels = levels[order]
    last = np.append(levels[1:] != levels[:-1], True)
    best = int(np.argmax(np.where(last, totals, -np.inf)))
    silent = -windows * profile.false_negative
    return Swept(float(100 * (max(totals[best], silent) - silent) / (windows - silent)), float(levels[best]))


def at_threshold(files: list[File], scores: Mapping[str, np.ndarray], profile: Profile, threshold: float) -> float:
    """The score of one threshold, chosen elsewhere."""
    alerts = {file.name: np.asarray(scores[file.name]) >= threshold for file in files}
    windows = sum(len(file.windows) for file in files)
    total = 0.0
    for file in files:
        rows, alert = rows_of(file), alerts[file.name].copy()
        alert[: probation(len(alert))] = False
        total += profile.false_positive * float(rows.worth[alert & (rows.window < 0)].sum())
        for number in range(len(file.windows)):
            worth = rows.worth[alert & (rows.window == number)]
            total += float(worth.max()) if len(worth) else -profile.false_negative
    return 100 * (total + windows * profile.false_negative) / (windows * (1 + profile.false_negative))
