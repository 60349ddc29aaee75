"""When scores become alerts: consensus, episodes, maintenance, silence, and a state that goes on exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.anomalies.alerting import MOST_CONCERNED, AnomalyAlerts
from flows.anomalies.policy import AlertPolicy, AlertRule
from flows.errors import ConfigError
from tests.flows.anomalies.said import BEGIN_NS, MINUTE, scored, series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.anomalies.scored import ScoredSeries
    from flows.anomalies.shown import AnomaliesShown, AnomalyAlert

ORDINARY, EXTREME, ABSENT = 0.1, 0.9, np.nan
HOME = series("GET /")


class Feed:
    """One key's scores by the minute; remembers every alert by service, signal and start, as it was shown last."""

    def __init__(self, **policy: float) -> None:
        self.alerts = AnomalyAlerts([AlertRule("all", MINUTE, AlertPolicy(**policy))])
        self.now_ns = BEGIN_NS
        self.seen: dict[tuple[str, str, int], AnomalyAlert] = {}
        self.shown: AnomaliesShown | None = None

    def step(self, of: Sequence[ScoredSeries], score: Sequence[float], **columns: Sequence[float]) -> AnomaliesShown:
        self.now_ns += MINUTE
        (self.shown,) = self.alerts.hear([scored(self.now_ns, of, score, **columns)])
        self.seen.update({(each.service, each.signal, each.starts_at_ns): each for each in self.shown.alerts})
        return self.shown

    def run(self, scores: Sequence[float], of: ScoredSeries = HOME, **columns: Sequence[float]) -> str:
        """A character a minute: `x` fires, `?` waits."""
        said = ""
        for score in scores:
            shown = self.step([of], [score], **columns)
            fires = any(each.ends_at_ns is None for each in shown.alerts)
            said += "x" if fires else "?" if shown.pending else "."
        return said


def test_an_extreme_score_fires_at_once_and_ends_when_it_was_kept() -> None:
    feed = Feed(keep_firing_for_ns=3 * MINUTE)
    assert feed.run([ORDINARY, EXTREME, EXTREME, *[ORDINARY] * 5]) == ".xxxxx.."
    ((_, _, starts_at_ns),) = feed.seen
    assert starts_at_ns == BEGIN_NS + 2 * MINUTE


def test_an_alert_that_waits_is_pending_first() -> None:
    feed = Feed(for_ns=2 * MINUTE)
    assert feed.run([EXTREME, EXTREME, EXTREME]) == "??x"


def test_one_alert_for_each_service_and_signal_names_its_operations() -> None:
    feed = Feed()
    of = [series("a"), series("b"), series("a", "rate"), series("a", service="till")]
    shown = feed.step(of, [0.8, 0.9, 0.7, 0.6])
    names = [[one.operation.span_name for one in each.concerned] for each in shown.alerts]
    assert [(each.service, each.signal) for each in shown.alerts] == [
        ("shop", "p95"),
        ("shop", "rate"),
        ("till", "p95"),
    ]
    assert names == [["b", "a"], ["a"], ["a"]]
    assert shown.alerts[0].labels == {"alertname": "Anomaly", "severity": "warning", "service": "shop", "signal": "p95"}


def test_an_operation_is_remembered_as_it_was_when_it_was_most_extreme() -> None:
    feed = Feed()
    feed.step([series("a")], [0.7], value=[70.0])
    feed.step([series("a")], [0.9], value=[90.0])
    (alert,) = feed.step([series("a")], [0.8], value=[80.0]).alerts
    assert [each.value for each in alert.concerned] == [90.0]


def test_an_alert_remembers_a_bounded_number_of_operations_the_most_extreme() -> None:
    feed = Feed()
    of = [series(f"op {i}") for i in range(2 * MOST_CONCERNED)]
    (alert,) = feed.step(of, np.linspace(0.6, 0.9, len(of))).alerts
    assert len(alert.concerned) == MOST_CONCERNED
    assert min(each.score for each in alert.concerned) > 0.75


