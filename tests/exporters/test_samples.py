"""A block refuses, at the door, what would break a page."""

from __future__ import annotations

import numpy as np
import pytest

from exporters import names
from exporters.labels import LabelSet
from exporters.samples import Exemplars, Samples, bucket_columns, by_label, single, window_columns

LABELS = (LabelSet([("service_name", "a")]), LabelSet([("service_name", "b")]))
COUNTS = np.array([[1, 2], [0, 3]])
BUCKETS = bucket_columns([5])


class TestColumns:
    def test_bounds_are_written_as_openmetrics_writes_them_and_end_in_infinity(self):
        written = [column[0][1] for column in bucket_columns(names.CLASSIC_BOUNDS_MS)]
        assert written[:3] == ["2.0", "4.0", "6.0"]
        assert written[-2:] == ["15000.0", "+Inf"]

    @pytest.mark.parametrize("bounds", [[2, 1], [1, 1], [1, float("inf")], [float("nan")]])
    def test_bounds_that_do_not_increase_are_refused(self, bounds):
        with pytest.raises(ValueError, match="must increase"):
            bucket_columns(bounds)

    def test_a_window_has_a_column_per_quantile(self):
        assert window_columns("5m", (0.5, 0.99))[1] == (("window", "5m"), ("quantile", "0.99"))


class TestShapes:
    def test_values_of_another_shape_are_refused_saying_which_was_expected(self):
        with pytest.raises(ValueError, match=r"shape \(2, 2\); 2 label sets and 1 columns need \(2, 1\)"):
            Samples(names.CALLS, 0, LABELS, COUNTS)

    @pytest.mark.parametrize("values", [np.array([["x"], ["y"]]), np.array([[1j], [2j]])])
    def test_values_that_are_no_numbers_are_refused(self, values):
        with pytest.raises(ValueError, match="expected integers or floats"):
            Samples(names.CALLS, 0, LABELS, values)

    @pytest.mark.parametrize("kind", [np.uint8, np.int32, np.uint64, bool])
    def test_integers_of_any_size_stay_integers(self, kind):
        assert by_label(names.CALLS, 0, LABELS, np.array([0, 1], kind)).values.dtype == np.int64

    def test_floats_become_doubles(self):
        assert by_label(names.CALLS, 0, LABELS, np.array([0, 1], np.float32)).values.dtype == np.float64

    def test_a_single_sample_needs_no_labels(self):
        assert len(single(names.RECORDS, 0, 3)) == 1


class TestHistograms:
    def test_a_histogram_counts_its_lines_with_count_and_sum(self):
        block = Samples(names.DURATION_MILLISECONDS, 0, LABELS, COUNTS, BUCKETS, np.zeros(2))
        assert len(block) == 2 * 4

    def test_counts_that_are_not_cumulative_are_refused(self):
        with pytest.raises(ValueError, match="cumulative"):
            Samples(names.DURATION_MILLISECONDS, 0, LABELS, COUNTS[:, ::-1], BUCKETS, np.zeros(2))

    def test_counts_that_are_no_integers_are_refused(self):
        with pytest.raises(ValueError, match="integers"):
            Samples(names.DURATION_MILLISECONDS, 0, LABELS, COUNTS * 1.0, BUCKETS, np.zeros(2))

    @pytest.mark.parametrize("sums", [None, np.zeros(3), np.zeros((2, 1))])
    def test_it_needs_one_sum_per_label_set(self, sums):
        with pytest.raises(ValueError, match="one sum per label set"):
            Samples(names.DURATION_MILLISECONDS, 0, LABELS, COUNTS, BUCKETS, sums)

    def test_its_last_column_is_infinity(self):
        with pytest.raises(ValueError, match=r"last column of a histogram is \+Inf"):
            Samples(names.DURATION_MILLISECONDS, 0, LABELS, COUNTS[:, :1], BUCKETS[:1], np.zeros(2))

    def test_only_a_histogram_has_exemplars(self):
        none = np.zeros(2, np.uint64)
        with pytest.raises(ValueError, match="only a histogram"):
            Samples(
                names.CALLS, 0, LABELS, COUNTS[:, :1], exemplars=Exemplars(none, none, np.zeros(2), np.zeros(2, int))
            )
