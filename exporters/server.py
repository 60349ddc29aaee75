"""The HTTP server of the metrics page: uvicorn in a thread of the process that owns the page. It knows no flow.

    GET /metrics     the page; 503 with a sentence while it must not be shown
    GET /-/healthy   200 while the process lives
    GET /-/ready     200, or 503 with the reasons
    GET /status      how things are, for people (HTML) and programs (JSON)
    GET /            links to these

What a client may take is in `connection.py`, what is rendered how often in `page_cache.py`.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import uvicorn

from exporters.basic_auth import BasicAuth
from exporters.connection import LARGEST_HEAD, Connection, Limits
from exporters.tls import FreshContext
from exporters.web_app import WebApp
from exporters.web_config import WebConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporters.status import Health, Status

LOOPBACK = ("127.0.0.1", 9464)
"""Where it listens unless told: only for this machine, on the port of OpenTelemetry's Prometheus exporters."""
_BACKLOG = 512
_START_SECONDS = 10.0


class PageServer:
    """Serves one page until it is stopped.

    Args:
        page: Renders the page for an Accept header as (content type, UTF-8 bytes), as `Registry.render` does. Called in
            one thread, at most once a second per format.
        health: Whether the page may be shown. Called in the event loop for every request: it must not wait. It must
            close the gate before anything is taken off the page, and open it after all is back.
        status: What `/status` shows. Called where `page` is.
        address: Host and port; port 0 takes a free one.
        web_config: TLS, authentication, headers; none of it by default.
        limits: What a client may take.
        version: Shown at `/`.
        documents: Further paths with JSON, called where `page` is.
    """

    def __init__(
        self,
        page: Callable[[str], tuple[str, bytes]],
        health: Callable[[], Health],
        status: Callable[[], Status],
        *,
        address: tuple[str, int] = LOOPBACK,
        web_config: WebConfig | None = None,
        limits: Limits | None = None,
        version: str = "",
        documents: Mapping[str, Callable[[], bytes]] | None = None,
    ) -> None:
        self._page = page
        self._health = health
        self._status = status
        self._address = address
        self._web_config = web_config or WebConfig()
        self._limits = limits or Limits()
        self._version = version
        self._documents = documents
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._executors: list[ThreadPoolExecutor] = []
        self._connections: dict[Connection, None] = {}

    @property
    def open_connections(self) -> int:
        """How many clients are connected now."""
        return len(self._connections)

    def start(self) -> tuple[str, int]:
        """Listen, and serve in a thread from now on.

        Returns:
            The host and port it listens on.

        Raises:
            OSError: the address cannot be had; `strerror` is a sentence that says why and what to do.
            ValueError: a certificate cannot be used.
            RuntimeError: it was started before, or did not come up.
        """
        if self._server is not None:
            raise RuntimeError("this server was started before; make another one")
        tls = FreshContext(self._web_config.tls) if self._web_config.tls is not None else None
        listener = listen(self._address)
        self._server = _Server(self._config(tls))
        self._thread = threading.Thread(target=self._serve, args=(listener,), name="metrics-page", daemon=True)
        self._thread.start()
        if not self._server.up.wait(_START_SECONDS) or not self._thread.is_alive():
            self.stop()
            raise RuntimeError("the metrics page's server did not come up; the log says why")
        host, port, *_ = listener.getsockname()
        return host, port

    def stop(self) -> None:
        """Answer nobody any more; who is being answered has a second. Does nothing when it is not running."""
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join()
        for executor in self._executors:
            executor.shutdown(wait=False, cancel_futures=True)

    def _config(self, tls: FreshContext | None) -> uvicorn.Config:
        """The configuration of uvicorn: one application, our connections, no log and no signals of its own."""
        renderer, hasher = (ThreadPoolExecutor(1, thread_name_prefix=name) for name in ("render", "passwords"))
        self._executors = [renderer, hasher]
        app = WebApp(
            self._page,
            self._health,
            self._status,
            renderer=renderer,
            auth=BasicAuth(self._web_config.users) if self._web_config.users else None,
            hasher=hasher,
            headers=self._web_config.headers,
            version=self._version,
            documents=self._documents,
        )
        connection = partial(Connection, limits=self._limits, tls=tls, siblings=self._connections)
        return uvicorn.Config(
            cast("Any", app),
            http=cast("Any", connection),
            backlog=_BACKLOG,
            ws="none",
            loop="asyncio",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="error",  # its warnings are about what clients send, and they could fill a log
            access_log=False,
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=LARGEST_HEAD,
            timeout_graceful_shutdown=2,
        )

    def _serve(self, listener: socket.socket) -> None:
        assert self._server is not None
        try:
            with listener:
                asyncio.run(self._server.serve(sockets=[listener]))
        finally:
            self._server.up.set()


class _Server(uvicorn.Server):
    """The server of uvicorn, which says when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


def listen(address: tuple[str, int]) -> socket.socket:
    """A listening socket at the first address that the host has.

    Raises:
        OSError: it cannot be had; `strerror` is a sentence that says why and what to do.
    """
    host, port = address
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        family, kind, protocol, _, found = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError, OverflowError) as error:
        raise OSError(
            errno.EADDRNOTAVAIL,
            f"the metrics page cannot listen on {where}: {host} is no address. Set `listen` to one that is",
        ) from error
    listener = socket.socket(family, kind, protocol)
    try:
        # Without it a restart would have to wait for the last connections to be forgotten.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(found)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"the metrics page cannot listen on {where}: {_why(error, port)}") from error
    return listener


def _why(error: OSError, port: int) -> str:
    """What keeps a port from being had, and what to do."""
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"another process holds port {port} (`ss -ltnp 'sport = :{port}'` says which). Stop that one, or set "
                "`listen` to another port"
            )
        case errno.EADDRNOTAVAIL:
            return "this machine has no such address. Set `listen` to one that it has (`ip address` lists them)"
        case errno.EACCES:
            return "ports below 1024 are for root. Set `listen` to a higher one"
        case _:
            return f"{error.strerror}. Set `listen` to another address"
