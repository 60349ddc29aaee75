"""Left discords, against all distances by numpy."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.anomaly import AnomalyBank, AnomalySettings
from detectors.anomaly_state import DISCORDANT, NUMBERS, PARTS, PROFILES, REACH, rates
from detectors.discord import ENOUGH, LENGTH, nearest, take_in
from detectors.kernels import kernel

MINUTE = 60 * 10**9
DAY = 1440
MONDAY = 1_767_571_200 * 10**9
RATES = rates(AnomalySettings())


@kernel
def distances(values: np.ndarray, numbers: np.ndarray, profiles: np.ndarray, p: object, out: np.ndarray) -> None:
    for at, value in enumerate(values):
        if take_in(numbers, profiles, 0, value, p) and numbers[0, PARTS] >= ENOUGH:
            out[at] = nearest(profiles, 0, int(numbers[0, PARTS]))


def found(values: np.ndarray) -> np.ndarray:
    """(n,) distances, NaN where none is due."""
    out = np.full(len(values), np.nan)
    distances(values, np.zeros((1, NUMBERS)), np.zeros((1, PROFILES), np.float32), RATES, out)
    return out


def slow(values: np.ndarray) -> np.ndarray:
    """The same from all windows of whole means, of which the last `REACH` are remembered."""
    rows = int(RATES.part)
    means = values[: len(values) // rows * rows].reshape(-1, rows).mean(axis=1).astype(np.float32).astype(np.float64)
    out = np.full(len(values), np.nan)
    for last in range(ENOUGH - 1, len(means)):
        known = means[max(0, last + 1 - REACH) : last + 1]
        windows = np.lib.stride_tricks.sliding_window_view(known, LENGTH)
        gaps = np.linalg.norm(windows[:-LENGTH] - windows[-1], axis=1)
        out[(last + 1) * rows - 1] = gaps.min()
    return out


@pytest.mark.parametrize("rows", [300, 2_600])
def test_it_is_the_least_of_all_distances_to_windows_before(rows: int) -> None:
    values = np.random.default_rng(1).normal(10.0, 1.0, rows)
    np.testing.assert_allclose(found(values), slow(values), rtol=1e-4)


def test_what_was_before_is_no_discord_and_what_was_not_is() -> None:
    """The same noise again has a distance of 0; a level that never was has its own distance, twice for four means."""
    noise = np.random.default_rng(2).normal(10.0, 1.0, 400)
    again = found(np.concatenate((noise, noise)))
    assert np.nanmax(again[400 + LENGTH * 5 :]) == 0
    above = found(np.concatenate((noise, np.full(20, 30.0))))
    assert 36 < above[419] < 44


def test_what_is_older_than_33_hours_is_forgotten() -> None:
    values = np.random.default_rng(3).normal(10.0, 1.0, REACH * 5 + 500)
    values[100:120] = 50.0
    values[-20:] = 50.0
    assert found(values)[-1] > 40


def test_its_evidence_stands_until_the_next_mean_and_is_forgotten_in_a_gap() -> None:
    """A level of 20 minutes that never was, scored five minutes later, three later, and after an hour's silence."""
    values = np.random.default_rng(4).lognormal(3.0, 0.1, 3 * DAY + 23)
    values[3 * DAY :] *= 3
    times = MONDAY + np.arange(len(values)) * MINUTE
    bank = AnomalyBank(AnomalySettings(), 1)
    stood = []
    for begin, end in ((0, 3 * DAY), (3 * DAY, 3 * DAY + 21), (3 * DAY + 21, 3 * DAY + 23)):
        bank.run(times[begin:end], values[begin:end, None])
        stood.append(bank.state.numbers[0, DISCORDANT])
    assert stood[0] < 2.5 < 3 < stood[1] == stood[2]
    bank.run(times[-1:] + 60 * MINUTE, values[-1:, None])
    assert bank.state.numbers[0, DISCORDANT] == 0
