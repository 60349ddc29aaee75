"""The page, judged by `prometheus_client`'s parsers."""

from __future__ import annotations

import math
import threading
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporters import names
from exporters.labels import LabelSet, safe_value
from exporters.negotiation import OPENMETRICS, TEXT
from exporters.prometheus import Registry
from exporters.samples import Exemplars, Samples, bucket_columns, by_label, single, window_columns

ASK_OPENMETRICS = "application/openmetrics-text"
ANY_TEXT = st.text(st.characters(codec=None), max_size=20)
PARSERS = pytest.mark.parametrize(("accept", "parse"), [("", parse_text), (ASK_OPENMETRICS, parse_openmetrics)])


def span_labels(service: str, status: str = "STATUS_CODE_UNSET") -> LabelSet:
    """The identity of one series."""
    return LabelSet(
        [
            ("service_name", service),
            ("span_name", "GET /"),
            ("span_kind", "SPAN_KIND_SERVER"),
            ("status_code", status),
        ]
    )


def histogram(labels, counts, sums, bounds=(2, 10), exemplars=None) -> Samples:
    """A block of duration histograms."""
    return Samples(
        names.DURATION_MILLISECONDS, 0, labels, np.array(counts), bucket_columns(bounds), np.array(sums), exemplars
    )


def registry_of(*blocks: Samples) -> Registry:
    """A registry in which one owner shows these blocks."""
    registry = Registry()
    registry.replace("shard 0", blocks)
    return registry


def page(registry: Registry, accept: str = "", **options) -> str:
    """The page as text."""
    return registry.render(accept, **options)[1].decode()


def samples_of(text: str, parse) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """All samples of a page by name and labels; none may be there twice."""
    found = [
        ((sample.name, frozenset(sample.labels.items())), sample.value)
        for family in parse(text)
        for sample in family.samples
    ]
    assert len(dict(found)) == len(found), "a sample is on the page twice"
    return dict(found)


