"""How strange the newest value of an operational series is, given its past: one default for latency and traffic alike.

A bank holds many series; `AnomalyDetector` is the bank with one row, in River's manners. The arithmetic is
`anomaly_kernel`'s, what is remembered `anomaly_state`'s.

What it cannot see: an anomaly that begins in the first hours, or that has always been there; how long an anomaly
lasts that stays; anything in how series move together.
"""

from __future__ import annotations

import dataclasses
import json
import math
import struct
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from detectors.anomaly_evidence import FULL
from detectors.anomaly_kernel import advance
from detectors.anomaly_state import REASONS, WEIGHT, State, rates
from detectors.local_time import is_zone, local_seconds

MAGIC = b"SGAN"
VERSION = 2
HEAD = struct.Struct("<4sHIQ")


@dataclass(frozen=True)
class AnomalySettings:
    """What can be said of a series before it is seen; all durations in seconds.

    Attributes:
        step: Between two values.
        direction: What is an anomaly: too much ("up"), too little ("down") or both.
        zone: Time zone of those whose days and weeks the series follows, as in the IANA database.
        memory: How far the past reaches that evidence is compared with.
        episode: What is less than this apart is one episode.
        accept: How long a new level is an anomaly.
        patience: How long a series may be strange until that is learnt as ordinary.
        fast: Half-life of the fastest level.
        medium: Of the next one.
        quick: Of what carries the day's profile.
        slow: Of the slowest level.
        miss: Share of ordinary values outside of the band.
        least: What no value is below, 0 for durations, counts and ratios; the band ends there.
    """

    step: float = 60.0
    direction: Literal["up", "down", "both"] = "both"
    zone: str = "UTC"
    memory: float = 14 * 86_400.0
    episode: float = 1_800.0
    accept: float = 4 * 3_600.0
    patience: float = 86_400.0
    fast: float = 120.0
    medium: float = 1_800.0
    quick: float = 3_600.0
    slow: float = 12 * 3_600.0
    miss: float = 0.01
    least: float | None = None

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name != "least" and isinstance(value, float | int) and not 0 < value < math.inf:
                raise ValueError(f"{field.name} is {value!r}; a positive number is expected")
        if self.direction not in ("up", "down", "both"):
            raise ValueError(f"direction is {self.direction!r}; it is up, down or both")
        if not is_zone(self.zone):
            raise ValueError(f"zone is {self.zone!r}; a zone of the IANA database is expected, Europe/Berlin or UTC")
        if not self.miss < 1:
            raise ValueError(f"miss is {self.miss!r}; it is a share of all values, below 1")
        if self.least is not None and not math.isfinite(self.least):
            raise ValueError(f"least is {self.least!r}; a finite number is expected, or None")
        if self.accept < 2 * self.episode or self.patience <= self.accept:
            raise ValueError(
                f"accept is {self.accept:g} s and patience {self.patience:g} s; a level is accepted after two episodes "
                f"({2 * self.episode:g} s) or later, and patience is longer"
            )


PRESETS = {
    "default": AnomalySettings(),
    "latency": AnomalySettings(direction="up", least=0.0),
    "errors": AnomalySettings(direction="up", least=0.0),
    "traffic": AnomalySettings(least=0.0),
    "money": AnomalySettings(),
    "saturation": AnomalySettings(direction="up", least=0.0),
}
"""By what a series measures."""


class Judged(NamedTuple):
    """What was found, an array of (n_rows, n_series) each; NaN where there is nothing to say.

    Attributes:
        score: 0 ordinary … 1: min(1, −log10 p / 8).
        expected: What the value should have been.
        lower: Of the band that ordinary values leave as rarely as the settings ask.
        upper: Likewise.
        why: int8, of `REASONS`: why there is no score.
    """

    score: np.ndarray
    expected: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    why: np.ndarray


def _bound(out: np.ndarray, settings: AnomalySettings) -> None:
    """Expect nothing that cannot be; `out` as the kernel filled it."""
    if settings.least is not None:
        np.maximum(out[1:], settings.least, out=out[1:])


