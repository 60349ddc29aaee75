"""The sections that only a live run needs: Kafka, supervision, dead letters, logs, the process's own telemetry."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from flows.config.properties import Properties, resolved
from flows.config.scalars import Duration, FilePath, Size, lasting
from flows.config.sections import Section, type_of_list
from flows.errors import ConfigError, UnitError
from flows.units import DURATION_UNITS, format_duration, parse_time

if TYPE_CHECKING:
    from collections.abc import Mapping

SECOND_NS = DURATION_UNITS["s"]

_SERVER = re.compile(r"([A-Za-z][A-Za-z_]*://)?(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")

EncodingName = Literal["otlp_proto", "otlp_json", "jaeger_proto", "jaeger_json", "zipkin_json", "zipkin_proto"]


def _topic_name(name: str) -> str:
    """A name that Kafka takes (`org.apache.kafka.common.internals.Topic`)."""
    if not _TOPIC.fullmatch(name) or name in (".", ".."):
        raise ConfigError("", repr(name), "a topic's name has 1 to 249 letters, digits, dots, _ and -")
    return name


TopicName = Annotated[str, AfterValidator(_topic_name)]


class TopicSetting(Section):
    """One topic, and how its records are to be read: that is said, never guessed."""

    name: TopicName = Field(description="The topic's name.")
    signal: Literal["spans"] = Field(description="What its records hold: `spans`.")
    encoding: EncodingName = Field(
        description="How they are written: `otlp_proto`, `otlp_json`, `jaeger_proto`, `jaeger_json`, `zipkin_json`, "
        "`zipkin_proto`."
    )


def _joined(value: object) -> object:
    """A list of servers as librdkafka has it."""
    if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
        return ",".join(value)
    return value


def _servers(text: str) -> str:
    """Servers that can be asked, separated by single commas."""
    servers = [server.strip() for server in text.split(",")]
    for server in servers:
        match = _SERVER.fullmatch(server)
        if match is None or (match[3] and not 0 < int(match[3][1:]) < 65536):
            found = "a server with a user or password" if "@" in server else repr(server) if server else "empty"
            raise ConfigError("", found, "a server is host:port", "Write 127.0.0.1:9092, several with commas between.")
    return ",".join(servers)


def _start(value: object) -> object:
    """One of the two words, or a time that there is."""
    if value in ("earliest", "latest"):
        return value
    expected, hint = "it must be earliest, latest or a time", "Write a time as 2026-03-02T09:30:00Z."
    if not isinstance(value, str):
        raise ConfigError("", repr(value), expected, hint)
    try:
        at_ns = parse_time(value)
    except UnitError as error:
        raise ConfigError("", repr(value), expected, hint) from error
    if at_ns < 0:
        raise ConfigError("", repr(value), "Kafka's times begin in 1970", hint)
    return value


class Kafka(Section):
    """Where records come from."""

    bootstrap_servers: Annotated[
        str, BeforeValidator(_joined, json_schema_input_type=str | list[str]), AfterValidator(_servers)
    ] = Field(description="Some brokers of the cluster, `host:port`, as one text with commas or as a list.")
    topics: Annotated[tuple[TopicSetting, ...], type_of_list] = Field(
        min_length=1, description="What is read: `{name, signal, encoding}`."
    )
    start: Annotated[str, BeforeValidator(_start)] = Field(
        default="earliest",
        description="Where reading begins: `earliest`, `latest`, or a time (RFC 3339); it counts only where there is "
        "no state yet.",
    )
    properties: Properties = Field(
        default_factory=dict,
        description="Anything else librdkafka takes: a value, `{file: PATH}` or `{env: NAME}`.",
    )
    group: str = Field(
        default="streamgauge",
        max_length=249,
        description='Offsets are committed to this group for tools that show lag, never read back; `""` commits none.',
    )
    slots: Annotated[int, Field(ge=1, le=256)] = Field(
        default=32, description="Consumers that the topics' partitions are dealt to. Frozen in the state directory."
    )
    idle_ns: Annotated[Duration, lasting("1s")] = Field(
        default=5 * SECOND_NS, description="A partition at whose end nothing came for this long holds nobody back."
    )
    metadata_refresh_ns: Annotated[Duration, lasting("1s", "1m")] = Field(
        default=30 * SECOND_NS, description="How often the cluster is asked for new partitions; at most 1m."
    )

    @model_validator(mode="after")
    def _topics_differ(self) -> Self:
        names = [topic.name for topic in self.topics]
        for i, name in enumerate(names):
            if name in names[:i]:
                raise ConfigError(f"topics[{i}].name", name, "that topic stands there before", "A topic is read once.")
        return self

    @property
    def start_from(self) -> str | int:
        """`earliest`, `latest`, or a time in Unix milliseconds, rounded up: no record before it is read."""
        return self.start if self.start in ("earliest", "latest") else -(-parse_time(self.start) // 1_000_000)

    def librdkafka(self, environment: Mapping[str, str] | None = None) -> dict[str, str]:
        """What a client is made of: the servers and all properties, secrets too. Files and variables are read now.

        Args:
            environment: what `{env: NAME}` is taken from; by default the process's environment.

        Raises:
            ConfigErrors: Files or variables are not there, or hold nothing; all of them are named at once.
        """
        return {"bootstrap.servers": self.bootstrap_servers, **resolved(self.properties, environment)}


class Supervision(Section):
    """When workers count as hanging, how they are stopped and restarted, how often state is stored."""

    hang_ns: Annotated[Duration, lasting("100ms")] = Field(
        default=60 * SECOND_NS, description="A worker that finishes no epoch for this long is restarted."
    )
    stop_grace_ns: Annotated[Duration, lasting("100ms")] = Field(
        default=10 * SECOND_NS, description="How long a stop may take before the workers are killed."
    )
    restart_backoff_most_ns: Annotated[Duration, lasting("100ms")] = Field(
        default=30 * SECOND_NS, description="The longest pause before workers that ended are started again."
    )
    epoch_ns: Annotated[Duration, lasting("100ms")] = Field(
        default=5 * SECOND_NS, description="How often state is stored; ten times what storing takes, if that is longer."
    )
    free_space: Size = Field(
        default=256 << 20, description="With less room than this beside the state, `/-/ready` says so."
    )

    @model_validator(mode="after")
    def _hang_outlasts_epochs(self) -> Self:
        if self.hang_ns <= 2 * self.epoch_ns:
            expected = f"it must be longer than two epochs, {format_duration(2 * self.epoch_ns)}"
            raise ConfigError("hang", format_duration(self.hang_ns), expected, "The default is 1m.")
        return self


class DeadLetters(Section):
    """Where goes, and how much is kept, of what could not be decoded; all of it is counted."""

    topic: TopicName | None = Field(
        default=None, description="A Kafka topic of the same cluster for the records; by default they go to a file."
    )
    file: FilePath | None = Field(
        default=None, description="A file of JSON lines; by default `dead_letters.jsonl` in the state directory."
    )
    count: Annotated[int, Field(ge=0, le=1 << 40)] = Field(
        default=10_000, description="Records kept in the file; later ones are only counted."
    )
    bytes_each: Annotated[Size, Field(le=64 << 10)] = Field(
        default=64 << 10, description="Bytes kept of each; at most 64KiB."
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.topic is not None and self.file is not None:
            raise ConfigError("file", str(self.file), f"dead letters go to the topic {self.topic}", "Name one of them.")
        return self


class LogSettings(Section):
    """What the lines of the log look like, and which there are."""

    format: Literal["auto", "json", "console"] = Field(
        default="auto", description="`json`, `console`, or `auto`: console on a terminal, JSON elsewhere."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="What is said at least.")


def _endpoint(url: str) -> str:
    """The base of an OTLP/HTTP receiver, without the slash at its end."""
    hint = "Write http://127.0.0.1:4318."
    expected = "it must be the base URL of an OTLP receiver over HTTP"
    try:
        parts = urlsplit(url)
        well_formed = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        well_formed = False
    if "@" in url:  # before anything that quotes it
        hint = "Give credentials as headers by the variable OTEL_EXPORTER_OTLP_HEADERS."
        raise ConfigError("", "a URL with a user or password", "it must have none", hint)
    if not well_formed or parts.query or parts.fragment:
        raise ConfigError("", repr(url.partition("?")[0]), expected, hint)
    if parts.path.rstrip("/").endswith(("/v1/traces", "/v1/metrics")):
        raise ConfigError("", repr(url), "/v1/traces and /v1/metrics are added to it", "Leave that part out.")
    return url.rstrip("/")


class TelemetrySettings(Section):
    """The process's own traces and metrics."""

    otlp_endpoint: Annotated[str, AfterValidator(_endpoint)] | None = Field(
        default=None,
        description="An OTLP receiver over HTTP, such as `http://127.0.0.1:4318`; without one nothing is sent.",
    )
    interval_ns: Annotated[Duration, lasting("1s")] = Field(
        default=30 * SECOND_NS, description="How often they are sent."
    )