class TestFormats:
    def test_the_content_type_is_the_formats(self):
        assert Registry().render("") == (TEXT, b"")
        assert Registry().render(ASK_OPENMETRICS) == (OPENMETRICS, b"# EOF\n")

    def test_the_text_page_is_as_written_here(self):
        labels = [span_labels("a")]
        text = page(registry_of(by_label(names.CALLS, 0, labels, [3]), histogram(labels, [[1, 1, 3]], [20.5])))
        inner = 'service_name="a",span_name="GET /",span_kind="SPAN_KIND_SERVER",status_code="STATUS_CODE_UNSET"'
        stem = "traces_span_metrics_duration_milliseconds"
        assert text == (
            f"# HELP traces_span_metrics_calls_total {names.CALLS.help}\n"
            "# TYPE traces_span_metrics_calls_total counter\n"
            f"traces_span_metrics_calls_total{{{inner}}} 3\n"
            f"# HELP {stem} {names.DURATION_MILLISECONDS.help}\n"
            f"# TYPE {stem} histogram\n"
            f'{stem}_bucket{{{inner},le="2.0"}} 1\n'
            f'{stem}_bucket{{{inner},le="10.0"}} 1\n'
            f'{stem}_bucket{{{inner},le="+Inf"}} 3\n'
            f"{stem}_count{{{inner}}} 3\n"
            f"{stem}_sum{{{inner}}} 20.5\n"
        )

    def test_the_openmetrics_page_names_counters_without_total_and_says_units(self):
        labels = [span_labels("a")]
        text = page(
            registry_of(by_label(names.CALLS, 0, labels, [3]), histogram(labels, [[1, 1, 3]], [20.5])), ASK_OPENMETRICS
        )
        assert "# TYPE traces_span_metrics_calls counter\ntraces_span_metrics_calls_total{" in text
        assert "# UNIT traces_span_metrics_duration_milliseconds milliseconds\n" in text
        assert text.endswith("\n# EOF\n")

    @PARSERS
    def test_a_sample_without_labels_has_no_braces(self, accept, parse):
        text = page(registry_of(single(names.RECORDS, 0, 5)), accept)
        assert "\nstreamgauge_records_total 5\n" in text
        assert samples_of(text, parse) == {("streamgauge_records_total", frozenset()): 5}

    @PARSERS
    def test_a_column_without_further_labels_has_no_stray_comma(self, accept, parse):
        block = Samples(names.SPAN_CALLS, 0, (LabelSet(),), np.array([[5]]), window_columns("1m"))
        assert samples_of(page(registry_of(block), accept), parse) == {
            ("streamgauge_span_calls", frozenset({("window", "1m")})): 5
        }

    @PARSERS
    def test_nan_is_no_sample_and_integers_stay_integers(self, accept, parse):
        labels = [LabelSet([("service_name", service)]) for service in "ab"]
        durations = Samples(
            names.SPAN_DURATION,
            0,
            labels,
            np.array([[0.25, math.nan], [math.nan, 1e-9]]),
            window_columns("1m", (0.5, 0.99)),
        )
        calls = Samples(names.SPAN_CALLS, 0, labels, np.array([[2**53 + 1], [0]]), window_columns("1m"))
        text = page(registry_of(durations, calls), accept)
        values = samples_of(text, parse)
        assert len(values) == 4
        assert sorted(values.values()) == [0, 1e-9, 0.25, 2**53 + 1]
        assert f" {2**53 + 1}\n" in text

    @PARSERS
    def test_infinities_are_written_as_both_formats_want_them(self, accept, parse):
        labels = [LabelSet([("service_name", service)]) for service in "ab"]
        block = by_label(names.SERIES, 0, labels, np.array([math.inf, -math.inf]))
        text = page(registry_of(block), accept)
        assert " +Inf\n" in text
        assert " -Inf\n" in text
        assert sorted(samples_of(text, parse).values()) == [-math.inf, math.inf]

    @PARSERS
    def test_without_classic_buckets_a_histogram_keeps_its_count_its_sum_and_infinity(self, accept, parse):
        text = page(registry_of(histogram([span_labels("a")], [[1, 1, 3]], [20.5])), accept, buckets=False)
        assert [line.split("{")[0] for line in text.splitlines() if not line.startswith("#")] == [
            "traces_span_metrics_duration_milliseconds_bucket",
            "traces_span_metrics_duration_milliseconds_count",
            "traces_span_metrics_duration_milliseconds_sum",
        ]
        assert list(samples_of(text, parse).values()) == [3, 3, 20.5]


class TestExemplars:
    def exemplars(self, values, traces=((1, 2), (0, 3))) -> Exemplars:
        high, low = np.array(traces, np.uint64).T
        return Exemplars(high, low, np.array(values), np.full(len(values), 1_500_000_000, np.int64))

    def render(self, values, **options) -> str:
        labels = [span_labels("a"), span_labels("b")]
        block = histogram(labels, [[1, 2, 3], [1, 1, 1]], [1.0, 2.0], exemplars=self.exemplars(values, **options))
        return page(registry_of(block), ASK_OPENMETRICS)

    def test_an_exemplar_stands_on_the_bucket_that_counted_it(self):
        found = {
            (sample.labels["service_name"], sample.labels["le"]): sample.exemplar
            for family in parse_openmetrics(self.render([10.0, 2.5]))
            for sample in family.samples
            if sample.exemplar
        }
        assert set(found) == {("a", "10.0"), ("b", "10.0")}
        assert found["a", "10.0"].labels == {"trace_id": "00000000000000010000000000000002"}
        assert found["a", "10.0"].value == 10.0
        assert float(found["a", "10.0"].timestamp) == 1.5

    def test_a_value_beyond_all_bounds_is_in_the_infinite_bucket(self):
        assert 'le="+Inf"} 3 # {trace_id=' in self.render([1e9, 1.0])

    def test_a_trace_id_of_zero_and_a_value_that_is_none_are_no_exemplars(self):
        assert "trace_id" not in self.render([1.0, math.nan], traces=((0, 0), (1, 1)))

    def test_text_has_none(self):
        labels = [span_labels("a"), span_labels("b")]
        block = histogram(labels, [[1, 2, 3], [1, 1, 1]], [1.0, 2.0], exemplars=self.exemplars([1.0, 1.0]))
        assert "trace_id" not in page(registry_of(block))

    def test_without_buckets_they_stand_at_infinity(self):
        labels = [span_labels("a"), span_labels("b")]
        block = histogram(labels, [[1, 2, 3], [1, 1, 1]], [1.0, 2.0], exemplars=self.exemplars([1.0, 1.0]))
        text = page(registry_of(block), ASK_OPENMETRICS, buckets=False)
        assert text.count('le="+Inf"} ') == text.count(" # {trace_id=") == 2


