"""`streamgauge backtest` by the command as a person runs it, on a recording whose truth is known."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def streamgauge(*arguments: object, expected: int = 0) -> tuple[str, str]:
    """Standard output and error."""
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == expected, done.stderr[-2000:]
    return done.stdout, done.stderr


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.fixture(scope="module")
def recording(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's, shorter."""
    path = tmp_path_factory.mktemp("backtest") / "traces.pb.zst"
    streamgauge("generate", repository / "datasets" / "demo.yaml", path, "--duration", "10m")
    return path


@pytest.fixture(scope="module")
def found(repository: Path, recording: Path) -> tuple[dict[str, Any], str, list[dict[str, Any]]]:
    """What the command wrote and said, and what a replay raised."""
    slos, seed = repository / "deploy" / "slos" / "*.yaml", repository / "datasets" / "demo.seed.json"
    out, alerts = recording.parent / "backtest.json", recording.parent / "alerts.jsonl"
    judged = ["--slos", slos, "--seed", seed]
    labels = recording.parent / "labels.json"
    files = ["--out", out, "--plot", recording.parent / "backtest.svg"]
    said, _ = streamgauge("backtest", recording, "--labels", labels, *judged, "--split", "0.9", *files)
    streamgauge("replay", recording, *judged, "--alerts", alerts)
    return json.loads(out.read_text()), said, [json.loads(line) for line in alerts.read_text().splitlines()]


@pytest.mark.slow
def test_faults_are_seen_by_the_alerts_that_a_replay_raises(found: Any) -> None:
    told, _, alerts = found
    starts = {seconds(each["startsAt"]) for each in alerts}
    assert len(told["faults"]) == 2
    for fault in told["faults"]:
        at = seconds(fault["at"])
        assert fault["seen"]["after_seconds"] == min(start for start in starts if start >= at) - at
    rules = {(rule["severity"], rule["of"].split()[0]): rule for rule in told["parts"][0]["rules"]}
    for each in alerts:
        rule = rules[each["labels"]["severity"], each["labels"]["slo"]]
        assert rule["seen"] == rule["faults"] == 2
        assert rule["false_episodes"] == 0


@pytest.mark.slow
def test_figures_have_their_ground_beside_them_and_the_held_out_part_is_apart(found: Any) -> None:
    told, said, _ = found
    first, held_out = told["parts"]
    assert first["rules"][0]["ordinary_seconds"] == pytest.approx(300, abs=5)
    assert (held_out["rules"][0]["faults"], held_out["rules"][0]["recall"]) == (0, None)
    assert "2 labelled faults" in said
    assert "First 90 %" in said
    assert "Held out" in said
    assert max(len(line) for line in said.splitlines()) <= 100


@pytest.mark.slow
def test_the_picture_is_where_it_was_asked_for(recording: Path, found: Any) -> None:
    assert found
    assert ET.parse(recording.parent / "backtest.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.slow
def test_a_picture_of_no_kind_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    _, said = streamgauge(
        "backtest", __file__, "--labels", tmp_path / "none.json", "--plot", tmp_path / "x.doc", expected=2
    )
    assert "a picture ends in .png, .svg, .pdf. Name it so." in said


@pytest.mark.slow
def test_without_rules_there_is_nothing_to_judge(recording: Path) -> None:
    _, said = streamgauge("backtest", recording, "--labels", recording.parent / "labels.json", expected=2)
    no_rules = "there are no rules; a backtest is of what raises alerts"
    assert said == f"streamgauge: {no_rules}. Name SLOs with --slos, or say --anomalies.\n"
