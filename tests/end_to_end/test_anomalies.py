"""Anomalies from a recording to files: a stop is seen, whatever is shown, and by however many workers."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

import pytest

from flows.config import Config
from flows.config.anomalies import with_anomalies
from flows.generate.generator import generate
from flows.generate.scenario import Scenario
from flows.recording.writer import RecordingWriter
from flows.replay.command import replay
from flows.units import DURATION_UNITS

if TYPE_CHECKING:
    from pathlib import Path

MINUTE_NS = DURATION_UNITS["m"]
STOPS = {"kind": "traffic_drop", "at": "3h20m", "lasts": "30m", "service": "web", "operations": ["get"], "keep": 0.0}


def operation(path: str) -> dict[str, object]:
    return {"http": path, "own": {"median": "20ms", "spread": 0.4}}


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four hours of two services; one operation stops in the last."""
    services = {
        "web": {"operations": {"get": operation("GET /"), "put": operation("PUT /")}},
        "shop": {"operations": {"buy": operation("POST /buy")}},
    }
    scenario = Scenario.model_validate(
        {
            "name": "stops",
            "duration": "4h",
            "rate": 1.0,
            "export": {"every": "5s"},
            "services": services,
            "traffic": {"web.get": 4, "web.put": 3, "shop.buy": 3},
            "incidents": [STOPS],
        }
    )
    path = tmp_path_factory.mktemp("recording") / "traces.proto"
    with RecordingWriter(path, "proto") as writer:
        for record in generate(scenario, seed=1):
            writer.write(record.request)
    return path


def replayed(recording: Path, folder: Path, **options: object) -> tuple[list[dict[str, str]], str]:
    """The table and the OpenMetrics text of a replay."""
    folder.mkdir()
    config = with_anomalies(Config())
    replay([str(recording)], config=config, samples=folder / "x.csv", openmetrics=folder / "x.om", **options)
    with (folder / "x.csv").open(newline="") as file:
        return list(csv.DictReader(file)), (folder / "x.om").read_text()


def test_a_stop_is_seen_in_the_files_of_a_replay(recording: Path, tmp_path: Path) -> None:
    rows, text = replayed(recording, tmp_path / "all")
    minutes = [row for row in rows if row["window"] == "1m"]
    scores = {
        row["timestamp"][11:16]: float(row["rate_score"])
        for row in minutes
        if row["rate_score"] and row["span_name"] == "GET /"
    }
    before = [score for minute, score in scores.items() if minute <= "12:20"]
    assert max(score for minute, score in scores.items() if "12:21" <= minute <= "12:35") > max(before)
    stopped = next(row for row in minutes if row["timestamp"][11:16] == "12:30" and row["span_name"] == "GET /")
    assert (stopped["calls"], stopped["p95"], stopped["p95_score"]) == ("0", "", "")
    values = re.findall(r'streamgauge_anomaly_value\{.*span_name="GET /",.*signal="rate"\} (\S+) \S+', text)
    assert {float(value) for value in values} == {int(r["calls"]) / 60 for r in minutes if r["span_name"] == "GET /"}
    for bound in ("lower", "upper"):
        assert re.search(rf'streamgauge_expected\{{.*signal="p95",bound="{bound}"\}}', text)


def test_what_is_shown_at_every_tenth_minute_is_what_every_minute_has(recording: Path, tmp_path: Path) -> None:
    rows, _ = replayed(recording, tmp_path / "all")
    tenth, _ = replayed(recording, tmp_path / "tenth", step_ns=10 * MINUTE_NS)
    assert tenth == [row for row in rows if row["timestamp"].endswith("0:00Z")]
    assert any(row["rate_score"] for row in tenth)


@pytest.mark.slow
def test_two_workers_write_what_one_does(recording: Path, tmp_path: Path) -> None:
    assert replayed(recording, tmp_path / "two", workers=2) == replayed(recording, tmp_path / "one")
