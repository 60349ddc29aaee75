"""Which series are scored: the busiest, calmly; what stopped stays; gaps of the stream are none of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from flows.anomalies.choose import Chooser
from flows.anomalies.pool import Pool
from flows.anomalies.rules import AnomalyRules
from flows.anomalies.steps import SCORE_KEYS, tell_minutes
from flows.decode.batch import WEIGHT_ONE
from flows.slo.exclusions import Exclusion
from flows.slo.selector import Matcher, Selector
from flows.window_samples import WindowSamples, WindowsShown
from tests.flows.anomalies.feed import BEGIN, MINUTE_NS, QUANTILES, Called, Feed, keys, labels, rule

SMALL = {"series": 6, "remembered": 12}  # two operations, four remembered
WEB = Selector("spans", (Matcher("service_name", "in", ("web",)),))


def test_values_are_those_of_the_minute_and_a_rate_is_0_where_nothing_is_called() -> None:
    feed = Feed()
    feed.minutes({"web get": Called(120, 30, 0.25)}, {"web put": Called(1)}, {"web get": Called(60)})
    assert feed.of("web get", "rate") == {1: 2.0, 2: 0.0, 3: 1.0}
    latency, ratio = feed.of("web get", "p95"), feed.of("web get", "error_ratio")
    assert (latency[1], latency[3], ratio[1], ratio[3]) == (0.25, 0.1, 0.25, 0.0)
    assert math.isnan(latency[2])
    assert math.isnan(ratio[2])
    assert feed.of("web put", "rate") == {2: 1 / 60, 3: 0.0}


def test_every_key_tells_of_every_step() -> None:
    feed = Feed()
    feed.minutes(*[{"web get": Called(1)}] * 3)
    assert [(each.key, each.end_ns) for each in feed.told] == [
        (key, (BEGIN + minute) * MINUTE_NS) for minute in (1, 2, 3) for key in range(SCORE_KEYS)
    ]
    assert all(each.n_keys == SCORE_KEYS for each in feed.told)


def test_the_busiest_are_scored_and_equals_by_name() -> None:
    feed = Feed(rule(**SMALL))
    feed.minutes({"web c": Called(5), "web b": Called(9), "web a": Called(5)})
    assert feed.scored == {"web a", "web b"}


def test_one_that_is_busier_but_not_clearly_displaces_nobody() -> None:
    feed = Feed(rule(**SMALL))
    feed.minutes({"web a": Called(100), "web b": Called(100)})
    feed.minutes(*[{"web a": Called(100), "web b": Called(100), "web c": Called(190)}] * 600)
    assert feed.scored == {"web a", "web b"}


def test_one_that_is_more_than_twice_as_busy_takes_the_place_of_the_least_busy() -> None:
    feed = Feed(rule(**SMALL))
    feed.minutes({"web a": Called(100), "web b": Called(120)})
    feed.minutes(*[{"web a": Called(100), "web b": Called(120), "web c": Called(230)}] * 600)
    assert feed.scored == {"web b", "web c"}


def test_what_stopped_is_scored_as_long_as_that_is_an_anomaly_however_busy_others_are() -> None:
    feed = Feed(rule(**SMALL))
    feed.minutes({"web a": Called(10), "web b": Called(10)})
    feed.minutes(*[{"web b": Called(10), "web c": Called(1000)}] * 240)
    assert feed.scored == {"web a", "web c"}
    feed.minutes({"web b": Called(10), "web c": Called(1000), "web d": Called(1000)})
    assert feed.of("web a", "rate")[241] == 0.0
    feed.minutes({"web b": Called(10), "web c": Called(1000), "web d": Called(1000)})
    assert "web a" not in feed.scored


def test_who_is_displaced_is_remembered_and_goes_on_learning_when_it_is_back() -> None:
    feed = Feed(rule(**SMALL))
    day = {"web a": Called(100, p95=0.1), "web b": Called(100, p95=0.1)}
    feed.minutes(*[day] * 200)
    feed.minutes(*[{"web c": Called(10_000), "web d": Called(10_000)}] * 300)
    assert feed.scored == {"web c", "web d"}
    feed.minutes(*[{"web a": Called(10**7), "web d": Called(10_000)}] * 1)
    assert feed.of("web a", "rate", "why")[501] == 0  # no longer learning


def test_the_least_recently_called_is_forgotten_when_there_are_too_many() -> None:
    pool = Pool(rule(**SMALL), MINUTE_NS)
    for i in range(6):
        pool.called([labels(f"web op{i}")], [10.0 ** (3 * i)], BEGIN + 400 * i)
        forgotten = pool.choose(BEGIN + 400 * i)
        assert forgotten == ([] if i < 4 else [labels(f"web op{i - 4}")])


def test_an_operation_that_is_not_called_is_forgotten_after_the_time_for_it() -> None:
    feed = Feed(rule(remember=100))
    feed.minutes({"web a": Called(10), "web b": Called(1)})
    feed.minutes(*[{"web b": Called(1)}] * 99)
    assert feed.scored == {"web a", "web b"}
    feed.minutes({"web b": Called(1)})
    assert feed.scored == {"web b"}


def test_the_first_rule_that_matches_scores_an_operation() -> None:
    feed = Feed(rule("web", selector=WEB, signals=("rate",)), rule("rest", signals=("error_ratio",)))
    feed.minutes({"web get": Called(1), "shop buy": Called(1)})
    assert {(s.rule, s.operation.service, s.signal) for each in feed.told for s in each.series} == {
        ("web", "web", "rate"),
        ("rest", "shop", "error_ratio"),
    }


def test_a_rule_of_five_minutes_tells_at_multiples_of_five_of_whole_ones() -> None:
    feed = Feed(rule(step=5, signals=("rate",)), begin=BEGIN + 2)
    feed.minutes(*[{"web get": Called(60 * i)} for i in range(1, 15)])
    # The first one that begins with the stream or later ends after eight minutes of it: 4, 5, 6, 7 and 8 of them.
    assert feed.of("web get", "rate") == {8: 6.0, 13: 11.0}


def test_the_minute_in_which_the_stream_begins_is_not_scored() -> None:
    rules = AnomalyRules((rule(step=12),), MINUTE_NS // 12, 12, QUANTILES)
    chooser = Chooser(rules)
    first, one = 12 * BEGIN + 5, np.array([WEIGHT_ONE])
    samples = [
        WindowSamples(12 * (BEGIN + i), 12, True, [labels("web get")], one, one, np.ones((1, 2)), "00") for i in (1, 2)
    ]
    told = [WindowsShown(key, -1, 12 * (BEGIN + 2), first, False, [], []) for key in keys()]
    told[0] = told[0]._replace(judged=samples)
    chosen = chooser.hear([part for shown in told for _, part in tell_minutes(rules)((shown.key, shown))])
    assert {each.end_ns for each in chosen} == {(BEGIN + 2) * MINUTE_NS}


def test_the_last_step_of_an_ended_stream_says_so() -> None:
    feed = Feed()
    feed.hear([part for key in keys() for part in feed.parts(key, [{"web get": Called(1)}] * 3, done=True)])
    assert {each.end_ns for each in feed.told if each.done} == {(BEGIN + 3) * MINUTE_NS}
    assert [each.done for each in feed.told].count(True) == SCORE_KEYS


@pytest.mark.parametrize("silent", [1, 4])
def test_a_short_silence_of_the_whole_stream_is_a_part_of_it(silent: int) -> None:
    feed = Feed()
    feed.minutes({"web get": Called(60)}, *[{}] * silent)
    assert len(feed.of("web get", "rate")) == 1  # nobody knows yet
    feed.minutes({"web get": Called(60)})
    assert feed.of("web get", "rate") == {1: 1.0, **dict.fromkeys(range(2, 2 + silent), 0.0), 2 + silent: 1.0}


def test_a_gap_of_the_stream_is_told_once_and_neither_it_nor_the_minute_it_ends_in_is_scored() -> None:
    feed = Feed()
    feed.minutes({"web get": Called(60)}, *[{}] * 30, {"web get": Called(7)}, {"web get": Called(60)})
    rates = feed.of("web get", "rate")
    assert list(rates) == [1, 6, 33]
    assert math.isnan(rates[6])
    assert feed.of("web get", "rate", "excluded") == {1: False, 6: True, 33: False}


def test_maintenance_is_marked_and_keeps_its_values() -> None:
    maintenance = Exclusion((("service", "web"),), (BEGIN + 2) * MINUTE_NS, (BEGIN + 3) * MINUTE_NS + 1)
    feed = Feed(exclusions=[maintenance])
    feed.minutes(*[{"web get": Called(60), "shop buy": Called(60)}] * 6)
    assert [minute for minute, is_so in feed.of("web get", "rate", "excluded").items() if is_so] == [3, 4]
    assert not any(feed.of("shop buy", "rate", "excluded").values())
    assert set(feed.of("web get", "rate").values()) == {1.0}
