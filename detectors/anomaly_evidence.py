"""Cues of an anomaly, each compared with its own past, and what the past may learn of them.

The rarest cue, and a share of what a discord says, is the evidence; it is compared with the strongest evidence of past
episodes, as sums and maxima of dependent probabilities are no probabilities themselves. An anomaly teaches little:
while evidence is extreme, tails do not learn.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from detectors import tails as tail
from detectors.anomaly_levels import nearby
from detectors.anomaly_state import (
    BAND_ABOVE,
    BAND_BELOW,
    BLOCK_HIGH,
    BLOCK_HOT,
    BLOCK_MOST,
    BLOCK_ROWS,
    BLOCK_TAIL,
    CLUMP_ROWS,
    CLUMPS,
    COOL,
    CUES,
    DISCORD,
    DISCORDANT,
    HOT,
    LONG,
    MIDDLE,
    ONCE,
    RECURS,
    ROWS,
    RUNS,
    SHORT,
    TWO_SIDED,
    VARIABILITY,
    WEIGHT,
)
from detectors.kernels import pasted
from detectors.tails import BINS

if TYPE_CHECKING:
    from detectors.anomaly_state import Rates

EXTREME = 3.5
"""Evidence at which an anomaly begins to teach nothing,"""
YOUNG = 2.0
"""More of it in a first day: powers of how much shorter the past is;"""
CALM = 3.0
"""and below which, for the length of an episode, it has ended."""
FAR = 10.0
"""Scales beyond which a value moves the running means no further."""
PEAK = 3.0
"""Surprise from which on what is usual at this time of day is forgiven."""
ORDINARY = 2.0
"""Evidence that is left of what was expected."""
HEAVIEST = 100.0
"""Weight of the present at which all weights are divided by it."""
STEEPNESS = 1.2
"""Nats by which a unit of evidence is rarer, where there were few episodes;"""
MANY = 48.0
"""with so many, how rare it is is seen."""
FULL = 8.0
"""What no evidence reaches: −log10 p of a score of 1."""
ADDS = 0.3
"""Share of a discord's evidence that is added: shapes that never were confirm what is strange in a value."""
HIGH = 1.25
"""Evidence of the episodes by which the length of clumps is told."""
RARE = 1.7
"""Evidence, one in fifty, from which on a cue's value begins or prolongs a run."""
LONGEST = 16.0
"""Rare values of a run from which on each counts alike: what is hardly learnt stays rare, and its run without end."""


@pasted
def forgiven(surprise: float, peak: float) -> float:
    """A surprise less what is usual at this time of day."""
    if surprise > PEAK and peak > 0.0:
        return max(PEAK, surprise - peak)
    return surprise


@pasted
def cues_of(
    numbers: np.ndarray,
    row: int,
    surprise: float,
    quick_gap: float,
    slow_gap: float,
    far: float,
    peak_up: float,
    peak_down: float,
    p: Rates,
    cue: np.ndarray,
) -> None:
    """The surprise, its running means, the distance from days before and the surprise's usual size into the cues."""
    busy = min(abs(surprise), FAR) - numbers[row, VARIABILITY]
    numbers[row, SHORT] += p.short * (quick_gap - numbers[row, SHORT])
    numbers[row, MIDDLE] += p.middle * (quick_gap - numbers[row, MIDDLE])
    numbers[row, LONG] += p.long * (slow_gap - numbers[row, LONG])
    numbers[row, VARIABILITY] += p.variability * busy
    cue[0], cue[1] = forgiven(surprise, peak_up), forgiven(-surprise, peak_down)
    for which in range(3):
        cue[2 + 2 * which] = numbers[row, SHORT + which]
        cue[3 + 2 * which] = -numbers[row, SHORT + which]
    cue[8], cue[9] = far, -far
    cue[10], cue[11] = numbers[row, VARIABILITY], 1 / (numbers[row, VARIABILITY] + 0.05)


@pasted
def rarest(
    numbers: np.ndarray,
    tails: np.ndarray,
    row: int,
    cue: np.ndarray,
    places: np.ndarray,
    found: np.ndarray,
    p: Rates,
) -> float:
    """The strongest of the cues' evidence, each against its own past, and what the last discord adds to it."""
    most = 0.0
    least = 3 * numbers[row, WEIGHT]
    for which in range(CUES):
        if math.isnan(cue[which]):
            places[which], found[which] = tail.NOWHERE, 0.0
            continue
        places[which] = tail.place(cue[which])
        found[which] = tail.evidence(
            tails, row, which * BINS, cue[which], places[which], least, 30.0, 0.0, least / 3, 0.0
        )
        side = 1.0 if which >= TWO_SIDED else (p.down if which % 2 else p.up)
        if which != DISCORD:
            most = max(most, side * found[which])
    if not math.isnan(cue[DISCORD]):
        numbers[row, DISCORDANT] = found[DISCORD]
    side = p.up if numbers[row, MIDDLE] >= 0 else p.down
    return most + ADDS * side * numbers[row, DISCORDANT]


@pasted
def episode_evidence(numbers: np.ndarray, tails: np.ndarray, row: int, most: float) -> float:
    """−log10 of the share of past episodes whose strongest evidence was at least this."""
    total = tails[row, BLOCK_TAIL]
    least = max(min(4 * numbers[row, WEIGHT], total / 3), 0.05 * total)
    steepness = STEEPNESS * max(0.0, 1.0 - total / (MANY * numbers[row, WEIGHT]))
    return tail.evidence(
        tails, row, BLOCK_TAIL, most, tail.place(most), least, 3.0, 0.25, numbers[row, WEIGHT], steepness
    )


