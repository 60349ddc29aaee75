"""The section `anomalies`: good defaults, and refusals that say what the windows do not have."""

from __future__ import annotations

import pytest

from flows.anomalies.policy import AlertPolicy, AlertRule
from flows.config.anomalies import anomaly_rules, with_anomalies
from flows.config.load import parse
from flows.config.model import Config
from flows.config.reference import as_yaml
from flows.errors import ConfigError, ConfigErrors
from flows.rules import Rules
from flows.series import OperationLabels

MINUTE_NS = 60 * 10**9
NAMED = "anomalies: [{name: all}]"


def test_nothing_is_scored_by_default_and_judges_get_no_window() -> None:
    rules = Rules.of(Config())
    assert rules.anomalies is None
    assert rules.windows.judged == ()


def test_a_rule_needs_a_name_alone_and_scores_what_is_served() -> None:
    rules = Rules.of(parse(NAMED))
    assert rules.anomalies is not None
    assert rules.windows.judged == (12,)
    assert rules.anomalies.rules[0].signals == ("p95", "rate", "error_ratio")
    kinds = [rules.anomalies.rule_of(OperationLabels("web", "get", kind, ())) for kind in range(6)]
    assert kinds == [0, -1, 0, -1, -1, 0]  # unspecified, server, consumer


def test_scores_become_alerts_unless_a_rule_says_no() -> None:
    texts = ["{name: a, alerts: {per_day: 0.5, for: 3m, keep_firing_for: 1m, refractory: 1m, calls: 50}}"]
    texts += ["{name: b, step: 5m}", "{name: c, alerts: {enabled: false}}"]
    rules = anomaly_rules(parse(f"anomalies: [{', '.join(texts)}]"))
    assert rules is not None
    assert rules.alerts == (
        AlertRule("a", MINUTE_NS, AlertPolicy(0.5, 3 * MINUTE_NS, MINUTE_NS, MINUTE_NS, 50)),
        AlertRule("b", 5 * MINUTE_NS, AlertPolicy()),
    )


def test_a_selector_is_over_labels_and_dimensions_and_may_speak_of_kinds() -> None:
    text = "{dimensions: [region], anomalies: [{name: a, match: {region: [eu], span_kind: client}}, {name: b}]}"
    rules = anomaly_rules(parse(text))
    assert rules is not None
    asked = [("eu", 3), ("us", 3), ("us", 2), ("eu", 2)]
    assert [rules.rule_of(OperationLabels("web", "get", kind, (region,))) for region, kind in asked] == [0, -1, 1, 1]


def test_signals_have_one_order_however_they_are_written() -> None:
    rules = anomaly_rules(parse("anomalies: [{name: a, signals: [error_ratio, rate, p50]}]"))
    assert rules is not None
    assert rules.rules[0].signals == ("p50", "rate", "error_ratio")


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("anomalies: [{name: a}, {name: a}]", r"anomalies\[1\]\.name is a; that rule stands there before"),
        (
            "anomalies: [{name: a, step: 2m}]",
            r"anomalies\[0\]\.step is 2m; it must be one of `windows` .*: 1m, 5m, 1h\.",
        ),
        ("{windows: [30s, 5m], anomalies: [{name: a, step: 30s}]}", r"anomalies\[0\]\.step is 30s.*: 5m\. Add it"),
        ("{quantiles: [0.5], anomalies: [{name: a}]}", r"anomalies\[0\]\.signals is p95; the quantile 0\.95 is not"),
        ("anomalies: [{name: a, match: {servce_name: web}}]", r"match\.servce_name.*Did you mean service_name"),
        ("anomalies: [{name: a, match: {status_code: error}}]", r"anomalies\[0\]\.match\.status_code.*error_ratio"),
        ("anomalies: [{name: a, match: {service_name: {regex: '('}}}]", r"match\.service_name.*no regular expression"),
        ("anomalies: [{name: a, zone: Mars/Base}]", r"anomalies\[0\]\.zone is 'Mars/Base'; it is no time zone"),
        ("anomalies: [{name: a, accept: 1h}]", r"anomalies\[0\]\.accept is 1h; it must be at least 2h"),
        ("anomalies: [{name: a, series: 2}]", r"anomalies\[0\]\.series is 2; one operation has 3 signals"),
        ("anomalies: [{name: a, remembered: 100}]", r"anomalies\[0\]\.remembered is 100.*2000"),
        ("anomalies: [{name: a, signals: [rate, rate]}]", r"anomalies\[0\]\.signals is rate, rate"),
        ("anomalies: [{name: a, alerts: {per_day: 0}}]", r"anomalies\[0\]\.alerts\.per_day is 0; .*positive"),
        (
            "anomalies: [{name: a, alerts: {refractory: 5m}}]",
            r"anomalies\[0\]\.alerts\.refractory is 5m; it must be at least as long as alerts are kept, 10m",
        ),
        ("anomalies: [{name: a, signals: [p99]}]", r"anomalies\[0\]\.signals\[0\] is 'p99'; it must be"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(text: str, refused: str) -> None:
    with pytest.raises(ConfigErrors, match=refused):
        parse(text)


def test_what_is_shown_of_a_rule_reads_back() -> None:
    config = parse("anomalies: [{name: a, match: {service_name: [web, shop], span_name: {regex: 'GET .*'}}}]")
    assert parse(as_yaml(config)) == config


def test_the_default_rule_stands_in_only_where_there_is_none() -> None:
    assert [each.name for each in with_anomalies(Config()).anomalies] == ["default"]
    named = parse(NAMED)
    assert with_anomalies(named) is named
    with pytest.raises(ConfigError, match=r"anomalies\[0\]\.signals is p95"):
        Rules.of(with_anomalies(parse("quantiles: [0.5]")))
