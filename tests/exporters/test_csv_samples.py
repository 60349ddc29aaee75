"""The table of closed windows reads back as what was handed over."""

from __future__ import annotations

import csv
import gzip
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporters.csv_samples import CsvSpool, merge
from exporters.labels import LabelSet, safe_value
from exporters.spool import SpoolError

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
QUANTILES = (0.5, 0.95, 0.999)
ANY_TEXT = st.text(st.characters(codec=None), max_size=20)


def operation(service: str, name: str = "GET /", route: str = "") -> LabelSet:
    """The labels of one row."""
    return LabelSet(
        [("service_name", service), ("span_name", name), ("span_kind", "SPAN_KIND_SERVER"), ("http_route", route)]
    )


def spool_in(directory, windows=("1m", "5m"), dimensions=("http_route",), budget_bytes=500) -> CsvSpool:
    """A spool that writes many small runs."""
    return CsvSpool(directory, dimensions, windows, QUANTILES, budget_bytes)


def add(spool: CsvSpool, at_ns: int, window: str, labels, calls=1) -> None:
    """One window whose figures follow from the number of calls."""
    numbers = np.full(len(labels), calls)
    spool.append(at_ns, window, labels, numbers, numbers // 2, np.outer(numbers, [0.25, 0.5, 1.0]))


def rows_of(path) -> list[dict[str, str]]:
    """The table as Python's csv module reads it."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class TestTable:
    def test_a_row_is_a_time_an_operation_and_a_window(self, tmp_path):
        spool = spool_in(tmp_path / "spool")
        add(spool, START, "1m", [operation("cart", "GET /a,b", "/a")], calls=7)
        spool.close()
        assert merge([tmp_path / "spool"], tmp_path / "x.csv") == 1
        assert (tmp_path / "x.csv").read_text() == (
            "timestamp,service_name,span_name,span_kind,http_route,window,calls,errors,p50,p95,p99.9\n"
            '2023-11-14T22:13:20Z,cart,"GET /a,b",SPAN_KIND_SERVER,/a,1m,7,3,1.75,3.5,7\n'
        )

    def test_scores_stand_beside_their_window_also_where_it_has_no_span(self, tmp_path):
        spools = [CsvSpool(tmp_path / name, (), ("1m",), QUANTILES, signals=("p95", "rate")) for name in "ab"]
        add(spools[0], START, "1m", [operation("cart")], calls=4)
        scores = np.array([[0.5, 1.0, 2.0, np.nan, np.nan, np.nan]])
        spools[1].append_scores(START, "1m", [operation("cart")], scores)
        spools[1].append_scores(START, "1m", [operation("mail")], scores[:, ::-1])
        for spool in spools:
            spool.close()
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "x.csv")
        cart, mail = rows_of(tmp_path / "x.csv")
        columns = ("calls", "p95", "p95_score", "p95_lower", "p95_upper", "rate_score", "rate_lower", "rate_upper")
        assert [cart[column] for column in columns] == ["4", "2", "0.5", "1", "2", "", "", ""]
        assert [mail[column] for column in columns] == ["0", "", "", "", "", "2", "1", "0.5"]

    def test_rows_are_sorted_by_time_then_window_then_operation(self, tmp_path):
        spool = spool_in(tmp_path / "spool")
        for second in (30, 10, 20):
            for window in ("5m", "1m"):
                add(spool, second * SECOND, window, [operation("b"), operation("a")])
        spool.close()
        merge([tmp_path / "spool"], tmp_path / "x.csv")
        found = [(row["timestamp"], row["window"], row["service_name"]) for row in rows_of(tmp_path / "x.csv")]
        assert found == sorted(found)
        assert len(set(found)) == 12

    def test_a_window_without_spans_has_no_quantiles(self, tmp_path):
        spool = spool_in(tmp_path / "spool")
        spool.append(START, "1m", [operation("a")], np.array([0]), np.array([0]), np.full((1, 3), math.nan))
        spool.close()
        merge([tmp_path / "spool"], tmp_path / "x.csv")
        assert (tmp_path / "x.csv").read_text().endswith(",,1m,0,0,,,\n")

    def test_panes_of_half_a_second_give_all_times_milliseconds(self, tmp_path):
        spool = spool_in(tmp_path / "spool")
        add(spool, START, "1m", [operation("a")])
        add(spool, START + SECOND // 2, "1m", [operation("a")])
        spool.close()
        merge([tmp_path / "spool"], tmp_path / "x.csv")
        assert [row["timestamp"] for row in rows_of(tmp_path / "x.csv")] == [
            "2023-11-14T22:13:20.000Z",
            "2023-11-14T22:13:20.500Z",
        ]

    def test_without_rows_it_is_a_header(self, tmp_path):
        spool_in(tmp_path / "spool").close()
        assert merge([tmp_path / "spool"], tmp_path / "x.csv") == 0
        assert (tmp_path / "x.csv").read_text().startswith("timestamp,service_name,")

    def test_the_suffix_gz_compresses_and_the_same_table_gives_the_same_bytes(self, tmp_path):
        spool = spool_in(tmp_path / "spool")
        add(spool, START, "1m", [operation("a")])
        spool.close()
        for name in ("x.csv", "x.csv.gz", "y.csv.gz"):
            merge([tmp_path / "spool"], tmp_path / name)
        assert gzip.decompress((tmp_path / "x.csv.gz").read_bytes()) == (tmp_path / "x.csv").read_bytes()
        assert (tmp_path / "x.csv.gz").read_bytes() == (tmp_path / "y.csv.gz").read_bytes()

    @settings(deadline=None)
    @given(st.lists(st.tuples(ANY_TEXT, ANY_TEXT, ANY_TEXT), min_size=1, max_size=5, unique=True))
    def test_whatever_the_values_are_they_read_back_as_on_the_page(self, tmp_path_factory, values):
        root = tmp_path_factory.mktemp("hostile")
        spool = spool_in(root / "spool")
        add(spool, START, "1m", [operation(*value) for value in values])
        spool.close()
        merge([root / "spool"], root / "x.csv")
        found = {(row["service_name"], row["span_name"], row["http_route"]) for row in rows_of(root / "x.csv")}
        assert found == {tuple(map(safe_value, value)) for value in values}


class TestSeveralSpools:
    def test_the_tables_of_two_workers_are_one_sorted_by_time(self, tmp_path):
        for worker in range(2):
            spool = spool_in(tmp_path / str(worker))
            for step in range(50):
                add(spool, START + (2 * step + worker) * SECOND, "1m", [operation(f"service-{worker}")])
            spool.close()
        merge([tmp_path / "0", tmp_path / "1"], tmp_path / "x.csv")
        rows = rows_of(tmp_path / "x.csv")
        assert [row["service_name"] for row in rows] == ["service-0", "service-1"] * 50
        assert [row["timestamp"] for row in rows] == sorted(row["timestamp"] for row in rows)

    def test_an_operation_of_two_workers_is_one_row_whose_spans_add_up(self, tmp_path):
        for worker, calls in enumerate((4, 40)):
            spool = spool_in(tmp_path / str(worker))
            add(spool, START, "1m", [operation("__overflow__")], calls)
            add(spool, START, "5m", [operation("__overflow__")], calls)
            spool.close()
        assert merge([tmp_path / "0", tmp_path / "1"], tmp_path / "x.csv") == 2
        for row in rows_of(tmp_path / "x.csv"):
            assert (row["calls"], row["errors"], row["p99.9"]) == ("44", "22", "40")

    def test_spools_with_other_columns_are_refused(self, tmp_path):
        spool_in(tmp_path / "0").close()
        spool_in(tmp_path / "1", dimensions=()).close()
        with pytest.raises(SpoolError, match="different columns"):
            merge([tmp_path / "0", tmp_path / "1"], tmp_path / "x.csv")


class TestRefusals:
    def test_durations_of_another_shape_are_refused(self, tmp_path):
        spool = spool_in(tmp_path / "spool")
        ones = np.ones(1)
        with pytest.raises(ValueError, match=r"1 operations and 3 quantiles need \(1, 3\)"):
            spool.append(START, "1m", [operation("a")], ones, ones, np.ones((1, 2)))
