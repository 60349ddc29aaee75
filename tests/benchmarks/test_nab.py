"""The NAB scorer against what was published."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from judge.nab import PROFILES, File, at_threshold, corpus, sweep

if TYPE_CHECKING:
    from pathlib import Path

PUBLISHED = {"knncad": (57.99, 43.41, 64.81), "windowedGaussian": (39.65, 20.87, 47.41)}


@pytest.fixture(scope="module")
def files(recorded_data: Path) -> list[File]:
    return corpus(recorded_data / "nab")


@pytest.mark.parametrize("entry", PUBLISHED)
def test_recorded_scores_get_the_published_figures(recorded_data: Path, files: list[File], entry: str) -> None:
    with np.load(recorded_data / "nab" / "recorded" / f"{entry}.npz") as recorded:
        scores = {name: recorded[name] for name in recorded.files}
    found = [sweep(files, scores, profile).score for profile in PROFILES.values()]
    assert found == pytest.approx(PUBLISHED[entry], abs=0.005)


def test_a_threshold_that_was_swept_gives_the_score_of_the_sweep(files: list[File]) -> None:
    """Two ways to the same figure: by sorting all rows, and by looking at the alerts of one threshold."""
    scores = {file.name: np.abs(np.diff(file.values, prepend=file.values[0])) for file in files}
    for profile in PROFILES.values():
        best = sweep(files, scores, profile)
        assert at_threshold(files, scores, profile, best.threshold) == pytest.approx(best.score)


def test_a_clock_scores_twenty_one_and_a_half(files: list[File]) -> None:
    scores = {file.name: (np.arange(len(file.values)) % 400 == 399).astype(float) for file in files}
    assert sweep(files, scores, PROFILES["standard"]).score == pytest.approx(21.5, abs=0.05)


def test_silence_scores_nothing(files: list[File]) -> None:
    scores = {file.name: np.zeros(len(file.values)) for file in files}
    assert at_threshold(files, scores, PROFILES["standard"], 1.0) == 0.0
