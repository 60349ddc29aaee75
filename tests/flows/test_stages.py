"""What stands between the stages: templates, dedupe, demand, snapshots, the page of a replay."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest
from bytewax.testing import run_main
from prometheus_client.parser import text_string_to_metric_families

from exporters.prometheus import Registry
from flows.config import Config
from flows.decode.otlp_proto import OtlpProto
from flows.dedupe import Dedupe
from flows.demand import Demand
from flows.generate.generator import generate
from flows.generate.scenario import Scenario
from flows.recording.writer import RecordingWriter
from flows.records import Records
from flows.replay.job import Job
from flows.replay.worker import Worker
from flows.snapshot import SnapshotError, pack, unpack
from flows.template import Templater

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def recording(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two minutes of generated traffic."""
    path = tmp_path_factory.mktemp("recording") / "traces.pb.zst"
    with RecordingWriter(path) as writer:
        for record in generate(Scenario.load(repository / "datasets" / "demo.yaml"), duration=timedelta(minutes=2)):
            writer.write(record.request)
    return path


def test_a_replay_fills_a_page_that_prometheus_parser_reads(recording: Path, tmp_path: Path) -> None:
    """Calls on the page add up to the spans that were read, and every bucket to its count."""
    registry = Registry()
    worker = Worker(Job((str(recording),), Config(), tmp_path), 0, lambda: False, registry)
    run_main(worker.flow, epoch_interval=timedelta(0))
    found = worker.finish().total()
    families = {family.name: family for family in text_string_to_metric_families(registry.render()[1].decode())}
    calls = sum(sample.value for sample in families["traces_span_metrics_calls"].samples)
    assert calls == found["on_time", ""] + found["late", "out_of_order"] > 1_000
    histogram = families["traces_span_metrics_duration_milliseconds"].samples
    assert sum(s.value for s in histogram if s.name.endswith("_count")) == calls
    assert sum(s.value for s in histogram if s.labels.get("le") == "+Inf") == calls
    windows = {sample.labels["window"] for sample in families["streamgauge_span_calls"].samples}
    assert windows == {"1m", "5m", "1h"}


def test_stopping_a_replay_ends_it_with_what_was_computed(recording: Path, tmp_path: Path) -> None:
    """Ctrl-C sets the flag that sources ask for."""
    worker = Worker(Job((str(recording),), Config(), tmp_path), 0, lambda: True)
    run_main(worker.flow, epoch_interval=timedelta(0))
    assert worker.finish().total()["spans", ""] == 0


def test_dedupe_drops_repeats_and_remembers_them_over_a_restart(repository: Path) -> None:
    """The second time every span is a repeat; the fresh ids are not."""
    records = generate(Scenario.load(repository / "datasets" / "demo.yaml"), duration=timedelta(seconds=2))
    spans = OtlpProto().decode(Records.of([record.request for record in records]))
    first, second = (np.zeros(len(spans), np.uint8) for _ in range(2))
    dedupe, after = Dedupe(4 * len(spans)), Dedupe(4 * len(spans))
    dedupe.mark(spans, first)
    after.restore(dedupe.snapshot())
    after.mark(spans, second)
    assert len(spans) > 100
    assert not first.any()
    assert (second == 4).all()


def test_demand_is_exact_for_few_and_within_a_tenth_for_many() -> None:
    """Hashes spread evenly, as a hash function gives them."""
    demand = Demand()
    for order in np.random.default_rng(1).integers(0, 2**64, 50_000, np.uint64).tolist() * 2:
        demand.see(order)
    assert 45_000 < demand.distinct() < 55_000


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("GET /a/8f14e45f-ceea-467f-a8d3-9f1e2b3c4d5e", "GET /a/{uuid}"),
        ("GET /users/42", "GET /users/{id}"),
        ("GET /mail/a.b@example.org", "GET /mail/{email}"),
        ("blob 4bf92f3577b34da6a3ce929d0e0e4736", "blob {hex}"),
        ("POST /api/v1/trip2", "POST /api/v1/trip2"),
        ("order-service.call", "order-service.call"),
    ],
)
def test_ids_become_placeholders_and_names_stay(name: str, expected: str) -> None:
    """Whole tokens only."""
    assert Templater()("shop", name) == expected
    assert Templater(off_for=["shop"])("shop", name) == name


def test_other_state_is_refused_by_name() -> None:
    """A snapshot says what it is."""
    data = pack("shard", 1, {"n": 1})
    with pytest.raises(SnapshotError, match="state of windows version 1 was expected, found shard version 1"):
        unpack(data, "windows", 1)
    with pytest.raises(SnapshotError, match="damaged"):
        unpack(data[:5], "shard", 1)
