"""What others do, and what costs nothing: scores of one series in order, made from its past alone.

Each peer takes values (n,) at one a minute and gives scores (n,), larger is stranger, 0 where it cannot say. None
holds an alert back: the judge's refractory time is the same for all.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from judge.draws import Draws
from judge.five_cues import FiveCues
from numba import njit
from river import anomaly

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR, DAY, WEEK = 60, 1440, 10080


def chance(values: np.ndarray) -> np.ndarray:
    """Random scores."""
    return Draws(f"peer/{len(values)}/{float(np.nansum(values))!r}").uniform(len(values))


def clock(values: np.ndarray, every: int = 400) -> np.ndarray:
    """An alert every so many rows, every second, fourth, … of them a little stranger."""
    turn = np.arange(len(values)) // every
    odd = np.where(turn > 0, (turn & -turn).astype(np.float64), 2.0 * len(values))
    return np.where(np.arange(len(values)) % every == every - 1, 1 + odd, 0.0)


@njit
def _ewma_z(values: np.ndarray, alpha: float, out: np.ndarray) -> None:
    mean, variance, seen = 0.0, 0.0, 0
    for row in range(len(values)):
        x = values[row]
        if math.isnan(x):
            continue
        seen += 1
        gap = x - mean
        if seen > 10 and variance > 0:
            out[row] = abs(gap) / math.sqrt(variance)
        step = max(alpha, 1.0 / seen)
        mean += step * gap
        variance = (1 - step) * (variance + step * gap * gap)


def ewma_z_score(values: np.ndarray) -> np.ndarray:
    """Distance from a moving mean in moving standard deviations, both with a half-life of 60 rows."""
    out = np.zeros(len(values))
    _ewma_z(values, 1 - 0.5 ** (1 / 60), out)
    return out


def static_p999(values: np.ndarray) -> np.ndarray:
    """How far outside of the last week's 0.1 % and 99.9 % quantiles, in distances of those from the median.

    The quantiles are taken anew each hour, from two hours on.
    """
    out = np.zeros(len(values))
    for begin in range(2 * HOUR, len(values), HOUR):
        past = values[max(0, begin - WEEK) : begin]
        if np.isnan(past).all():
            continue
        low, middle, high = np.nanquantile(past, (0.001, 0.5, 0.999))
        now = values[begin : begin + HOUR]
        tiny = 1e-9 + 1e-3 * abs(middle)
        above = (now - middle) / max(high - middle, tiny)
        below = (middle - now) / max(middle - low, tiny)
        out[begin : begin + HOUR] = np.nan_to_num(np.maximum(above, below))
    return out


@njit
def _rolling_quantile(values: np.ndarray, window: int, share: float, out: np.ndarray) -> None:
    """(n,) a quantile of the last `window` rows up to this one, of those that have a value."""
    ordered = np.empty(window + 1)
    held = 0
    for row in range(len(values)):
        if row >= window and not math.isnan(values[row - window]):
            at = np.searchsorted(ordered[:held], values[row - window])
            for j in range(at, held - 1):
                ordered[j] = ordered[j + 1]
            held -= 1
        x = values[row]
        if not math.isnan(x):
            at = np.searchsorted(ordered[:held], x)
            for j in range(held, at, -1):
                ordered[j] = ordered[j - 1]
            ordered[at] = x
            held += 1
        if held:
            out[row] = ordered[min(held - 1, int(share * held))]


def median(values: np.ndarray, window: int) -> np.ndarray:
    """(n,) the median of the last rows, this one included."""
    out = np.full(len(values), np.nan)
    _rolling_quantile(values, window, 0.5, out)
    return out


def earlier(values: np.ndarray, rows: int) -> np.ndarray:
    """(n,) what was so many rows before."""
    return np.concatenate((np.full(min(rows, len(values)), np.nan), values[: max(0, len(values) - rows)]))


def last_week_mad(values: np.ndarray, week: int = WEEK) -> np.ndarray:
    """Distance from the same minute a week before, in median absolute such distances of the last day."""
    gap = np.abs(values - earlier(values, week))
    scale = earlier(median(gap, week // 7), 1)
    return np.nan_to_num(gap / np.maximum(scale, 1e-9 + 1e-3 * np.abs(earlier(values, week))))


def _mean_deviation(values: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """(n,), (n,) mean and standard deviation of the last rows, this one included."""
    some = ~np.isnan(values)
    centre = float(values[some][0]) if some.any() else 0.0
    x = np.where(some, values - centre, 0.0)
    sums = [np.concatenate((np.zeros(window), np.cumsum(part))) for part in (some.astype(float), x, x * x)]
    count, first, second = (part[window:] - part[:-window] for part in sums)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = first / count
        return mean + centre, np.sqrt(np.maximum(second / count - mean * mean, 0.0))


def _outside(values: np.ndarray, bands: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """(n,) by how much all bands (centre, half width) must be stretched until one of them holds the value."""
    above, below = np.full(len(values), np.inf), np.full(len(values), np.inf)
    for centre, width in bands:
        with np.errstate(invalid="ignore", divide="ignore"):
            above = np.fmin(above, (values - centre) / np.maximum(width, 1e-9))
            below = np.fmin(below, (centre - values) / np.maximum(width, 1e-9))
    found = np.maximum(above, below)
    return np.where(np.isfinite(found), np.maximum(found, 0.0), 0.0)


def promql_adaptive(values: np.ndarray, hour: int = HOUR) -> np.ndarray:
    """Grafana's promql-anomaly-detection, `adaptive`.

    An hour's mean ± the mean of noisy hours' deviations over 26 h, or ± half of itself, or yesterday's or last week's
    hour; the score says how far these must be stretched.
    """
    mean, deviation = _mean_deviation(values, hour)
    noisy = np.where(deviation > 0.5 * mean, deviation, np.nan)
    with np.errstate(invalid="ignore"):
        short, _ = _mean_deviation(noisy, 26 * hour)
    bands = [(mean, 2 * short), (mean, 0.5 * np.abs(mean))]
    backs = (167 * hour + hour // 2, 23 * hour + hour // 2)
    bands += [(earlier(mean, back), 2 * earlier(deviation, back)) for back in backs]
    return _outside(values, bands)


def promql_robust(values: np.ndarray, hour: int = HOUR) -> np.ndarray:
    """The same, `robust`.

    A day's median ± two median deviations, or half of itself, or those of yesterday's or last week's hour. The recipe
    compares an hour's median with it; the value itself, as here, is seen sooner.
    """
    middle = median(values, 24 * hour)
    spread = median(np.abs(values - middle), 24 * hour)
    hours = median(values, hour)
    bands = [(middle, 2 * spread), (middle, 0.5 * np.abs(middle))]
    for back in (167 * hour + 3 * hour // 4, 23 * hour + 3 * hour // 4):
        centre = earlier(hours, back)
        bands.append((centre, 2 * median(np.abs(earlier(values, back) - centre), hour)))
    return _outside(values, bands)


@njit
def _dspot(values: np.ndarray, depth: int, calibrate: int, level: float, out: np.ndarray) -> None:
    """Two-sided: a generalised Pareto tail above the 98 % quantile of |x - mean of the last rows|."""
    window = np.zeros(depth)
    filled, total, seen = 0, 0.0, 0
    first = np.empty(calibrate)
    cut, peaks, s1, s2 = 0.0, 0, 0.0, 0.0
    for row in range(len(values)):
        x = values[row]
        if math.isnan(x):
            continue
        strange = False
        if filled >= depth:
            gap = abs(x - total / depth)
            if seen < calibrate:
                first[seen] = gap
                seen += 1
                if seen == calibrate:
                    ordered = np.sort(first)
                    cut = ordered[int(level * calibrate)]
                    for old in ordered[int(level * calibrate) + 1 :]:
                        peaks, s1, s2 = peaks + 1, s1 + old - cut, s2 + (old - cut) ** 2
            else:
                seen += 1
                over = gap - cut
                if over > 0 and peaks > 0 and s1 > 0:
                    mean = s1 / peaks
                    variance = max(s2 / peaks - mean * mean, 1e-300)
                    shape = min(0.5, max(1e-6, 0.5 * (1 - mean * mean / variance)))
                    scale = mean * (1 - shape)
                    chance = max(peaks / seen * (1 + shape * over / scale) ** (-1 / shape), 1e-300)
                    out[row] = -math.log10(chance)
                    strange = chance < 1e-4
                if over > 0 and not strange:
                    peaks, s1, s2 = peaks + 1, s1 + over, s2 + over * over
        if not strange:
            at = filled % depth
            total += x - window[at]
            window[at] = x
            filled += 1


def dspot(values: np.ndarray) -> np.ndarray:
    """Plain DSPOT (Siffer et al., KDD 2017), depth 60, calibrated on 1,000 rows, moments for Grimshaw's trick."""
    out = np.zeros(len(values))
    _dspot(values, 60, 1000, 0.98, out)
    return out


