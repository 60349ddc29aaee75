"""What the image does, without Docker: its build's commands, then the program on files and folders that none may write.

Whether it is root or not: root gives up the right to write what it may not.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from flows.decode.jaeger_proto import JaegerProto
from flows.records import Records
from tests.chaos.gauge import Gauge, series
from tests.deploy.conftest import Line, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.kafka import Broker

pytestmark = pytest.mark.slow

BUILD, FINAL = 0, 1
PACKAGES = ("flows", "detectors", "exporters")
_RIGHTS = "-dac_override,-dac_read_search"
OBEYS = ["setpriv", f"--bounding-set={_RIGHTS}", f"--inh-caps={_RIGHTS}", "--"] if os.geteuid() == 0 else []
"""In front of a command: root's own files are then as unwritable to it as their modes say."""

ONLY_FOR_TESTS = {"histogram_quantiles"}
FORGOTTEN = "a kernel that the image should hold"
BEGIN_NS = 1_772_442_000_000_000_000


class Image(NamedTuple):
    """What the image holds, somewhere else."""

    program: Path  # as site-packages
    env: dict[str, str]

    def run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run Python in it, as a container would."""
        command = [*OBEYS, sys.executable, *arguments]
        return subprocess.run(command, env=self.env | more, cwd="/", capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def image(dockerfile: list[Line], repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    root = tmp_path_factory.mktemp("image")
    program, cache, home = root / "site-packages", root / "cache", root / "home"
    program.mkdir()
    home.mkdir()
    for package in PACKAGES:
        shutil.copytree(repository / package, program / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(repository / "deploy" / "read_only_cache.py", program)
    own = {key: value for key, value in os.environ.items() if not key.startswith(("NUMBA_", "PYTHON", "XDG_"))}
    moved = {"PYTHONPATH": str(program), "PYTHONSAFEPATH": "1", "STREAMGAUGE_CACHE": str(cache), "HOME": str(home)}
    (command,) = (line.source for line in dockerfile if line.stage == BUILD and "flows.run.warm" in line.source)
    _, *arguments = ast.literal_eval(command.partition(" ")[2])
    build = own | environment(dockerfile, BUILD) | moved
    built = subprocess.run([sys.executable, *arguments], env=build, cwd="/", capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    _set_modes(root, 0o555, 0o444)
    yield Image(program, own | environment(dockerfile, FINAL) | moved)
    _set_modes(root, 0o755, 0o644)


def _set_modes(root: Path, folder: int, file: int) -> None:
    root.chmod(0o755)
    for path in [*root.rglob("*"), root]:
        path.chmod(folder if path.is_dir() else file)


def kernels(root: Path) -> set[str]:
    """The names of all functions that are compiled and cached."""
    sources = (path.read_text() for package in PACKAGES for path in (root / package).rglob("*.py"))
    return {f"{name}" for source in sources for name in re.findall(r"^@kernel\ndef (\w+)", source, re.MULTILINE)}


def cached(image: Image) -> set[str]:
    return {file.name.split(".")[1].split("-")[0] for file in Path(image.env["STREAMGAUGE_CACHE"]).rglob("*.nbi")}


def test_no_one_may_write_in_it(image: Image) -> None:
    """Else the tests below would prove nothing."""
    done = image.run("-c", f"open({str(image.program / 'new')!r}, 'w')")
    assert "PermissionError" in done.stderr


def test_without_our_class_numba_would_not_even_import_from_a_read_only_image(image: Image) -> None:
    """The day this fails, deploy/read_only_cache.py can go."""
    done = image.run("-c", "import flows.fold", NUMBA_CACHE_LOCATOR_CLASSES="")
    assert "no locator available" in done.stderr


def test_every_kernel_is_compiled_when_the_image_is_built(image: Image) -> None:
    known = kernels(image.program)
    assert len(known) > 10
    assert known - cached(image) == ONLY_FOR_TESTS


def test_a_kernel_that_was_forgotten_costs_a_compilation_and_not_the_process(image: Image, tmp_path: Path) -> None:
    module = tmp_path / "forgotten.py"
    module.write_text("from detectors.kernels import kernel\n\n\n@kernel\ndef twice(x):\n    return 2 * x\n")
    done = image.run(
        "-c", f"import sys; sys.path.append({str(tmp_path)!r}); import forgotten; print(forgotten.twice(21))"
    )
    assert done.stdout.strip() == "42", done.stderr
    assert FORGOTTEN in done.stderr


def test_nothing_of_the_machine_that_builds_it_goes_into_the_kernels(image: Image) -> None:
    """Numba takes machine code only for the CPU and the features that it finds; both are named."""
    asks = "from numba.core.registry import cpu_target as t; print(list(t.target_context.codegen().magic_tuple())[1:])"
    done = image.run("-c", asks)
    assert done.stdout.strip() == str([image.env["NUMBA_CPU_NAME"], ""]), done.stderr


def test_a_replay_in_it_compiles_nothing_and_writes_nothing_beside_its_output(
    image: Image, repository: Path, tmp_path: Path
) -> None:
    recording, page = tmp_path / "traces.pb.zst", tmp_path / "history.om"
    scenario = str(repository / "datasets" / "demo.yaml")
    made = image.run("-m", "flows.cli", "generate", scenario, str(recording), "--duration", "3m", "--rate", "50")
    assert made.returncode == 0, made.stderr
    arguments = ("-m", "flows.cli", "replay", str(recording), "--openmetrics", str(page))
    done = image.run(*arguments, NUMBA_DEBUG_CACHE="1")
    assert done.returncode == 0, done.stderr
    assert "data loaded from" in done.stdout
    assert "data saved to" not in done.stdout
    assert FORGOTTEN not in done.stderr
    assert "proposals" in done.stdout
    assert page.read_bytes().endswith(b"# EOF\n")


def otlp(second: int, service: str) -> bytes:
    """A request with 20 spans that end in a second."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = service
    spans = resource.scope_spans.add().spans
    for number in range(20):
        identity = (second * 100 + number + 1).to_bytes(8, "big")
        end = BEGIN_NS + second * 1_000_000_000 + number
        spans.add(
            trace_id=bytes(8) + identity,
            span_id=identity,
            name=f"GET /{number}",
            kind=2,
            start_time_unix_nano=end - 1_000_000,
            end_time_unix_nano=end,
        )
    return request.SerializeToString()


