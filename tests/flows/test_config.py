"""The configuration: defaults that need no file, and errors that somebody who does not know the code can act on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flows.config import Config, load, parse
from flows.config.reference import as_values, as_yaml, markdown, schema
from flows.config.sections import Time
from flows.decode.batch import Dimension, Level, Wanted
from flows.errors import ConfigErrors, InputError

SECOND = 10**9


def refusal(text: str, environment: dict[str, str] | None = None) -> str:
    """What the person is told."""
    with pytest.raises(ConfigErrors) as caught:
        parse(text, "streamgauge.yaml", environment or {})
    assert caught.value.exit_code == 78
    return str(caught.value)


def test_no_file_means_the_defaults_that_the_design_names() -> None:
    config = load(None)
    assert config == Config() == parse("") == parse("# nothing\n")
    assert (config.time.pane_ns, config.time.lateness_ns) == (5 * SECOND, 5 * SECOND)
    assert config.windows_ns == (60 * SECOND, 300 * SECOND, 3600 * SECOND)
    assert config.quantiles == (0.5, 0.95, 0.99)
    assert config.limits.budget("any") == (2_000, 200)
    assert not config.dedupe.enabled
    assert config.sampling.weighted


def test_the_configuration_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Config().time.pane_ns = 1  # type: ignore[misc]


def test_what_show_prints_is_a_file_that_gives_the_same_configuration() -> None:
    text = """
