"""A replay that says which promises counted no span."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from flows.config import Config
from flows.generate.generator import generate
from flows.generate.scenario import Scenario
from flows.recording.writer import RecordingWriter
from flows.replay.command import replay

if TYPE_CHECKING:
    from pathlib import Path

SLO = """
apiVersion: openslo/v1
kind: SLO
metadata: {{name: {name}}}
spec:
  service: shop
  indicator:
    metadata: {{name: {name}}}
    spec:
      ratioMetric:
        counter: true
        bad: {{metricSource: {{type: streamgauge, spec: {{status_code: error}}}}}}
        total: {{metricSource: {{type: streamgauge, spec: {{service_name: {service}}}}}}}
  budgetingMethod: Occurrences
  timeWindow: [{{duration: 30d, isRolling: true}}]
  objectives: [{{target: 0.99}}]
"""


def test_a_replay_names_the_slos_that_match_nothing_and_no_other(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = tmp_path / "traces.pb.zst"
    with RecordingWriter(recording) as writer:
        for record in generate(Scenario.load(repository / "datasets" / "demo.yaml"), duration=timedelta(minutes=1)):
            writer.write(record.request)
    slos = tmp_path / "slos.yaml"
    slos.write_text(
        SLO.format(name="of-all", service="gateway") + "---" + SLO.format(name="of-none", service="gatewya")
    )
    replay([str(recording)], config=Config(), slos=[str(slos)])
    said = " ".join(capsys.readouterr().err.split())
    assert "SLO of-none (0.99) matches nothing: no span was counted for it." in said
    assert "of-all" not in said
