"""The sections that say where alerts go, with which credentials, and which links and labels they get."""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    InstanceOf,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from exporters.links import Links, Template
from flows.config.properties import Property
from flows.config.scalars import Duration, FilePath, lasting
from flows.config.sections import Section
from flows.errors import ConfigError, ConfigErrors
from flows.units import DURATION_UNITS

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporters.alertmanager import Target
    from exporters.endpoint import Endpoint

SECOND_NS = DURATION_UNITS["s"]

OWN_LABELS = frozenset(("alertname", "severity", "service", "slo", "objective", "spent", "signal", "source"))
"""Labels that alerts have by themselves."""

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def _secret(value: object) -> object:
    """Where a secret stands; never the secret itself, and what is said of it quotes nothing."""
    if isinstance(value, Property):
        return value
    expected, hint = "a secret stands elsewhere: {file: PATH} or {env: NAME}", "Write {file: /run/secrets/NAME}."
    if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in ("file", "env"):
        raise ConfigError("", "something else", expected, hint)
    where, what = next(iter(value.items()))
    if not isinstance(what, str) or not what:
        raise ConfigError(where, "not text or empty", expected, hint)
    if where == "env":
        return Property(secret=True, env=str(what))
    return Property(secret=True, file=Path(what))


Secret = Annotated[
    InstanceOf[Property],
    BeforeValidator(_secret),
    PlainSerializer(Property.shown),
    WithJsonSchema(
        {
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": False,
            "properties": {"file": {"type": "string"}, "env": {"type": "string"}},
        }
    ),
]
"""`{file: PATH}` or `{env: NAME}`, read anew for every POST."""


def _http_url(text: str) -> str:
    """A URL that can be posted to, without credentials in it."""
    expected, hint = "it must be a URL of http or https", "Write http://127.0.0.1:9093."
    if "@" in text:  # before anything that quotes it
        raise ConfigError("", "a URL with a user or password", "it must have none", "Use basic_auth or bearer_token.")
    try:
        parts = urlsplit(text)
        well_formed = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        well_formed = False
    if not well_formed or parts.fragment or re.search(r"\s", text):
        raise ConfigError("", repr(text.partition("?")[0]), expected, hint)
    return text


def _alertmanager_url(text: str) -> str:
    """The base of an Alertmanager, without the slash at its end."""
    text = _http_url(text).rstrip("/")
    if "?" in text:
        raise ConfigError("", repr(text.partition("?")[0] + "?…"), "an Alertmanager's URL has no query")
    if text.endswith(("/api/v2/alerts", "/api/v2", "/api/v1/alerts")):
        raise ConfigError("", repr(text), "/api/v2/alerts is added to it", "Leave that part out.")
    return text


class BasicAuthSettings(Section):
    """A user and a password."""

    username: Annotated[str, Field(min_length=1, pattern=r"^[^:]*$")] = Field(description="The user; without a `:`.")
    password: Secret = Field(description="`{file: PATH}` or `{env: NAME}`.")


class TlsSettings(Section):
    """Certificates, PEM; files that change are read again."""

    ca_file: FilePath | None = Field(
        default=None, description="Who signs the server's; by default whom the system trusts."
    )
    cert_file: FilePath | None = Field(default=None, description="Our own certificate, where the server asks for one.")
    key_file: FilePath | None = Field(default=None, description="Its key, without a password.")

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            given, other = ("cert_file", "key_file") if self.cert_file else ("key_file", "cert_file")
            raise ConfigError(given, "alone", "a certificate and its key go together", f"Write {other} too.")
        return self


class Receiver(Section):
    """What all receivers of alerts have."""

    timeout_ns: Annotated[Duration, lasting("100ms", "1m")] = Field(
        default=10 * SECOND_NS, description="How long to wait for a connection, and for an answer."
    )
    basic_auth: BasicAuthSettings | None = Field(default=None, description="A user and a password.")
    bearer_token: Secret | None = Field(default=None, description="A token: `{file: PATH}` or `{env: NAME}`.")
    tls: TlsSettings | None = Field(default=None, description="Certificates, where the system's do not do.")

    @model_validator(mode="after")
    def _one_identity(self) -> Self:
        if self.basic_auth is not None and self.bearer_token is not None:
            raise ConfigError("bearer_token", "there beside basic_auth", "a request has one of them", "Remove one.")
        return self

    def endpoint(self, url: str, name: str, path: str) -> Endpoint:
        """It as exporters take it; `path` is its place in the file, for errors."""
        from exporters.endpoint import ClientTls, Endpoint  # whose HTTP library a replay does without

        def reader(secret: Property, key: str) -> partial[str]:
            return partial(secret.resolve, f"{path}.{key}", os.environ)

        basic, tls = self.basic_auth, self.tls
        return Endpoint(
            url,
            name,
            self.timeout_ns / 1e9,
            None if tls is None else ClientTls(tls.ca_file, tls.cert_file, tls.key_file),
            "" if basic is None else basic.username,
            None if basic is None else reader(basic.password, "basic_auth.password"),
            None if self.bearer_token is None else reader(self.bearer_token, "bearer_token"),
        )


