"""The settings of a live run: Kafka, secrets that nobody sees, addresses, and what a state directory keeps."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from flows.cli import app as command
from flows.config import Config, load, parse
from flows.config.live import EncodingName, Kafka
from flows.config.properties import OWNED
from flows.config.reference import as_yaml
from flows.decode.encodings import ENCODINGS
from flows.errors import ConfigError, ConfigErrors

FIRST = """
kafka:
  bootstrap_servers: 127.0.0.1:9092
  topics:
    - {name: otlp_spans, signal: spans, encoding: otlp_proto}
  start: earliest
  properties: {}
state_directory: ./state
listen: 127.0.0.1:9464
"""

SECRET = "hunter2-Zx9"


def kafka(properties: str = "{}", **settings: str) -> str:
    """A file with these properties, and other settings of the section as YAML."""
    defaults = {"bootstrap_servers": "b:9092", "topics": "[{name: t, signal: spans, encoding: otlp_proto}]"}
    lines = [f"  {key}: {value}" for key, value in {**defaults, **settings, "properties": properties}.items()]
    return "\n".join(["kafka:", *lines])


def refusal(text: str, environment: dict[str, str] | None = None) -> str:
    """What the person is told."""
    with pytest.raises(ConfigErrors) as caught:
        parse(text, "streamgauge.yaml", environment or {})
    assert caught.value.exit_code == 78
    return str(caught.value)


def test_a_persons_first_file_has_the_defaults_of_the_design() -> None:
    config = parse(FIRST)
    topics = config.live()
    assert topics.librdkafka() == {"bootstrap.servers": "127.0.0.1:9092"}
    assert [(t.name, t.signal, t.encoding) for t in topics.topics] == [("otlp_spans", "spans", "otlp_proto")]
    assert (topics.start_from, topics.slots, topics.group) == ("earliest", 32, "streamgauge")
    assert (topics.idle_ns, topics.metadata_refresh_ns) == (5 * 10**9, 30 * 10**9)
    assert config.state_directory == Path("state")
    assert config.listen_address == ("127.0.0.1", 9464)
    assert config.supervision.hang_ns == 60 * 10**9
    assert config.supervision.stop_grace_ns == 10 * 10**9
    assert config.supervision.epoch_ns == 5 * 10**9
    assert config.telemetry.otlp_endpoint is None
    assert config == parse(as_yaml(config))


def test_a_replay_needs_none_of_it_and_a_live_run_says_what_is_missing() -> None:
    assert Config().kafka is None
    with pytest.raises(ConfigError, match=r"kafka is missing; a live run reads topics\. Write") as caught:
        Config().live()
    assert caught.value.exit_code == 78


def test_servers_may_be_a_list() -> None:
    servers = "[a:9092, 'SSL://b:9093', '[::1]:9092']"
    assert parse(kafka(bootstrap_servers=servers)).live().bootstrap_servers == "a:9092,SSL://b:9093,[::1]:9092"
    assert parse(kafka(bootstrap_servers="'a:1 , b'")).live().bootstrap_servers == "a:1,b"


def test_a_start_time_is_milliseconds_rounded_up_so_that_nothing_before_it_is_read() -> None:
    assert parse(kafka(start="1970-01-01T00:00:01Z")).live().start_from == 1_000
    assert parse(kafka(start="1970-01-01T00:00:00.0000001Z")).live().start_from == 1
    assert parse(kafka(start="latest")).live().start_from == "latest"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            kafka(start="yesterday"),
            "kafka.start is 'yesterday'; it must be earliest, latest or a time. Write a time as",
        ),
        (kafka(start="1700000000000"), "kafka.start is 1700000000000; it must be earliest, latest or a time"),
        (kafka(start="1960-01-01"), "kafka.start is '1960-01-01'; Kafka's times begin in 1970"),
        (kafka(topics="[]"), "kafka.topics is an empty list; it must have at least 1"),
        (kafka(topics="[{name: t, signal: spans}]"), "kafka.topics[0].encoding is missing; it has no default"),
        (kafka(topics="[{name: t, encoding: otlp_proto}]"), "kafka.topics[0].signal is missing; it has no default"),
        (
            kafka(topics="[{name: t, signal: logs, encoding: otlp_proto}]"),
            "topics[0].signal is 'logs'; it must be 'spans'",
        ),
        (kafka(topics="[{name: t, signal: spans, encoding: protobuf}]"), "encoding is 'protobuf'; it must be 'otlp_pr"),
        (kafka(topics="[{nam: t, signal: spans, encoding: otlp_json}]"), "Did you mean name?"),
        (kafka(topics="[{name: a/b, signal: spans, encoding: otlp_json}]"), "a topic's name has 1 to 249 letters"),
        (
            kafka(
                topics="[{name: t, signal: spans, encoding: otlp_json}, {name: t, signal: spans, encoding: otlp_json}]"
            ),
            "kafka.topics[1].name is t; that topic stands there before",
        ),
        (kafka(bootstrap_servers="''"), "kafka.bootstrap_servers is empty; a server is host:port"),
        (kafka(bootstrap_servers="[]"), "kafka.bootstrap_servers is empty; a server is host:port"),
        (kafka(bootstrap_servers="'a:9092,,b'"), "kafka.bootstrap_servers is empty; a server is host:port"),
        (kafka(bootstrap_servers="a:99999"), "kafka.bootstrap_servers is 'a:99999'; a server is host:port"),
        (kafka(bootstrap_servers="3"), "kafka.bootstrap_servers is 3; it must be text"),
        (kafka(slots="0"), "kafka.slots is 0; it must be at least 1"),
        (kafka(metadata_refresh="2m"), "kafka.metadata_refresh is 2m; it must be at most 1m"),
        (kafka(idle="10ms"), "kafka.idle is 10ms; it must be at least 1s"),
        (kafka(idel="5s"), "kafka.idel is no setting in kafka. Did you mean idle?"),
        ("kafka: {topics: [{name: t, signal: spans, encoding: otlp_json}]}", "kafka.bootstrap_servers is missing"),
        (
            "listen: ':9464'",
            "listen is ':9464'; which interfaces to listen on is said, not left out. Write 0.0.0.0:9464",
        ),
        ("listen: '::1:9464'", "listen is '::1:9464'; an IPv6 address stands in brackets"),
        ("listen: localhost", "listen is 'localhost'; an address is host:port"),
        ("listen: a:70000", "listen is 'a:70000'; an address is host:port, the port a number up to 65535"),
        ("listen: 9464", "listen is 9464; it must be text: quote it"),
        ("state_directory: ''", "state_directory is ''; it must be a path"),
        ("state_directory: ~/state", "state_directory is '~/state'; a ~ is not expanded"),
        ("supervision: {hang: 10s}", "supervision.hang is 10s; it must be longer than two epochs, 10s"),
        ("supervision: {epoch: 0s}", "supervision.epoch is 0s; it must be at least 100ms"),
        ("dead_letters: {topic: t, file: f}", "dead_letters.file is f; dead letters go to the topic t"),
        ("dead_letters: {topic: t}", "dead_letters.topic is t; there is no section kafka. Name a file instead."),
        (kafka() + "\ndead_letters: {topic: t}", "dead_letters.topic is t; that topic is read"),
        ("dead_letters: {bytes_each: 1MiB}", "dead_letters.bytes_each is '1MiB'; it must be at most 65536"),
        ("limits: {dead_letters: {count: 3}}", "limits.dead_letters is no setting in limits"),
        ("log: {level: loud}", "log.level is 'loud'; it must be 'debug', 'info', 'warning' or 'error'"),
        ("telemetry: {otlp_endpoint: 'localhost:4317'}", "it must be the base URL of an OTLP receiver over HTTP"),
        ("telemetry: {otlp_endpoint: 'http://c:4318/v1/traces'}", "/v1/traces and /v1/metrics are added to it"),
        ("telemetry: {otlp_endpoint: 'http://c:x'}", "it must be the base URL of an OTLP receiver over HTTP"),
        ("telemetry: {interval: 1ms}", "telemetry.interval is 1ms; it must be at least 1s"),
        (kafka("{sasl.password: 007}"), "kafka.properties.sasl.password is a number; it must be text: quote it"),
        (kafka("{a: [1]}"), "kafka.properties.a is a list; it must be text"),
        (kafka("{a: null}"), "kafka.properties.a is empty; it must be text"),
        (
            kafka("{a: {fiel: x}}"),
            "kafka.properties.a is a mapping of another form; it must be a value, {file: PATH} or",
        ),
        (kafka("{a: {file: ''}}"), "kafka.properties.a.file is not text or empty"),
        (kafka("{a: <hidden>}"), "kafka.properties.a is <hidden>; `config show` wrote that in the place of a secret"),
        (kafka("{error_cb: x}"), "kafka.properties.error_cb is set here; that is a function of a program"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_what_could(text: str, expected: str) -> None:
    assert expected in refusal(text)


@pytest.mark.parametrize("name", OWNED)
def test_a_property_that_is_ours_is_refused_with_the_reason_and_its_line(name: str) -> None:
    said = refusal(kafka(f"\n    client.id: x\n    {name}: x"))
    assert said == (
        f"streamgauge.yaml:6: kafka.properties.{name} is set here; {OWNED[name]}. Remove it from kafka.properties."
    )


def test_all_properties_that_are_wrong_are_said_at_once() -> None:
    assert refusal(kafka("{group.id: a, isolation.level: b, sasl.password: 1}")).count("\n") == 2


def test_every_encoding_of_the_decoders_can_be_configured() -> None:
    assert set(get_args(EncodingName)) == set(ENCODINGS)


def test_properties_become_the_text_that_librdkafka_takes() -> None:
    text = "{client.id: 7, socket.keepalive.enable: true, ssl.ca.location: /ca, linger.ms: 0.5}"
    assert parse(kafka(text)).live().librdkafka() == {
        "bootstrap.servers": "b:9092",
        "client.id": "7",
        "socket.keepalive.enable": "true",
        "ssl.ca.location": "/ca",
        "linger.ms": "0.5",
    }


def test_files_and_variables_are_read_when_a_client_is_made_and_stripped(tmp_path: Path) -> None:
    path = tmp_path / "password"
    properties = f"{{sasl.password: {{file: {path}}}, sasl.username: {{env: KAFKA_USER}}}}"
    topics = parse(kafka(properties), environment={}).live()  # neither is there yet
    with pytest.raises(ConfigErrors) as caught:
        topics.librdkafka({})
    file, variable = str(caught.value).splitlines()
    assert f"kafka.properties.sasl.password is {{file: {path}}} (No such file or directory); the file holds" in file
    assert "kafka.properties.sasl.username is {env: KAFKA_USER}, which is not there; the variable holds" in variable
    assert variable.endswith("Set KAFKA_USER where streamgauge is started.")
    path.write_text(f" {SECRET}\n")
    assert topics.librdkafka({"KAFKA_USER": "bob\n"}) == {
        "bootstrap.servers": "b:9092",
        "sasl.password": SECRET,
        "sasl.username": "bob",
    }


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "which is empty"),
        (b" \n", "which is empty"),
        (b"\xff" + SECRET.encode(), "which is no text"),
        (SECRET.encode() * 200_000, "which is larger than 1 MiB"),
    ],
)
def test_a_file_that_cannot_be_a_secret_is_named_and_never_quoted(
    tmp_path: Path, content: bytes, expected: str
) -> None:
    path = tmp_path / "password"
    path.write_bytes(content)
    with pytest.raises(ConfigErrors) as caught:
        parse(kafka(f"{{sasl.password: {{file: {path}}}}}")).live().librdkafka({})
    assert expected in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_what_the_environment_puts_into_a_property_stays_the_text_it_is() -> None:
    """As YAML these would be 7, true, nothing, 1e5 and a list."""
    for value in ("007", "yes", "null", "1e5", "[a]", "0x", "~", "'", "a: b # c"):
        topics = parse(kafka("\n    sasl.password: ${PW}"), environment={"PW": value}).live()
        assert topics.librdkafka()["sasl.password"] == value


def test_a_secret_by_way_of_an_alias_or_a_merged_mapping_stays_the_text_it_is_and_hidden() -> None:
    text = kafka('\n    a.b: &pw "${PW}"\n    c.d: *pw\n    <<: {e.f: "x${PW}"}')
    topics = parse(text, environment={"PW": "007"}).live()
    resolved = topics.librdkafka()
    assert (resolved["a.b"], resolved["c.d"], resolved["e.f"]) == ("007", "007", "x007")
    assert {topics.properties[name].shown() for name in ("a.b", "c.d", "e.f")} == {"<hidden>"}


WAYS = {
    "a variable": (kafka('{client.id: "${PW}"}'), {"PW": SECRET}),
    "a part of a variable": (kafka('{client.id: "x-${PW}-y"}'), {"PW": SECRET}),
    "a plain variable": (kafka("\n    client.id: ${PW}"), {"PW": SECRET}),
    "a name that says password": (kafka(f"{{sasl.password: {SECRET}}}"), {}),
    "a key's password": (kafka(f"{{ssl.key.password: {SECRET}}}"), {}),
    "a keystore's password": (kafka(f"{{ssl.keystore.password: {SECRET}}}"), {}),
    "a key": (kafka(f"{{ssl.key.pem: {SECRET}}}"), {}),
    "a client's secret": (kafka(f"{{sasl.oauthbearer.client.secret: {SECRET}}}"), {}),
    "an assertion's key": (kafka(f"{{sasl.oauthbearer.assertion.private.key.pem: {SECRET}}}"), {}),
    "an assertion's passphrase": (kafka(f"{{sasl.oauthbearer.assertion.private.key.passphrase: {SECRET}}}"), {}),
    "a configuration of OAuth": (kafka(f"{{sasl.oauthbearer.config: 'principal={SECRET}'}}"), {}),
    "a property of later": (kafka(f"{{some.new.Token: {SECRET}}}"), {}),
    "a URL with a password": (kafka(f"{{https.proxy: 'http://u:{SECRET}@proxy:1'}}"), {}),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_secret_is_shown_by_nothing_that_shows_a_configuration(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, environment = WAYS[way]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "streamgauge.yaml"
    path.write_text(text)
    shown = CliRunner().invoke(command.app, ["config", "show", "--config", str(path)])
    assert shown.exit_code == 0
    assert "<hidden>" in shown.output
    config = load(path)
    said = [
        shown.output,
        as_yaml(config),
        repr(config),
        str(config),
        f"{config.live().properties}",
        config.model_dump_json(),
        str(config.model_dump()),
        json.dumps(config.frozen()),
        str(ValueError(config)),
    ]
    assert [each for each in said if SECRET in each] == []
    assert SECRET in "".join(config.live().librdkafka().values())  # or there would be nothing to hide


@pytest.mark.parametrize("way", WAYS)
def test_a_secret_is_in_no_error_about_its_file_also_not_in_the_traceback(way: str) -> None:
    """A file that is wrong elsewhere too, in a section and as a whole."""
    text, environment = WAYS[way]
    for wrong in ("windows: [7s]", "nonsense: 1", "dead_letters: {topic: t}", "time: {series_expiry: 1m}"):
        with pytest.raises(ConfigErrors) as caught:
            parse(f"{text}\n{wrong}", environment=environment)
        assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "text",
    [
        kafka("{sasl.password: [%s]}"),
        kafka("{sasl.password: {value: %s}}"),
        kafka("{sasl.password: {file: [%s]}}"),
        kafka("{group.id: '%s'}"),
        kafka("{error_cb: %s}"),
        kafka("[%s]"),
        kafka(bootstrap_servers="'u:%s@b:9092'"),
        "telemetry: {otlp_endpoint: 'http://u:%s@c:4318'}",
        "telemetry: {otlp_endpoint: 'http://u:%s@c:x'}",
    ],
)
def test_a_secret_in_the_wrong_form_is_refused_and_not_quoted(text: str) -> None:
    said = refusal(text.replace("%s", SECRET))
    assert SECRET not in said


@pytest.mark.parametrize(
    "text",
    [
        'listen: "${PW}"',
        'time: {pane: "${PW}"}',
        'quantiles: ["${PW}"]',
        'dimensions: [{label: "${PW}", from: [a]}]',
        'state_directory: "~${PW}"',
        'templates: {patterns: [{pattern: "(${PW}", replacement: ""}]}',
        'limits: {max_services: "${PW}"}',
        'log: {level: "${PW}"}',
        "log: {level: !!int ${PW}}",
        "time: !!timestamp ${PW}",
        kafka(start='"${PW}"'),
        kafka(bootstrap_servers='"${PW}/"'),
        kafka(topics='[{name: "${PW}/", signal: spans, encoding: otlp_proto}]'),
    ],
)
def test_a_secret_that_went_to_the_wrong_setting_is_not_quoted_either(text: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        parse(text, environment={"PW": SECRET})
    assert SECRET not in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_an_error_about_a_variables_value_names_the_variable() -> None:
    expected = "streamgauge.yaml:2: time.pane is ${PANE}; a pane divides a minute. Look at what the variable holds."
    assert refusal("time:\n  pane: ${PANE}", {"PANE": "7s"}) == expected


def test_a_configuration_with_secrets_reaches_another_process_whole() -> None:
    config = parse(kafka('{sasl.password: "${PW}", ssl.key.pem: {env: KEY}}'), environment={"PW": SECRET})
    for copied in (pickle.loads(pickle.dumps(config)), copy.deepcopy(config)):
        assert copied == config
        assert copied.live().librdkafka({"KEY": "k"})["sasl.password"] == SECRET


def test_a_secret_is_in_no_log_of_pydantic_when_code_makes_the_section_wrongly(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(ValidationError) as caught:
        Kafka.model_validate({"bootstrap_servers": "b:1", "topics": (), "properties": {"sasl.password": SECRET}})
    assert SECRET not in str(caught.value) + repr(caught.value) + caplog.text


@pytest.mark.parametrize(
    ("listen", "address"),
    [("0.0.0.0:9464", ("0.0.0.0", 9464)), ("'[::]:0'", ("::", 0)), ("'[fe80::1%eth0]:1'", ("fe80::1%eth0", 1))],
)
def test_an_address_is_a_host_and_a_port(listen: str, address: tuple[str, int]) -> None:
    assert parse(f"listen: {listen}").listen_address == address


def test_frozen_settings_are_plain_json_and_named_as_in_the_file() -> None:
    frozen = parse(FIRST).frozen()
    assert json.loads(json.dumps(frozen)) == frozen
    assert (frozen["kafka.slots"], frozen["time.pane"], frozen["shards"]) == (32, "5s", 64)
    assert (frozen["histogram scale"], frozen["recovery partitions"]) == (5, 8)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ("time: {pane: 10s}", "time.pane"),
        ("windows: [1m]", "windows"),
        ("span_metrics: {bounds_ms: [1, 2]}", "span_metrics.bounds_ms"),
        (kafka(slots="16"), "kafka.slots"),
    ],
)
def test_a_change_of_what_is_frozen_changes_its_entry_and_the_fingerprint(change: str, key: str) -> None:
    before, after = Config(), parse(change)
    assert [name for name, value in before.frozen().items() if after.frozen()[name] != value] == [key]
    assert before.fingerprint() != after.fingerprint()


def test_what_is_not_frozen_changes_no_fingerprint_and_it_is_the_same_in_every_release() -> None:
    free = (
        kafka() + "\ndimensions: [a]\nlimits: {max_services: 3}\ntime: {lateness: 1s}\nlisten: 'a:1'\nquantiles: [0.9]"
    )
    assert parse(free).fingerprint() == Config().fingerprint() == "d8009eb57953f5c0"
