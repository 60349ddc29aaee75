"""The server's side of TLS: certificate, key, who may connect; read again when the files change."""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tls:
    """What `tls_server_config` says, checked."""

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None = None
    client_auth: ssl.VerifyMode = ssl.CERT_NONE
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    prefer_server_ciphers: bool = True

    @property
    def files(self) -> tuple[Path, ...]:
        """All that are read."""
        return (self.cert_file, self.key_file, *([self.client_ca_file] if self.client_ca_file else []))

    def context(self) -> ssl.SSLContext:
        """A context for handshakes.

        Raises:
            ValueError: a file is missing, is not PEM, or key and certificate are no pair; names the key of the setting.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _VERSIONS[self.min_version]
        context.maximum_version = _VERSIONS[self.max_version]
        context.set_alpn_protocols(["http/1.1"])
        if not self.prefer_server_ciphers:
            context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
        for key, path in (
            ("cert_file", self.cert_file),
            ("key_file", self.key_file),
            ("client_ca_file", self.client_ca_file),
        ):
            if path is not None:
                _check_readable(key, path)
        try:
            context.load_cert_chain(self.cert_file, self.key_file, password=_no_password)
        except ssl.SSLError as error:
            raise ValueError(
                f"cert_file {self.cert_file} and key_file {self.key_file} cannot be used ({error.reason or error}); "
                "both must be PEM, the certificate first of its chain, and the key be the certificate's"
            ) from error
        if self.client_ca_file is not None:
            try:
                context.load_verify_locations(self.client_ca_file)
            except ssl.SSLError as error:
                raise ValueError(
                    f"client_ca_file {self.client_ca_file} has no certificate that can be read "
                    f"({error.reason or error}); expected PEM certificates of those who sign the clients'"
                ) from error
        context.verify_mode = self.client_auth
        return context


class FreshContext:
    """The context of the files as they are now.

    A certificate that is renewed is used by the next connection. While the files are no good, half of a pair written
    say, the last good context goes on.

    Args:
        tls: What to load.

    Raises:
        ValueError: the files are no good to begin with.
    """

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._stamp = self._stamps()
        self._context = tls.context()

    def __call__(self) -> ssl.SSLContext:
        """The context for one more handshake."""
        stamp = self._stamps()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._context = self._tls.context()
            except ValueError as error:
                logger.warning("the certificate in use stays, as the changed files cannot be used: %s", error)
        return self._context

    def _stamps(self) -> tuple[tuple[int, int], ...]:
        """What changes when a file does; zeros for one that is not there."""
        found = []
        for path in self._tls.files:
            try:
                stat = path.stat()
                found.append((stat.st_mtime_ns, stat.st_ino))
            except OSError:
                found.append((0, 0))
        return tuple(found)


def _check_readable(key: str, path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise ValueError(
            f"{key} {path} cannot be read ({error.strerror}); expected a PEM file that this user may read"
        ) from error


def _no_password() -> str:
    """OpenSSL would ask on the terminal for an encrypted key's password, and wait there."""
    raise ValueError("key_file is encrypted; expected a key without a password, readable by this user only")