class AnomalyBank:
    """The detector over many series at once, one row of state each.

    Args:
        settings: For all of them.
        n_series: How many.

    >>> bank = AnomalyBank(AnomalySettings(), n_series=2)
    >>> minutes = np.arange(600) * 60 * 10**9
    >>> values = 20 + np.random.default_rng(1).normal(size=(600, 2))
    >>> values[500, 0] = 40
    >>> judged = bank.run(minutes, values)
    >>> int(np.nanargmax(judged.score[:, 0])), bool(judged.score[500, 1] < 0.5)
    (500, True)
    >>> bool(judged.lower[500, 0] < 20 < judged.upper[500, 0] < 40)
    True
    """

    def __init__(self, settings: AnomalySettings, n_series: int) -> None:
        self.settings = settings
        self.state = State.empty(n_series)
        self._rates = rates(settings)

    @classmethod
    def of(cls, settings: AnomalySettings, state: State) -> AnomalyBank:
        """The bank that has this state, and changes it."""
        bank = cls(settings, 0)
        bank.state = state
        return bank

    def __len__(self) -> int:
        return len(self.state.numbers)

    @property
    def memory_rows(self) -> np.ndarray:
        """(n_series,) rows that the past weighs: what is ten times as rare is extrapolated, not known."""
        return np.asarray(self.state.tails[:, 0] / np.maximum(self.state.numbers[:, WEIGHT], 1.0))

    def run(self, times_ns: np.ndarray, values: np.ndarray) -> Judged:
        """Score each row against what was before it, and learn it.

        Args:
            times_ns: (n_rows,) int64 since the epoch; a row that is not later than the one before is refused.
            values: (n_rows, n_series) float64; NaN is absent.
        """
        times_ns = np.asarray(times_ns, np.int64)
        values = np.asarray(values, np.float64)
        if values.shape != (len(times_ns), len(self)):
            raise ValueError(f"values have shape {values.shape}; {(len(times_ns), len(self))} is expected")
        out = np.empty((4, *values.shape))
        why = np.empty(values.shape, np.int8)
        seconds, local = times_ns / 1e9, local_seconds(times_ns, self.settings.zone)
        advance(*self.state, self._rates, seconds, local, values, out, why)
        _bound(out, self.settings)
        return Judged(np.minimum(out[0] / FULL, 1.0), out[1], out[2], out[3], why)

    def score(self, times_ns: np.ndarray, values: np.ndarray) -> Judged:
        """The same for rows that are not learnt: nothing changes."""
        return self.clone().run(times_ns, values)

    def clone(self) -> AnomalyBank:
        """Another bank in the same state."""
        return self.take(slice(None))

    def take(self, rows: np.ndarray | slice) -> AnomalyBank:
        """Another bank of some of the series."""
        return AnomalyBank.of(self.settings, self.state.take(rows))

    def save(self) -> bytes:
        """The state: a version, the settings as JSON, and the arrays."""
        settings = json.dumps(dataclasses.asdict(self.settings)).encode()
        return HEAD.pack(MAGIC, VERSION, len(settings), len(self)) + settings + self.state.to_bytes()

    @classmethod
    def load(cls, content: bytes) -> AnomalyBank:
        """What `save` gave.

        Raises:
            ValueError: when it is something else, or of another version.
        """
        if len(content) < HEAD.size or content[: len(MAGIC)] != MAGIC:
            raise ValueError(f"the state begins with {content[:4]!r}; a detector's begins with {MAGIC!r}")
        _, version, length, n_series = HEAD.unpack_from(content)
        if version != VERSION:
            raise ValueError(f"the state has version {version}; this release reads version {VERSION}")
        settings = json.loads(content[HEAD.size : HEAD.size + length])
        return cls.of(AnomalySettings(**settings), State.from_bytes(content[HEAD.size + length :], n_series))


class AnomalyDetector:
    """The detector for one series: `score_one` says how strange a value is, `learn_one` takes it in.

    Caveats: values are compared with the past of the same series only. It learns for two and a half hours
    and is silent meanwhile, knows the day after three, the week after two weeks. Its scores say how rare, not how bad.

    References: Siffer et al., "Anomaly detection in streams with extreme value theory", KDD 2017 (tails);
    Holt 1957, Winters 1960 (levels and profiles); Herbster & Warmuth 1998 (predictors weighed by their errors).

    >>> detector = AnomalyDetector()
    >>> for minute, value in enumerate(np.random.default_rng(1).normal(20, 1, size=600)):
    ...     detector.learn_one(value, minute * 60 * 10**9)
    >>> detector.score_one(20, 600 * 60 * 10**9) < 0.2 < 0.6 < detector.score_one(90, 600 * 60 * 10**9)
    True
    """

    BANK = AnomalyBank
    """The same arithmetic over many series at once."""

    def __init__(self, settings: AnomalySettings | None = None) -> None:
        self.settings = settings or AnomalySettings()
        self.why = ""
        """Why the last score was NaN: one of `REASONS`."""
        self._rates = rates(self.settings)
        self._state, self._scratch = State.empty(1), State.empty(1)
        self._out, self._why = np.empty((4, 1, 1)), np.empty((1, 1), np.int8)

    def score_one(self, x: float, time_ns: int) -> float:
        """0 ordinary … 1, NaN where there is no score (`why` has the reason); changes nothing that is learnt."""
        self._try(x, time_ns)
        return min(float(self._out[0, 0, 0]) / FULL, 1.0)

    def band_one(self, x: float, time_ns: int) -> tuple[float, float, float]:
        """What is expected, and the lower and the upper end of what is ordinary."""
        self._try(x, time_ns)
        _bound(self._out, self.settings)
        return float(self._out[1, 0, 0]), float(self._out[2, 0, 0]), float(self._out[3, 0, 0])

    def learn_one(self, x: float, time_ns: int) -> None:
        """Take a value in, if it has one and is later than the last."""
        self._advance(self._state, x, time_ns)

    def _try(self, x: float, time_ns: int) -> None:
        """Judge a value by a copy of the state."""
        for scratch, kept in zip(self._scratch, self._state, strict=True):
            scratch[:] = kept
        self._advance(self._scratch, x, time_ns)
        self.why = REASONS[self._why[0, 0]]

    def _advance(self, state: State, x: float, time_ns: int) -> None:
        times_ns, values = np.array([time_ns], np.int64), np.array([[x]], np.float64)
        local = local_seconds(times_ns, self.settings.zone)
        advance(*state, self._rates, times_ns / 1e9, local, values, self._out, self._why)

    def clone(self) -> AnomalyDetector:
        """A detector with the same settings that has seen nothing, as in River."""
        return AnomalyDetector(self.settings)

    def save(self) -> bytes:
        """The state, as a bank of one series saves it."""
        return AnomalyBank.of(self.settings, self._state).save()

    @classmethod
    def load(cls, content: bytes) -> AnomalyDetector:
        """What `save` gave."""
        bank = AnomalyBank.load(content)
        if len(bank) != 1:
            raise ValueError(f"the state is of {len(bank)} series; a detector has one, load it as a bank")
        detector = cls(bank.settings)
        detector._state = bank.state
        return detector
