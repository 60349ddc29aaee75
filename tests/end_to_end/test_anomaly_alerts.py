"""Anomalies on a real Kafka, alerts at a real Alertmanager: told once, whatever dies, and then their end."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from flows.decode.batch import WEIGHT_ONE
from flows.series import SeriesLabels
from tests.chaos.gauge import Gauge, eventually, series
from tests.chaos.stream import encode
from tests.end_to_end.test_slo_alerts import notifying
from tests.exporters.receiver import Receiver
from tests.oracle import Record, Span

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.kafka import Broker

pytestmark = pytest.mark.slow

SECOND, MINUTE = 10**9, 60 * 10**9
PAST = 200
"""Minutes: detectors say nothing in the first 150."""
GET = SeriesLabels("shop", "GET /", 2, 0, ())
RULE = {"name": "all", "signals": ["p95"], "alerts": {"keep_firing_for": "0s", "refractory": "0s"}}

FIRING = series("streamgauge_alerts", alertname="Anomaly", severity="warning", state="firing")


class Shop:
    """Requests to one service, in event time: minutes pass as fast as they are asked for."""

    def __init__(self, broker: Broker, topic: str) -> None:
        self._broker, self._topic = broker, topic
        self._rng = np.random.default_rng(1)
        self.now_ns = (time.time_ns() // MINUTE - PAST - 30) * MINUTE

    def minutes(self, n: int, median_ns: float = 50e6) -> None:
        """So many minutes of 120 requests each."""
        for partition in range(2):
            records = [self._record(self.now_ns + i * 5 * SECOND, median_ns) for i in range(n * 12)]
            payloads, times = [encode(each) for each in records], [each.timestamp for each in records]
            self._broker.produce(self._topic, partition, payloads, times, compression="lz4")
        self.now_ns += n * MINUTE

    def _record(self, now: int, median_ns: float) -> Record:
        durations = (median_ns * self._rng.lognormal(0.0, 0.3, 5)).astype(int).tolist()
        return Record(now // 1_000_000, tuple(Span(now, each, GET, WEIGHT_ONE) for each in durations))


def notified(receiver: Receiver) -> list[tuple[str, datetime]]:
    """Status and start of what a webhook was told of anomalies."""
    return [
        (each["status"], datetime.fromisoformat(each["startsAt"]))
        for posted in receiver.jsons
        for each in posted["alerts"]
        if each["labels"]["alertname"] == "Anomaly"
    ]


def test_an_anomaly_is_told_once_whatever_dies_and_then_its_end(
    broker: Broker, alertmanager_binary: Path, tmp_path: Path
) -> None:
    topic = broker.create_topic("anomaly-alerts", 2)
    shop = Shop(broker, topic)
    shop.minutes(PAST)
    with Receiver() as receiver, notifying(tmp_path / "one", receiver) as one:
        settings: dict[str, Any] = {
            "anomalies": [RULE],
            "alertmanagers": [{"url": one.url, "resend": "15s"}],
            "external_labels": {"env": "test"},
        }
        with Gauge(tmp_path / "gauge", broker.bootstrap, [topic], settings=settings) as gauge:
            gauge.wait_ready()
            shop.minutes(3, median_ns=500e6)
            eventually(lambda: bool(notified(receiver)), lambda: gauge.log[-2000:])
            (told,) = [each for each in one.alerts() if each["labels"]["alertname"] == "Anomaly"]
            assert told["labels"] == {
                "alertname": "Anomaly",
                "severity": "warning",
                "service": "shop",
                "signal": "p95",
                "env": "test",
            }
            assert told["annotations"]["summary"].startswith("shop: p95 of GET / is ")
            assert [each["labels"] for each in gauge.status()["alerts"]].count(told["labels"]) == 1
            gauge.wait_for_page(lambda page: page.get(FIRING) == 1, "it is counted")
            gauge.kill()
            gauge.start().wait_ready()
            gauge.wait_for_page(lambda page: page.get(FIRING) == 1, "it is still known")
            shop.minutes(3)
            eventually(lambda: len(notified(receiver)) > 1, lambda: gauge.log[-2000:])
            started = datetime.fromisoformat(told["startsAt"])
            assert notified(receiver) == [("firing", started), ("resolved", started)]
            assert gauge.stop() == 0