def test_what_comes_again_within_the_refractory_time_is_the_same_alert() -> None:
    feed = Feed(keep_firing_for_ns=0, refractory_ns=30 * MINUTE)
    feed.run([EXTREME, *[ORDINARY] * 20, EXTREME, ORDINARY])
    assert len(feed.seen) == 1
    feed.run([*[ORDINARY] * 35, EXTREME])
    assert len(feed.seen) == 2


def test_an_alert_that_comes_again_later_is_about_its_own_operations_only() -> None:
    feed = Feed(keep_firing_for_ns=0, refractory_ns=0)
    feed.run([EXTREME, ORDINARY], series("a"))
    feed.run([EXTREME], series("b"))
    assert [[one.operation.span_name for one in each.concerned] for each in feed.seen.values()] == [["a"], ["b"]]


@pytest.mark.parametrize(
    ("signal", "value", "expected", "alerts"),
    [
        ("p95", 0.007, 0.005, False),  # 2 ms more
        ("p95", 0.011, 0.005, True),
        ("p95", 1.100, 1.000, False),  # a tenth more
        ("p50", 1.300, 1.000, True),
        ("p95", 0.500, 1.000, False),  # faster
        ("error_ratio", 0.003, 0.039, False),
        ("rate", 0.0, 0.5, False),
        ("rate", 0.0, 5.0, True),
        ("rate", 1_100.0, 1_000.0, False),
        ("error_ratio", 0.009, 0.001, False),
        ("error_ratio", 0.03, 0.001, True),
    ],
)
def test_a_difference_that_is_small_in_its_own_unit_wakes_nobody(
    signal: str, value: float, expected: float, alerts: bool
) -> None:
    shown = Feed().step([series("a", signal)], [EXTREME], value=[value], expected=[expected])
    assert bool(shown.alerts) == alerts


@pytest.mark.parametrize(("failures", "alerts"), [(2, False), (3, True)])
def test_a_ratio_of_few_failures_wakes_nobody_however_few_the_calls(failures: int, alerts: bool) -> None:
    of = [series("a", "error_ratio")]
    shown = Feed().step(of, [EXTREME], value=[failures / 12], expected=[0.0], calls=[12.0])
    assert bool(shown.alerts) == alerts


def test_few_calls_raise_no_alert_about_latency_and_errors_but_one_about_their_stop() -> None:
    of = [series("a", signal) for signal in ("p50", "p95", "error_ratio", "rate")]
    shown = Feed().step(of, [EXTREME] * 4, calls=[3.0] * 4)
    assert [each.signal for each in shown.alerts] == ["rate"]


def test_maintenance_neither_alerts_nor_keeps_alerting() -> None:
    feed = Feed(keep_firing_for_ns=2 * MINUTE)
    assert feed.run([EXTREME] * 3, excluded=[True]) == "..."
    assert feed.run([EXTREME]) == "x"
    assert feed.run([EXTREME] * 4, excluded=[True]) == "xx.."


def test_what_has_no_score_holds_no_alert() -> None:
    feed = Feed(keep_firing_for_ns=2 * MINUTE)
    assert feed.run([EXTREME, ABSENT, ABSENT, ABSENT]) == "xxx."
    assert feed.run([EXTREME]) == "x"
    assert [bool([each for each in feed.step([], []).alerts if each.ends_at_ns is None]) for _ in range(3)] == [
        True,
        True,
        False,
    ]


def test_an_alert_that_ended_is_told_of_for_a_while_and_then_forgotten() -> None:
    feed = Feed(keep_firing_for_ns=0)
    feed.run([EXTREME, ORDINARY])
    assert [each.ends_at_ns for each in feed.shown.alerts] == [feed.now_ns]
    feed.run([ORDINARY] * 60)
    assert feed.shown.alerts == []
    assert feed.alerts._lines == {}


def test_a_step_is_judged_when_all_keys_have_told_of_it() -> None:
    alerts = AnomalyAlerts([AlertRule("all", MINUTE)])
    first, second = BEGIN_NS, BEGIN_NS + MINUTE
    of = [series("a")]
    assert alerts.hear([scored(first, of, [EXTREME], key=0, n_keys=2)]) == []
    assert alerts.hear([scored(second, of, [EXTREME], key=0, n_keys=2)]) == []
    shown = alerts.hear([scored(first, [], [], key=1, n_keys=2), scored(second, [], [], key=1, n_keys=2)])
    assert [(each.end_ns, len(each.alerts), each.is_last) for each in shown] == [(first, 1, False), (second, 1, True)]