class TestHostileLabels:
    @settings(deadline=None)
    @given(st.lists(st.tuples(ANY_TEXT, ANY_TEXT), min_size=1, max_size=4, unique=True))
    def test_whatever_the_values_are_both_pages_parse_and_give_them_back(self, values):
        labels = [LabelSet([("service_name", one), ("span_name", other)]) for one, other in values]
        blocks = (
            by_label(names.CALLS, 0, labels, np.arange(len(labels))),
            histogram(labels, [[1, 2, 3]] * len(labels), [1.0] * len(labels)),
        )
        expected = {
            frozenset({("service_name", safe_value(one)), ("span_name", safe_value(other))}): number
            for number, (one, other) in enumerate(values)
        }
        assert len(expected) == len(values)
        for accept, parse in (("", parse_text), (ASK_OPENMETRICS, parse_openmetrics)):
            found = samples_of(page(registry_of(*blocks), accept), parse)
            calls = {labels: value for (name, labels), value in found.items() if name == names.CALLS.page_name}
            assert calls == expected

    @PARSERS
    def test_a_megabyte_of_nul_newlines_and_quotes_is_a_short_line(self, accept, parse):
        labels = [LabelSet([("service_name", text * 250_000)]) for text in ('\0\n"\\', "x} 1", "\ud800")]
        text = page(registry_of(by_label(names.SERIES, 0, labels, [1, 2, 3])), accept)
        assert len(text) < 6_000
        assert sorted(samples_of(text, parse).values()) == [1, 2, 3]


