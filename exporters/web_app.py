"""What each path of the metrics page answers: an ASGI application, written out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, NamedTuple

from exporters import status_page
from exporters.negotiation import OPENMETRICS, wants_openmetrics
from exporters.page_cache import HeldPages, Kept, Page, accepts_gzip
from exporters.status import Health, Status, to_json

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from exporters.basic_auth import BasicAuth

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_PLAIN = "text/plain; charset=utf-8"
_HTML = "text/html; charset=utf-8"
_JSON = "application/json"
_PIECE = 64 * 1024  # bytes handed to a socket at once: what a client that does not read costs beyond the shared page
_SAFE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
logger = logging.getLogger(__name__)


class Response(NamedTuple):
    """An answer, whole."""

    code: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    page: Page | None = None
    """The page that `body` belongs to, if it is one: it is shared, and held while it is sent."""
    held: HeldPages | None = None
    """Where the page is counted then."""


def sentence(code: int, text: str, *headers: tuple[str, str]) -> Response:
    """An answer in plain words, which end in a line feed."""
    return Response(code, _PLAIN, f"{text}\n".encode("utf-8", "replace"), headers)


class WebApp:
    """The application of one server.

    Args:
        page: Renders the page for an Accept header: (content type, UTF-8 bytes). Called in `renderer`.
        health: Says whether the page may be shown. Called for every request in the event loop, so it must be quick.
        status: Says how things are. Called in `renderer`.
        renderer: One thread, so that there is one render at a time.
        auth: Who may read; None for everybody.
        hasher: One thread for passwords: a flood of wrong ones must not hold up a render.
        headers: Sent with every answer; they replace the pages' own.
        version: Shown at `/`.
        documents: Further paths, and what makes the JSON of each; called in `renderer`.
    """

    def __init__(
        self,
        page: Callable[[str], tuple[str, bytes]],
        health: Callable[[], Health],
        status: Callable[[], Status],
        *,
        renderer: Executor,
        auth: BasicAuth | None = None,
        hasher: Executor | None = None,
        headers: Mapping[str, str] | None = None,
        version: str = "",
        documents: Mapping[str, Callable[[], bytes]] | None = None,
    ) -> None:
        self._health = health
        self._renderer = renderer
        self._auth = auth
        self._hasher = hasher
        self._headers = {**_SAFE, **(headers or {})}
        self._version = version
        self._pages = {accept: Kept(_rendered(page, accept), renderer) for accept in ("", OPENMETRICS)}
        self._held = {accept: HeldPages() for accept in self._pages}
        self._status = Kept(status, renderer)
        self._logged: Exception | None = None
        self._routes: dict[str, Callable[[MutableMapping[str, Any]], Awaitable[Response]]] = {
            "/": self._index,
            "/metrics": self._metrics,
            "/status": self._status_page,
            "/-/healthy": self._healthy,
            "/-/ready": self._ready,
            **{path: _document(Kept(make, renderer)) for path, make in (documents or {}).items()},
        }

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        try:
            response = await self._answer(scope)
        except Exception as error:
            if error is not self._logged:  # all who waited for one render get the same
                logger.exception("the answer to %s failed", scope["path"])
            self._logged = error
            response = sentence(500, "this page could not be made: a bug in streamgauge, whose traceback is in its log")
        await self._send(response, scope, send)

    async def _answer(self, scope: MutableMapping[str, Any]) -> Response:
        if self._auth is not None and not await self._may_read(self._auth, header(scope, "authorization")):
            realm = ("WWW-Authenticate", 'Basic realm="streamgauge", charset="UTF-8"')
            return sentence(401, "a user name and the user's password are needed here", realm)
        route = self._routes.get(scope["path"])
        if route is None:
            return sentence(404, f"there is no such page here; there are {' '.join(self._routes)}")
        if scope["method"] not in ("GET", "HEAD"):
            return sentence(405, "this page can only be read: use GET or HEAD", ("Allow", "GET, HEAD"))
        if header(scope, "content-length") not in ("", "0") or header(scope, "transfer-encoding"):
            return sentence(413, "a request has no body here; send it without one")
        return await route(scope)

    async def _may_read(self, auth: BasicAuth, authorization: str) -> bool:
        if auth.remembers(authorization):
            return True
        return await asyncio.get_running_loop().run_in_executor(self._hasher, auth.check, authorization)

    async def _metrics(self, scope: MutableMapping[str, Any]) -> Response:
        if gate := self._health().gate:
            return self._shut(gate)
        accept = OPENMETRICS if wants_openmetrics(header(scope, "accept")) else ""
        page = await self._pages[accept].get()
        # The gate may have closed while the page was made, of what was then already taken away.
        if gate := self._health().gate:
            return self._shut(gate)
        headers: tuple[tuple[str, str], ...] = (("Vary", "Accept, Accept-Encoding"),)
        body = page.body
        if accepts_gzip(header(scope, "accept-encoding")):
            body = await page.gzipped(self._renderer)
            headers += (("Content-Encoding", "gzip"),)
        return Response(200, page.content_type, body, headers, page, self._held[accept])

    def _shut(self, gate: str) -> Response:
        """The gate is closed; what was rendered before is not shown behind it."""
        for page in self._pages.values():
            page.forget()
        return sentence(503, gate, ("Retry-After", "5"))

    async def _status_page(self, scope: MutableMapping[str, Any]) -> Response:
        status = await self._status.get()
        if b"format=json" in scope["query_string"].split(b"&") or _wants_json(header(scope, "accept")):
            return Response(200, _JSON, to_json(status), (("Vary", "Accept"),))
        return Response(200, _HTML, status_page.render(status).encode(), (("Vary", "Accept"),))

    async def _index(self, _: MutableMapping[str, Any]) -> Response:
        return Response(200, _HTML, status_page.index(self._version).encode())

    async def _healthy(self, _: MutableMapping[str, Any]) -> Response:
        return sentence(200, "alive")

    async def _ready(self, _: MutableMapping[str, Any]) -> Response:
        reasons = self._health().unready
        return sentence(503, "\n".join(reasons)) if reasons else sentence(200, "ready")

    async def _send(self, response: Response, scope: MutableMapping[str, Any], send: Send) -> None:
        """Send it piece by piece, each when the one before was taken, and end the connection."""
        headers = {
            **self._headers,
            **dict(response.headers),
            "Content-Type": response.content_type,
            "Content-Length": str(len(response.body)),
            "Connection": "close",
        }
        coded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        reader = object()
        if response.page is not None and response.held is not None:
            response.page.open(reader, scope["state"]["abort"])
            response.held.add(response.page)
        try:
            await send({"type": "http.response.start", "status": response.code, "headers": coded})
            body = memoryview(b"" if scope["method"] == "HEAD" else response.body)
            for begin in range(0, len(body), _PIECE):
                await send({"type": "http.response.body", "body": body[begin : begin + _PIECE], "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            if response.page is not None:
                response.page.close(reader)


def header(scope: MutableMapping[str, Any], name: str) -> str:
    """A request's header, several joined by commas as RFC 9110 has it (section 5.3); empty if there is none."""
    wanted = name.encode()
    return ",".join(value.decode("latin-1") for key, value in scope["headers"] if key == wanted)


def _document(kept: Kept[bytes]) -> Callable[[MutableMapping[str, Any]], Awaitable[Response]]:
    async def answer(_: MutableMapping[str, Any]) -> Response:
        return Response(200, _JSON, await kept.get())

    return answer


def _rendered(page: Callable[[str], tuple[str, bytes]], accept: str) -> Callable[[], Page]:
    return lambda: Page(*page(accept))


def _wants_json(accept: str) -> bool:
    """Whether JSON is named, and HTML is not named before it; who takes anything is a person."""
    kinds = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    return _JSON in kinds and ("text/html" not in kinds or kinds.index(_JSON) < kinds.index("text/html"))
