"""How much traffic there is at a time: the day's rhythm, and how bad each incident is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flows.generate.durations import SECOND

if TYPE_CHECKING:
    from flows.generate.incidents import Incident
    from flows.generate.scenario import Rhythm

HOUR = 3600 * SECOND
DAY = 24 * HOUR
MONDAY = 4 * DAY
"""The first Monday of the epoch, which began on a Thursday."""


def traffic_at(rhythm: Rhythm, time_ns: np.ndarray) -> np.ndarray:
    """Relative traffic at Unix times (n,) int64 → (n,) float64.

    >>> from flows.generate.scenario import Rhythm
    >>> traffic_at(Rhythm(hours=(1.0, 3.0) + (1.0,) * 22), np.array([0, HOUR // 2, HOUR])).tolist()
    [1.0, 2.0, 3.0]
    """
    hours = np.array((*rhythm.hours, rhythm.hours[0]))
    level: np.ndarray = np.interp((time_ns % DAY) / HOUR, np.arange(25.0), hours)
    is_weekend = (time_ns - MONDAY) // DAY % 7 >= 5
    weekly: np.ndarray = np.where(is_weekend, level * rhythm.weekend, level)
    return weekly


def severity(incident: Incident, since_start_ns: np.ndarray) -> np.ndarray | None:
    """How bad an incident is for requests that arrive at these times, 0 to 1; None if it concerns none of them.

    Args:
        incident: with its times from the recording's start.
        since_start_ns: (n,) int64, from the recording's start.
    """
    into = since_start_ns - incident.at
    running = (into >= 0) & (into < incident.lasts)
    if not running.any():
        return None
    if incident.ramp == 0:
        return running.astype(np.float64)
    return np.where(running, np.minimum(into / incident.ramp, 1.0), 0.0)
