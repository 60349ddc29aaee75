"""A live run whose detectors are primed: they say at once how strange a minute is, and after a restart too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.gauge import Gauge, series
from tests.end_to_end.test_anomaly_alerts import PAST, RULE, Shop
from tests.flows.anomalies.feed import MINUTE_NS
from tests.flows.anomalies.test_past import table
from tests.flows.anomalies.test_score import ordinary

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.kafka import Broker

SHOP = {"service_name": "shop", "span_name": "GET /", "span_kind": "SPAN_KIND_SERVER", "signal": "p95"}
SCORE = series("streamgauge_anomaly_score", **SHOP)


@pytest.mark.slow
@pytest.mark.parametrize("primed", [True, False])
def test_a_primed_run_has_scores_at_once(primed: bool, broker: Broker, tmp_path: Path) -> None:
    topic = broker.create_topic(f"primed-{primed}", 2)
    shop = Shop(broker, topic)
    path = table(tmp_path / "past.csv.gz", ordinary(1, PAST, ("shop GET /",)), shop.now_ns // MINUTE_NS - PAST)
    arguments = ["--prime", str(path)] if primed else []
    shop.minutes(5)
    settings = {"anomalies": [RULE]}
    with Gauge(tmp_path / "gauge", broker.bootstrap, [topic], settings=settings, arguments=arguments) as gauge:
        gauge.wait_ready()
        value = series("streamgauge_anomaly_value", **SHOP)
        page = gauge.wait_for_page(lambda page: value in page, "it is judged")
        assert (SCORE in page) == primed
        assert gauge.stop() == 0
        gauge.start().wait_ready()
        shop.minutes(5)
        page = gauge.wait_for_page(lambda page: value in page, "it is judged after a restart")
        assert (SCORE in page) == primed
        assert gauge.stop() == 0
