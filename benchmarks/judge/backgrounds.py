"""Twenty kinds of series that people run services by, as they are when nothing is wrong.

Each is made of what is expected, minute by minute, and of a way to draw a value around any expectation: an event moves
the expectation, and the same random numbers are drawn around it. Ids are permanent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from judge.draws import Draws, binomial, poisson
from scipy.signal import lfilter

if TYPE_CHECKING:
    from collections.abc import Callable

DAY = 1440
"""Rows: a row is a minute."""


@dataclass(frozen=True)
class Background:
    """A series before anything happens to it.

    Attributes:
        expected: (n,) float64.
        draw: values (n,) around an expectation (n,), always with the same random numbers.
        spread: (n,) the ordinary noise's size around an expectation (n,).
        both_ways: whether too little is as wrong as too much.
        stops: whether it can come to a stop that shows.
        daily: whether it has a pattern of the day.
    """

    expected: np.ndarray
    draw: Callable[[np.ndarray], np.ndarray]
    spread: Callable[[np.ndarray], np.ndarray]
    both_ways: bool = False
    stops: bool = False
    daily: bool = False


def _day(draws: Draws, n: int, depth: float, sharp: float = 1.0) -> np.ndarray:
    """(n,) in [1 - depth, 1]: a day with its peak somewhere, its second harmonic somewhere else."""
    at = np.arange(n) / DAY
    wave = np.sin(2 * np.pi * (at - draws.one())) + draws.one(0.1, 0.5) * np.sin(4 * np.pi * (at - draws.one()))
    wave = (wave - wave.min()) / (wave.max() - wave.min())
    return 1 - depth * (1 - wave**sharp)


def _weekend(n: int, left: float) -> np.ndarray:
    """(n,) 1 on working days, what is left of it on the others, with soft edges."""
    day = (np.arange(n) / DAY) % 7
    off = 1 / (1 + np.exp(-(day - 5) * 24)) * (1 - 1 / (1 + np.exp(-(day - 7) * 24)))
    return 1 - (1 - left) * off


def _multiplied(expected: np.ndarray, noise: np.ndarray, size: float, **kind: bool) -> Background:
    """Noise (n,) of mean about 1 that multiplies."""
    return Background(expected, lambda e: e * noise, lambda e: np.abs(e) * size, **kind)


def _counted(expected: np.ndarray, uniform: np.ndarray, over: np.ndarray | float = 1.0, **kind: bool) -> Background:
    """Counts around a mean that itself is shaken by a factor."""
    shaken = float(np.std(over)) if isinstance(over, np.ndarray) else 0.0
    return Background(
        expected,
        lambda e: poisson(np.maximum(e, 0) * over, uniform),
        lambda e: np.sqrt(np.maximum(e, 1e-3) + (shaken * e) ** 2),
        both_ways=True,
        stops=True,
        **kind,
    )


def latency_steady(d: Draws, n: int) -> Background:
    """A p50 at all hours alike."""
    size = d.one(0.04, 0.12)
    return _multiplied(np.full(n, d.log_one(5, 500)), np.exp(size * d.normal(n)), size)


def latency_daily(d: Draws, n: int) -> Background:
    """A p95 that goes with the load."""
    size = d.one(0.05, 0.15)
    noise = np.exp(size * (0.8 * d.normal(n) + 0.6 * d.drift(n, 0.97)))
    return _multiplied(d.log_one(20, 800) * _day(d, n, d.one(0.2, 0.5)), noise, size, daily=True)


def latency_heavy(d: Draws, n: int) -> Background:
    """A p99 whose noise has a heavy tail."""
    noise = 0.9 + 0.1 * d.uniform(n) ** (-1 / d.one(2.5, 4.0))
    return _multiplied(d.log_one(50, 2000) * _day(d, n, 0.2), noise, 0.06, daily=True)


def latency_cells(d: Draws, n: int) -> Background:
    """A p95 of few spans, from a histogram: it jumps between cells 2.2 % apart."""
    spans = np.maximum(1, poisson(30 * _day(d, n, 0.7), d.uniform(n)))
    rough = np.exp(0.5 * d.normal(n) / np.sqrt(spans) * 2)
    return Background(
        np.full(n, d.log_one(10, 300)),
        lambda e: 2 ** (np.rint(np.log2(np.maximum(e * rough, 1e-3)) * 32) / 32),
        lambda e: np.abs(e) * 0.2,
    )


def latency_bimodal(d: Draws, n: int) -> Background:
    """A quantile that sits at a cache's hit or at its miss, for minutes at a time."""
    missed = (d.drift(n, 0.9) > d.one(0.8, 1.6)).astype(np.float64)
    noise = np.exp(0.06 * d.normal(n)) * (1 + d.one(1.0, 3.0) * missed)
    return _multiplied(np.full(n, d.log_one(10, 200)), noise, 0.5)