def _river(values: np.ndarray, score: Callable[[float], float]) -> np.ndarray:
    return np.array([0.0 if math.isnan(x) else score(x) for x in values.tolist()])


def gaussian_scorer(values: np.ndarray) -> np.ndarray:
    """River's GaussianScorer over the last week."""
    model = anomaly.GaussianScorer(window_size=WEEK, grace_period=100)

    def score(x: float) -> float:
        found = float(model.score_one(None, x))
        model.learn_one(None, x)
        return found

    return _river(values, score)


def half_space_trees(values: np.ndarray) -> np.ndarray:
    """River's HalfSpaceTrees on the value and on its change, scaled by the extremes of the past."""
    model = anomaly.HalfSpaceTrees(n_trees=10, height=6, window_size=250, seed=1)
    low, high, last, reach = math.inf, -math.inf, math.nan, 0.0

    def score(x: float) -> float:
        nonlocal low, high, last, reach
        change = 0.0 if math.isnan(last) else x - last
        last = x
        low, high, reach = min(low, x), max(high, x), max(reach, abs(change))
        features = {
            "value": (x - low) / (high - low) if high > low else 0.5,
            "change": 0.5 + 0.5 * change / reach if reach else 0.5,
        }
        found = float(model.score_one(features))
        model.learn_one(features)
        return found

    return _river(values, score)


def five_cues(values: np.ndarray) -> np.ndarray:
    """The five-cue detector that was searched for on NAB, without its refractory rule."""
    return FiveCues(DAY).scores(values)


CHEAP: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "random": chance,
    "clock": clock,
    "EWMA z-score": ewma_z_score,
    "p99.9 of last week": static_p999,
    "same minute of last week ± MAD": last_week_mad,
    "PromQL adaptive": promql_adaptive,
    "PromQL robust": promql_robust,
    "DSPOT": dspot,
    "river GaussianScorer": gaussian_scorer,
    "river HalfSpaceTrees": half_space_trees,
}
DEAR: dict[str, Callable[[np.ndarray], np.ndarray]] = {"five cues": five_cues}
"""Eleven minutes for all series, as its pasts grow."""
