"""One HTTP server that JSON is posted to: its address, credentials, certificates, and what its answers mean."""

from __future__ import annotations

import base64
import logging
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, get_args

import httpx

if TYPE_CHECKING:
    from pathlib import Path

Reason = Literal[
    "connection",
    "timeout",
    "redirect",
    "credentials",
    "unauthorized",
    "throttled",
    "server_error",
    "bad_alert",
    "other",
]
"""Why a POST failed; what the counters say, so there are few. `bad_alert`: this very content is not wanted."""

REASONS: tuple[Reason, ...] = get_args(Reason)

_CONTENT_REFUSED = (400, 413, 422)
_BUSY = (408, 425, 429)
_LONGEST_DETAIL = 300

logger = logging.getLogger(__name__)


class Secret(Protocol):
    """Something that knows a secret, and reads it anew each time: it may be in a file that is renewed."""

    def __call__(self) -> str:
        """The secret.

        Raises:
            ValueError: it cannot be had now; the sentence says why, and does not quote it.
        """


@dataclass(frozen=True, slots=True)
class ClientTls:
    """Whom to trust, and who we are."""

    ca_file: Path | None = None  # None: whom the system trusts
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str = ""  # what the certificate is made out to, where that is not the host of the URL

    def context(self) -> ssl.SSLContext:
        """A context for handshakes.

        Raises:
            ValueError: a file cannot be read or used; names the setting.
        """
        for key, path in (("ca_file", self.ca_file), ("cert_file", self.cert_file), ("key_file", self.key_file)):
            try:
                if path is not None:
                    path.open("rb").close()
            except OSError as error:
                raise ValueError(f"{key} {path} cannot be read ({error.strerror}); expected a PEM file") from error
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.cert_file is not None:
                context.load_cert_chain(self.cert_file, self.key_file, password=_no_password)
        except ssl.SSLError as error:
            found = f"ca_file {self.ca_file}, cert_file {self.cert_file}, key_file {self.key_file}"
            raise ValueError(
                f"{found} cannot be used ({error.reason or error}); expected PEM files that fit"
            ) from error
        return context

    def stamps(self) -> tuple[tuple[int, int], ...]:
        """What changes when a file does."""
        return tuple(_stamp(path) for path in (self.ca_file, self.cert_file, self.key_file) if path is not None)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return 0, 0
    return stat.st_mtime_ns, stat.st_ino


def _no_password() -> str:
    """OpenSSL would ask on the terminal for an encrypted key's password, and wait there."""
    raise ValueError("key_file is encrypted; expected a key without a password, readable by this user only")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to post, and as whom.

    Args:
        url: complete, without credentials.
        name: what counters and logs call it.
        timeout_seconds: for connecting, for sending and for each part of the answer.
        tls: certificates; the system's where None.
        user: of basic authentication, with `password`.
        bearer: a token instead.
    """

    url: str
    name: str = ""
    timeout_seconds: float = 10.0
    tls: ClientTls | None = None
    user: str = ""
    password: Secret | None = field(default=None, repr=False)
    bearer: Secret | None = field(default=None, repr=False)

    @property
    def shown(self) -> str:
        """Its name, by default the URL without what stands after the `?`."""
        return self.name or self.url.partition("?")[0]

    def authorization(self) -> dict[str, str]:
        """The header that says who we are, if any; secrets are read now.

        Raises:
            ValueError: a secret cannot be had.
        """
        if self.bearer is not None:
            return {"Authorization": f"Bearer {_header_safe(self.bearer())}"}
        if self.password is not None:
            pair = f"{self.user}:{self.password()}".encode()
            return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        return {}


def _header_safe(token: str) -> str:
    if not token.isascii() or not token.isprintable():
        raise ValueError("the bearer token holds characters that no header may; expected printable ASCII on one line")
    return token


class Answer(NamedTuple):
    """What became of a POST."""

    reason: Reason | None = None  # None: it was taken
    detail: str = ""
    retry_after_seconds: float | None = None

    @property
    def is_taken(self) -> bool:
        """Whether the receiver has it now."""
        return self.reason is None

    @property
    def is_content(self) -> bool:
        """Whether it is this content that is not wanted; else the same may be taken later."""
        return self.reason == "bad_alert"


class Client:
    """Posts to one endpoint, on connections that are kept for a while. For one thread; closed after use.

    Neither proxies nor credentials are taken from the environment: an alert's way is what the configuration says.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._client: httpx.Client | None = None
        self._stamps: tuple[tuple[int, int], ...] = ()

    def post(self, body: bytes) -> Answer:
        """Send JSON. Nothing raises, whatever the network, the receiver or a file does."""
        endpoint = self.endpoint
        try:
            headers = {"Content-Type": "application/json", "User-Agent": "streamgauge", **endpoint.authorization()}
            client = self._ready()
        except ValueError as error:
            return Answer("credentials", str(error))
        try:
            response = client.post(endpoint.url, content=body, headers=headers, follow_redirects=False)
        except httpx.TimeoutException as error:
            return Answer("timeout", f"no answer within {endpoint.timeout_seconds:g} s ({type(error).__name__})")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return Answer("connection", str(error) or type(error).__name__)
        except Exception as error:  # a mistake of ours or a library's must not end the thread that pages people
            logger.exception("a POST to %s failed for a reason that nobody thought of", endpoint.shown)
            return Answer("other", type(error).__name__)
        return _meaning(response)

    def prepare(self) -> None:
        """Read certificates ahead of the first POST, which takes a while; what is wrong with them that one will say."""
        with suppress(ValueError):
            self._ready()

    def _ready(self) -> httpx.Client:
        """The client, a new one where files of the certificates changed."""
        tls = self.endpoint.tls
        stamps = tls.stamps() if tls else ()
        if self._client is None or stamps != self._stamps:
            # Without certificates of its own: whom the system trusts, not whom a library brings along.
            is_secure = self.endpoint.url.lower().startswith("https:")
            verify = (tls or ClientTls()).context() if is_secure else False
            self.close()
            self._stamps = stamps
            self._client = httpx.Client(verify=verify, timeout=self.endpoint.timeout_seconds, trust_env=False)
        return self._client

    def close(self) -> None:
        """End its connections."""
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _meaning(response: httpx.Response) -> Answer:
    """An answer by its status (RFC 9110, section 15)."""
    status = response.status_code
    if response.is_success:
        return Answer()
    detail = f"it answered {status}: {' '.join(response.text[:_LONGEST_DETAIL].split())}".rstrip(": ")
    if response.is_redirect or 300 <= status < 400:
        where = response.headers.get("location", "elsewhere")
        return Answer("redirect", f"{detail} (to {where[:_LONGEST_DETAIL]}); redirects are not followed")
    if status in _CONTENT_REFUSED:
        return Answer("bad_alert", detail)
    if status in (401, 403, 407):
        return Answer("unauthorized", detail)
    wait = _retry_after(response.headers.get("retry-after", ""))
    if status in _BUSY:
        return Answer("throttled", detail, wait)
    return Answer("server_error" if status >= 500 else "other", detail, wait)


def _retry_after(text: str) -> float | None:
    """Seconds (RFC 9110, section 10.2.3); the form with a date is left alone."""
    return float(text) if text.isdecimal() and text.isascii() and len(text) < 9 else None