def _listen(text: str) -> str:
    """An address that can be bound."""
    split_address(text)
    return text


def split_address(text: str) -> tuple[str, int]:
    """Host and port.

    >>> split_address("127.0.0.1:9464"), split_address("[::1]:9464")
    (('127.0.0.1', 9464), ('::1', 9464))

    Raises:
        ConfigError: It has not the form `host:port`; an IPv6 address stands in brackets.
    """
    expected, hint = "an address is host:port", "Write 127.0.0.1:9464 or [::1]:9464."
    host, colon, port = text.rpartition(":")
    if colon and not host:
        hint = f"Write 0.0.0.0:{port} to listen on all interfaces, 127.0.0.1:{port} for this machine only."
        raise ConfigError("", repr(text), "which interfaces to listen on is said, not left out", hint)
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port, re.ASCII) or int(port) > 65535:
        raise ConfigError("", repr(text), f"{expected}, the port a number up to 65535", hint)
    bracketed = re.fullmatch(r"\[([0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?)\]", host)
    if bracketed is None and not re.fullmatch(r"[A-Za-z0-9._-]+", host):
        expected = "an IPv6 address stands in brackets" if ":" in host else expected
        raise ConfigError("", repr(text), expected, hint)
    return bracketed[1] if bracketed else host, int(port)


Listen = Annotated[str, AfterValidator(_listen)]
"""`host:port`; port 0 takes a free one."""

DEFAULT_STATE = Path("state")
