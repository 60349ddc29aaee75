"""Labels: those of the generator and of recordings are read, others are refused with a sentence."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from flows.backtest.labels import Fault, read_labels
from flows.errors import DataError, InputError
from flows.generate.labels import labels, write_labels
from flows.generate.scenario import Scenario

if TYPE_CHECKING:
    from pathlib import Path

SECOND_NS, MINUTE_NS = 10**9, 60 * 10**9


def written(folder: Path, content: Any) -> Path:
    path = folder / "labels.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_what_the_generator_writes_is_read(repository: Path, tmp_path: Path) -> None:
    truth = labels(Scenario.load(repository / "datasets" / "demo.yaml"))
    found = read_labels(write_labels(tmp_path / "traces.pb.zst", truth), MINUTE_NS)
    assert [tuple(fault) for fault in found] == [
        (each["at_unix_nano"], each["until_unix_nano"], each["kind"], each["service"]) for each in truth
    ]


def test_a_fault_without_an_end_lasts_as_long_as_is_said(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        [
            {"at": "1970-01-01T00:02:00Z", "kind": "late", "service": "b"},
            {"at": "1970-01-01T01:01:00+01:00", "kind": "early", "service": "a", "pod": "a-1"},
        ],
    )
    assert read_labels(path, 5 * SECOND_NS) == (
        Fault(60 * SECOND_NS, 65 * SECOND_NS, "early", "a"),
        Fault(120 * SECOND_NS, 125 * SECOND_NS, "late", "b"),
    )


GOOD = {"at": "2026-03-02T09:05:00Z", "kind": "outage", "service": "shop"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("at,kind,service", "labels are a list of {at, kind, service}"),
        (GOOD, "Expected `array`, got `object`"),
        ([GOOD, {"at": "2026-03-02T09:05:00Z", "kind": "outage"}], r"missing required field `service` - at `\$\[1\]`"),
        ([{**GOOD, "at": 1}], r"Expected `str`, got `int` - at `\$\[0\].at`"),
        ([GOOD, {**GOOD, "at": "yesterday"}], "label 1: 'yesterday'; a time has the form of RFC 3339"),
        ([{**GOOD, "until": "2026-03-02T09:05:00Z"}], "label 0 is until 2026-03-02T09:05:00Z; that is after its `at`"),
    ],
)
def test_what_is_no_label_is_refused_with_its_place(tmp_path: Path, content: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_labels(written(tmp_path, content), MINUTE_NS)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.json"):
        read_labels(tmp_path / "nothing.json", MINUTE_NS)
