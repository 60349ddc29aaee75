"""Label names and values are made safe, and different ones stay different."""

from __future__ import annotations

import copy
import pickle
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.labels import (
    MAX_VALUE_CHARACTERS,
    LabelSet,
    check_distinct,
    check_label_name,
    escaped,
    label_name,
    safe_value,
)

ANY_TEXT = st.text(st.characters(codec=None), max_size=60)


class TestLabelNames:
    @pytest.mark.parametrize(
        ("attribute", "label"),
        [
            ("http.response.status_code", "http_response_status_code"),
            ("http.route", "http_route"),
            ("k8s.pod-name/uid", "k8s_pod_name_uid"),
            ("2xx", "_2xx"),
            ("größe", "gr__e"),
            ("日本", "attr___"),
            ("__name__", "attr___name__"),
            ("service.name", "attr_service_name"),
            ("le", "attr_le"),
            ("quantile", "attr_quantile"),
            ("window", "attr_window"),
        ],
    )
    def test_an_attribute_becomes_a_label_as_prometheus_allows_it(self, attribute, label):
        assert label_name(attribute) == label
        assert check_label_name(label) == label

    def test_an_empty_attribute_is_refused(self):
        with pytest.raises(ValueError, match=r"attribute is empty.*http\.route"):
            label_name("")

    @given(st.text(min_size=1, max_size=30))
    def test_every_attribute_has_a_label_that_passes_the_check_for_those_a_person_wrote(self, attribute):
        assert check_label_name(label_name(attribute)) == label_name(attribute)

    @pytest.mark.parametrize("name", ["", "a.b", "1a", "__x", "a b", "é", "le", "service_name", "a\n"])
    def test_a_label_that_a_person_wrote_is_refused_with_a_proposal(self, name):
        with pytest.raises(ValueError, match="would do" if name else "is no label name"):
            check_label_name(name)

    def test_two_attributes_under_one_label_are_refused_naming_both(self):
        with pytest.raises(ValueError, match=r"http\.route and http_route both become the label http_route"):
            check_distinct([("http.route", "http_route"), ("http_route", "http_route")])
        check_distinct([("http.route", "http_route"), ("http_route", "route")])


class TestValues:
    @pytest.mark.parametrize("value", ["", "GET /a b", "日本語 🎉", "a\tb", "a\nb", "nbsp\u00a0", "\u2028", "x" * 512])
    def test_an_ordinary_value_is_left_as_it_is(self, value):
        assert safe_value(value) == value

    @pytest.mark.parametrize("character", ["\0", "\r", "\x0b", "\x1b", "\x7f", "\x85", "\ud800"])
    def test_control_characters_and_lone_surrogates_are_replaced_and_marked(self, character):
        value = safe_value(f"a{character}b")
        assert value.startswith("a\ufffdb…")
        assert len(value) == len("a\ufffdb…") + 16
        value.encode("utf-8")

    def test_a_value_of_a_megabyte_is_cut_to_the_documented_length(self):
        value = safe_value("x" * 1_000_000)
        assert len(value) == MAX_VALUE_CHARACTERS
        assert value.startswith("x" * 400)

    def test_long_values_that_differ_only_at_their_end_stay_different(self):
        assert safe_value("x" * 1_000_000 + "a") != safe_value("x" * 1_000_000 + "b")

    def test_values_that_differ_only_in_a_control_character_stay_different(self):
        assert len({safe_value(f"a{character}") for character in ("\0", "\1", "\x7f", "\ud800", "\ufffd")}) == 5

    @given(ANY_TEXT)
    def test_a_safe_value_is_left_as_it_is_when_made_safe_again(self, value):
        assert safe_value(safe_value(value)) == safe_value(value)

    @given(ANY_TEXT, ANY_TEXT)
    def test_values_that_differ_stay_different(self, one, other):
        assert (safe_value(one) == safe_value(other)) == (one == other)

    @given(ANY_TEXT)
    def test_an_escaped_value_is_one_line_of_utf_8_whose_quotes_are_all_escaped(self, value):
        text = escaped(value)
        assert "\n" not in text
        assert "\0" not in text
        text.encode("utf-8")
        assert '"' not in text.replace("\\\\", "").replace('\\"', "")


class TestLabelSets:
    @given(st.lists(ANY_TEXT, min_size=4, max_size=4))
    def test_the_pairs_come_back_from_the_text(self, values):
        pairs = list(zip(("service_name", "span_name", "http_route", "tenant"), values, strict=True))
        expected = [
            (name, safe_value(value)) for name, value in pairs if value or name in ("service_name", "span_name")
        ]
        assert list(LabelSet(pairs).pairs()) == expected

    def test_identity_labels_are_written_even_if_empty_and_dimensions_are_not(self):
        labels = LabelSet([("service_name", ""), ("status_code", ""), ("http_route", ""), ("tenant", "a")])
        assert labels.text == 'service_name="",status_code="",tenant="a"'

    @pytest.mark.parametrize("name", ["", "a.b", "1a", "__name__", "a\n", 'a="b",c'])
    def test_a_name_that_would_break_a_page_is_refused(self, name):
        with pytest.raises(ValueError, match="no label name"):
            LabelSet([(name, "x")])

    def test_a_label_that_is_there_twice_is_refused(self):
        with pytest.raises(ValueError, match="twice"):
            LabelSet([("a", "1"), ("a", "2")])

    def test_label_sets_are_equal_by_their_text_and_immutable(self):
        one, other = LabelSet([("a", "1")]), LabelSet([("a", "1")])
        assert one == other
        assert len({one, other}) == 1
        assert one != 'a="1"'
        with pytest.raises(AttributeError, match="immutable"):
            one.text = "b"

    def test_a_label_set_survives_the_way_to_another_process(self):
        labels = LabelSet([("a", 'x"\n\\')])
        assert pickle.loads(pickle.dumps(labels)) == labels
        assert copy.deepcopy(labels) == labels

    def test_a_label_set_is_small(self):
        labels = LabelSet(
            [
                ("service_name", "proposals"),
                ("span_name", "GET /api/v1/proposals/{id}"),
                ("span_kind", "SPAN_KIND_SERVER"),
                ("status_code", "STATUS_CODE_UNSET"),
            ]
        )
        assert sys.getsizeof(labels) + sys.getsizeof(labels.text) <= 400
