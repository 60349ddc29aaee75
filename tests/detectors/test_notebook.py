"""The notebook: executed as it stands, from each kind of series it takes, by the arithmetic of the command."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import nbformat
import numpy as np
import pytest
from hatchling.builders.wheel import WheelBuilder
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from typer.testing import CliRunner

from detectors import AnomalySettings
from flows.anomalies.score import settings_of
from flows.cli.app import app
from flows.config import load
from flows.config.anomalies import anomaly_rules

if TYPE_CHECKING:
    from pathlib import Path

NOTEBOOK = "detectors/notebooks/explore.ipynb"

SCENARIO = """
extends: {repository}/datasets/platform.yaml
name: afternoon
description: Four hours of little traffic; the database is slow for half of one.
duration: 4h
rate: 5
incidents:
  - {{ kind: slow_database, at: 3h, lasts: 30m, service: proposals, dependency: postgresql, factor: 10, errors: 0.01 }}
"""


def read(repository: Path) -> Any:
    return nbformat.read(repository / NOTEBOOK, as_version=4)


def executed(repository: Path, folder: Path, *, chosen: str = "ONE", then: str = "", **parameters: Any) -> Any:
    """The notebook after a run in a folder, with other parameters, one choice and a cell more at its end."""
    notebook = read(repository)
    changes = "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
    for tag, source in {"parameters": changes, "chosen": f"CHOSEN = {chosen}"}.items():
        (at,) = (i for i, cell in enumerate(notebook.cells) if tag in cell.metadata.get("tags", []))
        notebook.cells.insert(at + 1, nbformat.v4.new_code_cell(source))
    notebook.cells.append(nbformat.v4.new_code_cell(then))
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": folder}}).execute()
    return notebook


def outputs(notebook: Any, kind: str) -> list[str]:
    return [
        output.data[kind]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if kind in output.get("data", {})
    ]


def run(*arguments: object) -> None:
    done = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output


def columns(path: Path) -> dict[str, list[str]]:
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    return dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))


def test_nothing_of_a_run_is_kept_in_it(repository: Path) -> None:
    """No pictures in the history, no paths of somebody's machine."""
    for cell in read(repository).cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


def test_the_wheel_has_the_packages_and_no_notebook(repository: Path) -> None:
    files = [file.distribution_path for file in WheelBuilder(str(repository)).recurse_included_files()]
    assert {"detectors/detection.py", "flows/engine.py", "exporters/names.py"} <= set(files)
    assert not [file for file in files if "notebook" in file]


@pytest.mark.slow
def test_a_series_that_is_made_up_is_scored_as_the_command_scores_it(repository: Path, tmp_path: Path) -> None:
    save = "value.to_csv('value.csv'); table.assign(alert=found.alert.astype(int)).to_csv('found.csv')"
    seen = "\nassert all(found.alert[begin:end].any() for begin, end in labels[:2]), 'the rush and the stop'"
    notebook = executed(repository, tmp_path, DATA="", then=save + seen)
    assert len(outputs(notebook, "image/png")) == 3
    run("detect", tmp_path / "value.csv", "--preset", "traffic", "--out", tmp_path / "scores.csv")
    here, there = columns(tmp_path / "found.csv"), columns(tmp_path / "scores.csv")
    for name in ("value", "score", "lower", "upper"):
        mine, its = (np.array([float(each or "nan") for each in table[name]]) for table in (here, there))
        np.testing.assert_allclose(mine, its, rtol=1e-5)  # six digits are written
    assert here["alert"] == there["alert"]


@pytest.mark.slow
def test_a_public_series_is_shown_with_what_people_saw_in_it(
    repository: Path, recorded_data: Path, tmp_path: Path
) -> None:
    then = "assert (len(value), len(labels)) == (10_320, 5) and found.alert.any()"
    notebook = executed(repository, tmp_path, DATA=str(recorded_data), then=then)
    assert len(outputs(notebook, "image/png")) == 3


