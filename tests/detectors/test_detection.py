"""Whole series through the detector: of any kind they come as, what is found is of that kind, and the bank's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from detectors import PRESETS, THRESHOLD, AnomalyBank, detect, raised

MINUTE = 60 * 10**9
BEGIN = pd.Timestamp("2026-03-02", tz="Europe/Berlin")
N = 1_440
TIMES = BEGIN.value + np.arange(N) * MINUTE
PARTS = ("score", "expected", "lower", "upper", "alert", "why")


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    """Three series over a day of minutes: a spike in the first, a gap in the second."""
    values = np.random.default_rng(7).normal(100, 5, (N, 3))
    values[900:905, 0] = 400
    values[600:620, 1] = np.nan
    return values


@pytest.fixture(scope="module")
def frame(values: np.ndarray) -> pd.DataFrame:
    index = pd.date_range(BEGIN, periods=N, freq="min", name="when")
    return pd.DataFrame(values, index, columns=["cart", "checkout", "search"])


def test_what_is_found_is_what_the_bank_says(values: np.ndarray) -> None:
    found = detect(values, TIMES, preset="latency", zone="Europe/Berlin")
    bank = AnomalyBank(replace(PRESETS["latency"], zone="Europe/Berlin"), 3).run(TIMES, values)
    for part in ("score", "expected", "lower", "upper"):
        np.testing.assert_array_equal(getattr(found, part), getattr(bank, part))
    for column in range(3):
        alerts = raised(TIMES, bank.score[:, column], THRESHOLD, 30 * MINUTE)
        assert found.alert[:, column].tolist() == alerts.tolist()
    assert found.alert[900, 0]
    assert (found.why[[0, 610, 1_439], 1] == ["learning", "absent", ""]).all()


def test_a_frame_comes_back_as_frames_and_says_what_its_array_does(values: np.ndarray, frame: pd.DataFrame) -> None:
    of_array, of_frame = detect(values, TIMES), detect(frame)
    assert of_frame.settings == of_array.settings
    for part in PARTS:
        table = getattr(of_frame, part)
        pd.testing.assert_frame_equal(table, pd.DataFrame(getattr(of_array, part), frame.index, frame.columns))
    assert frame[of_frame.alert["cart"]].index.tolist() == [BEGIN + pd.Timedelta(minutes=900)]


def test_a_series_comes_back_as_series_and_says_what_its_column_does(frame: pd.DataFrame) -> None:
    of_frame, of_series = detect(frame), detect(frame["checkout"])
    for part in PARTS:
        pd.testing.assert_series_equal(getattr(of_series, part), getattr(of_frame, part)["checkout"])


def test_one_array_of_values_comes_back_as_such(values: np.ndarray) -> None:
    one, many = detect(values[:, 0], TIMES), detect(values, TIMES)
    for part in PARTS:
        np.testing.assert_array_equal(getattr(one, part), getattr(many, part)[:, 0])


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_are_the_same_instants_in_any_zone_and_unit(frame: pd.DataFrame, unit: str) -> None:
    other = frame.set_index(frame.index.tz_convert("America/Lima").as_unit(unit))
    bare = frame.set_index(frame.index.tz_convert("UTC").tz_localize(None).as_unit(unit))
    expected = detect(frame).score.to_numpy()
    np.testing.assert_array_equal(detect(other).score.to_numpy(), expected)
    np.testing.assert_array_equal(detect(bare).score.to_numpy(), expected)


def test_whole_numbers_some_of_them_missing_are_taken(frame: pd.DataFrame) -> None:
    whole = frame["checkout"].round()
    pd.testing.assert_series_equal(detect(whole.astype("Int64")).score, detect(whole).score)


def test_the_step_is_that_of_the_first_rows_and_a_later_one_changes_nothing(values: np.ndarray) -> None:
    times = TIMES * 5 - 4 * TIMES[0]
    assert detect(values, times).settings.step == 300
    times[100:] += 10**15
    assert detect(values, times).settings.step == 300
    assert detect(values, times, step=60).settings.step == 60


def test_many_rows_are_scored_in_pieces_as_in_one_go() -> None:
    n = 45_000
    times = BEGIN.value + np.arange(n) * MINUTE
    values = np.random.default_rng(3).normal(100, 5, n)
    seen = []

    def progress(pieces: range) -> Any:
        for piece in pieces:
            seen.append(piece)
            yield piece

    found = detect(values, times, progress=progress)
    assert len(seen) == 3
    np.testing.assert_array_equal(
        found.score, AnomalyBank(PRESETS["default"], 1).run(times, values[:, None]).score[:, 0]
    )


def test_nothing_gives_nothing(frame: pd.DataFrame) -> None:
    assert detect(np.empty((0, 3)), np.empty(0, np.int64)).score.shape == (0, 3)
    assert detect(frame.iloc[:0]).alert.shape == (0, 3)
    assert detect(frame[[]]).score.shape == (N, 0)


def series(index: Any, values: Any = (1.0, 2.0)) -> pd.Series[Any]:
    return pd.Series(values, index, name="cart")


DAYS = pd.DatetimeIndex(["2026-03-02", "2026-03-03"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((np.ones(2),), "a ndarray without times; hand in times_ns"),
        (([1.0, 2.0],), "a list without times"),
        ((np.ones(3), np.arange(2)), r"values have the shape \(3,\) and times \(2,\)"),
        ((np.ones((2, 2, 2)), np.arange(2)), r"values have the shape \(2, 2, 2\)"),
        ((series(DAYS), np.arange(2)), "times_ns beside a pandas Series; its index has the times"),
        ((series(range(2)),), "the index is a RangeIndex; times are expected, pandas.to_datetime makes them"),
        (
            (series(pd.DatetimeIndex(["2026-03-02", None])),),
            "some times of the index are missing; leave those rows out",
        ),
        ((series(DAYS, ["a", "b"]),), "no numbers in cart; leave it out, or convert it by pandas.to_numeric"),
    ],
)
def test_what_is_no_series_is_said_with_what_to_do(arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        detect(*arguments)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"preset": "lat"}, "preset is 'lat'; it is one of default, latency"),
        ({"zone": "Mars/Olympus"}, "zone is 'Mars/Olympus'; a zone of the IANA database is expected"),
        ({"zone": "../etc"}, "zone is '../etc'; a zone"),
        ({"zone": "Europe"}, "zone is 'Europe'; a zone"),
        ({"step": 0}, "step is 0; a positive number is expected"),
    ],
)
def test_a_setting_that_is_none_is_said(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        detect(series(DAYS), **options)
