"""`streamgauge slo check` and `show`, as a person sees them."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli.app import app
from flows.errors import UsageError
from flows.slo import parse
from flows.slo.place import SloErrors
from flows.slo.table import budget_text, explain

FILE = """apiVersion: openslo/v1
kind: SLO
metadata: {name: shop, displayName: The shop answers}
spec:
  service: shop
  indicator:
    spec:
      ratioMetric:
        bad: {metricSource: {type: streamgauge, spec: {status_code: error}}}
        total: {metricSource: {type: streamgauge, spec: {service_name: shop, tenant: acme}}}
  budgetingMethod: Occurrences
  timeWindow: [{duration: 30d, isRolling: true}]
  objectives: [{target: 0.999}, {target: 0.9}]
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "shop.yaml").write_text(FILE)
    (tmp_path / "streamgauge.yaml").write_text(f"dimensions: [tenant]\nslos: ['{tmp_path}/sho*.yaml']\n")
    return tmp_path


def test_check_takes_the_files_and_dimensions_of_the_configuration(files: Path) -> None:
    result = CliRunner().invoke(app, ["slo", "check", "--config", str(files / "streamgauge.yaml")])
    assert (result.exit_code, result.stdout) == (0, f"{files}/shop.yaml: fine, 1 SLO with 2 objectives\n")


def test_check_refuses_a_label_that_is_no_dimension_with_its_line(files: Path) -> None:
    result = CliRunner().invoke(app, ["slo", "check", str(files / "shop.yaml")])
    assert isinstance(result.exception, SloErrors)
    assert result.exception.exit_code == 78
    assert str(result.exception).startswith(f"{files}/shop.yaml:10: spec.indicator.spec.ratioMetric.total")
    assert "add tenant to `dimensions` of the configuration" in str(result.exception)


def test_check_prints_what_is_ignored(files: Path) -> None:
    (files / "shop.yaml").write_text(FILE.replace("[{duration: 30d, isRolling: true}]", "[]"))
    result = CliRunner().invoke(app, ["slo", "check", "-c", str(files / "streamgauge.yaml")])
    assert result.exit_code == 0
    assert f"warning: {files}/shop.yaml:12: spec.timeWindow is missing" in result.stderr


def test_check_without_any_file_says_what_to_write() -> None:
    result = CliRunner().invoke(app, ["slo", "check"])
    assert isinstance(result.exception, UsageError)
    assert "Write streamgauge slo check slos/*.yaml" in str(result.exception)


def test_show_says_what_each_objective_means(files: Path) -> None:
    arguments = ["slo", "show", "--config", str(files / "streamgauge.yaml"), "--rate", "100"]
    strict, loose = CliRunner().invoke(app, arguments).stdout.split("\n\n", 1)
    lines = strict.splitlines()
    assert lines[0] == "shop · 0.999 · service shop"
    assert "43.2 minutes of a total outage, 259,200 of 259,200,000 events at 100 a second" in strict
    # A total outage trips factor x (1 − objective) x window: 43.2 x 0.001 x 600 s; a fifth of it takes five times that.
    assert [line.split() for line in lines if line.lstrip().startswith("outage")] == [
        ["outage", "page", "10m/1m", "43.2", "4.3200%", "26s", "2m10s", "8m38s"]
    ]
    assert [line.split()[-3:] for line in lines if line.lstrip().startswith("3d")] == [["4m19s", "21m36s", "1h26m"]]
    assert loose.count("left out: tier") == 2  # at 90 % no burn rate exceeds 10


def test_a_wait_before_the_alert_is_part_of_the_time_to_it() -> None:
    written = FILE.replace("tenant: acme", "").replace(
        "displayName: The shop answers", "annotations: {streamgauge.dev/tiers: page 14.4 1h/5m for 2m}"
    )
    promise = parse(written.replace(", {target: 0.9}", "")).promises[0]
    row = next(line for line in explain(promise).splitlines() if line.lstrip().startswith("page-1h"))
    assert row.split()[2:] == ["1h/5m", "for", "2m", "14.4", "1.4400%", "2m52s", "6m19s", "19m17s"]
    assert budget_text(promise, None) == "0.001 of all events: 43.2 minutes of a total outage"
