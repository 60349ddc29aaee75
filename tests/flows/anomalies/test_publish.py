"""Scores on the page and in tables, under their names and with the operation's labels."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from exporters.alerts import Alert
from exporters.prometheus import Registry
from flows.anomalies.alerting import AnomalyAlerts
from flows.anomalies.fleet import by_arithmetic
from flows.anomalies.policy import AlertPolicy, AlertRule
from flows.anomalies.scored import Scored, ScoredSeries
from flows.anomalies.table import score_rows
from flows.config.load import parse
from flows.rules import Rules
from flows.run.link import ALERTS, PAGE, PageReader
from flows.run.page import Page
from flows.series import OperationLabels
from tests.flows.anomalies.feed import MINUTE_NS
from tests.flows.anomalies.said import BEGIN_NS, MINUTE
from tests.flows.anomalies.said import scored as said
from tests.flows.anomalies.said import series as named

GET, BUY = OperationLabels("web", "get", 2, ("eu",)), OperationLabels("shop", "buy", 2, ("",))


def scored(series: list[ScoredSeries], score: list[float], minute: int = 1) -> Scored:
    """A step whose columns follow from its scores."""
    found = np.array(score)
    columns = (10 * found, found, found, found - 1, found + 1, found, found)
    why, excluded = np.isnan(found).astype(np.int8), np.zeros(len(found), np.bool_)
    rules = list(dict.fromkeys(each.rule for each in series)) or ["a"]
    return Scored(3, 16, minute * MINUTE_NS, False, rules, series, *columns, why, excluded)


@pytest.fixture
def page() -> Page:
    config = parse("{dimensions: [region], anomalies: [{name: a}]}")
    return Page(config, Rules.of(config))


def shown(page: Page, registry: Registry, reader: PageReader) -> set[str]:
    """What the page has of anomalies after the mail."""
    for message in page.mail():
        assert message[:1] == PAGE
        owner, blocks = reader.decode(message[1:])
        registry.replace(owner, blocks)
    text = registry.render("text/plain")[1].decode()
    return {line for line in text.splitlines() if line.startswith(("streamgauge_anomaly", "streamgauge_expected"))}


def test_the_page_keeps_the_newest_step_of_each_rule_however_long_it_is(page: Page) -> None:
    registry, reader = Registry(), PageReader()
    minutely, seldom = ScoredSeries("a", GET, "rate"), ScoredSeries("b", BUY, "p95")
    page.anomalies([("anomalies/3", scored([minutely, seldom], [0.5, 0.25], 5))])
    both = shown(page, registry, reader)
    page.anomalies([("anomalies/3", scored([minutely], [0.5], 6))])
    assert len(both) == 8
    assert shown(page, registry, reader) == both


def test_the_page_has_score_value_and_band_of_the_newest_step(page: Page) -> None:
    registry, reader = Registry(), PageReader()
    series = [ScoredSeries("a", GET, "rate"), ScoredSeries("a", BUY, "p95")]
    page.anomalies([("anomalies/3", scored(series, [0.5, 0.5])), ("anomalies/3", scored(series, [0.25, math.nan], 2))])
    labels = 'service_name="web",span_name="get",span_kind="SPAN_KIND_SERVER",region="eu",signal="rate"'
    lines = shown(page, registry, reader)
    assert {line.partition("{")[0] + " " + line.rpartition(" ")[2] for line in lines} == {
        "streamgauge_anomaly_score 0.25",
        "streamgauge_anomaly_value 2.5",
        "streamgauge_expected -0.75",
        "streamgauge_expected 1.25",
    }
    assert all(set(labels.split(",")) <= set(line.partition("{")[2].partition("}")[0].split(",")) for line in lines)
    assert {'bound="lower"' in line for line in lines if line.startswith("streamgauge_expected")} == {True, False}
    page.anomalies([("anomalies/3", scored([], [], 3))])
    assert shown(page, registry, reader) == set()


def raised(page: Page, reader: PageReader) -> tuple[set[str], list[Alert]]:
    """Counts of alerts and thresholds on the page after the mail, and the alerts that are handed over."""
    registry, handed = Registry(), []
    for message in page.mail():
        if message[:1] == ALERTS:
            judge, alerts = msgspec.msgpack.decode(message[1:], type=tuple[str, list[Alert]])
            assert judge == "anomalies"
            handed += alerts
        else:
            registry.replace(*reader.decode(message[1:]))
    lines = registry.render("text/plain")[1].decode().splitlines()
    return {
        line for line in lines if line.startswith(("streamgauge_alerts{", "streamgauge_anomaly_threshold{"))
    }, handed


def fires(policy: AlertPolicy) -> AnomalyAlerts:
    """Two steps of one series, which is strange in the second."""
    alerts = AnomalyAlerts([AlertRule("all", MINUTE, policy)])
    alerts.hear([said(BEGIN_NS, [named("GET /")], [0.1]), said(BEGIN_NS + MINUTE, [named("GET /")], [0.9])])
    return alerts


def counted(firing: int, pending: int) -> set[str]:
    """The lines of a page."""
    of = 'alertname="Anomaly",severity="warning"'
    states = {"firing": firing, "pending": pending}
    return {f'streamgauge_alerts{{{of},state="{state}"}} {count}' for state, count in states.items()}


@pytest.mark.parametrize(("for_ns", "firing", "pending"), [(0, 1, 0), (5 * MINUTE, 0, 1)])
def test_the_page_counts_alerts_and_hands_them_over_also_after_a_restart(
    page: Page, for_ns: int, firing: int, pending: int
) -> None:
    alerts, reader = fires(AlertPolicy(for_ns=for_ns)), PageReader()
    page.anomaly_alerts([("anomalies", alerts.shown(is_last=False)), ("anomalies", alerts.shown())])
    lines, handed = raised(page, reader)
    guess = by_arithmetic(5, 1, 1440)
    assert lines == {*counted(firing, pending), f'streamgauge_anomaly_threshold{{anomaly="all"}} {guess}'}
    assert [dict(each.labels) for each in handed] == firing * [
        {"alertname": "Anomaly", "severity": "warning", "service": "shop", "signal": "p95"}
    ]
    page.alerts_restored(AnomalyAlerts.restore(list(alerts.rules.values()), alerts.snapshot()))
    assert raised(page, reader) == (lines, handed)
    page.alerts_restored(AnomalyAlerts([]))
    assert page.mail() == []


def test_rows_of_a_table_have_a_place_for_every_signal() -> None:
    series = [ScoredSeries("a", GET, "rate"), ScoredSeries("b", BUY, "p95"), ScoredSeries("a", GET, "error_ratio")]
    rows = score_rows(scored(series, [1.0, 2.0, 3.0]), ("p95", "rate", "error_ratio"), {"a": 12, "b": 60})
    assert [(window, operations) for window, operations, _ in rows] == [(12, [GET]), (60, [BUY])]
    np.testing.assert_array_equal(rows[0].scores[0], [[np.nan] * 3, [1, 0, 2], [3, 2, 4]])
    np.testing.assert_array_equal(rows[1].scores[0], [[2, 1, 3], [np.nan] * 3, [np.nan] * 3])
    assert score_rows(scored([], []), ("rate",), {}) == []
