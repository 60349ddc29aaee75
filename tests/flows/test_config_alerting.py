"""The sections about alerts: where they go, as whom, and what is refused."""

from __future__ import annotations

import pickle
import re
import traceback
from typing import TYPE_CHECKING

import pytest

from exporters.alertmanager import Target
from exporters.links import About
from flows.config import Config
from flows.config.alerting import targets, webhook_endpoints
from flows.config.load import parse
from flows.config.reference import as_yaml
from flows.errors import ConfigErrors

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "ebb-and-flow"


def refusal(text: str) -> str:
    with pytest.raises(ConfigErrors) as caught:
        parse(text, environment={})
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


def test_there_are_no_receivers_and_no_links_by_default() -> None:
    config = Config()
    assert (config.alertmanagers, config.webhooks, config.external_labels) == ((), (), {})
    assert config.links.links().about(About("checkout", trace_id="4bf9", from_ns=0, to_ns=1)) == {}


def test_an_alertmanager_is_a_url_with_its_path_prefix_and_how_often_it_is_told() -> None:
    text = "alertmanagers: [{url: 'https://a.example/am/'}, {url: 'http://b.example:9093', resend: 5s, timeout: 2s}]"
    first, second = targets(parse(text).alertmanagers)
    assert isinstance(first, Target)
    assert (first.endpoint.url, first.endpoint.shown) == (
        "https://a.example/am/api/v2/alerts",
        "https://a.example/am",
    )
    assert (first.resend_seconds, first.endpoint.timeout_seconds, first.endpoint.tls) == (60.0, 10.0, None)
    assert (second.resend_seconds, second.endpoint.timeout_seconds) == (5.0, 2.0)


def test_secrets_are_read_for_every_post_and_shown_by_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tmp_path / "token"
    token.write_text(f"{SECRET}\n")
    monkeypatch.setenv("AM_PASSWORD", SECRET)
    config = parse(
        f"""
alertmanagers:
  - {{url: "http://a.example", bearer_token: {{file: {token}}}}}
  - {{url: "http://b.example", basic_auth: {{username: ana, password: {{env: AM_PASSWORD}}}}}}
webhooks:
  - {{url: "http://c.example/hook?x=1", bearer_token: {{file: {token}}}}}
"""
    )
    one, two = (target.endpoint for target in targets(config.alertmanagers))
    (hook,) = webhook_endpoints(config.webhooks)
    assert one.authorization() == hook.authorization() == {"Authorization": f"Bearer {SECRET}"}
    token.write_text("new")
    assert one.authorization() == {"Authorization": "Bearer new"}
    assert two.authorization() == {"Authorization": "Basic YW5hOmViYi1hbmQtZmxvdw=="}
    assert hook.shown == "http://c.example/hook"
    for said in (as_yaml(config), repr(config), config.model_dump_json(), repr([one, two, hook])):
        assert SECRET not in said
    assert pickle.loads(pickle.dumps(config)) == config
    assert parse(as_yaml(config)) == config


def test_all_files_and_variables_that_are_missing_are_said_at_the_start(tmp_path: Path) -> None:
    config = parse(
        f"""
alertmanagers:
  - {{url: "http://a.example", bearer_token: {{file: {tmp_path / "none"}}}}}
  - {{url: "http://b.example", basic_auth: {{username: ana, password: {{env: NOT_THERE_AT_ALL}}}}}}
  - {{url: "https://c.example", tls: {{ca_file: {tmp_path / "ca.pem"}}}}}
"""
    )
    with pytest.raises(ConfigErrors) as caught:
        targets(config.alertmanagers)
    file, variable, ca = str(caught.value).splitlines()
    assert "alertmanagers[0].bearer_token is {file: " in file
    assert "alertmanagers[1].basic_auth.password is {env: NOT_THERE_AT_ALL}, which is not there" in variable
    assert "alertmanagers[2].tls is not to be used; ca_file " in ca


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("alertmanagers: [{url: 'http://u:%s@a.example'}]", "is a URL with a user or password"),
        ("alertmanagers: [{url: 'ftp://a.example'}]", "alertmanagers[0].url is 'ftp://a.example'; it must be a URL of"),
        ("alertmanagers: [{url: 'a.example:9093'}]", "it must be a URL of http or https"),
        ("alertmanagers: [{url: 'http://a.example/?x=%s'}]", "an Alertmanager's URL has no query"),
        ("alertmanagers: [{url: 'http://a.example/api/v2/alerts'}]", "/api/v2/alerts is added to it"),
        ("alertmanagers: [{url: 'http://a.example'}, {url: 'http://a.example/'}]", "that URL stands there before"),
        ("webhooks: [{url: 'http://a.example'}, {url: 'http://a.example'}]", "webhooks[1].url is"),
        ("alertmanagers: [{url: 'http://a.example', bearer_token: %s}]", "a secret stands elsewhere: {file: PATH}"),
        ("alertmanagers: [{url: 'http://a.example', bearer_token: {value: %s}}]", "a secret stands elsewhere"),
        ("alertmanagers: [{url: 'http://a.example', bearer_token: {file: [%s]}}]", "bearer_token.file is not text"),
        (
            "alertmanagers: [{url: 'http://a', bearer_token: {env: A}, basic_auth: {username: a, password: {env: B}}}]",
            "alertmanagers[0].bearer_token is there beside basic_auth",
        ),
        ("alertmanagers: [{url: 'http://a.example', tls: {cert_file: c}}]", "cert_file is alone; a certificate and"),
        ("alertmanagers: [{url: 'http://a.example', resend: 10ms}]", "it must be at least 1s"),
        ("alertmanagers: [{uri: 'http://a.example'}]", "Did you mean url?"),
        ("external_labels: {slo: x}", "external_labels.slo is taken"),
        ("external_labels: {a.b: x}", "no label's name"),
        ("external_labels: {__a: x}", "no label's name"),
        ("external_labels: {a: ''}", "external_labels.a is empty"),
        ("links: {jaeger: 'https://a.example/{pod}'}", "{pod} is no field of a link; there are service, operation"),
        ("links: {jaeger: '{service}'}", "begins with http:// or https://"),
        ("links: {loki: 'https://a.example/'}", "There are grafana, jaeger, kibana, runbook, trace"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place_and_quotes_no_secret(text: str, said: str) -> None:
    assert said in refusal(text.replace("%s", SECRET))


def test_the_examples_of_the_documentation_can_be_used(repository: Path) -> None:
    text = (repository / "docs" / "alerts.md").read_text("utf-8")
    alertmanagers, links = (parse(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL))
    assert [each.url for each in alertmanagers.alertmanagers] == [
        "http://127.0.0.1:9093",
        "https://alerts.example.org/am",
    ]
    filled = links.links.links().about(About("o'brien", "GET /", "4bf9", "checkout", from_ns=0, to_ns=1))
    assert set(filled) == {"jaeger", "trace", "kibana", "grafana", "runbook"}
    assert "service.name:%22o%21%27brien%22" in filled["kibana"]


def test_links_are_filled_as_configured() -> None:
    config = parse("links: {trace: 'https://jaeger.example/trace/{trace_id}', runbook: 'https://wiki.example/{slo}'}")
    about = About(trace_id="4bf9", slo="checkout availability")
    assert config.links.links().about(about) == {
        "trace": "https://jaeger.example/trace/4bf9",
        "runbook": "https://wiki.example/checkout%20availability",
    }
