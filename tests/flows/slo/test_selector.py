"""Selectors: which series a promise counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.decode.batch import KINDS, STATUSES
from flows.series import SeriesLabels
from flows.slo.place import Place, SloError
from flows.slo.selector import DEFAULT_KINDS, Selector, label_value, parse_selector

DIMENSIONS = ("http_route", "tenant")
HERE = Place("a.yaml", {}, (), ("spec",))


def series(
    service: str = "web",
    name: str = "GET /a",
    kind: str = "SERVER",
    status: str = "UNSET",
    dimensions: tuple[str, str] = ("/a", "acme"),
) -> SeriesLabels:
    return SeriesLabels(
        service, name, KINDS.index(f"SPAN_KIND_{kind}"), STATUSES.index(f"STATUS_CODE_{status}"), dimensions
    )


def selector(**written: object) -> Selector:
    return parse_selector(written, HERE, DIMENSIONS)


@pytest.mark.parametrize(
    ("written", "labels", "expected"),
    [
        ({}, series(), True),
        ({"service_name": "web"}, series(), True),
        ({"service_name": "web"}, series("cart"), False),
        ({"service_name": ["cart", "web"]}, series(), True),
        ({"service_name": {"not": "web"}}, series(), False),
        ({"service_name": {"not": ["cart", "web"]}}, series("pay"), True),
        ({"span_name": {"regex": "GET .*"}}, series(), True),
        ({"span_name": {"regex": "GET"}}, series(), False),  # all of it must match
        ({"span_name": {"not_regex": "GET .*"}}, series(), False),
        ({"span_name": {"regex": "GET .*", "not": "GET /a"}}, series(), False),
        ({"span_name": {"regex": "GET .*"}}, series(name="GET /a\nb"), True),
        ({"span_kind": "server"}, series(), True),
        ({"span_kind": ["SPAN_KIND_CLIENT", "Consumer"]}, series(kind="CONSUMER"), True),
        ({"span_kind": ["client", "consumer"]}, series(), False),
        ({"status_code": "error"}, series(status="ERROR"), True),
        ({"status_code": {"not": "error"}}, series(status="OK"), True),
        ({"tenant": "acme"}, series(), True),
        ({"tenant": "acme", "http_route": "/b"}, series(), False),
        ({"tenant": ""}, series(dimensions=("/a", "")), True),  # a label that a span has not is empty
        ({"tenant": {"not": ""}}, series(dimensions=("/a", "")), False),
        ({"signal": "spans", "service_name": "web"}, series(), True),
    ],
)
def test_a_selector_matches_by_equal_in_not_and_expression(
    written: dict[str, object], labels: SeriesLabels, expected: bool
) -> None:
    assert selector(**written).matches(labels, DIMENSIONS) is expected


def test_what_says_nothing_of_kinds_is_about_servers_and_consumers() -> None:
    assert selector().with_default_kinds() == selector(span_kind=list(DEFAULT_KINDS))
    said = selector(span_kind={"not": "client"})
    assert said.with_default_kinds() is said


def test_selectors_that_mean_the_same_are_equal_however_they_are_written() -> None:
    first = selector(service_name=["b", "a", "b"], span_kind="server")
    assert first == parse_selector({"span_kind": ["SPAN_KIND_SERVER"], "service_name": ["a", "b"]}, HERE, ())
    assert hash(first) == hash(selector(span_kind="SERVER", service_name=["a", "b"]))


@given(
    st.lists(st.sampled_from(["web", "cart", "pay"]), min_size=1),
    st.lists(st.sampled_from(["web", "cart", "pay"]), min_size=1),
    st.sampled_from(["web", "cart", "pay", "other"]),
)
def test_an_index_by_the_services_that_a_selector_names_leaves_out_nothing_it_matches(
    equal: list[str], unequal: list[str], service: str
) -> None:
    one = selector(service_name=equal)
    both = Selector("spans", tuple(sorted((*one.matchers, *selector(service_name={"not": unequal}).matchers))))
    only = both.only("service_name")
    assert only is not None
    assert not both.matches(series(service), DIMENSIONS) or service in only
    assert selector(service_name={"regex": "w.*"}).only("service_name") is None


def test_the_value_of_any_label_is_as_it_is_exported() -> None:
    labels = series()
    values = [label_value(labels, each, DIMENSIONS) for each in ("service_name", "span_kind", "status_code", "tenant")]
    assert values == ["web", "SPAN_KIND_SERVER", "STATUS_CODE_UNSET", "acme"]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (
            {"service.name": "web"},
            "spec.service.name is no label of a series; a selector is over labels and configured",
        ),
        ({"service.name": "web"}, "Did you mean service_name?"),
        ({"region": "eu"}, "add region to `dimensions` of the configuration to have it"),
        ({"signal": "logs"}, "spec.signal is 'logs'; promises are about spans. Write signal: spans."),
        ({"service_name": []}, "spec.service_name is an empty list; nothing would ever match"),
        ({"service_name": 7}, "spec.service_name is 7; a label's value is text. Quote it."),
        ({"service_name": {}}, "spec.service_name is an empty mapping"),
        (
            {"service_name": {"like": "x"}},
            "spec.service_name.like is no way to match; there are not, regex and not_regex",
        ),
        ({"span_name": {"regex": "("}}, "spec.span_name.regex is '('; it is no regular expression"),
        ({"span_name": {"regex": ["a"]}}, "a regular expression is text"),
        ({"span_kind": "servre"}, "spec.span_kind is 'servre'; there are SPAN_KIND_UNSPECIFIED"),
        ({"status_code": {"not": "500"}}, "spec.status_code.not is '500'; there are STATUS_CODE_UNSET"),
    ],
)
def test_what_no_series_could_have_is_refused(written: dict[str, object], expected: str) -> None:
    with pytest.raises(SloError) as caught:
        selector(**written)
    assert expected in str(caught.value)
