"""The web configuration file of Prometheus' exporters: TLS, basic authentication, headers.

Source: prometheus/exporter-toolkit, "Web configuration" (docs/web-configuration.md). A file that serves another
exporter serves here, unless it asks for what we cannot do: that is refused in words and never ignored, since the file
is about who may read. It is read at start; the certificates are read again when they change.
"""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from exporters.tls import FreshContext, Tls

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECTIONS = ("tls_server_config", "http_server_config", "basic_auth_users")
_TLS_KEYS = (
    "cert_file",
    "key_file",
    "client_auth_type",
    "client_ca_file",
    "min_version",
    "max_version",
    "prefer_server_cipher_suites",
)
_UNSUPPORTED = {
    "tls_server_config.cert": "write it to a file and name that as cert_file",
    "tls_server_config.key": "write it to a file and name that as key_file",
    "tls_server_config.client_ca": "write it to a file and name that as client_ca_file",
    "tls_server_config.client_allowed_sans": "sign the allowed clients' certificates by a CA of their own instead",
    "tls_server_config.cipher_suites": "leave it out: OpenSSL's secure defaults hold",
    "tls_server_config.curve_preferences": "leave it out: OpenSSL's secure defaults hold",
    "rate_limit": "leave it out: pages are rendered at most once a second whoever asks",
}
_CLIENT_AUTH = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_UNVERIFIED = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
_VERSIONS = ("TLS12", "TLS13")
_HEADERS: dict[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
"""The headers that may be set, and their values where there are only some."""
_BCRYPT = re.compile(r"\$2[abxy]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")


@dataclass(frozen=True, slots=True)
class WebConfig:
    """Who may read the page, and how.

    The hashes are left out of its text, so that no log has them.
    """

    tls: Tls | None = None
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    """bcrypt hashes by user name; empty for no authentication."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with every answer."""

    @classmethod
    def load(cls, path: Path) -> WebConfig:
        """Read and check a file. Paths in it are relative to its own folder.

        Raises:
            ValueError: the file, or one that it names, cannot be read or used; the sentence names file and key.
        """
        try:
            text = path.read_text(encoding="utf-8")
            document = yaml.load(text, _UniqueKeys)  # noqa: S506, a SafeLoader
            return _checked({} if document is None else document, path.parent)
        except OSError as error:
            raise ValueError(f"the web configuration {path} cannot be read: {error.strerror}") from error
        except yaml.YAMLError as error:
            raise ValueError(f"the web configuration {path} is not YAML: {_where(error)}") from error
        except ValueError as error:
            raise ValueError(f"the web configuration {path} cannot be used: {error}") from error


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error: the second user of a name would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise ValueError(f"{key.value} stands there twice, again in line {key.start_mark.line + 1}")
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _where(error: yaml.YAMLError) -> str:
    """The line that cannot be parsed, without any of it, which the parser's own words may quote: it may be a secret."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1} cannot be parsed"
    return "it cannot be parsed"


def _checked(document: object, folder: Path) -> WebConfig:
    sections = _mapping("", document, _SECTIONS)
    tls = sections.get("tls_server_config")
    return WebConfig(
        tls=None if tls is None else _tls(tls, folder),
        users=_users(sections.get("basic_auth_users")),
        headers=_headers(sections.get("http_server_config")),
    )


def _tls(section: object, folder: Path) -> Tls:
    where = "tls_server_config"
    found = _mapping(where, section, _TLS_KEYS)
    files = {key: _path(f"{where}.{key}", found[key], folder) for key in found if key.endswith("_file")}
    for key in ("cert_file", "key_file"):
        if key not in files:
            raise ValueError(f"{where}.{key} is missing; TLS needs both cert_file and key_file")
    auth = found.get("client_auth_type", "NoClientCert")
    if auth in _UNVERIFIED:
        raise ValueError(
            f"{where}.client_auth_type is {auth}, which takes certificates unverified and is not supported; "
            "write RequireAndVerifyClientCert"
        )
    client_auth = _CLIENT_AUTH[_one_of(f"{where}.client_auth_type", auth, tuple(_CLIENT_AUTH))]
    if ("client_ca_file" in files) != (client_auth != ssl.CERT_NONE):
        raise ValueError(
            f"{where}.client_ca_file and client_auth_type go together; write both, the latter as "
            "RequireAndVerifyClientCert, or neither"
        )
    low = _one_of(f"{where}.min_version", found.get("min_version", "TLS12"), _VERSIONS)
    high = _one_of(f"{where}.max_version", found.get("max_version", "TLS13"), _VERSIONS)
    if low > high:
        raise ValueError(f"{where}.min_version is {low} and max_version {high}; expected the one not above the other")
    prefer = _boolean(f"{where}.prefer_server_cipher_suites", found.get("prefer_server_cipher_suites", True))
    tls = Tls(files["cert_file"], files["key_file"], files.get("client_ca_file"), client_auth, low, high, prefer)
    try:
        FreshContext(tls)
    except ValueError as error:
        raise ValueError(f"{where}.{error}") from error
    return tls


def _users(section: object) -> dict[str, str]:
    where = "basic_auth_users"
    users: dict[str, str] = {}
    for name, hashed in _mapping(where, section).items():
        if ":" in name:
            raise ValueError(f"{where} has the name {name!r}; a name in basic authentication has no colon")
        if not isinstance(hashed, str) or _BCRYPT.fullmatch(hashed) is None:
            raise ValueError(
                f"{where}.{name} is no bcrypt hash; expected $2y$10$ and 53 characters, "
                "as `htpasswd -nBC 10 NAME` prints"
            )
        users[name] = hashed
    return users


def _headers(section: object) -> dict[str, str]:
    where = "http_server_config"
    found = _mapping(where, section, ("http2", "headers"))
    if _boolean(f"{where}.http2", found.get("http2", False)):
        raise ValueError(f"{where}.http2 is true, and HTTP/2 is not supported; write false or leave it out")
    headers: dict[str, str] = {}
    for name, value in _mapping(f"{where}.headers", found.get("headers"), tuple(_HEADERS)).items():
        key = f"{where}.headers.{name}"
        if not isinstance(value, str) or not value.isascii() or not value.isprintable():
            raise ValueError(f"{key} is {value!r}; expected a line of ASCII text")
        if value:  # blank means unset
            headers[name] = _one_of(key, value, _HEADERS[name]) if _HEADERS[name] else value
    return headers


def _mapping(where: str, value: object, known: tuple[str, ...] = ()) -> dict[str, Any]:
    """A mapping with text keys, of which all are known; {} for one that is left blank."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{where or 'the file'} is {type(value).__name__}; expected keys with values")  # noqa: TRY004, a bad file is one error
    for key in value:
        path = f"{where}.{key}" if where else str(key)
        if path in _UNSUPPORTED:
            raise ValueError(f"{path} is not supported; {_UNSUPPORTED[path]}")
        if not isinstance(key, str) or (known and key not in known):
            raise ValueError(f"{path} is unknown; expected {', '.join(known) or 'text'}")
    return value


def _path(where: str, value: object, folder: Path) -> Path:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{where} is {value!r}; expected the path of a file")
    return folder / value


def _one_of(where: str, value: object, expected: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in expected:
        raise ValueError(f"{where} is {value!r}; expected {' or '.join(expected)}")
    return value


def _boolean(where: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{where} is {value!r}; expected true or false")  # noqa: TRY004, as above
    return value
