"""From scores of all operations to alerts of services, and what these made of the faults of a recording."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from detectors.episodes import episodes
from detectors.recall import DAY_NS, UNSEEN, Figures, Marks, credited, delays, figures
from detectors.spells import contains, joined, without
from flows.backtest.stretch import Stretch, Terms, stretch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from judge.recordings import Recorded, Steps

WARM_UP = 10
"""Steps."""

APART_NS = 180 * 10**9
"""Shorter than the half hour of production: what is recorded around a fault is an episode of its own."""


class Time(NamedTuple):
    """Which steps of a recording count; a step is where it ends.

    Attributes:
        stretch: Gaps, and why faults do not count.
        ordinary: (n, 2) int64 spells in which nothing went wrong, after the warm-up.
    """

    stretch: Stretch
    ordinary: np.ndarray


def time_of(recording: Recorded, steps: Steps) -> Time:
    """By what was recorded in whole steps."""
    times_ns, pane_ns = steps.times_ns, recording.pane_ns
    panes = (times_ns[:, None] // pane_ns + np.arange(-(steps.step_ns // pane_ns), 0)).ravel()
    warm_ns = int(times_ns[WARM_UP - 1])
    found = stretch(panes.tolist(), pane_ns, recording.faults, Terms(warm_ns - int(panes[0]) * pane_ns, 0, 1.0))
    whole = joined(np.column_stack((times_ns - steps.step_ns, times_ns)) + 1)
    spoilt = [(found.first_ns, warm_ns + 1), *((fault.at_ns, fault.until_ns + 1) for fault in recording.faults)]
    return Time(found, without(whole, joined(np.array(spoilt, np.int64))))


class Alert(NamedTuple):
    """What a service would have raised about one signal."""

    begin_ns: int
    end_ns: int
    service: str
    operation: str  # the strangest at the beginning
    signal: str


def alerts(steps: Steps, signal: str, score: np.ndarray, level: float) -> Iterator[Alert]:
    """One episode for each service whose operations are strange, as production has it.

    Args:
        steps: What was scored.
        signal: Which of it.
        score: (n_steps, n_operations) float64.
        level: The least strange score.
    """
    services = np.array([service for service, _ in steps.operations])
    for service in dict.fromkeys(services.tolist()):
        own = np.where(services == service, np.nan_to_num(score, nan=-1.0), -1.0)
        for begin, end in episodes(steps.times_ns, own.max(axis=1), level, APART_NS).tolist():
            first = int(own[np.searchsorted(steps.times_ns, begin)].argmax())
            yield Alert(begin, end, service, steps.operations[first][1], signal)


def first_of(raised: Sequence[Alert], fault_ns: tuple[int, int]) -> Alert | None:
    """The first alert that began while a fault lasted."""
    during = [each for each in raised if fault_ns[0] <= each.begin_ns <= fault_ns[1]]
    return min(during, default=None)


class Sightings(NamedTuple):
    """What alerts made of a recording.

    Attributes:
        figures: What was seen and what was false; delays are those of the faulty service's own alerts.
        by_chance: How many faults their own service, and any service, would have seen if all alerted as often as they
            did in ordinary time; NaN where none of it was scored.
        ordinary_days: Of ordinary time in which there were scores.
    """

    figures: Figures
    by_chance: tuple[float, float]
    ordinary_days: float


def sightings(steps: Steps, time: Time, score: np.ndarray, raised: Sequence[Alert]) -> Sightings:
    """Count.

    Args:
        steps: What was scored.
        time: What of it counts.
        score: (n_steps, n_operations) float64 of one signal.
        raised: Alerts of it.
    """
    services = list(dict.fromkeys(service for service, _ in steps.operations))
    marks = _marks([(each.begin_ns, each.end_ns, services.index(each.service)) for each in raised])
    truth = _marks([(each.at_ns, each.until_ns, services.index(each.service)) for each in time.stretch.faults])
    counted = np.array([not why for why in time.stretch.excluded])
    got = figures(marks, truth, counted, time.ordinary, 0, APART_NS)
    begins = marks.spells[:, 0]
    own = credited(begins, truth.spells, 0) & (marks.service[:, None] == truth.service)
    late = delays(begins, own, truth.spells)[counted]

    times_ns = steps.times_ns[np.isfinite(score).any(axis=1)]
    ordinary = int(contains(time.ordinary, times_ns).sum())
    any_a_step = got.false / ordinary if ordinary else np.nan
    chance = (_by_chance(rate, times_ns, truth.spells[counted]) for rate in (any_a_step / len(services), any_a_step))
    return Sightings(
        got._replace(delays_ns=tuple(sorted(late[late != UNSEEN].tolist()))),
        (next(chance), next(chance)),
        ordinary * steps.step_ns / DAY_NS,
    )


def _marks(rows: Sequence[tuple[int, int, int]]) -> Marks:
    columns = np.array(rows, np.int64).reshape(-1, 3)
    return Marks(columns[:, :2], columns[:, 2])


def _by_chance(alerts_a_step: float, times_ns: np.ndarray, faults: np.ndarray) -> float:
    """How many faults at least one alert begins in, if they come independently of these."""
    lasts = [np.count_nonzero((at <= times_ns) & (times_ns <= until)) for at, until in faults.tolist()]
    return float((1 - np.exp(-alerts_a_step * np.array(lasts))).sum())
