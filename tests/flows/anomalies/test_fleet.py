"""The budget is kept: by arithmetic where scores are true, by what was counted where they are not."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.episodes import raised
from flows.anomalies.alerting import AnomalyAlerts
from flows.anomalies.fleet import LEAST, LEVELS, LOWEST, Fleet, by_arithmetic, by_counts
from flows.anomalies.policy import AlertPolicy, AlertRule
from tests.flows.anomalies.said import BEGIN_NS, DAY, MINUTE, scored, series

STEP = 10 * MINUTE
STEPS = DAY // STEP
N_SERVICES, N_OPERATIONS = 250, 4
SERIES = [series(f"op {i}", service=f"service {n}") for n in range(N_SERVICES) for i in range(N_OPERATIONS)]


class World:
    """A thousand series in their ordinary state; alerts counted by day.

    Args:
        exaggerates: how many times as rare scores say things are, in decades.
        lasts: steps that a strange state lasts.
    """

    def __init__(self, exaggerates: float = 1.0, lasts: int = 1, alerts_per_day: float = 5.0) -> None:
        self.alerts = AnomalyAlerts([AlertRule("all", STEP, AlertPolicy(alerts_per_day=alerts_per_day))])
        self._rng = np.random.default_rng(7)
        self._exaggerates, self._lasts = exaggerates, lasts
        self._recent = np.zeros((lasts, len(SERIES)))
        self._now_ns = BEGIN_NS
        self.threshold = 1.0

    def day(self, incidents: int = 0) -> set[tuple[str, int]]:
        """Service and start of the alerts that begin on the next day; each incident is one of four services."""
        begun_ns, found = self._now_ns, set()
        at = self._rng.integers(0, STEPS - 3, incidents)
        hit = self._rng.integers(0, N_SERVICES, (incidents, 4))
        for n in range(STEPS):
            self._now_ns += STEP
            evidence = -np.log10(self._rng.uniform(size=len(SERIES))) * self._exaggerates
            self._recent = np.concatenate([self._recent[1:], evidence[None]])
            score = self._recent.max(axis=0) / 8
            for services in hit[(at <= n) & (n < at + 3)]:
                score[services * N_OPERATIONS] = 0.97
            (shown,) = self.alerts.hear([scored(self._now_ns, SERIES, np.minimum(score, 1.0))])
            self.threshold = shown.thresholds["all"]
            found |= {(each.service, each.starts_at_ns) for each in shown.alerts if each.starts_at_ns > begun_ns}
        return found


def test_the_arithmetic_divides_the_budget_by_series_and_steps() -> None:
    assert by_arithmetic(5, 1000, 1440) == pytest.approx(-np.log10(5 / 1000 / 1440) / 8)
    assert by_arithmetic(10_000, 1, 1440) == LOWEST
    assert by_arithmetic(1e-9, 20_000, 1440) == 1.0


def test_what_would_have_begun_is_counted_at_each_level_as_episodes_are() -> None:
    """The slow, right answer is that of `detectors.episodes`, a level and a group at a time."""
    rng = np.random.default_rng(3)
    policy = AlertPolicy(refractory_ns=6 * MINUTE, keep_firing_for_ns=0)
    fleet = Fleet(AlertRule("all", MINUTE, policy))
    score = np.minimum(rng.exponential(0.15, (600, 3)), 1.0)
    times_ns = BEGIN_NS + np.arange(600) * MINUTE
    for at_ns, row in zip(times_ns.tolist(), score.tolist(), strict=True):
        peaks = {(f"service {i}", "p95"): one for i, one in enumerate(row) if one >= LOWEST}
        fleet.meet(3)
        fleet.learn(at_ns, 3, peaks)
    slow = [sum(raised(times_ns, score[:, i], level, 6 * MINUTE).sum() for i in range(3)) for level in LEVELS]
    assert fleet._today.tolist() == slow


@pytest.mark.parametrize("alerts_per_day", [0.2, 1.0, 5.0, 20.0])
@pytest.mark.parametrize("n_days", [3, 7])
@pytest.mark.parametrize("decades_per_unit", [5.0, 8.0])
def test_the_level_found_has_the_budget_as_its_true_rate(
    alerts_per_day: float, n_days: int, decades_per_unit: float
) -> None:
    rng = np.random.default_rng(11)
    true_rate = 2_000 * 10 ** (-decades_per_unit * (LEVELS - LOWEST))
    rates = []
    for _ in range(40):
        in_bins = rng.poisson(np.append(true_rate[:-1] - true_rate[1:], true_rate[-1]), (n_days, len(LEVELS)))
        level = by_counts(np.cumsum(in_bins[:, ::-1], axis=1)[:, ::-1].astype(float), alerts_per_day)
        rates.append(2_000 * 10 ** (-decades_per_unit * (level - LOWEST)))
    assert alerts_per_day / 2 <= np.median(rates) <= alerts_per_day * 2


@pytest.mark.parametrize(("exaggerates", "lasts"), [(1.0, 1), (1.0, 4), (1.4, 1)])
def test_five_a_day_are_asked_and_raised_within_a_factor_of_two(exaggerates: float, lasts: int) -> None:
    world = World(exaggerates, lasts)
    for _ in range(4):
        world.day()
    counts = [len(world.day()) for _ in range(14)]
    assert 2.5 <= np.mean(counts) <= 10


def test_a_day_full_of_incidents_does_not_blind_the_next() -> None:
    world = World()
    for _ in range(7):
        world.day()
    before = world.threshold
    assert len(world.day(incidents=30)) > 90
    ordinary = [len(world.day()) for _ in range(3)]
    assert abs(world.threshold - before) < 1 / 32
    assert 2.5 <= np.mean(ordinary) <= 10
    assert len(world.day(incidents=3)) >= 12


def test_incidents_on_the_first_day_do_not_blind_the_second() -> None:
    world, undisturbed = World(), World()
    undisturbed.day()
    undisturbed.day()
    world.day(incidents=30)
    world.day()
    assert world.threshold == undisturbed.threshold


def test_a_small_fleet_is_not_told_of_ordinary_days_to_use_up_its_budget() -> None:
    fleet = Fleet(AlertRule("all", STEP, AlertPolicy(alerts_per_day=5)))
    for n in range(10 * STEPS):
        fleet.meet(1000)
        fleet.learn(BEGIN_NS + n * STEP, 1000, {})
    fleet.meet(1000)
    assert fleet.threshold == LEAST


def test_steps_without_any_score_are_no_part_of_a_day() -> None:
    fleet = Fleet(AlertRule("all", STEP))
    for n in range(3 * STEPS):
        fleet.meet(0)
        fleet.learn(BEGIN_NS + n * STEP, 0, {})
    assert len(fleet._days) == 0
