"""One connection of the metrics page: one request, then closed; nobody may take longer or crowd the others out.

uvicorn parses and answers; what it leaves open is here. A request's head has 10 s, the answer 30 s in all, from the
first render to the last byte taken by the client, and then the connection is cut. When too many are open, the oldest
makes room if it has had its time. There is no keep-alive: a scraper comes every 15 s, and a connection that ends with
its answer has one deadline instead of four states.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from uvicorn.config import Config
    from uvicorn.server import ServerState

LARGEST_HEAD = 16 * 1024
"""Bytes of a request's line and headers; one with more is answered 400."""

_FULL = b"too many connections are open here; try again in some seconds\n"
_FULL_ANSWER = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
    b"Retry-After: 5\r\nContent-Length: %d\r\n\r\n%b" % (len(_FULL), _FULL)
)


class Limits(NamedTuple):
    """What a client may take."""

    connections: int = 512
    """Open at once."""
    grace_seconds: float = 5.0
    """When all are taken, a connection older than this makes room for a new one; else the new one is refused."""
    head_seconds: float = 10.0
    """From the connection to the end of the request's head, the TLS handshake included."""
    response_seconds: float = 30.0
    """From the request to the last byte of the answer."""
    stop_seconds: float = 1.0
    """What is left to those who are being answered when the server stops."""


class Connection(H11Protocol):
    """uvicorn's HTTP/1.1 with deadlines, TLS below it, and a bounded number of siblings.

    Args:
        limits: What the client may take.
        tls: Gives the context of a handshake; None without TLS.
        siblings: All open connections, oldest first; shared by them.
        config: uvicorn's, like all that follow.
    """

    def __init__(
        self,
        *,
        limits: Limits,
        tls: Callable[[], ssl.SSLContext] | None,
        siblings: dict[Connection, None],
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        # The application finds `abort` in its scope: a page that is held too long cuts its readers off.
        super().__init__(config, server_state, {**app_state, "abort": self.abort}, _loop)
        self._limits = limits
        self._tls = tls
        self._siblings = siblings
        self._socket: asyncio.Transport | None = None
        self._since = 0.0
        self._deadline: asyncio.TimerHandle | None = None
        self._answering = False
        self._handshake: asyncio.Task[None] | None = None
        self._early = bytearray()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the client in, if there is room, and begin with the handshake or the head."""
        self._socket = self.transport = transport
        if not self._find_room():
            if self._tls is None:
                transport.write(_FULL_ANSWER)
            transport.close()
            return
        self._since = self.loop.time()
        self._siblings[self] = None
        self._expire_in(self._limits.head_seconds)
        if self._tls is None:
            super().connection_made(transport)
            return
        # uvicorn must know of it already: it tells all connections when the server stops. Reading waits for the
        # handshake, or its first bytes would be taken for a request.
        self.connections.add(self)
        transport.pause_reading()
        self._handshake = self.loop.create_task(self._shake_hands(transport, self._tls))

    def data_received(self, data: bytes) -> None:
        """Parse a request's head. What follows it is dropped: bodies mean nothing here, nor does a second request."""
        if self.flow is None:
            self._early += data
        elif self.cycle is None:
            super().data_received(data)

    def handle_events(self) -> None:
        """As uvicorn does, and begin the answer's time with the request."""
        super().handle_events()
        if self.cycle is not None and not self._answering:
            self._answering = True
            self._expire_in(self._limits.response_seconds)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP; a head that came before a broken body is then answered no more."""
        super().send_400_response(msg)
        if self.cycle is not None:
            self.cycle.disconnected = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Give its place back."""
        self._give_place_back()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The server stops: who is being answered has a second to take it."""
        super().shutdown()
        self._expire_in(self._limits.stop_seconds)

    def abort(self) -> None:
        """Cut the connection, whatever is still to be sent. Below TLS, which would wait for the client's goodbye."""
        if self._socket is not None:
            self._socket.abort()

    async def _shake_hands(self, transport: asyncio.Transport, tls: Callable[[], ssl.SSLContext]) -> None:
        try:
            secured = await self.loop.start_tls(
                transport,
                self,
                tls(),
                server_side=True,
                ssl_handshake_timeout=self._limits.head_seconds,
                ssl_shutdown_timeout=self._limits.grace_seconds,
            )
        except OSError:  # ssl.SSLError is one: a client without TLS, without a certificate, or gone
            secured = None
        if secured is None or secured.is_closing():
            transport.abort()
            self._give_place_back()
            return
        super().connection_made(secured)
        # asyncio hands on what came with the last bytes of the handshake before it says that it is done.
        early, self._early = bytes(self._early), bytearray()
        if early:
            self.data_received(early)

    def _find_room(self) -> bool:
        """Whether one more may be open; the oldest goes for it if it has had its time."""
        if len(self._siblings) < self._limits.connections:
            return True
        oldest = next(iter(self._siblings))
        if self.loop.time() - oldest._since < self._limits.grace_seconds:  # noqa: SLF001, a sibling
            return False
        oldest.abort()
        self._siblings.pop(oldest, None)
        return True

    def _expire_in(self, seconds: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(seconds, self.abort)

    def _give_place_back(self) -> None:
        self._siblings.pop(self, None)
        self.connections.discard(self)
        if self._deadline is not None:
            self._deadline.cancel()
