"""The command as a person meets it: help, options, errors, exit codes; at 100 columns and without colour."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from flows.cli import app as command
from flows.errors import EXIT_CODES, DataError

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = (
    [],
    ["run"],
    ["replay"],
    ["backtest"],
    ["record"],
    ["generate"],
    ["deadletters", "show"],
    ["deadletters", "replay"],
    ["slo", "check"],
    ["slo", "show"],
    ["metrics"],
    ["config"],
    ["config", "show"],
    ["config", "check"],
    ["config", "schema"],
)


def run(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command in this process."""
    before, sys.argv = sys.argv, ["streamgauge", *arguments]
    try:
        with pytest.raises(SystemExit) as caught:
            command.main()
    finally:
        sys.argv = before
    out, err = capfd.readouterr()
    return int(caught.value.code or 0), out, err


@pytest.mark.parametrize("arguments", COMMANDS)
def test_every_command_has_help_with_examples_in_100_columns(arguments: list[str]) -> None:
    result = CliRunner().invoke(command.app, [*arguments, "--help"], env={"COLUMNS": "100"})
    assert result.exit_code == 0
    assert arguments == ["config"] or "Example" in result.output
    assert max(len(line) for line in result.output.splitlines()) <= 106  # an example may stand out a little
    assert "\x1b" not in result.output


def test_the_main_help_documents_every_exit_code() -> None:
    output = CliRunner().invoke(command.app, ["--help"]).output
    assert [code for code, meaning in EXIT_CODES.items() if f"{code}  {meaning}" not in output] == []


def test_the_version_is_the_distributions(capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capfd, "--version")
    assert code == 0
    assert out.startswith("streamgauge 0.")


def test_help_does_not_import_the_engine() -> None:
    """Numba alone takes longer than a person waits for a list of options."""
    program = "import sys, flows.cli; print([m for m in ('numba', 'numpy', 'bytewax', 'pydantic') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.slow
def test_help_is_there_in_a_moment() -> None:
    """CPU time, for the machine may be busy; 0.3 s is the promise, twice that the alarm."""
    times = []
    for _ in range(3):
        before = os.times()
        subprocess.run(
            [sys.executable, "-c", "from flows.cli import main; main()", "--help"], capture_output=True, check=True
        )
        after = os.times()
        times.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert min(times) < 0.6


def test_config_show_prints_yaml_that_config_check_accepts(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run(capfd, "config", "show")
    assert code == 0
    (tmp_path / "s.yaml").write_text(out, encoding="utf-8")
    assert run(capfd, "config", "check", str(tmp_path / "s.yaml")) == (0, f"{tmp_path / 's.yaml'} is fine\n", "")


def test_a_wrong_configuration_is_sentences_on_standard_error_and_78(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("time:\n  pane: 7s\n", encoding="utf-8")
    code, out, err = run(capfd, "config", "show", "--config", str(path))
    assert (code, out) == (78, "")
    assert err == f"streamgauge: {path}:2: time.pane is 7s; a pane divides a minute. Write 5s, 6s or 10s.\n"


def test_config_schema_is_json(capfd: pytest.CaptureFixture[str]) -> None:
    assert json.loads(run(capfd, "config", "schema")[1])["title"] == "streamgauge"


def test_metrics_lists_every_family_as_text_and_as_data(capfd: pytest.CaptureFixture[str]) -> None:
    from exporters.names import reference

    text, data = run(capfd, "metrics")[1], json.loads(run(capfd, "metrics", "--json")[1])
    assert [row["name"] for row in data] == [row.name for row in reference()]
    assert all(f"{row.name} ({row.kind})" in text and row.help in text for row in reference())


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["replay", "nowhere.pb"], 66, "nowhere.pb: no such file."),
        (["replay", "."], 66, ".: a directory."),
        (["replay", "-", "pyproject.toml"], 2, "standard input is read alone"),
        (["replay", "x", "--from", "2026-01-02", "--to", "2026-01-01"], 2, "--from is not before --to."),
        (["replay", "x", "--from", "noon"], 2, "a time has the form of RFC 3339"),
        (["replay", "x", "--step", "60"], 2, "Write 60s for seconds."),
        (["replay", "x", "--step", "0s"], 2, "it must be longer than nothing"),
        (["replay", "x", "--workers", "9"], 2, "Invalid value for '--workers'"),
        (["replay", "x", "--frm", "9"], 2, "No such option"),
        (["replay"], 2, "Missing argument"),
        (["generate", "nowhere.yaml", "out"], 66, "nowhere.yaml: no such file."),
        (["config", "check", "nowhere.yaml"], 66, "nowhere.yaml: No such file or directory."),
        (["frobnicate"], 2, "No such command"),
    ],
)
def test_what_cannot_be_is_said_at_once_with_its_exit_code(
    capfd: pytest.CaptureFixture[str], arguments: list[str], code: int, sentence: str
) -> None:
    got, out, err = run(capfd, *arguments)
    assert (got, out) == (code, "")
    assert sentence in err
    assert "Traceback" not in err


@pytest.mark.parametrize(("error", "code", "said"), [(KeyboardInterrupt(), 130, ""), (DataError("x"), 65, "x")])
def test_an_interruption_or_error_while_running_has_no_traceback(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("flows.config.load", fail)
    got, _, err = run(capfd, "config", "show")
    assert got == code
    assert said in err
    assert "Traceback" not in err


def test_generate_offers_exactly_the_formats_that_can_be_written() -> None:
    from flows.cli.generate import Format
    from flows.recording import DEFAULT_FORMAT, FORMATS

    assert {each.value for each in Format} == set(FORMATS)
    assert Format.PROTO_NATIVE_ZSTD.value == DEFAULT_FORMAT


@pytest.mark.slow
@pytest.mark.parametrize("form", ["proto-native-zstd", "json"])
def test_generate_writes_the_same_recording_twice_with_its_truth_beside(
    capfd: pytest.CaptureFixture[str], repository: Path, tmp_path: Path, form: str
) -> None:
    arguments = [str(repository / "datasets" / "demo.yaml"), "--duration", "6s", "--seed", "7", "--format", form]
    for name in ("a", "b"):
        code, out, _ = run(capfd, "generate", *arguments, "--rate", "50", str(tmp_path / name / "traces"))
        assert code == 0
        assert f"what goes wrong, and when, is in {tmp_path / name / 'labels.json'}" in out
    assert (tmp_path / "a" / "traces").read_bytes() == (tmp_path / "b" / "traces").read_bytes() != b""
    assert json.loads((tmp_path / "a" / "labels.json").read_text(encoding="utf-8")) == []


def test_a_recording_that_cannot_be_written_is_a_sentence_and_73(
    capfd: pytest.CaptureFixture[str], repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "traces"
    code, _, err = run(capfd, "generate", str(repository / "datasets" / "demo.yaml"), str(out))
    assert code == 73
    assert "Name another place for the recording." in err
