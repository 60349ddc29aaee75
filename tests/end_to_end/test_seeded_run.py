"""A live run with a seed: new promises begin with a history, and a restart does not give it to them again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.slo import load
from flows.slo.counting import Column
from flows.slo.seed import History, Seed, save
from tests.chaos.gauge import Gauge, eventually
from tests.end_to_end.test_slo_alerts import SLO, Shop

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.kafka import Broker

MINUTE_NS, HOURS, PER_MINUTE = 60 * 10**9, 40, 100


def an_ordinary_history(path: Path, slo: Path) -> int:
    """Write a seed of so many hours without a failure; how many events it has."""
    (promise,) = load([slo]).promises
    ages = np.arange(HOURS * 60, 0, -1) * MINUTE_NS
    counts = np.tile(np.array([PER_MINUTE << 20, 0, PER_MINUTE, 0]), (len(ages), 1))
    history = History(int(ages[0]), ages, np.full(len(ages), MINUTE_NS), counts)
    save(path, Seed({Column(promise.state_key, ""): history}, {promise.state_key: promise.name}), 0, int(ages[0]))
    return int(counts[:, 2].sum())


@pytest.mark.slow
def test_a_run_with_a_seed_is_armed_at_once_and_a_restart_adds_nothing(broker: Broker, tmp_path: Path) -> None:
    topic = broker.create_topic("seeded", 2)
    slo, seed = tmp_path / "slo.yaml", tmp_path / "seed.json"
    slo.write_text(SLO)
    before = an_ordinary_history(seed, slo)
    Shop(broker, topic).past(120)
    settings = {"slos": [str(slo)], "kafka": {"idle": "1s"}}
    gauge = Gauge(tmp_path / "gauge", broker.bootstrap, [topic], settings=settings, arguments=["--seed", str(seed)])

    def events() -> int:
        shown = gauge.get("/slos").json()
        return int(shown[0]["windows"]["30d"]["events"]) if shown else 0

    with gauge:
        gauge.wait_ready()
        eventually(lambda: events() > before, "the history and what came since")
        (shown,) = gauge.get("/slos").json()
        assert shown["armed"]
        assert before < events() <= before + 2 * 2 * 120
        assert gauge.stop() == 0  # with its state stored
        gauge.start().wait_ready()
        eventually(lambda: events() > before, "the same after a restart")
        assert events() <= before + 2 * 2 * 120
        assert gauge.stop() == 0
