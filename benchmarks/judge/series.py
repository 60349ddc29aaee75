"""Months of minutes with known truth: an ordinary first half, and a second in which ten things happen.

    python benchmarks/judge/series.py      # prints the hash by which the series are frozen

Values have five digits, so that the last bits of a processor's sine reach none of them.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from judge.backgrounds import BACKGROUNDS, DAY, HELD_OUT, Background
from judge.draws import Draws

DAYS = 30
HALF = 15 * DAY
SERIES = 6
"""Of each background: 120 months."""

EVENTS = 10
SLOT = HALF // EVENTS
HOUR = 60
AFTER = 6 * HOUR
"""Rows after an event in which an alert is neither right nor wrong: things go back to normal."""

START = 1_767_571_200
"""Seconds since the epoch: Monday, 5 January 2026."""

TAIL = 0.999


class Event(NamedTuple):
    """What happened; rows are counted from the series' first.

    Attributes:
        kind: One of the kinds below.
        onset: Row at which it begins.
        visible: From here on an observer who knew its shape could tell it from noise.
        end: One past its last row.
    """

    kind: str
    onset: int
    visible: int
    end: int


class Series(NamedTuple):
    """One month.

    Attributes:
        name: background and number.
        background: Its kind.
        values: (43,200,) float64, one a minute, NaN where there was none.
        events: In order of time, none within six hours after the end of another.
    """

    name: str
    background: str
    values: np.ndarray
    events: tuple[Event, ...]


def kinds(background: Background) -> list[str]:
    """What can happen to a series."""
    found = ["spike", "shift", "ramp", "leak"]
    if background.daily:
        found.append("season")
    if background.stops:
        found.append("stop")
    return found


def _effect(kind: str, background: Background, unit: np.ndarray, onset: int, draws: Draws) -> np.ndarray:
    """What an event adds to the expectation, from its onset on.

    Args:
        kind: Of the event.
        background: The series'.
        unit: (n,) what one minute in a thousand exceeds.
        onset: Row.
        draws: The event's own.
    """
    expected = background.expected[onset:]
    up = -1.0 if background.both_ways and draws.one() < 0.4 else 1.0
    unit = up * unit[onset:]
    if kind == "spike":
        return draws.log_one(1.0, 4.0) * unit[: draws.integer(1, 5)]
    if kind == "shift":
        return draws.log_one(0.4, 2.0) * unit[: draws.integer(12 * HOUR, 18 * HOUR)]
    if kind == "ramp":
        rise = draws.integer(30, 90)
        return draws.log_one(0.6, 2.5) * np.minimum(np.arange(rise + 30) / rise, 1.0) * unit[: rise + 30]
    if kind == "leak":
        rise = draws.integer(6 * HOUR, 12 * HOUR)
        return draws.log_one(0.6, 2.5) * np.arange(1, rise + 1) / rise * unit[:rise]
    if kind == "season":
        moved = draws.integer(5 * HOUR, 10 * HOUR)
        length = 18 * HOUR
        return background.expected[onset - moved : onset - moved + length] - expected[:length]
    return -expected[: draws.integer(15, 60)]


def _visible(effect: np.ndarray, spread: np.ndarray, tail: float) -> int:
    """Rows until the effect, matched by one who knows it, stands out by as much as one minute in a thousand."""
    evidence = np.sqrt(np.cumsum((effect / spread) ** 2))
    return int(np.searchsorted(evidence, max(tail, 3.0)))


def make(background: str, number: int) -> Series:
    """One month, always the same."""
    name = f"{background}/{number}"
    draws = Draws(f"judge/{name}")
    n = DAYS * DAY
    made = BACKGROUNDS[background](draws, n)
    spread = made.spread(made.expected)
    residual = (made.draw(made.expected) - made.expected)[:HALF] / spread[:HALF]
    tail = float(np.nanquantile(residual, TAIL))
    expected, events, possible = made.expected.copy(), [], kinds(made)
    for slot in range(EVENTS):
        for _ in range(50):
            kind = possible[(slot + number) % len(possible)]
            onset = HALF + slot * SLOT + draws.integer(0, 6 * HOUR)
            effect = _effect(kind, made, tail * spread, onset, draws)
            effect = np.maximum(effect, -made.expected[onset : onset + len(effect)])
            visible = _visible(effect, spread[onset : onset + len(effect)], tail)
            if visible < len(effect):
                expected[onset : onset + len(effect)] += effect
                events.append(Event(kind, onset, onset + visible, onset + len(effect)))
                break
    return Series(name, background, _digits(made.draw(expected)), tuple(events))


def _digits(values: np.ndarray, digits: int = 5) -> np.ndarray:
    """Values to so many digits that count."""
    size = np.abs(values)
    some = size > 0
    power = 10.0 ** (digits - 1 - np.floor(np.log10(np.where(some, size, 1.0))))
    return np.where(some, np.rint(values * power) / power, values)


def months(*, held_out: bool) -> list[Series]:
    """All series of the backgrounds that are, or are not, held out."""
    return [make(name, number) for name in BACKGROUNDS if (name in HELD_OUT) == held_out for number in range(SERIES)]


def fingerprint(series: list[Series]) -> str:
    """A hash of all values and events."""
    digest = hashlib.blake2b(digest_size=16)
    for one in series:
        digest.update(one.name.encode())
        digest.update(np.nan_to_num(one.values, nan=-1.0).astype("<f8").tobytes())
        digest.update(repr([tuple(event) for event in one.events]).encode())
    return digest.hexdigest()


if __name__ == "__main__":
    print(fingerprint(months(held_out=False) + months(held_out=True)))
