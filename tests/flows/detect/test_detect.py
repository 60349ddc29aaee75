"""`streamgauge detect`: a file of values in, alerts, scores and a picture out."""

from __future__ import annotations

import csv
import inspect
import json
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from detectors import PRESETS, THRESHOLD
from flows.cli.app import app
from flows.cli.detect import Preset, _detect
from flows.detect.series import read_series
from flows.errors import DataError, InputError, StreamgaugeError, UsageError

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
BEGIN_NS = round(BEGIN.timestamp()) * 10**9
MINUTE = 60 * 10**9
SPIKE = 900


def detect(*arguments: object) -> str:
    """What the command prints, errors as they are raised."""
    done = CliRunner().invoke(app, ["detect", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    """A day of minutes, twenty of them without a value, and a spike of five."""
    values = np.random.default_rng(7).normal(100, 5, 1_440)
    values[SPIKE : SPIKE + 5] = 400
    values[600:620] = np.nan
    return values


@pytest.fixture
def table(values: np.ndarray, tmp_path: Path) -> Path:
    """The same as CSV."""
    path = tmp_path / "requests.csv"
    lines = (
        f"{BEGIN + i * timedelta(minutes=1):%Y-%m-%d %H:%M:%S},{'' if np.isnan(value) else value}\n"
        for i, value in enumerate(values)
    )
    path.write_text("timestamp,value\n" + "".join(lines))
    return path


def test_every_row_comes_back_in_order_with_its_score_and_the_spike_is_one_alert(
    table: Path, values: np.ndarray, tmp_path: Path
) -> None:
    said = detect(table, "--out", tmp_path / "scores.csv")
    with (tmp_path / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    with table.open() as file:
        assert [row["timestamp"] for row in rows] == [row["timestamp"] for row in csv.DictReader(file)]
    assert list(rows[0]) == ["timestamp", "value", "score", "lower", "upper", "alert"]
    assert [i for i, row in enumerate(rows) if row["alert"] == "1"] == [SPIKE]
    assert rows[0]["score"] == rows[610]["score"] == rows[610]["value"] == ""
    assert float(rows[SPIKE]["lower"]) < 100 < float(rows[SPIKE]["upper"]) < float(rows[SPIKE]["value"])
    assert "2026-03-02 15:00:00" in said
    assert "1,440 rows" in said
    assert "1 alerts" in said


def test_the_command_knows_the_detectors_presets_and_threshold() -> None:
    """It shows them without loading a compiler."""
    assert [each.value for each in Preset] == list(PRESETS)
    assert inspect.signature(_detect).parameters["threshold"].default == THRESHOLD


def test_a_range_query_gives_the_same_alerts_as_the_table(table: Path, values: np.ndarray, tmp_path: Path) -> None:
    answer = {
        "status": "success",
        "data": {
            "resultType": "matrix",
            "result": [
                {
                    "metric": {"job": "shop"},
                    "values": [
                        [BEGIN.timestamp() + 60 * i, "NaN" if np.isnan(value) else str(value)]
                        for i, value in enumerate(values)
                    ],
                }
            ],
        },
    }
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(answer))
    of_json, of_table = read_series(path), read_series(table)
    assert of_json.times_ns.tolist() == of_table.times_ns.tolist()
    np.testing.assert_array_equal(of_json.values, of_table.values)
    assert detect(path) == detect(table)


def test_the_picture_is_one_of_its_kind(table: Path, tmp_path: Path) -> None:
    detect(table, "--plot", tmp_path / "requests.png", "--preset", "traffic", "--zone", "Europe/Berlin")
    assert (tmp_path / "requests.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    detect(table, "--plot", tmp_path / "requests.svg")
    assert ET.parse(tmp_path / "requests.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-02T00:00:00Z,1\n2026-03-02T00:01:00Z,2\n",
        "when,what\n2026-03-02T01:00:00+01:00,1\n2026-03-02 00:01,2\n",
        "host,value,timestamp\na,1,1772409600\na,2,1772409660\n",
        "\ufefftime,value\r\n1772409600000,1\r\n\r\n1772409660000,2\r\n",
    ],
)
def test_tables_are_read_as_people_write_them(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text, encoding="utf-8")
    series = read_series(path)
    assert (series.times_ns - BEGIN_NS).tolist() == [0, MINUTE]
    assert series.values.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "has no values"),
        (b"timestamp,value\n", "has no values"),
        (b"a,b,c\n1,2,3\n", "has no values|columns"),
        (b"host,cpu,mem\nx,1,2\n", "has the columns host, cpu, mem; two are read"),
        (b"timestamp,value\nyesterday,1\n", "x.csv:2: 'yesterday' is no time; RFC 3339 or Unix seconds"),
        (b"timestamp,value\n2026-03-02,many\n", "x.csv:2: 'many' is no value; a number"),
        (b"timestamp,value\n2026-03-02\n", "x.csv:2 has 1 columns"),
        (b"timestamp,value\ninf,1\n", "'inf' is no time"),
        (b"timestamp,value\n1e14,1\n", "'1e14' is no time"),
        (b"timestamp,value\n9999-01-01,1\n", "'9999-01-01' is no time"),
        (b"\xff\xfe\x00", "is no text in columns"),
        (b'{"status":"error"}', "is JSON of another kind"),
        (b'{"data":{"resultType":"vector","result":[]}}', "has a vector; a range query gives a matrix"),
        (b'{"data":{"resultType":"matrix","result":[]}}', "has 0 series"),
        (b'{"data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"x"]]}]}}', "'x' is no value"),
        (b'{"data":{"resultType":"matrix","result":[{"metric":{},"values":[[1e300,"1"]]}]}}', "is no time"),
    ],
)
def test_what_is_no_series_is_said_with_what_was_found(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_series(path)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (["{folder}/none.csv"], InputError, "none.csv: No such file or directory"),
        (
            ["{table}", "--zone", "Mars/Olympus"],
            UsageError,
            "zone is .Mars/Olympus.; a zone of the IANA database is expected",
        ),
        (["{table}", "--plot", "{folder}/x.doc"], UsageError, "a picture ends in .png"),
        (["{table}", "--out", "{folder}/none/x.csv"], StreamgaugeError, "none/x.csv: No such file"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(
    arguments: list[str], error: type[StreamgaugeError], words: str, table: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        detect(*(each.format(folder=tmp_path, table=table) for each in arguments))


@pytest.mark.parametrize("stamp", ["5", "1e12", "-1"])
def test_any_values_give_an_answer(stamp: str, tmp_path: Path) -> None:
    """Gaps, repeated and backward stamps, infinities."""
    path = tmp_path / "x.csv"
    path.write_text(f"{stamp},1\n{stamp},2\n0,inf\n1772409600,-inf\n1772409601,nan\n1772409600,1e308\n")
    assert "6 rows, 0 of them scored, 0 alerts." in detect(path)
