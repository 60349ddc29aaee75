"""Whole series through the anomaly detector at once: what `streamgauge detect` and notebooks call.

The values come as arrays or as pandas has them, and what is found is of the same kind. Arithmetic is `anomaly`'s: each
row is scored against those before it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import numpy as np

from detectors.anomaly import PRESETS, AnomalyBank, AnomalySettings, Judged
from detectors.anomaly_state import REASONS
from detectors.episodes import raised
from detectors.frames import Table, table_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

THRESHOLD = 0.45
"""The least score of an alert, where nobody says another."""

_ROWS = 20_000
"""Scored at once, between two looks at the progress."""

_NEIGHBOURS = 1.5
"""Steps: rows that follow each other are one episode, however far apart they are."""

_FIRST_ROWS = 10
_SECOND = 1_000_000_000

Kind = TypeVar("Kind")


class Detection(NamedTuple, Generic[Kind]):
    """What was found, of the kind and shape that the values came in; NaN where there is nothing to say.

    Attributes:
        score: 0 ordinary … 1: min(1, −log10 p / 8).
        expected: What the value should have been.
        lower: Of the band that ordinary values seldom leave.
        upper: Likewise.
        alert: Whether an alert is raised here: the first row of an episode.
        why: Why there is no score, a word or two of `anomaly_state.REASONS`; empty where there is one.
        settings: With the step that was found.
    """

    score: Kind
    expected: Kind
    lower: Kind
    upper: Kind
    alert: Kind
    why: Kind
    settings: AnomalySettings


def detect(
    values: Kind,
    times_ns: np.ndarray | None = None,
    *,
    preset: str | AnomalySettings = "default",
    threshold: float = THRESHOLD,
    zone: str | None = None,
    step: float | None = None,
    progress: Callable[[range], Iterable[int]] = iter,
) -> Detection[Kind]:
    """Score series, each against its own past.

    Args:
        values: A pandas Series or DataFrame (a column a series) with times as its index; or an array, (n_rows,) or
            (n_rows, n_series). NaN is absent. Times of an index without a zone are UTC.
        times_ns: (n_rows,) int64 since the epoch, beside an array only. A row that is not later than the one before has
            no score.
        preset: One of `PRESETS`, or settings of one's own.
        threshold: The least score of an alert.
        zone: Time zone whose days and weeks the series follow; else the preset's.
        step: Seconds between two values; else as between the first ones, whatever the settings say.
        progress: Goes through a range as it is scored.

    Raises:
        TypeError: the index is none of times.
        ValueError: values or times are of no use, or a setting is not what it should be.

    >>> minutes = np.arange(1_440) * 60 * 10**9
    >>> values = np.random.default_rng(1).normal(100, 5, size=1_440)
    >>> values[900:905] = 400
    >>> found = detect(values, minutes, preset="latency")
    >>> np.flatnonzero(found.alert).tolist(), found.settings.step, str(found.why[0])
    ([900], 60.0, 'learning')
    """
    table = table_of(values, times_ns)
    settings = _settings(table.times_ns, preset, zone, step)
    judged = _judged(table, settings, progress)
    apart_ns = round(max(settings.episode, _NEIGHBOURS * settings.step) * _SECOND)
    alert = np.empty_like(judged.score, np.bool_)
    for which in range(alert.shape[1]):
        alert[:, which] = raised(table.times_ns, judged.score[:, which], threshold, apart_ns)
    arrays = (judged.score, judged.expected, judged.lower, judged.upper, alert, np.array(REASONS)[judged.why])
    score, expected, lower, upper, begins, why = map(table.back, arrays)
    return Detection(score, expected, lower, upper, begins, why, settings)


def _settings(
    times_ns: np.ndarray, preset: str | AnomalySettings, zone: str | None, step: float | None
) -> AnomalySettings:
    if isinstance(preset, str):
        if preset not in PRESETS:
            raise ValueError(f"preset is {preset!r}; it is one of {', '.join(PRESETS)}, or AnomalySettings")
        preset = PRESETS[preset]
    changes: dict[str, Any] = {"step": _step_seconds(times_ns) if step is None else step}
    if zone is not None:
        changes["zone"] = zone
    return replace(preset, **changes)


def _step_seconds(times_ns: np.ndarray) -> float:
    """Between the first values: what comes later must not change how these are scored."""
    steps = np.diff(times_ns[: _FIRST_ROWS + 1])
    steps = steps[steps > 0]
    return float(np.median(steps)) / _SECOND if len(steps) else AnomalySettings.step


def _judged(table: Table, settings: AnomalySettings, progress: Callable[[range], Iterable[int]]) -> Judged:
    bank = AnomalyBank(settings, table.values.shape[1])
    pieces = []
    for first in progress(range(0, max(len(table.times_ns), 1), _ROWS)):
        rows = slice(first, first + _ROWS)
        pieces.append(bank.run(table.times_ns[rows], table.values[rows]))
    return Judged(*(np.concatenate(columns) for columns in zip(*pieces, strict=True)))