def latency_at_night(d: Draws, n: int) -> Background:
    """A latency that is absent in most minutes of the night, for want of calls."""
    calls = poisson(8 * np.maximum(_day(d, n, 1.0) - 0.15, 0.02), d.uniform(n))
    noise = np.exp(0.35 * d.normal(n) / np.sqrt(np.maximum(calls, 1)))
    level = np.full(n, d.log_one(20, 400))
    return Background(level, lambda e: np.where(calls > 0, e * noise, np.nan), lambda e: np.abs(e) * 0.2)


def traffic_daily(d: Draws, n: int) -> Background:
    """Requests of a busy service."""
    expected = d.log_one(200, 5000) * _day(d, n, d.one(0.5, 0.9)) * _weekend(n, d.one(0.6, 0.95))
    return _counted(expected, d.uniform(n), np.exp(0.04 * d.drift(n, 0.95)), daily=True)


def traffic_small(d: Draws, n: int) -> Background:
    """A few requests a minute."""
    return _counted(np.full(n, d.log_one(1, 8)) * _day(d, n, 0.4), d.uniform(n), daily=True)


def traffic_office(d: Draws, n: int) -> Background:
    """Office hours, hardly anything at the weekend."""
    expected = d.log_one(30, 800) * _day(d, n, 0.97, 2.0) * _weekend(n, 0.08)
    return _counted(expected, d.uniform(n), np.exp(0.06 * d.drift(n, 0.9)), daily=True)


