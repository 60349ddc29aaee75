"""What the anomaly detector remembers of a series, and the rates at which it learns.

State is three rows of arrays a series: numbers (float64), profiles of the day and the week (float32), tails (float32).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from detectors.tails import BINS

if TYPE_CHECKING:
    from detectors.anomaly import AnomalySettings

# Numbers: one a line of the model.
ROWS, LAST = 0, 1
LEVELS = 2
"""Seven predictors: a fast and a medium level; the day's and the week's profile on an offset that is quick; a slow
level, and both profiles on an offset that is as slow."""
PREDICTORS = 7
FAST, MEDIUM, DAY_QUICK, WEEK_QUICK, SLOW, DAY_SLOW, WEEK_SLOW = range(PREDICTORS)
ERRORS = LEVELS + PREDICTORS
"""Mean absolute error of each."""
SCALE, SCALE_QUICK, SCALE_SLOW, USUAL, USUAL_GAP = range(ERRORS + PREDICTORS, ERRORS + PREDICTORS + 5)
SHORT, MIDDLE, LONG, VARIABILITY = range(USUAL_GAP + 1, USUAL_GAP + 5)
HOT, COOL, WEIGHT = range(VARIABILITY + 1, VARIABILITY + 4)
BLOCK_MOST, BLOCK_ROWS, BLOCK_HOT, BLOCK_HIGH, CLUMP_ROWS, CLUMPS = range(WEIGHT + 1, WEIGHT + 7)
RUNS = CLUMPS + 1
"""For each cue: rows of its current run of rare values, and rows since the last of them."""
CUES = 13
KEPT = USUAL_GAP + 1 - LEVELS
OLD = RUNS + 2 * CUES
"""What levels, errors and scales were before an anomaly."""
AGE, BACK, UNLEARNT, VALUE, GRAIN = range(OLD + KEPT, OLD + KEPT + 5)
PART_SUM, PART_ROWS, PARTS, DISTANCE, DISCORDANT = range(GRAIN + 1, GRAIN + 6)
"""Of discords: the mean that is not whole yet, how many there are, their usual distance, evidence of the last one."""
KIND_ROWS = DISCORDANT + 1
"""Rows on workdays, and on weekends."""
AWAY = KIND_ROWS + 2
"""Rows that are still to say where it is, after a long absence."""
NUMBERS = AWAY + 1

DAY_KNOTS, KNOT_SECONDS = 144, 600.0
WEEK_KNOTS, WEEK_KNOT_SECONDS = 504, 1200.0
SPREADS, SPREAD_SECONDS = 48, 1800.0
TWO_SIDED, DISCORD = 10, 12
"""The cues before the first come in pairs: upward, downward; the second is of a few rows at once, NaN between."""
WEEK_PROFILE = DAY_KNOTS
PEAKS_UP = WEEK_PROFILE + WEEK_KNOTS
PEAKS_DOWN = PEAKS_UP + DAY_KNOTS
SPREAD_PROFILE = PEAKS_DOWN + DAY_KNOTS
ONCE, RECURS = SPREAD_PROFILE + SPREADS, SPREAD_PROFILE + SPREADS + DAY_KNOTS
"""Evidence of anomalies that began at this time of day, and of those that came again."""
PAST, REACH = RECURS + DAY_KNOTS, 336
"""Means of some rows each, the newest last, that discords are looked for in."""
RANGES, RANGE_KNOTS, RANGE_SECONDS = PAST + REACH, 48, 1800.0
"""The lowest and highest value at each time of workdays, then of weekends."""
PROFILES = RANGES + 4 * RANGE_KNOTS

BLOCK_TAIL = CUES * BINS
BAND_ABOVE, BAND_BELOW = BLOCK_TAIL + BINS, BLOCK_TAIL + 2 * BINS
"""The surprise alone, every value of it: what the band is made of."""
TAIL_BINS = BAND_BELOW + BINS

OK, LEARNING, ABSENT, NOT_FINITE, OUT_OF_ORDER = range(5)
REASONS = ("", "learning", "absent", "not finite", "out of order")
"""Why there is no score, by number."""


class State(NamedTuple):
    """What is remembered of some series, a row each.

    Attributes:
        numbers: (n_series, NUMBERS) float64.
        profiles: (n_series, PROFILES) float32.
        tails: (n_series, TAIL_BINS) float32.
    """

    numbers: np.ndarray
    profiles: np.ndarray
    tails: np.ndarray

    @classmethod
    def empty(cls, n_series: int) -> State:
        """Of series that were never seen."""
        return cls(
            np.zeros((n_series, NUMBERS)),
            np.zeros((n_series, PROFILES), np.float32),
            np.zeros((n_series, TAIL_BINS), np.float32),
        )

    def take(self, rows: np.ndarray | slice) -> State:
        """A copy of some series."""
        return State(*(np.array(array[rows]) for array in self))

    def to_bytes(self) -> bytes:
        """The three arrays, little-endian, one after the other."""
        return b"".join(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes() for array in self)

    @classmethod
    def from_bytes(cls, content: bytes, n_series: int) -> State:
        """What `to_bytes` gave of so many series.

        Raises:
            ValueError: when it has another length.
        """
        state = cls.empty(n_series)
        expected = sum(array.nbytes for array in state)
        if len(content) != expected:
            raise ValueError(f"the state of {n_series} series has {len(content)} bytes; {expected} are expected")
        at = 0
        for array in state:
            array[:] = np.frombuffer(content, array.dtype.newbyteorder("<"), array.size, at).reshape(array.shape)
            at += array.nbytes
        return state


class Rates(NamedTuple):
    """The settings as shares a row and numbers of rows: what the kernel multiplies with.

    Attributes:
        fast: Share of the gap that a level closes in a row, likewise the next ones.
        medium: See `AnomalySettings`.
        slow: See `AnomalySettings`.
        quick: Of the offset that carries the profiles.
        errors: Of mean absolute errors and scales.
        usual: Of the level and scale of days.
        short: Of the running mean over minutes.
        middle: Of the one over ten minutes.
        long: Of the one over half an hour.
        variability: Of the mean absolute surprise.
        profile: Of the day's profile, for each row near a knot.
        forget_peak: Share of a remembered peak that a row near it forgets.
        growth: By what the weight of the present grows.
        warm: Rows before any evidence.
        day: Rows of a day.
        block: Rows of an episode.
        gap_seconds: Silence after which running means begin anew.
        away_seconds: Silence after which levels are learnt anew.
        accept: Rows of an anomaly after which its level is the new one.
        patience: Rows after which even what is strange is learnt.
        unlearnt: Of the share of rows that taught nothing.
        narrow: Of the range of a time of day, for each row in it.
        part: Rows of a mean that discords are looked for in.
        up: 1 where too much is an anomaly.
        down: 1 where too little is.
        miss: Share of ordinary values on each side of the band.
    """

    fast: float
    medium: float
    slow: float
    quick: float
    errors: float
    usual: float
    short: float
    middle: float
    long: float
    variability: float
    profile: float
    forget_peak: float
    growth: float
    warm: float
    day: float
    block: float
    gap_seconds: float
    away_seconds: float
    accept: float
    patience: float
    unlearnt: float
    narrow: float
    part: float
    up: float
    down: float
    miss: float


def rates(settings: AnomalySettings) -> Rates:
    """Durations as shares a row."""

    def rows(seconds: float, least: float = 1.0) -> float:
        return max(least, seconds / settings.step)

    def share(half_life: float) -> float:
        return float(1 - 0.5 ** (1 / rows(half_life)))

    return Rates(
        fast=share(settings.fast),
        medium=share(settings.medium),
        slow=share(settings.slow),
        quick=share(settings.quick),
        errors=share(settings.slow),
        usual=share(settings.memory / 4),
        short=share(240.0),
        middle=share(600.0),
        long=share(1800.0),
        variability=share(900.0),
        profile=min(0.3, 0.03 * settings.step / 60.0),
        forget_peak=0.02,
        growth=1 + 1 / rows(settings.memory, 1000.0),
        warm=min(120.0, rows(1800.0, 12.0)),
        day=round(rows(86_400.0, 24.0)),
        block=round(rows(settings.episode)),
        gap_seconds=max(300.0, 3 * settings.step),
        away_seconds=max(129_600.0, 30 * settings.step),
        accept=rows(settings.accept, 6.0),
        patience=rows(settings.patience, 12.0),
        unlearnt=share(1.36 * settings.patience),
        narrow=share(18_000.0),
        part=round(rows(300.0)),
        up=float(settings.direction != "down"),
        down=float(settings.direction != "up"),
        miss=settings.miss / 2,
    )
