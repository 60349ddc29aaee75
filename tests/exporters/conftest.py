"""A real server on a free port of loopback, and real certificates, for the tests of the metrics page."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
from typing import NamedTuple

import pytest

from exporters.negotiation import OPENMETRICS, TEXT
from exporters.server import PageServer
from exporters.status import Health, Status


class CountedPage:
    """A page that counts its renders, and can be made large, slow or broken."""

    def __init__(self, body=b"up 1\n"):
        self.body = body
        self.renders = 0
        self.at_once = 0
        self.most_at_once = 0
        self.go_on = threading.Event()
        self.go_on.set()
        self.begun = threading.Event()
        self.error = None
        self._lock = threading.Lock()

    def __call__(self, accept):
        with self._lock:
            self.renders += 1
            self.at_once += 1
            self.most_at_once = max(self.at_once, self.most_at_once)
        self.begun.set()
        self.go_on.wait(20)
        with self._lock:
            self.at_once -= 1
        if self.error is not None:
            raise self.error
        return (OPENMETRICS, self.body + b"# EOF\n") if "openmetrics" in accept else (TEXT, self.body)


class Served(NamedTuple):
    """A running server, and what it was made of."""

    server: PageServer
    host: str
    port: int
    page: CountedPage

    @property
    def url(self):
        return f"http://{self.host}:{self.port}"

    @property
    def secure_url(self):
        return f"https://{self.host}:{self.port}"

    def connect(self, request=b"", receive_buffer=None, timeout=10):
        """A raw connection that has sent `request`."""
        client = socket.socket()
        if receive_buffer is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(timeout)
        client.connect((self.host, self.port))
        client.sendall(request)
        return client

    def ask(self, request):
        """All bytes that come back for a raw request, until the server closes."""
        with self.connect(request) as client:
            return self.rest(client)

    @staticmethod
    def rest(client):
        """What comes until the end, which may be a rude one."""
        found = bytearray()
        with contextlib.suppress(ConnectionResetError):
            while part := client.recv(1 << 16):
                found += part
        return bytes(found)


@pytest.fixture
def serve():
    """Start a server; it is stopped when the test ends."""
    running = []

    def start(page=None, health=Health, status=None, **settings):
        page = page or CountedPage()
        status = status or (lambda: Status(state="running", at_seconds=0.0))
        server = PageServer(page, health, status, address=("127.0.0.1", 0), **settings)
        host, port = server.start()
        running.append(server)
        return Served(server, host, port, page)

    yield start
    for server in running:
        server.stop()


class Certificates(NamedTuple):
    """PEM files: an authority, and what it signed."""

    folder: object

    def __getattr__(self, name):
        return self.folder / f"{name}.pem"


def _openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """`ca`, `server`, `renewed` and `client` certificates with their keys, and `stranger`, signed by nobody we know."""
    if shutil.which("openssl") is None:
        pytest.skip("certificates are made by the openssl command, which is not here: install it")
    folder = tmp_path_factory.mktemp("certificates")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    for name in ("ca", "stranger"):
        _openssl(
            folder, "req", "-x509", *key, "-subj", f"/CN={name}", "-keyout", f"{name}_key.pem", "-out", f"{name}.pem"
        )
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    for name in ("server", "renewed", "client"):
        _openssl(
            folder, "req", "-new", *key, "-subj", f"/CN={name}", "-keyout", f"{name}_key.pem", "-out", f"{name}.csr"
        )
        _openssl(
            folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca_key.pem", "-CAcreateserial",
            "-days", "2", "-extfile", "names", "-out", f"{name}.pem",
        )  # fmt: skip
    return Certificates(folder)
