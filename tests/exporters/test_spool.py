"""Rows come back from disk in order, every one once, whatever the runs and pieces are."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporters.spool import MANIFEST, SpoolError, SpoolReader, SpoolWriter

TEXTS = st.sampled_from([f"label-{number}" for number in range(12)] + ["", "é", "z\u2028z"])
BLOCKS = st.lists(st.tuples(st.lists(TEXTS, max_size=6), st.integers(-3, 9)), max_size=15)


def written(directory, order, blocks, budget_bytes) -> list[tuple[str, int, int]]:
    """Write blocks of (texts, time); every row's value is a number of its own. Returns the rows."""
    writer = SpoolWriter(directory, order, budget_bytes)
    rows = []
    for texts, at_ns in blocks:
        first = len(rows)
        rows += [(text, at_ns, first + place) for place, text in enumerate(texts)]
        values = np.arange(first, len(rows), dtype=np.int64).reshape(-1, 1)
        writer.append("t", texts, at_ns, np.column_stack((values, -values)))
    writer.close()
    return rows


class TestOrder:
    @settings(deadline=None)
    @given(st.lists(BLOCKS, min_size=1, max_size=3), st.sampled_from(["label", "time"]), st.integers(1, 300))
    def test_rows_of_several_spools_come_back_sorted_and_complete(self, tmp_path_factory, spools, order, budget):
        """The slow, right answer is Python's sort."""
        root = tmp_path_factory.mktemp("spools")
        directories = [root / str(number) for number in range(len(spools))]
        expected = [
            row
            for directory, blocks in zip(directories, spools, strict=True)
            for row in written(directory, order, blocks, budget)
        ]
        reader = SpoolReader(directories, order)
        for rows_per_piece in (1, 7, 10_000):
            found, pieces = [], []
            for piece in reader.pieces("t", rows_per_piece) if reader.tables else ():
                assert (piece.values[:, 0] == -piece.values[:, 1]).all()
                texts = [reader.texts[label] for label in piece.labels]
                pieces.append({text if order == "label" else at for text, at in zip(texts, piece.at_ns, strict=True)})
                found += zip(texts, piece.at_ns.tolist(), piece.values[:, 0].tolist(), strict=True)
            assert sorted(found) == sorted(expected)
            keys = [(text, at) if order == "label" else (at, text) for text, at, _ in found]
            assert keys == sorted(keys)
            assert all(not one & other for one, other in pairwise(pieces)), "a key was split"

    def test_a_key_with_more_rows_than_a_piece_may_have_stays_whole(self, tmp_path):
        written(tmp_path, "label", [(["a"] * 5, 1), (["b"] * 50, 1), (["c"] * 5, 1)], 1)
        sizes = [len(piece.labels) for piece in SpoolReader([tmp_path], "label").pieces("t", 10)]
        assert sizes == [55, 5]

    def test_integers_and_floats_of_one_table_come_back_as_floats(self, tmp_path):
        writer = SpoolWriter(tmp_path, "label")
        writer.append("t", ["a"], 1, np.array([[1]]))
        writer.append("t", ["a"], 2, np.array([[2.5]]))
        writer.close()
        (piece,) = SpoolReader([tmp_path], "label").pieces("t", 10)
        assert piece.values.tolist() == [[1.0], [2.5]]

    def test_the_arrays_may_be_changed_after_they_were_handed_over(self, tmp_path):
        writer = SpoolWriter(tmp_path, "label")
        values = np.array([[1]])
        writer.append("t", ["a"], 1, values)
        values[0, 0] = 9
        writer.close()
        (piece,) = SpoolReader([tmp_path], "label").pieces("t", 10)
        assert piece.values.tolist() == [[1]]


class TestRefusals:
    def test_a_spool_that_was_not_closed_is_refused_saying_so(self, tmp_path):
        SpoolWriter(tmp_path, "label")
        with pytest.raises(SpoolError, match=r"ended before close\(\); run the replay again"):
            SpoolReader([tmp_path], "label")

    def test_a_spool_of_another_order_is_refused(self, tmp_path):
        SpoolWriter(tmp_path, "time").close()
        with pytest.raises(SpoolError, match="expected"):
            SpoolReader([tmp_path], "label")

    def test_a_spool_of_another_version_is_refused(self, tmp_path):
        SpoolWriter(tmp_path, "time").close()
        manifest = json.loads((tmp_path / MANIFEST).read_text())
        (tmp_path / MANIFEST).write_text(json.dumps(manifest | {"version": 99}))
        with pytest.raises(SpoolError, match="99"):
            SpoolReader([tmp_path], "time")

    def test_an_empty_spool_has_no_tables(self, tmp_path):
        SpoolWriter(tmp_path, "label").close()
        assert SpoolReader([tmp_path], "label").tables == []
