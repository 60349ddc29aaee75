"""Anomalies from a recording to files: a stop is seen, whatever is shown, and by however many workers."""

from __future__ import annotations

import csv
import json
import re
from typing import TYPE_CHECKING

import pytest

from flows.backtest.command import Asked, backtest
from flows.backtest.stretch import Terms
from flows.config import Config
from flows.config.anomalies import with_anomalies
from flows.config.load import parse
from flows.errors import UsageError
from flows.recording.writer import RecordingWriter
from flows.replay.command import replay
from flows.units import DURATION_UNITS, parse_time
from tests.end_to_end.happening import STARVED, STOPS, happening

if TYPE_CHECKING:
    from pathlib import Path

MINUTE_NS = DURATION_UNITS["m"]


def recorded(path: Path, rate: float, incident: dict[str, object]) -> Path:
    """Four hours of two services, in the last of which something happens."""
    with RecordingWriter(path, "proto") as writer:
        for record in happening(rate, incident):
            writer.write(record.request)
    return path


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One operation stops in the last hour."""
    return recorded(tmp_path_factory.mktemp("recording") / "traces.proto", 1.0, STOPS)


@pytest.fixture(scope="module")
def starved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One service has too little of a processor in the last hour."""
    return recorded(tmp_path_factory.mktemp("starved") / "traces.proto", 4.0, STARVED)


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


def test_who_is_alerted_is_in_the_files_and_the_report_of_a_replay(
    starved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "alerts.jsonl"
    _, text = replayed(starved, tmp_path / "all", alerts=path)
    began, ended = map(json.loads, path.read_text().splitlines())
    assert began["labels"] == {"alertname": "Anomaly", "severity": "warning", "service": "shop", "signal": "p95"}
    assert (began["startsAt"], began["status"], began["endsAt"]) == ("2026-03-02T12:21:00Z", "firing", None)
    assert (ended["startsAt"], ended["status"]) == (began["startsAt"], "resolved")
    assert re.match(r"shop: p95 of POST /buy is \d+ ms, expected \d+\.\d ms$", began["annotations"]["summary"])
    counted = re.findall(r'streamgauge_alerts\{alertname="Anomaly",.*state="firing"\} (\d)', text)
    lasted = (parse_time(ended["endsAt"]) - parse_time(began["startsAt"])) // MINUTE_NS
    assert counted.count("1") == lasted
    assert re.search(r'streamgauge_anomaly_threshold\{anomaly="default"\} 0\.\d+', text)
    report = capsys.readouterr().out
    assert "Alerts, as they would have been raised" in report
    assert report.count("Anomaly") == 1


def test_a_backtest_is_of_anomalies_too(starved: Path, tmp_path: Path) -> None:
    labels, out = tmp_path / "labels.json", tmp_path / "backtest.json"
    labels.write_text('[{"at": "2026-03-02T12:20:00Z", "kind": "cpu_starved", "service": "shop"}]')
    asked = Asked(labels, 10 * MINUTE_NS, Terms(0, 0, 1.0), out)
    backtest([str(starved)], asked, config=with_anomalies(Config()))
    told = json.loads(out.read_text())
    rule, *others = told["parts"][0]["rules"]
    assert (rule["alertname"], rule["severity"], rule["of"]) == ("Anomaly", "warning", "p95")
    assert {each["alertname"] for each in others} == {"AnomalyScore"}
    assert (rule["seen"], rule["false_episodes"]) == (1, 0)
    assert told["faults"][0]["seen"]["after_seconds"] == 60
    with pytest.raises(UsageError, match="there are no rules"):
        backtest([str(starved)], asked, config=parse("anomalies: [{name: a, alerts: {enabled: false}}]"))


@pytest.mark.slow
def test_a_backtest_suggests_scores_by_which_the_fault_is_seen_and_nothing_else(starved: Path, tmp_path: Path) -> None:
    """By one worker and by two, as all that it says."""
    labels = tmp_path / "labels.json"
    labels.write_text('[{"at": "2026-03-02T12:20:00Z", "kind": "cpu_starved", "service": "shop"}]')
    terms = Terms(150 * MINUTE_NS, 5 * MINUTE_NS, 0.9)
    told = []
    for workers in (1, 2):
        asked = Asked(labels, 10 * MINUTE_NS, terms, tmp_path / "backtest.json", budget=30)
        backtest([str(starved)], asked, config=with_anomalies(Config()), workers=workers)
        told.append(json.loads((tmp_path / "backtest.json").read_text()))
    assert told[0] == told[1]
    ordinary_minutes = 0.9 * 240 - 150 - 15
    suggested = {each["signal"]: each for each in told[0]["thresholds"]}
    assert list(suggested) == ["p95", "rate", "error_ratio"]
    for each in suggested.values():
        assert each["allowed"] == pytest.approx(30 / 3 * ordinary_minutes / 1440, rel=0.02)
    rules = {(rule["alertname"], rule["of"]): rule for rule in told[0]["parts"][0]["rules"]}
    seen = rules["AnomalyScore", "default p95"]
    assert seen["threshold"] == suggested["p95"]["score"]
    assert (seen["seen"], seen["seen_by_its_service"]) == (1, 1)
    assert all(rule["false_episodes"] == 0 for rule in rules.values())


def test_what_is_shown_at_every_tenth_minute_is_what_every_minute_has(recording: Path, tmp_path: Path) -> None:
    rows, _ = replayed(recording, tmp_path / "all")
    tenth, _ = replayed(recording, tmp_path / "tenth", step_ns=10 * MINUTE_NS)
    assert tenth == [row for row in rows if row["timestamp"].endswith("0:00Z")]
    assert any(row["rate_score"] for row in tenth)


@pytest.mark.slow
def test_two_workers_write_what_one_does(recording: Path, tmp_path: Path) -> None:
    assert replayed(recording, tmp_path / "two", workers=2) == replayed(recording, tmp_path / "one")
