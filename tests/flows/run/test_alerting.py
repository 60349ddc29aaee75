"""Alerts of several judges become one state of all alerts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from exporters.alerts import Alert, alert
from flows.config import Config
from flows.run.alerting import Alerting
from flows.run.link import ALERTS, encode_alerts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE, ANOMALY = (alert({"alertname": name, "service": "shop"}, starts_at_ns=1) for name in ("SLOBurnRate", "Anomaly"))


@pytest.fixture
def alerting(tmp_path: Path) -> Iterator[Alerting]:
    found = Alerting(Config(external_labels={"env": "test"}), tmp_path / "alerts.jsonl")
    found.start()
    yield found
    found.stop()


def take(alerting: Alerting, judge: str, *alerts: Alert, is_open: bool = True) -> None:
    message = encode_alerts(judge, alerts)
    assert message[:1] == ALERTS
    alerting.take(message[1:], is_open=is_open)


def test_what_one_judge_says_leaves_the_alerts_of_the_other_as_they_are(alerting: Alerting, tmp_path: Path) -> None:
    take(alerting, "slos", PAGE)
    take(alerting, "anomalies", ANOMALY)
    take(alerting, "slos", PAGE.resolved(2))
    take(alerting, "anomalies", ANOMALY)
    lines = [json.loads(line) for line in (tmp_path / "alerts.jsonl").read_text().splitlines()]
    assert [(each["labels"]["alertname"], each["status"]) for each in lines] == [
        ("SLOBurnRate", "firing"),
        ("Anomaly", "firing"),
        ("SLOBurnRate", "resolved"),
    ]
    assert {each["labels"]["env"] for each in lines} == {"test"}
    assert [each.labels["alertname"] for each in alerting.alerts()] == ["SLOBurnRate", "Anomaly"]


def test_what_is_said_while_the_gate_is_shut_is_news_when_it_opens(alerting: Alerting) -> None:
    take(alerting, "anomalies", ANOMALY, is_open=False)
    assert alerting.alerts() == []
    alerting.look([], is_open=True)
    assert [each.labels["alertname"] for each in alerting.alerts()] == ["Anomaly"]


def test_how_objectives_stand_is_apart_from_alerts(alerting: Alerting) -> None:
    alerting.take_slos(b"[1]")
    take(alerting, "anomalies", ANOMALY)
    assert alerting.slos_json() == b"[1]"
