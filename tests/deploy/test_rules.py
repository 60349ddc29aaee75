"""`deploy/prometheus`: rules that Prometheus takes, that say what they should, of names that there are."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from exporters.names import BY_NAME

if TYPE_CHECKING:
    from pathlib import Path

FILES = ("rules.yaml", "alerts.yaml")
SLOTH = {
    *(f"slo:sli_error:ratio_rate{window}" for window in ("5m", "30m", "1h", "2h", "6h", "1d", "3d", "30d")),
    "slo:objective:ratio",
    "slo:error_budget:ratio",
    "slo:time_period:days",
    "slo:current_burn_rate:ratio",
    "slo:period_burn_rate:ratio",
    "slo:period_error_budget_remaining:ratio",
    "sloth_slo_info",
}


def rules(deploy: Path, name: str) -> list[dict[str, str]]:
    groups = yaml.safe_load((deploy / "prometheus" / name).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_promtool_finds_the_rules_good(deploy: Path, promtool_binary: Path) -> None:
    files = [deploy / "prometheus" / name for name in FILES]
    found = subprocess.run([promtool_binary, "check", "rules", *files], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


def test_the_rules_say_what_they_should(repository: Path, promtool_binary: Path) -> None:
    cases = repository / "tests" / "deploy" / "rules_cases.yaml"
    found = subprocess.run([promtool_binary, "test", "rules", cases], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr


def test_every_name_that_sloths_dashboards_read_is_recorded(deploy: Path) -> None:
    assert {rule["record"] for rule in rules(deploy, "rules.yaml")} >= SLOTH


@pytest.mark.parametrize("name", FILES)
def test_every_name_that_a_rule_reads_is_exported_or_recorded(deploy: Path, name: str) -> None:
    recorded = {rule["record"] for rule in rules(deploy, "rules.yaml")}
    for rule in rules(deploy, name):
        read = set(re.findall(r"\b(?:streamgauge|slo)[_:][a-z_:0-9]+", re.sub(r'"[^"]*"', "", rule["expr"])))
        assert read
        assert read <= recorded | set(BY_NAME), rule
