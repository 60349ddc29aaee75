"""An HTTP server on loopback that takes alerts, or does whatever else a test wants of it."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver:
    """Notes what is posted to it. A context manager.

    Args:
        answer: what it answers to the JSON it got: a status, or a status and headers; 200 where it says nothing.
        port: a free one where 0.
    """

    def __init__(self, answer=lambda posted: 200, port=0):
        self.posts = []  # (monotonic seconds, path, headers, JSON)
        self.answer = answer
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                posted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.posts.append((time.monotonic(), self.path, dict(self.headers), posted))
                answer = receiver.answer(posted)
                status, headers = answer if isinstance(answer, tuple) else (answer, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def jsons(self):
        """What was posted, in order."""
        return [posted for _, _, _, posted in list(self.posts)]
