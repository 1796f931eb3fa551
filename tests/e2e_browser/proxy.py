"""A forward proxy on loopback, which tells what passed through it."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

import httpx

if TYPE_CHECKING:
    from email.message import Message

#: Those that concern one leg of the way only.
_HOP = {"connection", "proxy-authorization", "proxy-connection", "transfer-encoding", "host"}


class _Handler(BaseHTTPRequestHandler):
    def _forward(self) -> None:
        self.server.seen.append(self.headers)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        with httpx.Client(trust_env=False) as http:
            answer = http.request(self.command, self.path, headers=headers, content=body)
        self.send_response(answer.status_code)
        self.send_header("content-type", answer.headers["content-type"])
        self.send_header("content-length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = _forward  # noqa: N815 - the base class looks for these names
    do_POST = _forward  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    seen: list[Message]


class Proxy:
    """Forwards plain HTTP while its ``with`` block lasts."""

    def __init__(self) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.seen = []
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def url(self, user: str, password: str) -> str:
        """Return its URL, for somebody."""
        return f"http://{user}:{password}@127.0.0.1:{self._server.server_port}"

    @property
    def seen(self) -> list[Message]:
        """The headers of all requests so far."""
        return self._server.seen
