"""Links: what data fills stays a value, and what a template may say is checked."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.links import FIELDS, About, Links, Template

FROM_NS, TO_NS = 1_772_443_800_000_000_000, 1_772_444_100_000_000_001
HOSTILE = "a&b=c#d/../é ?%2e\"'!\\)"

KIBANA = (
    "https://kibana.example/app/discover#/?_g=(time:(from:'{from_iso}',to:'{to_iso}'))"
    "&_a=(query:(language:kuery,query:'service.name:%22{service:kql}%22'))"
)
JAEGER = "https://jaeger.example/search?service={service}&start={from_us}&end={to_us}&lookback=custom&limit=20"
JAEGER_TAGS = 'https://jaeger.example/search?service={service}&tags={{"error":"true","http.route":"{operation:json}"}}'
GRAFANA = "https://grafana.example/d/streamgauge/services?var-service={service}&from={from_ms}&to={to_ms}"


def about(**fields):
    return About(**{"service": "checkout", "from_ns": FROM_NS, "to_ns": TO_NS, **fields})


def test_jaegers_search_gets_microseconds_and_the_end_is_within():
    link = urlsplit(Template(JAEGER).fill(about()))
    assert (link.netloc, link.path) == ("jaeger.example", "/search")
    assert parse_qs(link.query) == {
        "service": ["checkout"],
        "start": ["1772443800000000"],
        "end": ["1772444100000001"],
        "lookback": ["custom"],
        "limit": ["20"],
    }


def test_grafanas_dashboard_gets_milliseconds():
    query = parse_qs(urlsplit(Template(GRAFANA).fill(about())).query)
    assert query == {"var-service": ["checkout"], "from": ["1772443800000"], "to": ["1772444100001"]}


def test_kibanas_discover_gets_times_in_iso_and_the_service_in_kql():
    fragment = unquote(urlsplit(Template(KIBANA).fill(about())).fragment)
    assert fragment == (
        "/?_g=(time:(from:'2026-03-02T09:30:00Z',to:'2026-03-02T09:35:00.001Z'))"
        "&_a=(query:(language:kuery,query:'service.name:\"checkout\"'))"
    )


def unrison(text):
    """A string of rison at the beginning of a text, and what follows it."""
    assert text[0] == "'"
    found, i = [], 1
    while text[i] != "'":
        if text[i] == "!":
            i += 1
            assert text[i] in "!'"
        found.append(text[i])
        i += 1
    return "".join(found), text[i + 1 :]


@given(service=st.text(st.characters(exclude_categories=["Cs"]), min_size=1) | st.just(HOSTILE))
def test_a_service_of_any_name_stays_one_value_in_every_example(service):
    if service in (".", ".."):
        return
    seen = about(service=service, operation=service)
    for template in (JAEGER, JAEGER_TAGS, GRAFANA, KIBANA):
        link, plain = (Template(template).fill(each) for each in (seen, about(operation="x")))
        assert link.isascii()
        assert link.isprintable()
        assert urlsplit(link)[:3] == urlsplit(plain)[:3]
    query = parse_qs(urlsplit(Template(JAEGER_TAGS).fill(seen)).query, strict_parsing=True)
    assert query["service"] == [service]
    assert json.loads(query["tags"][0]) == {"error": "true", "http.route": service}
    state = unquote(urlsplit(Template(KIBANA).fill(seen)).fragment.partition("&_a=")[2])
    kql, rest = unrison(state.removeprefix("(query:(language:kuery,query:"))
    assert rest == "))"
    assert json.loads(kql.removeprefix("service.name:")) == service


def test_a_link_whose_field_has_no_value_is_left_out():
    links = Links({"trace": "https://jaeger.example/trace/{trace_id}", "grafana": GRAFANA})
    assert set(links.about(about())) == {"grafana"}
    assert links.about(about(trace_id="4bf9"))["trace"] == "https://jaeger.example/trace/4bf9"
    assert links.about(About(service="checkout")) == {}


def test_there_is_no_link_without_a_template():
    assert Links({}).about(about(trace_id="4bf9")) == {}


@pytest.mark.parametrize("name", [".", ".."])
def test_a_value_that_is_a_step_in_a_path_makes_no_link(name):
    assert Template("https://wiki.example/runbooks/{service}").fill(about(service=name)) is None


def test_every_field_can_be_asked_for():
    everything = About("s", "o", "t", "slo", "0.999", "SLOBurnRate", "critical", FROM_NS, TO_NS)
    filled = Template("https://a.example/?" + "&".join(f"{name}={{{name}}}" for name in FIELDS)).fill(everything)
    assert set(parse_qs(urlsplit(filled).query)) == set(FIELDS)


def test_doubled_braces_stand_for_braces():
    assert Template("https://a.example/?q={{{service}}}").fill(about()) == "https://a.example/?q={checkout}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://a.example/{pod}", "{pod} is no field of a link; there are service, operation, "),
        ("https://a.example/{}", "{} is no field"),
        ("https://a.example/{0}", "{0} is no field"),
        ("https://a.example/{service.__class__}", "{service.__class__} is no field"),
        ("https://a.example/{service!r}", "{service!r} is no field"),
        ("https://a.example/{service:>9}", "{service:>9} is no way to write a field; there are {service}, {service:r"),
        ("https://a.example/{service:{operation}}", "is no way to write a field"),
        ("https://a.example/{service", "its braces do not fit"),
        ("https://a.example/}", "its braces do not fit"),
        ("https://{service}/", "a host that is written out"),
        ("https://a.example{service}/", "a host that is written out"),
        ("https://a.example:{service}/", "a host that is written out"),
        ("https://u:p@a.example/", "a host that is written out"),
        ("javascript:alert(1)//", "begins with http:// or https://"),
        ("{service}", "begins with http:// or https://"),
        ("https://a.example/a b", "no white space"),
        ("https://a.example/\n", "no white space"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused_saying_what_may_stand_there(text, expected):
    with pytest.raises(ValueError) as caught:
        Template(text)
    assert expected in str(caught.value)
