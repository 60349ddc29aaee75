"""A release goes on from the state of those before it, which `tests/fixtures/make_state.py` made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.chaos.gauge import Gauge
from tests.chaos.stream import settle
from tests.fixtures.make_state import SHARE, STREAM, TOPIC, produce, unpack

if TYPE_CHECKING:
    from tests.servers.kafka import Broker

pytestmark = pytest.mark.slow

STATES = sorted((Path(__file__).parent.parent / "fixtures").glob("state-*/state.tar.zst"))


def test_there_is_a_state_of_every_release() -> None:
    assert [path.parent.name for path in STATES][:1] == ["state-0.1"]


@pytest.mark.parametrize("path", STATES, ids=lambda path: path.parent.name)
def test_a_run_goes_on_from_the_state_of_a_release(broker: Broker, tmp_path: Path, path: Path) -> None:
    unpack(path, tmp_path)
    if TOPIC in broker.admin.list_topics(timeout=5.0).topics:
        broker.delete_topic(TOPIC)
    # Another cluster's topic of the same name: it is read from its beginning, and counters, frontiers, windows go on.
    broker.create_topic(TOPIC, len(STREAM.partitions))
    produce(broker, SHARE, 1.0)
    # Less idle time than the state is old: what was read on after a long sleep is not taken for late.
    with Gauge(tmp_path, broker.bootstrap, [TOPIC], settings={"kafka": {"idle": "10m"}}) as gauge:
        assert settle(gauge, STREAM, TOPIC) == []
        assert gauge.stop() == 0
