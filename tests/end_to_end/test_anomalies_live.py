"""Scores of a live run on a real Kafka are those of a replay, to the last bit, after kills too."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from flows.config import Config
from flows.config.anomalies import with_anomalies
from flows.recording.writer import RecordingWriter
from flows.replay.command import replay
from flows.watermark import TimeRules
from tests.chaos.gauge import Gauge, Page, read_page, series
from tests.end_to_end.happening import STOPS, happening

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flows.generate.generator import GeneratedRecord
    from tests.servers.kafka import Broker

pytestmark = pytest.mark.slow

MINUTE_NS = 60 * 10**9
NAMES = ("streamgauge_anomaly_score", "streamgauge_anomaly_value", "streamgauge_expected")
STORED_SECONDS = 1.5
"""Three epochs: what is shown then comes from the state, for nothing of it is read again."""
AFTER_NS = 12 * 10**9
"""So long after a minute is over its spans have been sent, and others that close it."""
N_SERIES, SILENT = 9, 2
"""Three operations; what has stopped has no latency and no ratio."""


def replayed(records: Sequence[GeneratedRecord], folder: Path) -> list[str]:
    """What a replay writes of scores: a line for each series and minute, which ends in its time."""
    with RecordingWriter(folder / "traces.proto", "proto") as writer:
        for record in records:
            writer.write(record.request)
    replay([str(folder / "traces.proto")], config=with_anomalies(Config()), openmetrics=folder / "x.om")
    return [line for line in (folder / "x.om").read_text().splitlines() if line.startswith(NAMES)]


def scores(page: Page) -> Page:
    """Scores, values and bands."""
    return {key: value for key, value in page.items() if key.name in NAMES}


class Live:
    """A topic that is fed with the first records, and then more; a run that reads it; what it is to show."""

    def __init__(self, broker: Broker, records: Sequence[GeneratedRecord], lines: Sequence[str]) -> None:
        self.topic = broker.create_topic("anomaly-scores", 1)
        self._broker, self._records, self._lines = broker, records, lines
        self._sent = 0

    def send(self, upto_ns: int) -> Page:
        """Produce what was sent before then; what the page is to show when all of it was read."""
        before, self._sent = self._sent, sum(each.time_ns < upto_ns for each in self._records)
        now = self._records[before : self._sent]
        stamps = [each.time_ns // 10**6 for each in now]
        self._broker.produce(self.topic, 0, [each.request for each in now], stamps, compression="lz4")
        return self._expected(max(each.truth.end_ns.max() for each in self._records[: self._sent]))

    def _expected(self, frontier_ns: int) -> Page:
        """What the replay wrote at the last minute that is closed."""
        closed_ns = int(frontier_ns) - TimeRules().lateness_ns
        end = closed_ns // MINUTE_NS * 60
        lines = [line for line in self._lines if line.endswith(f" {end}")]
        assert lines
        return read_page("\n".join(line.rpartition(" ")[0] for line in lines) + "\n")


def test_scores_of_a_run_that_is_killed_are_those_of_a_replay(broker: Broker, tmp_path: Path) -> None:
    records = list(happening(2.0, STOPS, late=0.0))  # who is late depends on how records are dealt to partitions
    live = Live(broker, records, replayed(records, tmp_path))
    begin_ns = records[0].time_ns
    settings = {"anomalies": [{"name": "default"}]}
    with Gauge(tmp_path / "gauge", broker.bootstrap, [live.topic], settings=settings) as gauge:

        def shows(expected: Page, restarts: int) -> None:
            def check(page: Page) -> bool:
                restarted = page.get(series("streamgauge_worker_restarts_total"), 0)
                return restarted == restarts and scores(page) == expected

            gauge.wait_for_page(check, f"{expected} is shown")

        some = 0
        for kills, (minute, n_scored) in enumerate(((182, N_SERIES), (210, N_SERIES - SILENT), (237, N_SERIES))):
            expected = live.send(begin_ns + minute * MINUTE_NS + AFTER_NS)
            found = [value for key, value in expected.items() if key.name == "streamgauge_anomaly_score"]
            assert len(found) == n_scored
            some += sum(value > 0 for value in found)
            shows(expected, kills)
            time.sleep(STORED_SECONDS)
            gauge.kill_workers()
            shows(expected, kills + 1)
        assert some > 0
