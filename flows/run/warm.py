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

from flows import log

_log = log.get("kernels")


def ensure_compiled() -> None:
    """Compile the kernels unless that was done, for these sources and this CPU.

    Who only sees to that needs no compiler: even the question is answered by a process of its own.
    """
    if subprocess.run([sys.executable, "-m", "detectors.kernels"], check=False).returncode == 0:
        return
    _log.info("compiling kernels, once for this version: about 15 s")
    subprocess.run([sys.executable, "-m", __name__], check=True)  # noqa: S603  this very module


def _compile() -> None:
    from detectors import kernels
    from flows.config import Config
    from flows.generate.generator import Encoding, generate
    from flows.generate.scenario import Scenario
    from flows.recording.writer import RecordingWriter
    from flows.replay.job import Job
    from flows.replay.worker import Worker
    from flows.slo.promise import Indicator, Promise, Rolling
    from flows.slo.selector import Selector

    config = Config.model_validate({"dedupe": {"enabled": True, "entries": 1024}})
    service = {"operations": {"get": {"http": "GET /", "own": {"median": "5ms", "spread": 0.4}}}}
    latency = Indicator("latency", Selector("spans", ()), threshold_ns=5_000_000)
    promise = Promise("warm", "warm", "0.99", 0.99, latency, Rolling(30 * 86_400 * 10**9, "30d"))
    scenario = Scenario.model_validate({"name": "warm", "services": {"warm": service}, "traffic": {"warm.get": 1.0}})
    with tempfile.TemporaryDirectory(prefix="streamgauge-") as folder:
        request = b""
        encodings: list[tuple[Encoding, str]] = [("otlp_proto", "proto"), ("otlp_json", "json")]
        for encoding, form in encodings:
            path = Path(folder) / f"traces.{form}"
            with RecordingWriter(path, form) as writer:
                for record in generate(scenario, seed=1, duration=timedelta(minutes=3), rate=20.0, encoding=encoding):
                    writer.write(record.request)
                    request = request or record.request
            from bytewax.testing import run_main

            job = Job((str(path),), config, Path(folder) / encoding, promises=(promise,))
            worker = Worker(job, 0, lambda: False)
            run_main(worker.flow)  # type: ignore[no-untyped-call]
            worker.finish()
    _compile_the_rest(request)
    kernels.mark_compiled()


def _compile_the_rest(request: bytes) -> None:
    """What a replay of a little OTLP does not reach: an image's cache is read-only, so nothing is left for later."""
    import numpy as np

    from detectors.anomaly import AnomalyDetector
    from detectors.budget import beginnings
    from detectors.compact import recell_runs
    from detectors.histogram import Grid
    from flows.decode.encodings import decoder
    from flows.emission import Slot
    from flows.fold import CELL_COLUMNS, ROW_COLUMNS
    from flows.panes import merge_rows
    from flows.records import Records
    from flows.watermark import TimeRules

    Slot(0, lambda _: decoder("jaeger_proto"), TimeRules(), 1024).emit([Records.of([request])])
    rows, cells = (tuple(np.empty(0, dtype) for dtype in each.values()) for each in (ROW_COLUMNS, CELL_COLUMNS))
    merge_rows(rows, cells)
    grid, no_bytes = Grid(), np.frombuffer(b"", np.uint8)
    recell_runs(no_bytes, grid.cells_of(grid), len(grid), np.empty(0, np.uint8))
    AnomalyDetector().learn_one(0.0, 0)
    beginnings(np.zeros(1, np.int64), np.zeros(1), 1)


if __name__ == "__main__":
    _compile()
