"""Which score is suggested to alert at: against every other, and of ordinary time of the first part only."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.spells import contains
from flows.anomalies.fleet import LOWEST
from flows.anomalies.pooled import Group, Pool
from flows.backtest.labels import Fault
from flows.backtest.stretch import Stretch, Terms, stretch
from flows.backtest.thresholds import Threshold, raised_at, thresholds
from flows.backtest.verdict import ALL, Raised, Rule, verdict

MINUTE_NS = 60 * 10**9
DAY = 24 * 60
WEB, SHOP, TILL = Group("all", "p95", "web"), Group("all", "p95", "shop"), Group("all", "p95", "till")
FAULT = Fault(300 * MINUTE_NS, 310 * MINUTE_NS, "outage", "web")


def two_days(*faults: Fault) -> Stretch:
    """Half of it held out."""
    return stretch(range(2 * DAY), MINUTE_NS, faults, Terms(60 * MINUTE_NS, 30 * MINUTE_NS, 0.5))


def pool(score: np.ndarray) -> Pool:
    """A score a minute."""
    found = Pool()
    for minute, each in enumerate(score.tolist()):
        found.append(minute * MINUTE_NS, each)
    return found


def by_lot(seed: int) -> dict[Group, Pool]:
    """Two days of scores of three digits, in clumps."""
    rng = np.random.default_rng(seed)
    clumps = [np.convolve(rng.uniform(size=2 * DAY) ** 20, np.ones(5) / 2, "same") for _ in range(3)]
    return {
        group: pool(np.round(np.minimum(each, 1), 3)) for group, each in zip((WEB, SHOP, TILL), clumps, strict=True)
    }


def false_of(day: Stretch, scores: dict[Group, Pool], score: float) -> int:
    """Episodes in ordinary time of the first part, by the way that alerts are judged."""
    raised = list(raised_at(Threshold("all", "p95", score, 0), scores))
    rules = verdict(day, raised, 30 * MINUTE_NS).figures
    return sum(parts[0].false for rule, parts in rules.items() if rule.of != ALL)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("a_day", [3, 10, 40])
def test_a_threshold_keeps_the_budget_and_where_the_next_episode_begins_it_is_exceeded(seed: int, a_day: float) -> None:
    day, scores = two_days(FAULT), by_lot(seed)
    (found,) = thresholds(day, scores, {("all", "p95"): a_day})
    ordinary = (day.ordinary_in(day.parts[0])[:, 1] - day.ordinary_in(day.parts[0])[:, 0]).sum()
    assert found.allowed == pytest.approx(a_day * ordinary / (DAY * MINUTE_NS))
    count = false_of(day, scores, found.score)
    assert count <= found.allowed
    for thousandths in range(round(found.score * 1000) - 1, 0, -1):
        before, count = count, false_of(day, scores, thousandths / 1000)
        if count > before:
            break
    assert count > found.allowed


def test_faults_the_warm_up_and_what_is_held_out_say_nothing_of_a_threshold() -> None:
    """But for the half hour before ordinary time: what is strange there may go on into it, as one episode."""
    day, scores = two_days(FAULT), by_lot(1)
    counted = day.ordinary_in(day.parts[0]) - [30 * MINUTE_NS, 0]
    changed = {
        group: pool(np.where(contains(counted, each.times_ns), each.score, 1.0 - each.score))
        for group, each in scores.items()
    }
    assert thresholds(day, changed, {("all", "p95"): 10}) == thresholds(day, scores, {("all", "p95"): 10})


def test_each_rule_and_signal_has_a_threshold_of_its_own() -> None:
    score = np.zeros(2 * DAY)
    score[100] = 0.3
    of = WEB, WEB._replace(rule="other"), WEB._replace(signal="rate")
    scores = {group: pool(score + more) for group, more in zip(of, (0.1, 0.2, 0.3), strict=True)}
    found = thresholds(two_days(), scores, {(group.rule, group.signal): 2 for group in of})
    assert [each[:3] for each in found] == [("all", "p95", 0.4), ("other", "p95", 0.5), ("all", "rate", 0.6)]


def test_where_nothing_is_ordinary_no_score_is_suggested() -> None:
    whole = Fault(0, 2 * DAY * MINUTE_NS, "outage", "web")
    (found,) = thresholds(two_days(whole), by_lot(1), {("all", "p95"): 5})
    assert found == Threshold("all", "p95", np.inf, 0.0)
    assert list(raised_at(found, by_lot(1))) == []


def test_where_nothing_ordinary_is_strange_every_score_is_enough() -> None:
    score = np.full(2 * DAY, np.nan)
    score[305] = 0.9
    (found,) = thresholds(two_days(FAULT), {WEB: pool(score)}, {("all", "p95"): 5})
    assert found.score == LOWEST
    assert [each.begin_ns for each in raised_at(found, {WEB: pool(score)})] == [305 * MINUTE_NS]


def test_an_alert_at_a_threshold_is_of_one_service_and_signal() -> None:
    score = np.zeros(2 * DAY)
    score[[100, 110, 200]] = 0.6
    raised = raised_at(Threshold("all", "p95", 0.6, 5), {WEB: pool(score), WEB._replace(signal="rate"): pool(score)})
    rule = Rule("AnomalyScore", "warning", "all p95", 0.6)
    assert list(raised) == [
        Raised(rule, 100 * MINUTE_NS, 110 * MINUTE_NS, "web"),
        Raised(rule, 200 * MINUTE_NS, 200 * MINUTE_NS, "web"),
    ]