@pasted
def promised(numbers: np.ndarray, tails: np.ndarray, row: int, extreme: float, p: Rates) -> float:
    """−log10 of the share of ordinary rows that are as strange: no more than the past can tell.

    A row of a clump has company, and with little past all is less sure. What is rarer than one in ten times the past
    keeps its order, but approaches `FULL` instead of promising anything.
    """
    clump = min(1 + (numbers[row, CLUMP_ROWS] + 2) / (numbers[row, CLUMPS] + 1), p.block)
    found = max(0.0, extreme - math.log10(clump) - 3 * math.log10(1 + p.day / numbers[row, ROWS]))
    known = math.log10(10 * tails[row, 0] / numbers[row, WEIGHT])
    if found <= known:
        return found
    room = FULL - known
    return FULL - room * room / (room + found - known)


@pasted
def learn_cue(
    numbers: np.ndarray, tails: np.ndarray, row: int, cue: int, found: float, at: float, weight: float
) -> None:
    """A cue's value into its past; the second rare one in a run counts two thirds, the third half, and so on."""
    run = RUNS + 2 * cue
    if found > RARE:
        numbers[row, run] += 1
        numbers[row, run + 1] = 0
        weight /= 1.0 + 0.5 * (min(numbers[row, run], LONGEST) - 1)
    else:
        numbers[row, run + 1] += 1
        if numbers[row, run + 1] > 30:
            numbers[row, run] = 0
    tail.learn(tails, row, cue * BINS, at, weight)


@pasted
def learn_tails(
    numbers: np.ndarray,
    tails: np.ndarray,
    row: int,
    places: np.ndarray,
    found: np.ndarray,
    frozen: bool,
    p: Rates,
) -> None:
    """The cues into their pasts, unless an anomaly is going on; time grows heavier."""
    # Scales and levels of a first day make strange what is not: that past counts less.
    if not frozen:
        weight = numbers[row, WEIGHT] * min(1.0, numbers[row, ROWS] / p.day)
        for which in range(CUES):
            learn_cue(numbers, tails, row, which, found[which], places[which], weight)
        tail.learn(tails, row, BAND_ABOVE, places[0], weight)
        tail.learn(tails, row, BAND_BELOW, places[1], weight)
    numbers[row, WEIGHT] *= p.growth
    if numbers[row, WEIGHT] > HEAVIEST:
        tail.shrink(tails, row, numbers[row, WEIGHT])
        numbers[row, WEIGHT] = 1


@pasted
def learn_block(
    numbers: np.ndarray, tails: np.ndarray, row: int, most: float, high: bool, frozen: bool, p: Rates
) -> None:
    """The evidence into the current block, and a block that is full into the past of blocks."""
    numbers[row, BLOCK_MOST] = max(numbers[row, BLOCK_MOST], most)
    numbers[row, BLOCK_ROWS] += 1
    numbers[row, BLOCK_HIGH] += high
    if frozen:
        numbers[row, BLOCK_HOT] = 1
    if numbers[row, BLOCK_ROWS] < p.block:
        return
    if numbers[row, BLOCK_HOT] == 0:
        tail.learn(tails, row, BLOCK_TAIL, tail.place(numbers[row, BLOCK_MOST]), numbers[row, WEIGHT])
        if numbers[row, BLOCK_HIGH] > 0:
            numbers[row, CLUMP_ROWS] += numbers[row, BLOCK_HIGH] - 1 - numbers[row, CLUMP_ROWS] / 100
            numbers[row, CLUMPS] += 1 - numbers[row, CLUMPS] / 100
    for which in (BLOCK_MOST, BLOCK_ROWS, BLOCK_HOT, BLOCK_HIGH):
        numbers[row, which] = 0


@pasted
def unexpected(most: float, usual: float) -> float:
    """Evidence less what comes at this time of day."""
    return max(ORDINARY, most - usual) if most > ORDINARY and usual > 0 else most


@pasted
def learn_recurring(
    numbers: np.ndarray, profiles: np.ndarray, row: int, knot: int, seen: float, forget: float, p: Rates
) -> None:
    """Evidence by the time of day: an anomaly that begins when one began days before is ordinary from then on."""
    at, before = RECURS + knot, nearby(profiles, row, ONCE, knot)
    known = profiles[row, at]
    profiles[row, at] *= 1 - forget
    if known > ORDINARY and seen > EXTREME:
        profiles[row, at] = max(known, min(seen, 1.5 * known))
    if numbers[row, HOT] == 1:
        profiles[row, at] = max(profiles[row, at], before)
    if 0 < numbers[row, HOT] <= p.block / 3:
        profiles[row, ONCE + knot] = max(profiles[row, ONCE + knot], seen)
    else:
        profiles[row, ONCE + knot] *= 1 - 3 * forget


@pasted
def watch(numbers: np.ndarray, row: int, extreme: float, p: Rates) -> None:
    """Whether an anomaly has begun, goes on or has ended."""
    if numbers[row, HOT] > 0:
        numbers[row, HOT] += 1
        numbers[row, COOL] = 0 if extreme >= CALM else numbers[row, COOL] + 1
        if numbers[row, COOL] > p.block:
            numbers[row, HOT] = 0
    elif extreme >= EXTREME + YOUNG * math.log10(max(1.0, p.day / numbers[row, ROWS])):
        numbers[row, HOT] = 1
        numbers[row, COOL] = 0