def traffic_batch(d: Draws, n: int) -> Background:
    """Steady requests, and jobs: one every hour, and a large one at night that does not begin to the minute."""
    expected = d.log_one(50, 500) * _day(d, n, 0.3)
    level = float(expected.mean())
    hourly, nightly = d.integer(0, 59), d.integer(60, 300)
    expected[np.arange(n) % 60 == hourly] += level * d.one(1.0, 3.0)
    for day in range(n // DAY):
        begin = day * DAY + nightly + d.integer(-8, 8)
        expected[begin : begin + d.integer(8, 20)] += level * d.one(3.0, 5.0)
    return _counted(expected, d.uniform(n), np.exp(0.05 * d.normal(n)))


def traffic_clumped(d: Draws, n: int) -> Background:
    """Counts that scatter far more than Poisson's: few clients, each with many requests."""
    over = d.gamma(n, d.one(3.0, 8.0))
    return _counted(d.log_one(20, 300) * _day(d, n, 0.5), d.uniform(n), over, daily=True)


def errors_rare(d: Draws, n: int) -> Background:
    """A failure now and then."""
    expected = np.full(n, d.log_one(0.01, 0.2))
    uniform = d.uniform(n)
    return Background(expected, lambda e: poisson(e, uniform), lambda e: np.sqrt(np.maximum(e, 1e-3)))


def errors_ratio(d: Draws, n: int) -> Background:
    """The share of failures of a service whose nights are quiet."""
    calls = poisson(d.log_one(20, 200) * _day(d, n, 0.9), d.uniform(n))
    uniform, level = d.uniform(n), np.full(n, d.log_one(0.005, 0.03))
    some = np.maximum(calls, 1)

    def draw(e: np.ndarray) -> np.ndarray:
        return np.where(calls > 0, binomial(calls, np.clip(e, 0, 1), uniform) / some, np.nan)

    return Background(level, draw, lambda e: np.sqrt(np.maximum(e, 1e-4) / some))


def errors_bursty(d: Draws, n: int) -> Background:
    """Failures that come with their retries."""
    over = d.gamma(n, 0.15)
    uniform = d.uniform(n)
    expected = np.full(n, d.log_one(0.1, 2.0))
    return Background(expected, lambda e: poisson(e * over, uniform), lambda e: np.sqrt(np.maximum(e, 1e-3) * 4))


def money_spent(d: Draws, n: int) -> Background:
    """The cost of a minute's calls, each with a price of its own."""
    calls = d.log_one(30, 300) * _day(d, n, 0.6) * _weekend(n, 0.7)
    price = np.exp(0.25 * d.drift(n, 0.5)) * d.log_one(0.001, 0.1)
    uniform = d.uniform(n)
    return Background(
        calls,
        lambda e: poisson(np.maximum(e, 0), uniform) * price,
        lambda e: np.sqrt(np.maximum(e, 1e-3) + (0.25 * e) ** 2),
        both_ways=True,
        stops=True,
        daily=True,
    )


def saturation_cpu(d: Draws, n: int) -> Background:
    """Percent of a processor, with the day's load and some inertia."""
    noise = d.one(1.5, 4.0) * (0.5 * d.normal(n) + 0.87 * d.drift(n, 0.9))
    expected = 10 + d.one(20, 50) * _day(d, n, 0.7)
    return Background(
        expected,
        lambda e: np.clip(e + noise, 0, 100),
        lambda _: np.full(n, 3.0),
        both_ways=True,
        stops=True,
        daily=True,
    )


def saturation_memory(d: Draws, n: int) -> Background:
    """Memory that grows until it is collected, over and over."""
    period, height = d.log_one(40, 600), d.one(5, 15)
    pace = 1 + 0.2 * d.drift(n, 0.999)
    phase = np.cumsum(np.maximum(pace, 0.2)) / period
    saw = height * (phase % 1.0)
    noise = 0.2 * d.normal(n)
    return Background(
        np.full(n, d.one(30, 60)), lambda e: np.clip(e + saw + noise, 0, 100), lambda _: np.full(n, height / 3)
    )


def queue_depth(d: Draws, n: int) -> Background:
    """What waits behind what is being worked on: nothing most of the time, and it empties only so fast."""
    arrivals = d.gamma(n, d.one(1.0, 3.0)) * _day(d, n, 0.3)
    steps = np.concatenate(([0.0], np.cumsum(d.log_one(20, 200) * (arrivals - d.one(1.2, 1.8)))))
    waiting = np.rint((steps - np.minimum.accumulate(steps))[1:])
    size = float(waiting.std())
    return Background(
        np.full(n, float(d.integer(2, 10))), lambda e: np.maximum(np.rint(e) + waiting, 0.0), lambda _: np.full(n, size)
    )


def gauge_wandering(d: Draws, n: int) -> Background:
    """A level that wanders and comes back in days: sessions, a pool's size."""
    walk = lfilter([1.0], [1.0, -0.9995], d.normal(n)) * d.one(0.1, 0.4)
    noise = 0.3 * d.normal(n)
    return Background(
        np.full(n, d.one(50, 200)), lambda e: e + walk + noise, lambda _: np.full(n, 1.0), both_ways=True, stops=True
    )


def gauge_steps(d: Draws, n: int) -> Background:
    """A whole number that stands still for hours: replicas, connections of a pool."""
    moves = np.where(d.uniform(n) < 1 / 400, np.sign(d.normal(n)), 0.0)
    level = np.cumsum(moves)
    level -= lfilter([0.002], [1.0, -0.998], level)
    return Background(
        np.full(n, float(d.integer(8, 60))),
        lambda e: np.maximum(np.rint(e + level), 0.0),
        lambda _: np.full(n, 1.0),
        both_ways=True,
        stops=True,
    )


BACKGROUNDS: dict[str, Callable[[Draws, int], Background]] = {
    make.__name__: make
    for make in (
        latency_steady,
        latency_daily,
        latency_heavy,
        latency_cells,
        latency_bimodal,
        latency_at_night,
        traffic_daily,
        traffic_small,
        traffic_office,
        traffic_batch,
        traffic_clumped,
        errors_rare,
        errors_ratio,
        errors_bursty,
        money_spent,
        saturation_cpu,
        saturation_memory,
        queue_depth,
        gauge_wandering,
        gauge_steps,
    )
}

HELD_OUT = ("latency_heavy", "traffic_batch", "errors_bursty", "money_spent", "saturation_memory")
"""Not looked at until a detector is done; chosen before the first was tried."""
