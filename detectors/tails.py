"""How rare a value is among its own past: a histogram of exceedances, each bin a seventh wider than the one before.

Bin j of a tail holds the weight of all values in or above it, so that a probability is one look-up, and learning
touches the bins below a value only. What is beyond all that was seen is extrapolated as an exponential tail, from a
rare bin and a common one, as peaks over a threshold are (Siffer et al., KDD 2017, with a generalised Pareto tail of
shape 0): how far an outlier was out moves nothing but its own bin, so one outlier does not hide the next.

Weights grow with time instead of the old ones being decayed; `shrink` brings all back before they are too large.
"""

from __future__ import annotations

import math

import numpy as np

from detectors.kernels import pasted

BINS = 64
LOWEST = 0.1
PER_OCTAVE = 5.0
EDGES = LOWEST * 2.0 ** (np.arange(-1, BINS + 1) / PER_OCTAVE)
"""(BINS + 2,) lower edges of the bins; the first bin begins at 0."""
EDGES[0] = 0.0

LOG10_E = 0.4342944819032518
SMALLEST = 4.0
"""Weight below which nothing is rare."""
NOWHERE = -1.0
"""The place of what is absent: it is not learnt."""


@pasted
def place(value: float) -> float:
    """The bin of a value, and how far into it: 0 for what is not positive, the last bin has no end."""
    if not value > LOWEST:
        return 0.0
    return min(math.log2(value / LOWEST) * PER_OCTAVE + 1.0, BINS - 1.001)


@pasted
def evidence(
    tails: np.ndarray,
    row: int,
    first: int,
    value: float,
    at: float,
    least: float,
    factor: float,
    common_share: float,
    one: float,
    steepness: float,
) -> float:
    """−log10 of how much of the past was at least this value.

    Args:
        tails: (n_series, n_bins).
        row: The series.
        first: The tail's first bin.
        value: As it is.
        at: Its `place`.
        least: Weight that a bin must have to be trusted; beyond it the tail is extrapolated,
        factor: from the last such bin and one that has so many times its weight,
        common_share: and at least this share of all.
        one: The weight of one value.
        steepness: Least slope beyond what was seen, nats a unit: what is known where little was seen.
    """
    total = tails[row, first]
    if total < SMALLEST:
        return 0.0
    low = int(at)
    above = tails[row, first + low + 1]
    if above >= least:
        part = at - low
        return LOG10_E * (math.log(total / tails[row, first + low]) * (1 - part) + math.log(total / above) * part)
    rare = low
    while rare > 0 and tails[row, first + rare] < least:
        rare -= 1
    enough = max(factor * tails[row, first + rare], common_share * total)
    common = rare
    while common > 0 and tails[row, first + common] < enough:
        common -= 1
    found = math.log(total / tails[row, first + rare])
    per_unit = steepness
    if common < rare:
        seen = math.log(tails[row, first + common] / tails[row, first + rare]) / (EDGES[rare] - EDGES[common])
        per_unit = max(per_unit, seen)
    found += per_unit * max(value - EDGES[rare], 0.0)
    # Where a past ends at once, as that of a cache's two speeds does, its slope says less than that nothing was there.
    return LOG10_E * max(found, math.log(total / (tails[row, first + low] + one)))


@pasted
def quantile(tails: np.ndarray, row: int, first: int, share: float) -> float:
    """The value that so small a share of the past exceeds: inside of a bin by equal ratios."""
    wanted = share * tails[row, first]
    low = 0
    while low < BINS - 2 and tails[row, first + low + 1] > wanted:
        low += 1
    here, above = tails[row, first + low], tails[row, first + low + 1]
    if here <= above or low == 0:
        return EDGES[low + 1]
    part = math.log(here / max(wanted, 1e-300)) / math.log(here / max(above, 1e-3))
    return EDGES[low] * (EDGES[low + 1] / EDGES[low]) ** min(max(part, 0.0), 1.0)


@pasted
def learn(tails: np.ndarray, row: int, first: int, at: float, weight: float) -> None:
    """Add a value, by its place, to the past."""
    for low in range(int(at) + 1):
        tails[row, first + low] += weight


@pasted
def shrink(tails: np.ndarray, row: int, by: float) -> None:
    """Divide all weights of a series."""
    for low in range(tails.shape[1]):
        tails[row, low] /= by
