"""`make demo`: its promises, its history and its incident, by the command as a person runs it."""

from __future__ import annotations

import csv
import gzip
import json
import re
import subprocess
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from detectors.burn_rate import seconds_to_fire
from flows.config.anomalies import SERVED
from flows.generate.scenario import Scenario
from flows.slo import load
from flows.slo.seed import load as load_seed

if TYPE_CHECKING:
    from pathlib import Path

HOUR_NS, DAY_NS = 3_600 * 10**9, 86_400 * 10**9
LATER_SECONDS = 60.0
"""What a page may take more than the arithmetic of its tier: to be sure (the guard), and for a pane to close."""


def streamgauge(*arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_every_promise_of_the_demo_has_a_history_that_arms_all_its_tiers(repository: Path) -> None:
    """It fails when a selector was edited: `make seed` makes the history anew."""
    path = repository / "datasets" / "demo.seed.json"
    seed, promises = load_seed(path), load([repository / "deploy" / "slos" / "*.yaml"]).promises
    assert seed.strangers(promises) == ""
    for promise in promises:
        lengths = [
            seed.histories[column].length_ns for column in seed.histories if column.state_key == promise.state_key
        ]
        longest = max(each.long_ns for each in promise.alert_tiers()[0])
        assert min(lengths, default=0) >= longest // 2, promise.name
    assert path.stat().st_size <= 200_000


def test_what_detectors_are_primed_with_is_small_and_has_all_that_is_served(repository: Path) -> None:
    """It fails when the platform has another operation: `make seed` makes it anew."""
    path = repository / "datasets" / "demo.prime.csv.gz"
    assert path.stat().st_size <= 200_000
    with gzip.open(path, "rt", newline="") as file:
        rows = [(row["service_name"], row["span_name"], row["span_kind"]) for row in csv.DictReader(file)]
    scenario = Scenario.load(repository / "datasets" / "demo.yaml")
    assert {kind for _, _, kind in rows} <= set(SERVED)
    assert {service for service, _, _ in rows} == set(scenario.services)


def test_make_demo_replays_with_its_promises_and_its_history(repository: Path) -> None:
    said = subprocess.run(["make", "--dry-run", "demo"], cwd=repository, capture_output=True, text=True, check=True)
    replayed = said.stdout.replace("\\\n", " ")
    assert re.search(
        r"replay demo/traces.pb.zst .*--slos 'deploy/slos/\*.yaml' --seed datasets/demo.seed.json"
        r"\s+--anomalies --prime datasets/demo.prime.csv.gz",
        replayed,
    )


@pytest.fixture(scope="module")
def demo(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[dict[str, Any]], dict[str, Any], str]:
    """Labels, the report and the lines of alerts of a demo that goes on until the page is over."""
    folder = tmp_path_factory.mktemp("demo")
    recording, alerts = folder / "traces.pb.zst", folder / "alerts.jsonl"
    streamgauge("generate", repository / "datasets" / "demo.yaml", recording, "--duration", "28m")
    slos, seed = repository / "deploy" / "slos" / "*.yaml", repository / "datasets" / "demo.seed.json"
    prime = repository / "datasets" / "demo.prime.csv.gz"
    told = "--slos", slos, "--seed", seed, "--anomalies", "--prime", prime, "--alerts", alerts
    said = streamgauge("replay", recording, *told, "--json")
    return json.loads((folder / "labels.json").read_text()), json.loads(said), alerts.read_text()


@pytest.mark.slow
def test_the_incident_pages_as_fast_as_its_tiers_can_and_nothing_else_does(demo: Any, repository: Path) -> None:
    labels, said, _ = demo
    incident = next(each for each in labels if each["kind"] == "error_burst")
    began, ended = seconds(incident["at"]), seconds(incident["until"])
    promises = {each.name: each for each in load([repository / "deploy" / "slos" / "*.yaml"]).promises}
    pages = [each for each in said["alerts"] if each["labels"]["severity"] == "critical"]
    assert {each["labels"]["alertname"] for each in pages} == {"SLOBurnRate"}
    assert incident["service"] in {each["labels"]["service"] for each in pages}
    for each in said["alerts"]:
        assert began < seconds(each["startsAt"]) <= ended, each
    for page in pages:
        assert page["annotations"]["tier"] in ("outage", "1h", "6h")
    page = next(each for each in pages if each["labels"]["slo"] == "open-proposal")
    tiers = [tier for tier in promises["open-proposal"].alert_tiers()[0] if tier.severity == "critical"]
    soonest = min(seconds_to_fire(incident["share"], tier.threshold, tier.long_ns) for tier in tiers)
    assert soonest <= seconds(page["startsAt"]) - began <= soonest + LATER_SECONDS


@pytest.mark.slow
def test_every_page_has_a_line_when_it_begins_and_one_when_it_ends(demo: Any) -> None:
    _, said, text = demo
    lines = [json.loads(line) for line in text.splitlines()]
    pages = [each for each in said["alerts"] if each["labels"]["severity"] == "critical"]
    assert pages
    for page in pages:
        mine = [line for line in lines if line["id"] == page["id"]]
        assert [line["status"] for line in mine] == ["firing", "resolved"]
        assert [line["endsAt"] for line in mine] == [None, page["endsAt"]]
        assert mine[0]["startsAt"] == page["startsAt"] < page["endsAt"]


@pytest.mark.slow
def test_the_slow_database_is_an_anomaly_of_the_durations_of_those_who_wait_for_it(demo: Any) -> None:
    labels, said, _ = demo
    slow = next(each for each in labels if each["kind"] == "slow_database")
    anomalies = [each for each in said["alerts"] if each["labels"]["alertname"] == "Anomaly"]
    (seen,) = [
        each for each in anomalies if each["labels"]["service"] == slow["service"] and each["labels"]["signal"] == "p95"
    ]
    assert 0 < seconds(seen["startsAt"]) - seconds(slow["at"]) <= 120
    assert seen["endsAt"] is not None
    assert {each["labels"]["service"] for each in anomalies} == {slow["service"], "gateway"}, (
        "who serves what it waits for"
    )