dimensions: [http.route, {label: code, from: [a, {attribute: b, levels: [resource]}]}]
time: {pane: 10s, lateness: 1m30s}
limits: {string_bytes: 4KiB, services: {web: {series: 7}}}
span_metrics: {bounds_ms: [0.5, 2], latency_thresholds: [250ms, 1s]}
templates: {off_for: [legacy], patterns: [{pattern: "ord-[0-9]+", replacement: "{order}"}]}
"""
    config = parse(text)
    assert parse(as_yaml(config)) == config != Config()
    assert parse(as_yaml(Config())) == Config()


def test_a_section_left_empty_keeps_its_defaults() -> None:
    assert parse("time:\n  # pane: 10s\n  lateness:\nlimits:\n") == Config()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tiem: {}", "streamgauge.yaml:1: tiem is no setting at the top. Did you mean time?"),
        ("time:\n  latness: 5s", "streamgauge.yaml:2: time.latness is no setting in time. Did you mean lateness?"),
        ("limits: {services: {web: {serie: 1}}}", "no setting in limits.services.web. Did you mean series?"),
        ("dimensions: [{from: [{atribute: a}]}]", "Did you mean attribute?"),
        ("templates: {patterns: [{patern: a, replacement: b}]}", "Did you mean pattern?"),
        ("sloos: []", "sloos is no setting at the top. Did you mean slos?"),
        ("time: {pane_ns: 5s}", "time.pane_ns is no setting in time. Did you mean pane?"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_right_one(text: str, expected: str) -> None:
    assert expected in refusal(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("time: {pane: 7s}", "time.pane is 7s; a pane divides a minute. Write 5s, 6s or 10s."),
        ("time: {pane: 0}", "time.pane is 0s; a pane divides a minute"),
        ("time: {pane: 5}", "time.pane is '5'; a duration is numbers with units"),
        ("time: {lateness: -5s}", "time.lateness is '-5s'; a duration is numbers with units"),
        ("time: {max_age: 5s}", "time.max_age is 5s; it must be longer than time.lateness, 5s"),
        ("time: {series_expiry: 1m}", "time.series_expiry is 1m; a series must outlive the longest window, 1h"),
        ("windows: [1m, 7s]", "windows[1] is 7s; a window is a multiple of the pane, 5s"),
        ("windows: [90m, 5m30s]", "windows[1] is 5m30s; a window is a multiple of a minute, 1m"),
        ("windows: [1m, 60s]", "windows[1] is 1m; that window stands there before"),
        ("windows: []", "windows is an empty list; it must have at least 1"),
        ("windows: 1m", "windows is '1m'; it must be a list"),
        ("quantiles: [95]", "quantiles[0] is 95; a quantile is a ratio between 0 and 1. Write 0.95."),
        ("quantiles: [0.5, 0.5]", "quantiles[1] is 0.5; that quantile stands there before"),
        ("quantiles: [.nan]", "quantiles[0] is nan; it must be a finite number"),
        ("span_metrics: {bounds_ms: [2, 1]}", "span_metrics.bounds_ms[1] is 1ms; it must be more than the one before"),
        ("span_metrics: {bounds_ms: [0]}", "span_metrics.bounds_ms[0] is 0s; it must be more than 0"),
        (
            "span_metrics: {bounds_ms: [1.0000001]}",
            "span_metrics.bounds_ms[0] is 1.0000001 ms; it must be whole nanosec",
        ),
        ("span_metrics: {latency_thresholds: [1s, 1s]}", "latency_thresholds[1] is 1s; it must be more than the one"),
        ("limits: {max_services: 0}", "limits.max_services is 0; it must be at least 1"),
        ("limits: {max_services: '3'}", "limits.max_services is '3'; it must be a whole number"),
        ("limits: {max_services: true}", "limits.max_services is true; it must be a whole number"),
        ("limits: {string_bytes: 64XB}", "limits.string_bytes is '64XB' with the unit 'XB'; the units are"),
        ("dead_letters: {bytes_each: -1}", "dead_letters.bytes_each is -1; it must be at least 0"),
        ("templates: {patterns: [{pattern: '(', replacement: ''}]}", "it is no regular expression"),
        ("templates: {patterns: [{pattern: '(?i)x', replacement: ''}]}", "it is no regular expression"),
        ("templates: {patterns: [{pattern: '(x)', replacement: ''}]}", "it has a group that captures. Write (?:…) for"),
        ("templates: {patterns: [{pattern: 'x*', replacement: ''}]}", "it matches even where nothing stands"),
        ("templates: {patterns: [{pattern: x}]}", "templates.patterns[0].replacement is missing; it has no default"),
        ("templates: {off_for: [no]}", "templates.off_for[0] is false; it must be text: quote it"),
        ("sampling: off", "sampling is false; it must be a section, with keys and values"),
        ("dimensions: [{from: []}]", "dimensions[0].from is an empty list; it must have at least 1"),
        ("dimensions: [{label: 2x, from: [a]}]", "dimensions[0].label is '2x'"),
        ("dimensions: [{label: le, from: [a]}]", "dimensions[0].label is 'le'"),
        ("dimensions: [a.b, a_b]", "dimensions[1] is a second label a_b; a label comes from one dimension"),
        ("dimensions: [{from: [{attribute: a, levels: [link]}]}]", "it must be 'span', 'scope' or 'resource'"),
        ("- time", "the file is a list of 1; it must be a section, with keys and values"),
        ("time: {}\ntime: {}", "streamgauge.yaml:2: time is there twice, first on line 1"),
        ("limits: {services: {404: {series: 1}}}", "a mapping with a key that is no text. Quote it: '404'."),
        ("a: &x [*x]", "too large or too deep"),
        ("time: [", "streamgauge.yaml:1: not YAML at column"),
        ("time:\n\tpane: 5s", "streamgauge.yaml:2: not YAML at column 1"),
        ("a: !!python/object:os.system {}", "not YAML"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_what_could(text: str, expected: str) -> None:
    assert expected in refusal(text)


def test_all_that_is_wrong_is_said_at_once_and_in_the_order_of_the_file() -> None:
    said = refusal("time:\n  pane: 7x\nquantiles: [3]\nlimts: {}\nlimits:\n  max_services: -1\n").splitlines()
    assert [line.split(" is ")[0] for line in said] == [
        "streamgauge.yaml:2: time.pane",
        "streamgauge.yaml:3: quantiles[0]",
        "streamgauge.yaml:4: limts",
        "streamgauge.yaml:6: limits.max_services",
    ]


def test_a_broken_item_is_not_also_called_a_list_that_is_too_short() -> None:
    assert refusal("dimensions: [{from: [{attribute: 3}]}]").count("\n") == 0


def test_the_environment_fills_values_in_and_plain_ones_get_their_type() -> None:
    text = 'limits: {max_services: "${NOT_A_NUMBER}"}'
    assert "it must be a whole number" in refusal(text, {"NOT_A_NUMBER": "5"})
    config = parse("limits:\n  max_services: ${N}\ntime:\n  lateness: ${S}s\n", environment={"N": "5", "S": "10"})
    assert config.limits.max_services == 5
    assert config.time.lateness_ns == 10 * SECOND


def test_a_variable_that_is_not_set_is_an_error_with_key_and_name() -> None:
    expected = (
        "streamgauge.yaml:2: time.pane is ${PANE}; the environment has no variable PANE. "
        "Set it, or write $${PANE} if the text itself is meant."
    )
    assert refusal("time:\n  pane: ${PANE}") == expected


def test_two_dollars_escape_a_variable() -> None:
    config = parse("dimensions: ['$${HOME}']", environment={})
    assert config.dimensions[0].places[0].attribute == "${HOME}"


def test_a_variable_inside_braces_must_be_quoted_and_the_error_says_so() -> None:
    assert 'quote a variable: "${NAME}"' in refusal("time: {pane: ${PANE}}", {"PANE": "5s"})


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30))
def test_a_variable_is_one_value_whatever_it_holds(value: str) -> None:
    """It can neither add keys, nor be replaced again, nor start a comment."""
    config = parse("dimensions: ['x${V}', &a '${W}', {from: [*a], label: l}]", environment={"V": value, "W": "y${V}"})
    assert [d.places[0].attribute for d in config.dimensions] == [f"x{value}", "y${V}", "y${V}"]


def test_dimensions_reach_the_decoder_with_labels_places_and_levels() -> None:
    config = parse("dimensions: [http.route, {label: code, from: [a, {attribute: b, levels: [resource, span]}]}]")
    everywhere = (Level.SPAN, Level.SCOPE, Level.RESOURCE)
    assert config.decoder_dimensions() == (
        Dimension("http_route", (Wanted("http.route", everywhere),)),
        Dimension("code", (Wanted("a", everywhere), Wanted("b", (Level.RESOURCE, Level.SPAN)))),
    )


def test_a_services_own_limits_override_the_general_ones_one_by_one() -> None:
    limits = parse("limits: {values_per_dimension: 9, services: {web: {series: 7}}}").limits
    assert limits.budget("web") == (7, 9)
    assert limits.budget("other") == (2_000, 9)


def test_limits_of_records_reach_the_decoder() -> None:
    limits = parse("limits: {spans_per_record: 5, attributes_per_span: 6, string_bytes: 1KiB}").decoder_limits()
    assert (limits.spans_per_record, limits.attributes_per_span, limits.string_bytes) == (5, 6, 1024)


def test_bounds_in_nanoseconds_are_exact() -> None:
    metrics = parse("span_metrics: {bounds_ms: [0.1, 2, 1400.5]}").span_metrics
    assert metrics.bounds_ns == (100_000, 2_000_000, 1_400_500_000)


def test_in_code_durations_are_nanoseconds_or_text() -> None:
    assert Time(pane_ns=6 * SECOND) == Time.model_validate({"pane": "6s"})


def test_a_file_that_is_not_there_or_no_text_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file") as caught:
        load(tmp_path / "no.yaml")
    assert caught.value.exit_code == 66
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        load(tmp_path / "binary.yaml")


def test_the_page_on_the_configuration_is_current(repository: Path) -> None:
    """`make docs` writes it anew."""
    assert (repository / "docs" / "configuration.md").read_text(encoding="utf-8") == markdown()


def test_the_examples_on_the_page_are_configurations() -> None:
    first, besides, secrets = (parse(text) for text in re.findall(r"```yaml\n(.*?)```", markdown(), re.DOTALL))
    assert first.live().topics[0].name == "otlp_spans"
    assert besides.limits.budget("checkout").series == 5_000
    assert secrets.live().bootstrap_servers == "kafka-1:9093,kafka-2:9093"


def test_every_setting_is_described() -> None:
    described = schema()
    sections = [described, *described["$defs"].values()]
    assert [key for section in sections for key, each in section["properties"].items() if not each["description"]] == []


def test_the_schema_shows_durations_and_sizes_as_text_with_a_pattern() -> None:
    time = schema()["$defs"]["Time"]["properties"]
    assert (time["pane"]["type"], time["pane"]["default"]) == ("string", "5s")
    assert re.match(time["pane"]["pattern"], "1m30s")
    assert not re.match(time["pane"]["pattern"], "5")
    assert "string" in schema()["$defs"]["Limits"]["properties"]["string_bytes"]["type"]


def test_the_schemas_patterns_take_every_default() -> None:
    """An editor must not mark as wrong what `config show` prints."""
    values, described = as_values(Config()), schema()
    sections = {"time": "Time", "limits": "Limits", "dead_letters": "DeadLetters", "supervision": "Supervision"}
    for section, model in sections.items():
        properties = described["$defs"][model]["properties"]
        for key, value in values[section].items():
            if "pattern" in properties[key]:
                assert re.match(properties[key]["pattern"], str(value)), key
    assert yaml.safe_load(as_yaml(Config())) == values
