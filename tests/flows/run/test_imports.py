"""What the processes of a live run load: most of the memory of one that computes nothing."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.gauge import Gauge, eventually

COMPILERS = {"llvmlite", "numba"}
HEAVY = {*COMPILERS, "scipy/special"}
NOBODY = "127.0.0.1:9"
SLOS = Path(__file__).parents[3] / "deploy" / "slos" / "*.yaml"


def loaded(pid: int) -> set[str]:
    """Which of the heavy packages a process has loaded: each has libraries, and whoever imports it maps them."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    return {name for name in HEAVY if f"/site-packages/{name}/" in maps}


def test_workers_load_compilers_and_their_supervisor_nothing_heavy(tmp_path: Path) -> None:
    with Gauge(tmp_path, NOBODY, settings={"slos": [str(SLOS)]}) as gauge:
        eventually(lambda: bool(gauge.page()), lambda: f"it shows a page; its log: {gauge.log}")
        eventually(lambda: any(each["state"] == "running" for each in gauge.status()["workers"]), "the worker runs")
        (worker,) = gauge.worker_pids()
        assert loaded(worker) == COMPILERS
        assert not loaded(gauge.process.pid)
        assert gauge.stop() == 0
