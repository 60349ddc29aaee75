"""The files around the code: the lock, the Makefile, and what a newcomer reads first."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import tomllib
from typing import TYPE_CHECKING, NamedTuple

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement

if TYPE_CHECKING:
    from pathlib import Path

REQUIREMENT = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^\]]*\])?==(\S+)(?: ; (.*?))? \\$")
PYTHONS = ("3.11", "3.12")


def canonical(name: str) -> str:
    """A distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


class Pin(NamedTuple):
    """One requirement of the lock; a distribution has several where versions differ between Pythons."""

    name: str
    version: str
    marker: str
    hashes: int


@pytest.fixture(scope="module")
def lock(repository: Path) -> list[Pin]:
    """Everything in the lock."""
    pins: list[Pin] = []
    for line in (repository / "requirements.lock").read_text(encoding="utf-8").splitlines():
        if line.startswith("    --hash=sha256:"):
            pins[-1] = pins[-1]._replace(hashes=pins[-1].hashes + 1)
        elif line and not line.lstrip().startswith("#"):
            match = REQUIREMENT.match(line)
            assert match, f"the lock pins each requirement with == and hashes; found {line!r}"
            pins.append(Pin(canonical(match[1]), match[2], match[3] or "", 0))
    return pins


def test_everything_in_the_lock_has_a_hash(lock: list[Pin]) -> None:
    assert len(lock) > 20
    assert [pin for pin in lock if not pin.hashes] == []


def test_the_lock_names_no_address(repository: Path) -> None:
    """Where packages come from is the machine's business."""
    text = (repository / "requirements.lock").read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if "://" in line or "index-url" in line or "find-links" in line] == []


@pytest.mark.parametrize("python", PYTHONS)
def test_all_that_the_project_names_is_locked_once_for_each_python(
    repository: Path, lock: list[Pin], python: str
) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    for text in [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]:
        wanted = Requirement(text)
        here = [pin for pin in lock if not pin.marker or Marker(pin.marker).evaluate(environment)]
        versions = [pin.version for pin in here if pin.name == canonical(wanted.name)]
        assert len(versions) == 1, text
        assert wanted.specifier.contains(versions[0], prereleases=True), text


def test_the_dataflow_engine_is_pinned_exactly(repository: Path, lock: list[Pin]) -> None:
    (bytewax,) = (pin for pin in lock if pin.name == "bytewax")
    assert f'"bytewax=={bytewax.version}"' in (repository / "pyproject.toml").read_text(encoding="utf-8")


def test_make_help_lists_every_target_that_the_readme_names(repository: Path) -> None:
    listed = subprocess.run(["make", "help"], cwd=repository, capture_output=True, text=True, check=True).stdout
    readme = (repository / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`?make ([a-z]+)\b`?", readme))
    assert {"demo", "test", "setup", "help"} <= named
    assert [target for target in sorted(named) if f"make {target} " not in listed] == []
    assert max(len(line) for line in listed.splitlines()) <= 100


def bare_machine(repository: Path, tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A copy of the files that set up, and an environment whose Pythons are shims that fail, as pyenv's can."""
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(repository / name, tmp_path / name)
    shutil.copytree(repository / ".ci", tmp_path / ".ci")
    shims = tmp_path / "shims"
    shims.mkdir()
    for name in ("python3.12", "python3.11", "python3", "python"):
        (shims / name).write_text("#!/bin/sh\necho 'pyenv: command not found' >&2\nexit 127\n", encoding="utf-8")
        (shims / name).chmod(0o755)
    path = f"{shims}:{os.environ['PATH']}"
    return tmp_path, {**os.environ, "PATH": path, "PYENV_ROOT": str(tmp_path), "MAKEFLAGS": "", "MAKELEVEL": "0"}


def test_a_python_that_does_not_fit_gives_one_sentence(repository: Path, tmp_path: Path) -> None:
    folder, environment = bare_machine(repository, tmp_path)
    environment["PYTHON"] = "python3.12"
    result = subprocess.run(["make", "setup"], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    sentences = [line for line in result.stderr.splitlines() if not line.startswith("make: ***")]
    assert result.returncode != 0
    assert sentences == [
        "streamgauge needs Python 3.11 or 3.12, and PYTHON=python3.12 is neither: name another, or leave PYTHON out."
    ]
    assert len(result.stderr.splitlines()) <= 2
    assert not (folder / ".venv").exists()


def test_an_environment_whose_interpreter_is_gone_is_not_taken_for_whole(repository: Path, tmp_path: Path) -> None:
    folder, environment = bare_machine(repository, tmp_path)
    scripts = folder / ".venv" / "bin"
    scripts.mkdir(parents=True)
    (scripts / "pip").write_text(f"#!{scripts}/python\n", encoding="utf-8")
    (folder / ".venv" / "ready").touch()
    check = ["bash", ".ci/venv", "--check", ".venv"]
    assert subprocess.run(check, cwd=folder, env=environment, check=False).returncode == 1
    (scripts / "python").symlink_to("/bin/true")
    assert subprocess.run(check, cwd=folder, env=environment, check=False).returncode == 0
    (folder / ".venv" / "ready").unlink()
    assert subprocess.run(check, cwd=folder, env=environment, check=False).returncode == 1


def test_ci_can_be_run(repository: Path) -> None:
    assert (repository / ".ci" / "run").stat().st_mode & stat.S_IXUSR


def test_the_first_screen_of_the_readme_has_the_two_commands(repository: Path) -> None:
    screen = "\n".join((repository / "README.md").read_text(encoding="utf-8").splitlines()[:24])
    assert "make demo" in screen
    assert "make test" in screen


def test_no_file_names_a_folder_of_some_machine(repository: Path) -> None:
    """What works on one machine only would work nowhere else."""
    private = re.compile(r"(?<![\w.$~}/-])/(?:root|work|home/\w+)/")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=repository, capture_output=True, text=True, check=True)
    hits = []
    for name in filter(None, tracked.stdout.split("\0")):
        path = repository / name
        if path.suffix in {".py", ".md", ".toml", ".yaml", ".yml", ".lock", ".sh", ""} and path.is_file():
            hits += [name] if private.search(path.read_text(encoding="utf-8", errors="replace")) else []
    assert hits == []