@pytest.fixture(scope="module")
def samples(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `replay --samples` wrote of four hours, less ten minutes in which nothing was recorded; labels beside it."""
    folder = tmp_path_factory.mktemp("samples")
    (folder / "scenario.yaml").write_text(SCENARIO.format(repository=repository))
    run("generate", folder / "scenario.yaml", folder / "traces.pb.zst")
    run("replay", folder / "traces.pb.zst", "--samples", folder / "whole.csv")
    lines = (folder / "whole.csv").read_text().splitlines(keepends=True)
    (folder / "samples.csv").write_text("".join(line for line in lines if "T10:3" not in line[:15]))
    return folder / "samples.csv"


@pytest.mark.slow
def test_samples_of_a_replay_are_taken_signal_by_signal(repository: Path, samples: Path, tmp_path: Path) -> None:
    """Also minutes without a call, whether they have a row or none: a rate of 0, and no latency."""
    chosen = {"service_name": "contracts", "span_name": "POST /contracts/{id}/signature", "window": "1m"}
    signals = ("p50", "p95", "rate", "error_ratio")
    then = f"for SIGNAL in {signals}:\n    of_samples()[0].to_csv(f'{{SIGNAL}}.csv', header=['value'])"
    parameters = {"SERVICE": chosen["service_name"], "OPERATION": chosen["span_name"], "SIGNAL": "p95"}
    labels = str(samples.parent / "labels.json")
    notebook = executed(repository, tmp_path, SAMPLES=str(samples), LABELS=labels, then=then, **parameters)
    assert len(outputs(notebook, "image/png")) >= 2  # the third is of an alert
    with samples.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if chosen.items() <= row.items()]
    for signal in signals:
        table = columns(tmp_path / f"{signal}.csv")
        minutes = [each.replace(" ", "T").replace("+00:00", "Z") for each in table["timestamp"]]
        values = dict(zip(minutes, table["value"], strict=True))
        for row in rows:
            found = float(values.pop(row["timestamp"]) or "nan")
            assert found == pytest.approx(slow(row, signal), nan_ok=True)
        assert [*values.values()] == 10 * ["0.0" if signal == "rate" else ""]


def slow(row: dict[str, str], signal: str) -> float:
    """A signal of a minute by its definition."""
    calls, errors = int(row["calls"]), int(row["errors"])
    if signal == "rate":
        return calls / 60
    if not calls:
        return float("nan")
    return errors / calls if signal == "error_ratio" else float(row[signal])


@pytest.mark.slow
def test_what_is_kept_is_a_configuration_by_which_run_has_the_same_detector(
    repository: Path, samples: Path, tmp_path: Path
) -> None:
    then = "Path('settings.json').write_text(json.dumps(vars(answers['other'].settings)))"
    executed(repository, tmp_path, SAMPLES=str(samples), SIGNAL="error_ratio", chosen="OTHER", then=then)
    config = load(tmp_path / "anomalies.yaml")
    rules = anomaly_rules(config)
    assert rules is not None
    (rule,) = rules.rules
    settings = AnomalySettings(**json.loads((tmp_path / "settings.json").read_text()))
    assert settings_of(rule, "error_ratio", config.time.pane_ns) == settings
    assert rule.signals == ("error_ratio",)
    assert {(matcher.label, matcher.values) for matcher in rule.selector.matchers} == {
        ("service_name", ("auth",)),
        ("span_name", ("auth.v1.Auth/Check",)),
        ("span_kind", ("SPAN_KIND_SERVER",)),
    }


@pytest.mark.slow
def test_an_operation_that_the_samples_do_not_have_is_said(repository: Path, samples: Path, tmp_path: Path) -> None:
    with pytest.raises(CellExecutionError, match=r"samples\.csv has nothing of shop: buy; its services are ai-writer,"):
        executed(repository, tmp_path, SAMPLES=str(samples), SERVICE="shop", OPERATION="buy")