class TestOwners:
    def test_a_family_of_several_owners_is_one_piece(self):
        registry = Registry()
        for shard in range(5):
            labels = [span_labels(f"service-{shard}")]
            registry.replace(shard, [histogram(labels, [[1, 2, 3]], [1.0]), by_label(names.CALLS, 0, labels, [shard])])
        text = page(registry, ASK_OPENMETRICS)
        assert len(samples_of(text, parse_openmetrics)) == 5 * 6
        stems = [line.split("{")[0].split("_milli")[0] for line in text.splitlines() if not line.startswith("#")]
        assert [stem for stem, _ in groupby(stems)] == [
            "traces_span_metrics_calls_total",
            "traces_span_metrics_duration",
        ]

    def test_replacing_swaps_all_that_an_owner_showed(self):
        registry = registry_of(single(names.RECORDS, 0, 5), single(names.SPANS, 0, 6))
        registry.replace("shard 0", [single(names.SPANS, 0, 7)])
        assert samples_of(page(registry), parse_text) == {("streamgauge_spans_total", frozenset()): 7}
        registry.remove("shard 0")
        registry.remove("never there")
        assert page(registry) == ""

    @PARSERS
    def test_counters_and_histograms_of_one_label_set_in_several_owners_add_up(self, accept, parse):
        shared, own = span_labels("__overflow__"), span_labels("own")
        registry = Registry()
        registry.replace(0, [by_label(names.CALLS, 0, [shared], [2]), histogram([shared], [[1, 1, 2]], [10.5])])
        registry.replace(
            1,
            [
                by_label(names.CALLS, 0, [own, shared], [1, 40]),
                histogram([own, shared], [[0, 0, 1], [0, 4, 40]], [7.0, 100.0]),
            ],
        )
        found = samples_of(page(registry, accept), parse)
        key = frozenset(shared.pairs())
        assert found[names.CALLS.page_name, key] == 42
        stem = names.DURATION_MILLISECONDS.name
        assert found[f"{stem}_count", key] == 42
        assert found[f"{stem}_sum", key] == 110.5
        assert found[f"{stem}_bucket", key | {("le", "10.0")}] == 5
        assert len(found) == 2 * 6

    def test_of_quantiles_the_largest_is_shown_and_of_watermarks_the_least(self):
        labels = [LabelSet([("service_name", "__overflow__")])]
        registry = Registry()
        for shard, (quantile, watermark) in enumerate([(math.nan, 7.5), (0.25, 5.5), (0.5, 6.5)]):
            registry.replace(
                shard,
                [
                    Samples(names.SPAN_DURATION, 0, labels, np.array([[quantile]]), window_columns("1m", (0.5,))),
                    single(names.WATERMARK, 0, watermark),
                ],
            )
        assert sorted(samples_of(page(registry), parse_text).values()) == [0.5, 5.5]

    def test_integers_of_one_owner_and_floats_of_another_add_up(self):
        registry = Registry()
        registry.replace(0, [single(names.RECORDS, 0, 1)])
        registry.replace(1, [single(names.RECORDS, 0, 0.5)])
        assert samples_of(page(registry), parse_text) == {("streamgauge_records_total", frozenset()): 1.5}

    def test_a_page_never_mixes_two_states_of_an_owner(self):
        registry = Registry()
        stop = threading.Event()

        def write() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                registry.replace("a", [single(names.RECORDS, 0, number), single(names.SPANS, 0, number)])

        registry.replace("a", [single(names.RECORDS, 0, 0), single(names.SPANS, 0, 0)])
        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(300):
                assert len(set(samples_of(page(registry), parse_text).values())) == 1
        finally:
            stop.set()
            writer.join()


class TestProcessMetrics:
    def own_metrics(self) -> CollectorRegistry:
        own = CollectorRegistry()
        Counter("process_things", "Things.", ["kind"], registry=own).labels("x\n").inc(3)
        Histogram("process_wait_seconds", "Waits.", registry=own, unit="seconds").observe(0.2)
        Gauge("process_level", "A level.", registry=own).set(4)
        return own

    @PARSERS
    def test_the_process_own_families_follow_ours_without_created_series(self, accept, parse):
        registry = registry_of(single(names.RECORDS, 0, 5))
        registry.attach(self.own_metrics())
        text = page(registry, accept)
        found = samples_of(text, parse)
        assert found["process_things_total", frozenset({("kind", "x\n")})] == 3
        assert found["process_level", frozenset()] == 4
        assert found["streamgauge_records_total", frozenset()] == 5
        assert "_created" not in text

    @PARSERS
    def test_a_family_of_two_collectors_is_shown_once(self, accept, parse):
        registry = Registry()
        one, other = self.own_metrics(), CollectorRegistry()
        Counter("process_things", "Things.", ["kind"], registry=other).labels("y").inc(1)
        Gauge("process_wait_seconds", "Of another type.", registry=other).set(1)
        registry.attach(one)
        registry.attach(other)
        registry.attach(one)
        text = page(registry, accept)
        assert text.count("# TYPE process_things") == 1
        assert "Of another type" not in text
        found = samples_of(text, parse)
        assert sorted(value for (name, _), value in found.items() if name == "process_things_total") == [1, 3]

    def test_a_collector_with_a_name_of_ours_is_refused_naming_it(self):
        own = CollectorRegistry()
        Gauge("streamgauge_records_total", "Clash.", registry=own)
        with pytest.raises(ValueError, match="streamgauge_records_total, which streamgauge exports itself"):
            Registry().attach(own)
