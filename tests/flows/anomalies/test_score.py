"""Scores: exact whatever the order, the cuts and the crashes; a stop is seen; maintenance teaches nothing."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
import zstandard

from detectors.anomaly import AnomalyBank
from detectors.anomaly_state import REASONS
from flows.anomalies.choose import Chooser
from flows.anomalies.score import Scorer, settings_of
from flows.slo.exclusions import Exclusion
from flows.snapshot import SnapshotError, pack, unpack
from tests.flows.anomalies.feed import BEGIN, EVERYTHING, MINUTE_NS, Called, Feed, Minute, keys, rule

if TYPE_CHECKING:
    from flows.anomalies.rules import AnomalyRule

RULES = (rule("minutes", series=9, remembered=12, remember=300), rule("never"))
FIVES = (rule("fives", step=5, signals=("p50", "rate")),)


def ordinary(seed: int, n: int, names: tuple[str, ...] = ("web get", "shop buy")) -> list[Minute]:
    """Minutes of operations that go on as they always do."""
    rng = np.random.default_rng(seed)
    return [
        {
            name: Called(int(rng.poisson(200)), int(rng.binomial(200, 0.02)), float(rng.lognormal(-3, 0.1)))
            for name in names
        }
        for _ in range(n)
    ]


def churning(seed: int, n: int) -> list[Minute]:
    """Minutes of operations that come and go, with silences and gaps."""
    rng = random.Random(seed)
    names = [f"{service} op{i}" for service in ("web", "shop", "mail") for i in range(3)]
    calm = ordinary(seed, n, tuple(names))
    minutes: list[Minute] = []
    awake = set(names[:3])
    while len(minutes) < n:
        awake ^= {rng.choice(names)}
        minutes += [{name: calm[len(minutes)][name] for name in sorted(awake)}] * rng.randint(1, 20)
        if rng.random() < 0.4:
            minutes += [{}] * rng.choice([1, 3, 7])
    return minutes[:n]


def disturbed(rules: tuple[AnomalyRule, ...], minutes: list[Minute], seed: int) -> Feed:
    """The same minutes, shards ahead of one another, several minutes at once, and crashes."""
    rng = random.Random(seed)
    feed, left = Feed(*rules), dict.fromkeys(keys(), 0)
    while left:
        behind = min(left.values())
        key = rng.choice([key for key, at in left.items() if at < behind + 12])
        stop = min(left[key] + rng.randint(1, 9), len(minutes))
        feed.hear(feed.parts(key, minutes[left[key] : stop], done=stop == len(minutes)))
        left[key] = stop
        if stop == len(minutes):
            del left[key]
        if rng.random() < 0.01:
            feed.restart()
    return feed


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rules", [RULES, FIVES])
def test_any_order_cuts_and_crashes_give_the_same_to_the_last_bit(rules: tuple[AnomalyRule, ...], seed: int) -> None:
    minutes = churning(seed, 260)
    feed = Feed(*rules)
    feed.minutes(*minutes)
    other = disturbed(rules, minutes, seed)
    assert {(each.key, each.end_ns) for each in other.told} == {(each.key, each.end_ns) for each in feed.told}
    assert repr(sorted(other.found.items())) == repr(sorted(feed.found.items()))
    assert {each.end_ns for each in other.told if each.done} <= {max(each.end_ns for each in feed.told)}


def test_scores_are_those_of_the_detector_over_the_same_values() -> None:
    feed = Feed()
    feed.minutes(*ordinary(1, 300))
    for signal in ("p95", "rate", "error_ratio"):
        values = np.array(list(feed.of("web get", signal).values()))
        bank = AnomalyBank(settings_of(rule(), signal, MINUTE_NS), 1)
        judged = bank.run((BEGIN + 1 + np.arange(300)) * MINUTE_NS, values.reshape(-1, 1))
        for what, expected in zip(("score", "expected", "lower", "upper", "why"), judged, strict=True):
            found = np.array(list(feed.of("web get", signal, what).values()))
            np.testing.assert_array_equal(found, expected[:, 0])


def test_what_an_alert_wants_to_know_is_told_calls_of_the_step_and_how_long_a_past_there_is() -> None:
    feed = Feed(rule(step=5))
    minutes = ordinary(1, 100, ("web get",))
    feed.minutes(*minutes, *[{}] * 3, *minutes[:7])
    called = [minute.get("web get", Called(0)).calls for minute in (*minutes, *[{}] * 3, *minutes[:7])]
    bank = AnomalyBank(settings_of(rule(step=5), "p95", MINUTE_NS), 1)
    for end, value in feed.of("web get", "p95").items():
        bank.run(np.array([(BEGIN + end) * MINUTE_NS], np.int64), np.array([[value]]))
        assert feed.of("web get", "p95", "memory_ns")[end] == bank.memory_rows[0] * (5 * MINUTE_NS)
        for signal in ("p95", "rate", "error_ratio"):
            assert feed.of("web get", signal, "calls")[end] == sum(called[end - 5 : end])
    assert bank.memory_rows[0] > 0
    assert end == 110


def test_nothing_below_zero_is_expected() -> None:
    feed, rng = Feed(rule(signals=("p50", "p95", "rate", "error_ratio"))), np.random.default_rng(1)
    calls = 20 * rng.poisson(1.0, 300)
    feed.minutes(*({"web get": Called(int(n), int(n > 60))} if n else {"shop buy": Called(1)} for n in calls))
    for signal in ("p50", "p95", "rate", "error_ratio"):
        lower = [each for each in feed.of("web get", signal, "lower").values() if not np.isnan(each)]
        assert lower
        assert min(lower) >= 0


def test_a_quantile_that_is_the_slowest_of_few_calls_is_absent() -> None:
    feed = Feed(rule(signals=("p50", "p95")))
    feed.minutes({"web get": Called(1)}, {"web get": Called(2)}, {"web get": Called(19)}, {"web get": Called(20)})
    found = {signal: np.isfinite(list(feed.of("web get", signal, "value").values())) for signal in ("p50", "p95")}
    assert {signal: each.tolist() for signal, each in found.items()} == {
        "p50": [False, True, True, True],
        "p95": [False, False, False, True],
    }


def test_a_stop_of_traffic_is_seen_though_nothing_tells_of_it() -> None:
    feed = Feed()
    feed.minutes(*ordinary(2, 600), *ordinary(3, 10, ("shop buy",)))
    before, after = (
        list(feed.of("web get", "rate", "score").values())[part] for part in (slice(200, 600), slice(600, None))
    )
    assert max(after) > 1.2 * max(before)
    assert list(feed.of("web get", "rate").values())[600:] == [0.0] * 10
    assert [REASONS[why] for why in feed.of("web get", "p95", "why").values()][600:] == ["absent"] * 10


def test_maintenance_is_neither_scored_nor_learnt() -> None:
    minutes = ordinary(4, 420)
    maintenance = Exclusion((), (BEGIN + 300) * MINUTE_NS, (BEGIN + 400) * MINUTE_NS)
    broken = [{"web get": Called(1, 1, 9.0), "shop buy": Called(1, 1, 9.0)}] * 100
    feeds = [Feed(exclusions=[maintenance]) for _ in range(2)]
    feeds[0].minutes(*minutes)
    feeds[1].minutes(*minutes[:300], *broken, *minutes[400:])
    for signal in ("p95", "rate", "error_ratio"):
        quiet, loud = (list(feed.of("web get", signal, "score").values()) for feed in feeds)
        np.testing.assert_array_equal(quiet, loud)
        assert np.isnan(loud[300:400]).all()
        assert not np.isnan(loud[400:]).any()


def test_what_was_told_last_is_known_after_a_restart_unless_rules_are_others() -> None:
    feed = Feed(rule("kept"), rule("other"))
    feed.minutes(*ordinary(1, 160))
    told = {each.key: each for each in feed.told[-len(feed.scorers) :]}
    assert sum(len(each.series) for each in told.values()) == 6
    feed.restart()
    last = [each for scorer in feed.scorers.values() for each in scorer.last.values()]
    assert repr(last) == repr([each.of_rule(name) for each in told.values() for name in ("kept", "other")])
    feed.restart(rule("kept", signals=("rate",)))
    assert sum(len(each.series) for scorer in feed.scorers.values() for each in scorer.last.values()) == 0


def test_rules_may_be_edited_and_what_keeps_its_name_and_step_goes_on_learning() -> None:
    feed = Feed(rule("kept"), rule("other"))
    feed.minutes(*ordinary(5, 200))
    feed.restart(rule("kept", signals=("p50", "rate"), accept_ns=3 * 60 * MINUTE_NS), rule("new"))
    feed.minutes(*ordinary(6, 10))
    whys = {signal: list(feed.of("web get", signal, "why").values())[-1] for signal in ("p50", "rate")}
    assert {signal: REASONS[why] for signal, why in whys.items()} == {"p50": "learning", "rate": ""}
    feed.restart(rule("kept", signals=("p50", "rate"), step=5))
    feed.minutes(*ordinary(7, 10))
    assert REASONS[list(feed.of("web get", "rate", "why").values())[-1]] == "learning"


def test_a_rule_that_needs_another_window_begins_when_all_shards_tell_it() -> None:
    feed = Feed(rule("kept"))
    parts = {key: [feed.parts(key, [minute]) for minute in ordinary(8, 7)] for key in keys()}
    ahead, *others = keys()
    feed.hear([part for told in parts[ahead] for part in told])
    feed.hear([part for key in others for told in parts[key][:4] for part in told])
    feed.restart(rule("kept", step=5))
    feed.hear([part for key in others for told in parts[key][4:] for part in told])
    feed.pane = BEGIN + 7
    feed.minutes(*ordinary(9, 8))
    assert [end for end in feed.of("web get", "rate") if end > 4] == [15]


def test_state_is_dropped_with_its_series() -> None:
    feed = Feed(rule(remember=60))
    feed.minutes(*[{f"web op{i}": Called(5), "web get": Called(5)} for i in range(200)])
    rows = [
        len(desk["operations"])
        for scorer in feed.scorers.values()
        for desk in unpack(scorer.snapshot(), "scores", 1)["desks"].values()
    ]
    assert sum(rows) == 61


@pytest.mark.parametrize("step", [Chooser, Scorer])
def test_state_of_something_else_is_refused(step: type[Chooser] | type[Scorer]) -> None:
    with pytest.raises(SnapshotError, match="version 1 was expected"):
        step.restore(Feed().rules, pack("shard", 1, {}))


def test_detectors_of_another_version_are_refused() -> None:
    feed = Feed(rule(selector=EVERYTHING))
    feed.minutes(*ordinary(1, 2))
    scorer = next(each for each in feed.scorers.values() if each._desks["all"]._operations)
    fields = unpack(scorer.snapshot(), "scores", 1)
    banks = fields["desks"]["all"]["banks"]
    bank = zstandard.decompress(banks["rate"])
    banks["rate"] = zstandard.compress(bank[:4] + b"\xff\x00" + bank[6:])
    with pytest.raises(SnapshotError, match="the detectors of all: the state has version 255"):
        Scorer.restore(feed.rules, pack("scores", 1, fields))
    banks["rate"] = bank
    with pytest.raises(SnapshotError, match="the detectors of all: "):
        Scorer.restore(feed.rules, pack("scores", 1, fields))
