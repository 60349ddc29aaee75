"""docs/operations.md says what is so: its examples work, and it explains every sentence that /-/ready can say."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest
import yaml

from exporters.web_config import WebConfig
from flows.config import load

if TYPE_CHECKING:
    from pathlib import Path

REASONS = {"flows/run/view.py": ("__init__", "pause", "_reasons"), "flows/run/gate.py": ("sentence",)}


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "operations.md").read_text(encoding="utf-8")


def examples(page: str, key: str) -> list[str]:
    """The YAML blocks that begin with a key."""
    return [block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if block.startswith(f"{key}:")]


def sentences(repository: Path) -> list[str]:
    """The fixed part of everything that the code can give as a reason."""
    found = []
    for file, names in REASONS.items():
        for node in ast.walk(ast.parse((repository / file).read_text())):
            if isinstance(node, ast.FunctionDef) and node.name in names:
                body = node.body[1:] if ast.get_docstring(node) else node.body
                constants = (each for line in body for each in ast.walk(line) if isinstance(each, ast.Constant))
                found += [str(each.value).strip(" :") for each in constants if len(str(each.value).split()) >= 3]
    return found


def test_every_reason_for_not_being_ready_is_explained(repository: Path, page: str) -> None:
    known = sentences(repository)
    assert len(known) >= 8
    for sentence in known:
        assert sentence in page, sentence


def test_its_settings_for_kafka_are_taken(page: str, tmp_path: Path) -> None:
    found = examples(page, "kafka")
    assert len(found) >= 2
    for number, example in enumerate(found):
        file = tmp_path / f"{number}.yaml"
        file.write_text(example)
        assert load(file).kafka is not None


def test_its_settings_for_parity_are_taken(page: str, tmp_path: Path) -> None:
    file = tmp_path / "parity.yaml"
    file.write_text("templates: {enabled: false}\nsampling: {weighted: false}\ntime: {series_expiry: 1d}\n")
    for setting in file.read_text().splitlines()[:2]:
        assert f"`{setting}`" in page
    assert not load(file).templates.enabled


def test_its_web_configuration_lacks_only_the_certificate(page: str, tmp_path: Path) -> None:
    (example,) = examples(page, "tls_server_config")
    file = tmp_path / "web.yaml"
    file.write_text(example.replace("$2y$10$…", "$2y$10$" + "a" * 53))
    with pytest.raises(ValueError, match=r"page\.crt"):
        WebConfig.load(file)


def test_its_network_policy_names_the_ports_that_the_docs_name(page: str) -> None:
    (example,) = examples(page, "apiVersion")
    policy = yaml.safe_load(example)
    ports = [port for rule in policy["spec"]["ingress"] for port in rule["ports"]]
    assert ports == [{"port": 9500, "endPort": 9531}, {"port": 9464}]
    assert {"podSelector", "policyTypes", "ingress"} == set(policy["spec"])


def test_every_command_that_it_shows_there_is(page: str) -> None:
    from typer.main import get_command

    from flows.cli.app import app

    shown = set(re.findall(r"streamgauge ([a-z]+)", " ".join(re.findall(r"```console\n(.*?)```", page, re.DOTALL))))
    assert {"run", "config", "deadletters"} <= shown
    assert shown <= set(get_command(app).commands)  # type: ignore[attr-defined]
    assert "flows.run.warm" in page
