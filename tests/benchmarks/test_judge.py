"""The judge of detectors: frozen series, and scoring that cannot be gamed."""

from __future__ import annotations

import numpy as np
import pytest
from judge import peers
from judge.backgrounds import BACKGROUNDS, HELD_OUT
from judge.draws import Draws, poisson
from judge.scoring import REFRACTORY, Outcome, outcome, threshold
from judge.series import AFTER, DAY, DAYS, HALF, Event, Series, fingerprint, make, months
from scipy.stats import kstest
from scipy.stats import poisson as poisson_law

from detectors.episodes import raised

FROZEN = "1b0020ae6da7be68cc8b6225c174a686"
"""Changed only before any detector is tuned: what was measured on other series cannot be compared."""


@pytest.fixture(scope="module")
def some() -> list[Series]:
    return [make(name, 0) for name in BACKGROUNDS]


@pytest.mark.slow
def test_the_series_are_the_ones_that_were_frozen() -> None:
    assert fingerprint(months(held_out=False) + months(held_out=True)) == FROZEN


def test_five_of_twenty_backgrounds_are_held_out() -> None:
    assert len(BACKGROUNDS) == 20
    assert len(set(HELD_OUT) & set(BACKGROUNDS)) == 5


def test_nothing_happens_in_the_first_half_and_ten_things_in_the_second(some: list[Series]) -> None:
    for one in some:
        assert len(one.values) == DAYS * DAY
        assert 8 <= len(one.events) <= 10, one.name
        assert one.events[0].onset >= HALF


def test_events_are_apart_and_can_be_seen_before_they_end(some: list[Series]) -> None:
    for one in some:
        for event in one.events:
            assert event.onset <= event.visible < event.end <= len(one.values)
        for event, following in zip(one.events, one.events[1:], strict=False):
            assert event.end + AFTER <= following.onset


def test_an_event_leaves_all_other_rows_as_they_were() -> None:
    """The same random numbers are drawn around the moved expectation."""
    one = make("traffic_daily", 0)
    ordinary = BACKGROUNDS["traffic_daily"](Draws("judge/traffic_daily/0"), DAYS * DAY)
    touched = np.zeros(len(one.values), np.bool_)
    for event in one.events:
        touched[event.onset : event.end] = True
    assert (one.values == ordinary.draw(ordinary.expected))[~touched].all()


@pytest.mark.parametrize("mean", [0.3, 7.0, 59.0, 61.0, 900.0])
def test_counts_are_poisson(mean: float) -> None:
    """Within what 20,000 numbers can tell, by the largest gap between the two distributions."""
    found = poisson(np.full(20_000, mean), Draws("counts").uniform(20_000))
    points = np.unique(found)
    gap = np.abs(np.searchsorted(np.sort(found), points, side="right") / len(found) - poisson_law.cdf(points, mean))
    assert gap.max() < 0.015


def test_more_is_never_drawn_as_less() -> None:
    uniform = Draws("monotone").uniform(5_000)
    assert (poisson(np.full(5_000, 12.0), uniform) <= poisson(np.full(5_000, 13.0), uniform)).all()


def test_normal_numbers_are_normal() -> None:
    assert kstest(Draws("normal").normal(20_000), "norm").pvalue > 0.01


def flat(scores: np.ndarray, *events: Event) -> Outcome:
    return outcome(Series("flat/0", "flat", np.zeros(len(scores)), events), scores, 1.0)


def test_who_alerts_all_the_time_sees_nothing() -> None:
    got = flat(np.ones(DAYS * DAY), Event("spike", HALF + 100, HALF + 100, HALF + 103))
    assert got.seen == (0, 0)


def test_an_event_is_seen_in_time_or_not() -> None:
    scores = np.zeros(DAYS * DAY)
    scores[HALF + 107] = 1.0
    got = flat(scores, Event("shift", HALF + 100, HALF + 100, HALF + 1000))
    assert got.seen == (0, 1)
    assert got.false == 0


def test_a_late_alert_of_a_running_event_is_neither_seen_nor_false() -> None:
    scores = np.zeros(DAYS * DAY)
    scores[HALF + 500] = 1.0
    got = flat(scores, Event("shift", HALF + 100, HALF + 100, HALF + 1000))
    assert (got.seen, got.false, got.during) == ((0, 0), 0, 1)


def test_alerts_outside_of_events_are_false_once_an_episode() -> None:
    scores = np.zeros(DAYS * DAY)
    scores[[HALF + 10, HALF + 30, HALF + 59, HALF + 89]] = 1.0
    assert flat(scores).false == 2


def test_the_threshold_keeps_the_budget_and_could_not_be_lower() -> None:
    scores = [Draws(f"threshold/{number}").uniform(DAYS * DAY) for number in range(4)]
    allowed = 0.25 * 4 * 8

    def false(level: float) -> int:
        ordinary = (one[7 * DAY : HALF] for one in scores)
        return sum(int(raised(np.arange(len(one)), one, level, REFRACTORY).sum()) for one in ordinary)

    level = threshold(scores, 0.25)
    assert false(level) <= allowed
    lower = max(float(one[7 * DAY : HALF][one[7 * DAY : HALF] < level].max()) for one in scores)
    assert false(lower) > allowed


@pytest.mark.parametrize("name", sorted(set(peers.CHEAP) - {"random"}))
def test_no_peer_looks_ahead(name: str) -> None:
    """What follows, absent or absurd, changes no score before it."""
    values = make("traffic_office", 1).values[:13_000]
    cut = 12_000
    spoilt = values.copy()
    spoilt[cut:] = 1e9
    scores = peers.CHEAP[name](values)
    np.testing.assert_allclose(peers.CHEAP[name](spoilt)[:cut], scores[:cut], rtol=1e-6, atol=1e-6)
    if name != "clock":
        assert np.abs(scores).max() > 0
