"""What Docker would make of the files in deploy/: read by Compose's own loader and BuildKit's own parser, in parse/."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Line(NamedTuple):
    """An instruction of the Dockerfile."""

    stage: int
    instruction: str
    source: str  # without its continuation lines' ends


@pytest.fixture(scope="session")
def deploy(repository: Path) -> Path:
    return repository / "deploy"


@pytest.fixture(scope="session")
def parse(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """`parse("compose" | "dockerfile", file)`; fails with what Docker would say."""
    if shutil.which("go") is None:
        pytest.skip("no Go here, which builds Docker's own parsers: install Go 1.25 or newer")
    program = tmp_path_factory.mktemp("parse") / "parse"

    def go(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        folder, env = repository / "tests" / "deploy" / "parse", {**os.environ, "CGO_ENABLED": "0"}
        return subprocess.run(["go", *arguments], cwd=folder, env=env, capture_output=True, text=True)

    fetched = go("mod", "download")
    if fetched.returncode:
        pytest.skip(f"Docker's own parsers cannot be fetched: {fetched.stderr.strip()}")
    built = go("build", "-o", program, ".")
    assert built.returncode == 0, built.stderr

    def parsed(kind: str, file: Path) -> Any:
        done = subprocess.run([program, kind, file], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return parsed


@pytest.fixture(scope="session")
def compose(parse: Callable[..., Any], deploy: Path) -> dict[str, Any]:
    """compose.yaml as Compose understands it: merged, paths absolute."""
    found: dict[str, Any] = parse("compose", deploy / "compose.yaml")
    return found


@pytest.fixture(scope="session")
def dockerfile(parse: Callable[..., Any], deploy: Path) -> list[Line]:
    return [
        Line(each["stage"], each["instruction"], re.sub(r"\s+", " ", each["source"]))
        for each in parse("dockerfile", deploy / "Dockerfile")
    ]


def environment(dockerfile: list[Line], stage: int) -> dict[str, str]:
    """The variables that a stage sets; build arguments with their defaults."""
    arguments: dict[str, str] = {}
    found: dict[str, str] = {}
    for line in dockerfile:
        if line.stage != stage or line.instruction not in ("ARG", "ENV"):
            continue
        pairs = dict(re.findall(r'([A-Z_]+)=("[^"]*"|\S+)', line.source))
        values = {key: re.sub(r"\$\{(\w+)\}", lambda m: arguments[m[1]], pairs[key].strip('"')) for key in pairs}
        (arguments if line.instruction == "ARG" else found).update(values)
    return found
