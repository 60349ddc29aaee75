"""The arithmetic of the anomaly detector: one row of many series, or many rows of one, by the same kernel.

For each value: seven simple predictors are averaged, the better ones of late by far the most (`anomaly_levels`); what
is left, in units of its usual size at this time of day, and running means of it over minutes, are the cues
(`anomaly_evidence`). A level that stays is accepted as the new one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from detectors import tails as tail
from detectors.anomaly_evidence import (
    FAR,
    HIGH,
    PEAK,
    cues_of,
    episode_evidence,
    learn_block,
    learn_recurring,
    learn_tails,
    promised,
    rarest,
    unexpected,
    watch,
)
from detectors.anomaly_levels import (
    BACK_ROWS,
    FLOOR,
    LARGEST,
    SURE,
    accept,
    begin,
    cut,
    learn_grain,
    learn_levels,
    learn_peaks,
    learn_scale,
    learn_usual,
    mixed,
    nearby,
    predict,
    root,
    spot_of,
    unrooted,
)
from detectors.anomaly_range import learn_range, unexplained
from detectors.anomaly_return import remember, teaches_nothing
from detectors.anomaly_state import (
    ABSENT,
    AWAY,
    BAND_ABOVE,
    BAND_BELOW,
    BLOCK_TAIL,
    CUES,
    DAY_QUICK,
    DISCORD,
    DISCORDANT,
    ERRORS,
    GRAIN,
    HOT,
    LAST,
    LEARNING,
    LONG,
    MIDDLE,
    NOT_FINITE,
    OK,
    OUT_OF_ORDER,
    PART_ROWS,
    PART_SUM,
    PARTS,
    PEAKS_DOWN,
    PEAKS_UP,
    PREDICTORS,
    RECURS,
    ROWS,
    SCALE,
    SCALE_QUICK,
    SCALE_SLOW,
    SHORT,
    SLOW,
    SPREAD_PROFILE,
    SPREAD_SECONDS,
    USUAL,
    USUAL_GAP,
)
from detectors.discord import discord, take_in
from detectors.kernels import kernel, pasted

if TYPE_CHECKING:
    from detectors.anomaly_state import Rates


@pasted
def refused(numbers: np.ndarray, row: int, value: float, second: float) -> int:
    """Why a value can be neither scored nor learnt, if it cannot."""
    if not math.isfinite(value):
        return ABSENT if math.isnan(value) else NOT_FINITE
    if numbers[row, ROWS] > 0 and not second > numbers[row, LAST]:
        return OUT_OF_ORDER
    return OK


@kernel
def advance(
    numbers: np.ndarray,
    profiles: np.ndarray,
    tails: np.ndarray,
    p: Rates,
    seconds: np.ndarray,
    local: np.ndarray,
    values: np.ndarray,
    out: np.ndarray,
    why: np.ndarray,
) -> None:
    """Score each value against what was learnt before it, then learn it.

    Args:
        numbers: (n_series, NUMBERS) float64, changed, as are the next two.
        profiles: (n_series, PROFILES) float32.
        tails: (n_series, TAIL_BINS) float32.
        p: Rates.
        seconds: (n_rows,) float64 since the epoch.
        local: (n_rows,) float64, the same by the wall clock where the series live, from a Monday's midnight.
        values: (n_rows, n_series) float64, NaN where absent.
        out: (4, n_rows, n_series) float64, written: −log10 p, expected, lower, upper; NaN where there is none.
        why: (n_rows, n_series) int8, written: why there is none.
    """
    cue, places = np.zeros(CUES), np.zeros(CUES)
    predicted, found = np.zeros(PREDICTORS), np.zeros(CUES)
    for row in range(values.shape[1]):
        for now in range(len(seconds)):
            for which in range(4):
                out[which, now, row] = np.nan
            why[now, row] = refused(numbers, row, values[now, row], seconds[now])
            if why[now, row] != OK:
                continue
            why[now, row] = LEARNING
            x = root(values[now, row])
            rows, gap_seconds = numbers[row, ROWS], seconds[now] - numbers[row, LAST]
            numbers[row, LAST] = seconds[now]
            if rows == 0:
                begin(numbers, row, x)
                continue
            if gap_seconds > p.gap_seconds:
                numbers[row, SHORT] = numbers[row, MIDDLE] = numbers[row, LONG] = numbers[row, DISCORDANT] = 0
            if gap_seconds > p.away_seconds:
                numbers[row, AWAY] = BACK_ROWS  # where it is now is not where it was
                numbers[row, PART_SUM] = numbers[row, PART_ROWS] = numbers[row, PARTS] = 0
            away = numbers[row, AWAY] > 0

            frozen, probation = teaches_nothing(numbers, row, p)
            frozen = frozen or away
            spot = spot_of(local[now])
            knot, following, week_knot, week_following, part, week_part = spot
            day = profiles[row, knot] * (1 - part) + profiles[row, following] * part
            week = profiles[row, week_knot] * (1 - week_part) + profiles[row, week_following] * week_part
            predict(numbers, row, day, week, predicted)
            expected = mixed(numbers, row, predicted, 0, PREDICTORS)
            quick = mixed(numbers, row, predicted, DAY_QUICK, SLOW)
            slow = mixed(numbers, row, predicted, SLOW, PREDICTORS)
            floor = 1e-9 + FLOOR * abs(predicted[SLOW])
            spread_at = SPREAD_PROFILE + int(local[now] % 86_400 / SPREAD_SECONDS)
            spread = profiles[row, spread_at] if profiles[row, spread_at] > 0 else 1.0
            scale = (numbers[row, SCALE] + floor) * spread
            surprise = (x - expected) / scale
            quick_gap = cut((x - quick) / ((numbers[row, SCALE_QUICK] + floor) * spread), FAR)
            slow_gap = cut((x - slow) / ((numbers[row, SCALE_SLOW] + floor) * spread), FAR)
            far = (x - numbers[row, USUAL]) / (numbers[row, USUAL_GAP] + floor)
            peak_up, peak_down = nearby(profiles, row, PEAKS_UP, knot), nearby(profiles, row, PEAKS_DOWN, knot)
            cues_of(numbers, row, surprise, quick_gap, slow_gap, far, peak_up, peak_down, p, cue)
            cue[DISCORD] = math.nan
            if take_in(numbers, profiles, row, x, p):
                cue[DISCORD] = discord(numbers, profiles, row, floor, frozen, p)
            seen = rarest(numbers, tails, row, cue, places, found, p)
            found_most = unexpected(seen, nearby(profiles, row, RECURS, knot))
            most = unexplained(numbers, profiles, row, x, local[now], found_most, p)

            extreme = 0.0
            if rows >= p.warm and not away:
                episode = episode_evidence(numbers, tails, row, most)
                extreme = episode + math.log10(p.block)
                if tails[row, BLOCK_TAIL] >= tail.SMALLEST:
                    why[now, row] = OK
                    out[0, now, row] = promised(numbers, tails, row, extreme, p)
                    above, below = (
                        tail.quantile(tails, row, BAND_ABOVE, p.miss),
                        tail.quantile(tails, row, BAND_BELOW, p.miss),
                    )
                    out[1, now, row] = unrooted(expected)
                    out[2, now, row] = unrooted(expected - scale * (below + (peak_down if below > PEAK else 0.0)))
                    out[3, now, row] = unrooted(expected + scale * (above + (peak_up if above > PEAK else 0.0)))
                learn_block(numbers, tails, row, most, episode >= HIGH, frozen or probation, p)
            learn_tails(numbers, tails, row, places, found, frozen or probation, p)
            watch(numbers, row, extreme, p)
            if numbers[row, HOT] == round(p.accept):
                accept(numbers, row, predicted)
            remember(numbers, row, day, week, spread, floor, predicted, p)

            learn_range(numbers, profiles, row, x, local[now], frozen, p)
            learn_grain(numbers, row, x)
            rate = 0.0 if frozen else max(p.errors, 1 / rows)
            if rows > p.day and not frozen:
                ratio = min(abs(x - expected) / (numbers[row, SCALE] + floor), 6.0)
                profiles[row, spread_at] = min(4.0, max(0.4, spread + 0.01 * (ratio - spread)))
            if rows > p.day:
                learn_recurring(numbers, profiles, row, knot, seen, p.forget_peak, p)
                learn_peaks(profiles, row, PEAKS_UP, knot, surprise, p.forget_peak)
                learn_peaks(profiles, row, PEAKS_DOWN, knot, -surprise, p.forget_peak)
            for which in range(PREDICTORS):
                learn_scale(numbers, row, ERRORS + which, x - predicted[which], floor, rate)
            learn_scale(numbers, row, SCALE, (x - expected) / spread, floor, rate)
            learn_scale(numbers, row, SCALE_QUICK, (x - quick) / spread, floor, rate)
            learn_scale(numbers, row, SCALE_SLOW, (x - slow) / spread, floor, rate)
            learn_usual(numbers, row, x, floor, 0.0 if frozen or probation else max(p.usual, 1 / rows))
            limit = max(8 * scale, numbers[row, GRAIN]) if rows > SURE and not away else 2 * LARGEST
            learn_levels(numbers, profiles, row, x, predicted, limit, spot, 0.0 if frozen else 1.0, p)
            numbers[row, ROWS] = rows + 1
            numbers[row, AWAY] = max(numbers[row, AWAY] - 1, 0.0)
