"""Every exported name is a good one, is described, and is in the reference."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from exporters.names import BY_NAME, FAMILIES, page_order, reference
from exporters.reference import markdown

ROOT = Path(__file__).resolve().parents[2]
LABEL = re.compile(r"[a-z][a-z0-9_]*")
SCALED_UNITS = ("milliseconds", "minutes", "hours", "kilobytes", "megabytes", "percent", "nanoseconds")
MENTIONED = re.compile(r"\b(?:streamgauge|traces)_[a-z_]+[a-z]\b")


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
class TestEveryFamily:
    def test_a_name_is_lower_case_without_colons_and_has_no_suffix_of_its_own(self, family):
        assert re.fullmatch(r"(?:streamgauge|traces_span_metrics)_[a-z][a-z_]*", family.name)
        assert not family.name.endswith(("_total", "_bucket", "_count", "_sum", "_created", "_info")) or (
            family.name == "streamgauge_build_info"
        )

    def test_a_name_is_described_in_one_sentence(self, family):
        assert len(family.help) > 20
        assert family.help[0].isupper() or family.help[0].isdigit()
        assert family.help.endswith(".")
        assert "\n" not in family.help

    def test_a_unit_is_the_last_word_of_the_name_and_a_base_unit_where_the_name_is_ours(self, family):
        if family.unit:
            assert family.name.endswith(f"_{family.unit}")
        if family.name.startswith("streamgauge_"):
            assert not family.name.endswith(SCALED_UNITS)

    def test_counters_end_in_total_on_the_page_and_others_do_not(self, family):
        assert family.page_name.endswith("_total") == (family.kind == "counter")

    def test_labels_are_lower_case_and_each_is_there_once(self, family):
        assert all(LABEL.fullmatch(label) for label in family.labels)
        assert len(set(family.labels)) == len(family.labels)


class TestAllFamilies:
    def test_no_two_families_share_a_name_in_any_form(self):
        names = [name for family in FAMILIES for name in {family.name, *family.sample_names}]
        assert len(set(names)) == len(names)
        assert len(BY_NAME) == len(FAMILIES)

    def test_the_reference_has_every_family_once_in_page_order(self):
        assert [row.name for row in reference()] == [family.page_name for family in sorted(FAMILIES, key=page_order)]
        assert all(row.help for row in reference())

    def test_the_document_is_current(self):
        """Where this fails: `python -m exporters.reference > docs/metrics.md`."""
        assert (ROOT / "docs" / "metrics.md").read_text("utf-8") == markdown()

    def test_the_names_that_dashboards_of_others_read_are_exactly_theirs(self):
        """The Collector's `span_metrics` connector, as Jaeger's Monitor tab queries it."""
        assert BY_NAME["traces_span_metrics_calls"].page_name == "traces_span_metrics_calls_total"
        assert BY_NAME["traces_span_metrics_duration_milliseconds"].sample_names == (
            "traces_span_metrics_duration_milliseconds_bucket",
            "traces_span_metrics_duration_milliseconds_count",
            "traces_span_metrics_duration_milliseconds_sum",
        )
        for name in ("traces_span_metrics_calls", "traces_span_metrics_duration_milliseconds"):
            assert BY_NAME[name].labels == ("service_name", "span_name", "span_kind", "status_code")

    def test_no_source_file_mentions_a_metric_that_is_not_described(self):
        """A metric that is exported from elsewhere, or renamed here only, is found by its name in the sources."""
        known = {name for family in FAMILIES for name in (family.name, *family.sample_names)}
        known |= {"traces_span_metrics"}
        strangers = {
            f"{path.relative_to(ROOT)}: {name}"
            for package in ("flows", "exporters")
            for path in sorted((ROOT / package).rglob("*.py"))
            for name in MENTIONED.findall(path.read_text("utf-8"))
            if name not in known
        }
        assert not strangers, f"not in exporters/names.py: {sorted(strangers)}"
