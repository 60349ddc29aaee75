"""The Dockerfile, line by line as BuildKit reads it: not root, every wheel checked, nothing left to compile."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from fnmatch import fnmatch
from typing import TYPE_CHECKING

import pytest

from exporters.server import PageServer
from exporters.status import Health, Status
from tests.deploy.conftest import Line, environment
from tests.servers.server import free_ports

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

BUILD, FINAL = 0, 1


def of(dockerfile: list[Line], instruction: str, stage: int) -> list[str]:
    """What follows an instruction's name, wherever a stage has it."""
    return [
        line.source.partition(" ")[2]
        for line in dockerfile
        if line.stage == stage and line.instruction.upper() == instruction
    ]


def test_both_stages_have_the_same_python_to_the_patch(dockerfile: list[Line]) -> None:
    images = [line.source.split()[1] for line in dockerfile if line.instruction == "FROM"]
    assert len(images) == 2
    assert images[0] == images[1]
    assert re.fullmatch(r"python:3\.1[12]\.\d+-slim-\w+", images[0])
    minor = ".".join(images[0].split(":")[1].split(".")[:2])
    assert {f"python{minor}"} == set(re.findall(r"python3\.\d+", " ".join(line.source for line in dockerfile)))


def test_it_runs_as_a_user_who_is_a_number_and_not_root(dockerfile: list[Line]) -> None:
    (user,) = of(dockerfile, "USER", FINAL)
    assert all(int(number) >= 10_000 for number in user.split(":"))
    names = [line.instruction.upper() for line in dockerfile if line.stage == FINAL]
    assert names.index("USER") > max(i for i, name in enumerate(names) if name in ("RUN", "COPY"))
    assert f"--owner {user.split(':')[0]} " in " ".join(of(dockerfile, "RUN", FINAL))


def test_every_wheel_is_checked_by_its_hash_and_none_comes_from_elsewhere(dockerfile: list[Line]) -> None:
    steps = [step for run in of(dockerfile, "RUN", BUILD) for step in run.split("&&") if "-m pip " in step]
    assert len(steps) == 2
    for step in steps:
        if " download " in step:
            assert {"--require-hashes", "--only-binary", "--no-deps"} <= set(step.split())
        else:
            assert {"--no-index", "--find-links"} <= set(step.split())
    assert not [run for run in of(dockerfile, "RUN", FINAL) if "pip" in run]


def test_nothing_is_fetched_but_by_pip(dockerfile: list[Line]) -> None:
    runs = " ".join(of(dockerfile, "RUN", BUILD) + of(dockerfile, "RUN", FINAL))
    assert not re.search(r"\b(curl|wget|git|apt|apt-get|ADD)\b", runs)
    assert not of(dockerfile, "ADD", BUILD) + of(dockerfile, "ADD", FINAL)


def test_what_is_copied_is_there_and_reaches_the_builder(
    dockerfile: list[Line], deploy: Path, repository: Path
) -> None:
    rules = [
        line for line in (deploy / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] not in ("", "#")
    ]
    assert rules[0] == "*", "everything is left out that no other line lets in"
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}
    left_out = [rule.removeprefix("**/") for rule in rules[1:] if not rule.startswith("!")]
    sources = {source for copy in of(dockerfile, "COPY", BUILD) for source in copy.split()[:-1]}
    assert sources == let_in
    for source in sources:
        assert (repository / source).exists()
        assert not [rule for rule in left_out if fnmatch(source, rule)]


def test_the_kernels_are_compiled_for_the_cpu_that_they_run_on(dockerfile: list[Line]) -> None:
    """Both numba asks for, the CPU and its features; else it compiles anew on another machine than the builder."""
    build, final = environment(dockerfile, BUILD), environment(dockerfile, FINAL)
    decides = ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_CACHE_LOCATOR_CLASSES", "STREAMGAUGE_CACHE")
    assert {name: build[name] for name in decides} == {name: final[name] for name in decides}
    names = [line.source for line in dockerfile if line.stage == BUILD]
    assert "flows.run.warm" in names[-1]
    assert any(re.match("ENV NUMBA_CPU_NAME", name) for name in names[:-1])


def test_nothing_needs_a_shell_when_it_runs(dockerfile: list[Line]) -> None:
    for instruction in ("ENTRYPOINT", "CMD"):
        (command,) = of(dockerfile, instruction, FINAL)
        assert isinstance(json.loads(command), list)
    (check,) = of(dockerfile, "HEALTHCHECK", FINAL)
    assert isinstance(json.loads(check.partition("CMD ")[2]), list)


def test_the_health_check_tells_a_page_that_is_served_from_one_that_is_not(dockerfile: list[Line]) -> None:
    (check,) = of(dockerfile, "HEALTHCHECK", FINAL)
    _, *arguments = json.loads(check.partition("CMD ")[2])
    (port,) = free_ports(1)
    command = [sys.executable, *(each.replace(":9464", f":{port}") for each in arguments)]
    assert subprocess.run(command, capture_output=True).returncode != 0
    server = PageServer(
        lambda _: ("text/plain", b""),
        lambda: Health(gate="catching up"),  # not ready is no reason to be restarted
        lambda: Status(state="catching up", at_seconds=0.0),
        address=("127.0.0.1", port),
    )
    server.start()
    try:
        assert subprocess.run(command, capture_output=True).returncode == 0
    finally:
        server.stop()