def test_a_key_that_is_done_holds_nobody_back() -> None:
    alerts = AnomalyAlerts([AlertRule("all", MINUTE)])
    of = [series("a")]
    alerts.hear([scored(BEGIN_NS, of, [EXTREME], key=0, n_keys=2, done=True)])
    shown = alerts.hear([scored(BEGIN_NS + n * MINUTE, of, [EXTREME], key=1, n_keys=2) for n in range(3)])
    assert len(shown) == 3


def test_a_rule_of_longer_steps_is_judged_at_their_ends_only() -> None:
    rule = AlertRule("slow", 5 * MINUTE, AlertPolicy(keep_firing_for_ns=6 * MINUTE))
    alerts = AnomalyAlerts([AlertRule("all", MINUTE), rule])
    begin = BEGIN_NS - BEGIN_NS % (5 * MINUTE)
    fires = []
    for n in range(1, 21):
        of, score = ([series("a", rule="slow")], [EXTREME]) if n == 5 else ([], [])
        (shown,) = alerts.hear([scored(begin + n * MINUTE, of, score)])
        fires.append(any(each.ends_at_ns is None for each in shown.alerts))
    assert [n for n, is_so in enumerate(fires, 1) if is_so] == list(range(5, 20))


def test_refractory_time_is_no_shorter_than_alerts_are_kept() -> None:
    with pytest.raises(ConfigError, match=r"refractory.* 5m.*at least as long as alerts are kept, 10m"):
        AlertPolicy(refractory_ns=5 * MINUTE)


def test_a_budget_is_positive() -> None:
    with pytest.raises(ConfigError, match="per_day"):
        AlertPolicy(alerts_per_day=0)


# State


def words(n_steps: int, n_keys: int = 3, seed: int = 4) -> list[list[object]]:
    """What all keys say by the minute, key 0 one step ahead; two days in a few steps: a day is 8 steps here."""
    rng = np.random.default_rng(seed)
    found: list[list[object]] = [[] for _ in range(n_steps + 1)]
    for key in range(n_keys):
        of = [series(f"op {i}", signal, f"service {key}") for i in range(3) for signal in ("p95", "rate")]
        for n in range(n_steps):
            score = np.minimum(-np.log10(rng.uniform(size=len(of))) / 4, 1.0)
            score[rng.uniform(size=len(of)) < 0.1] = np.nan
            found[n + (key > 0)].append(scored(BEGIN_NS + n * 180 * MINUTE, of, score, key=key, n_keys=n_keys))
    return found


def test_alerts_go_on_from_their_snapshot_as_if_nothing_had_happened() -> None:
    rules = [AlertRule("all", 180 * MINUTE, AlertPolicy(refractory_ns=600 * MINUTE))]
    alerts, through = words(60), AnomalyAlerts(rules)
    stored, whole = [], []
    for batch in alerts:
        stored.append(through.snapshot())
        whole.append(through.hear(batch))
    assert sum(len(each.alerts) for shown in whole for each in shown) > 20
    for at in range(len(alerts)):
        resumed = AnomalyAlerts.restore(rules, stored[at])
        assert resumed.snapshot() == stored[at]
        assert [resumed.hear(batch) for batch in alerts[at:]] == whole[at:]


def test_the_order_in_which_keys_are_heard_changes_nothing() -> None:
    rules = [AlertRule("all", 180 * MINUTE)]
    one, other = AnomalyAlerts(rules), AnomalyAlerts(rules)
    for batch in words(40):
        assert one.hear(batch) == other.hear(batch[::-1])


def test_the_alerts_of_a_rule_that_is_gone_end() -> None:
    feed = Feed()
    feed.run([EXTREME])
    resumed = AnomalyAlerts.restore([AlertRule("other", MINUTE)], feed.alerts.snapshot())
    (alert,) = resumed.alerts()
    assert alert.ends_at_ns == feed.now_ns
    for n in range(1, 40):
        (shown,) = resumed.hear([scored(feed.now_ns + n * MINUTE, [], [])])
    assert shown.alerts == []