class AlertmanagerSetting(Receiver):
    """One Alertmanager. All are sent all alerts: they agree among themselves who announces what."""

    url: Annotated[str, AfterValidator(_alertmanager_url)] = Field(
        description="Its base URL, such as `http://127.0.0.1:9093`, with its path prefix if it has one."
    )
    resend_ns: Annotated[Duration, lasting("1s", "1h")] = Field(
        default=60 * SECOND_NS,
        description="How often what fires is sent again; it ends by itself when not sent for four times this.",
    )


class WebhookSetting(Receiver):
    """One URL that gets the JSON of every alert that begins or ends."""

    url: Annotated[str, AfterValidator(_http_url)] = Field(description="Where to post.")


def _link(text: str) -> str:
    """A template that can be filled."""
    try:
        Template(text)
    except ValueError as error:
        hint = "Write https://jaeger.example/search?service={service}&start={from_us}&end={to_us}&lookback=custom."
        raise ConfigError("", "no link's template", str(error), hint) from error
    return text


Link = Annotated[str, AfterValidator(_link)]


class LinkSettings(Section):
    """Templates of the links that alerts get; without one there is no link."""

    jaeger: Link | None = Field(default=None, description="Traces of the service, at the time of the alert.")
    trace: Link | None = Field(default=None, description="One trace, failed or slow, by `{trace_id}`.")
    kibana: Link | None = Field(default=None, description="Logs of the service at that time.")
    grafana: Link | None = Field(default=None, description="A dashboard.")
    runbook: Link | None = Field(default=None, description="What to do; an SLO's own runbook goes before it.")

    def links(self) -> Links:
        """What fills them."""
        given = {name: getattr(self, name) for name in type(self).model_fields}
        return Links({name: text for name, text in given.items() if text is not None})


def _label_names(labels: dict[str, str]) -> dict[str, str]:
    for name, value in labels.items():
        if not _LABEL.fullmatch(name) or name.startswith("__"):
            raise ConfigError(name, "no label's name", "letters, digits and _, no digit first, no __ first")
        if name in OWN_LABELS:
            raise ConfigError(name, "taken", "alerts have that label by themselves", "Write cluster, env or region.")
        if not value:
            raise ConfigError(name, "empty", "an empty label says nothing", "Remove it.")
    return labels


ExternalLabels = Annotated[dict[str, str], AfterValidator(_label_names)]
"""Labels that every alert gets."""


def check_receivers(alertmanagers: tuple[AlertmanagerSetting, ...], webhooks: tuple[WebhookSetting, ...]) -> None:
    """Refuse a receiver that stands there twice: counters tell them by their URLs.

    Raises:
        ConfigError: with its place in the list.
    """
    for key, urls in (("alertmanagers", [each.url for each in alertmanagers]), ("webhooks", [w.url for w in webhooks])):
        for i, url in enumerate(urls):
            if url in urls[:i]:
                raise ConfigError(f"{key}[{i}].url", repr(url.partition("?")[0]), "that URL stands there before")


def targets(alertmanagers: tuple[AlertmanagerSetting, ...]) -> list[Target]:
    """The Alertmanagers as the sender takes them; their files are looked at, so that a start says what is wrong.

    Raises:
        ConfigErrors: secrets or certificates cannot be had; all of them are named at once.
    """
    from exporters.alertmanager import Target, alerts_url

    found = [
        Target(each.endpoint(alerts_url(each.url), each.url, f"alertmanagers[{i}]"), each.resend_ns / 1e9)
        for i, each in enumerate(alertmanagers)
    ]
    _check("alertmanagers", [target.endpoint for target in found])
    return found


def webhook_endpoints(webhooks: tuple[WebhookSetting, ...]) -> list[Endpoint]:
    """The webhooks as their sender takes them, looked at likewise.

    Raises:
        ConfigErrors: secrets or certificates cannot be had; all of them are named at once.
    """
    found = [each.endpoint(each.url, "", f"webhooks[{i}]") for i, each in enumerate(webhooks)]
    _check("webhooks", found)
    return found


def _check(key: str, endpoints: list[Endpoint]) -> None:
    """Look at every secret and every certificate, once."""
    problems: list[ConfigError] = []
    for i, endpoint in enumerate(endpoints):
        looks: list[tuple[str, Callable[[], object]]] = [("bearer_token", endpoint.authorization)]
        if endpoint.tls is not None:
            looks.append(("tls", endpoint.tls.context))
        for part, look in looks:
            try:
                look()
            except ConfigError as error:  # with its own place
                problems.append(error)
            except ValueError as error:
                problems.append(ConfigError(f"{key}[{i}].{part}", "not to be used", str(error)))
    if problems:
        raise ConfigErrors("configuration", tuple(problems))
