"""Compile every kernel: a few seconds of generated traffic through the whole dataflow, in a process of its own.

    python -m flows.run.warm

What a container image does when it is built, and a supervisor before its workers start.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from detectors import kernels
from flows import log

_log = log.get("kernels")


def ensure_compiled() -> None:
    """Compile the kernels unless that was done, for these sources and this CPU."""
    if kernels.are_compiled():
        return
    _log.info("compiling kernels, once for this version: about 15 s")
    subprocess.run([sys.executable, "-m", __name__], check=True)  # noqa: S603  this very module


def _compile() -> None:
    from flows.config import Config
    from flows.generate.generator import Encoding, generate
    from flows.generate.scenario import Scenario
    from flows.recording.writer import RecordingWriter
    from flows.replay import Job, Worker

    service = {"operations": {"get": {"http": "GET /", "own": {"median": "5ms", "spread": 0.4}}}}
    scenario = Scenario.model_validate({"name": "warm", "services": {"warm": service}, "traffic": {"warm.get": 1.0}})
    with tempfile.TemporaryDirectory(prefix="streamgauge-") as folder:
        encodings: list[tuple[Encoding, str]] = [("otlp_proto", "proto"), ("otlp_json", "json")]
        for encoding, form in encodings:
            path = Path(folder) / f"traces.{form}"
            with RecordingWriter(path, form) as writer:
                for record in generate(scenario, seed=1, duration=timedelta(minutes=3), rate=20.0, encoding=encoding):
                    writer.write(record.request)
            from bytewax.testing import run_main

            worker = Worker(Job((str(path),), Config(), Path(folder) / encoding), 0, lambda: False)
            run_main(worker.flow)  # type: ignore[no-untyped-call]
            worker.finish()
    kernels.mark_compiled()


if __name__ == "__main__":
    _compile()