def jaeger(second: int) -> bytes:
    """One span of the service `old` (model.proto): trace id, span id, name, start, duration, process."""
    at = BEGIN_NS // 1_000_000_000 + second
    varint = bytes([at & 127 | 128, at >> 7 & 127 | 128, at >> 14 & 127 | 128, at >> 21 & 127 | 128, at >> 28])
    start = b"\x08" + varint
    identity = (second + 1).to_bytes(8, "big")
    fields = [(1, bytes(8) + identity), (2, identity), (3, b"GET"), (6, start), (7, b"\x10\x0a"), (10, b"\x0a\x03old")]
    return b"".join(bytes([number << 3 | 2, len(value)]) + value for number, value in fields)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_live_run_in_it_compiles_nothing_and_writes_only_its_state(
    image: Image, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    assert not JaegerProto().decode(Records.of([jaeger(0)])).dead
    spans, old = broker.create_topic(f"image-{workers}", 2), broker.create_topic(f"image-old-{workers}", 1)
    seconds = range(90)
    stamps = [BEGIN_NS // 1_000_000 + 1000 * second + 999 for second in seconds]
    for partition in range(2):
        broker.produce(spans, partition, [otlp(s, f"svc-{partition}") for s in seconds], stamps, compression="lz4")
    broker.produce(old, 0, [jaeger(s) for s in seconds], stamps)
    topics = [
        {"name": name, "signal": "spans", "encoding": how}
        for name, how in ((spans, "otlp_proto"), (old, "jaeger_proto"))
    ]
    for name in os.environ.keys() - image.env.keys():
        monkeypatch.delenv(name)
    for name, value in (image.env | {"NUMBA_DEBUG_CACHE": "1"}).items():
        monkeypatch.setenv(name, value)
    command = [*OBEYS, sys.executable, "-m", "flows.cli"]
    settings = {"dedupe": {"enabled": True, "entries": 10_000}}
    with Gauge(tmp_path / "run", broker.bootstrap, topics, workers, settings, command=command) as gauge:
        for life in range(2):  # the second goes on from the state of the first
            if life:
                gauge.start()
            gauge.wait_ready()
            gauge.wait_for_page(
                lambda page: (
                    page.get(series("streamgauge_spans_total", source=spans)) == 2 * 90 * 20
                    and page.get(series("streamgauge_spans_total", source=old)) == 90
                ),
                "all spans are counted",
            )
            assert gauge.stop() == 0
            assert "compiling kernels" not in gauge.log
            assert "data loaded from" in gauge.log
            assert "data saved to" not in gauge.log
            assert FORGOTTEN not in gauge.log
