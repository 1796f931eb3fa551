"""The server that the benchmark polls: a bare asyncio protocol, a few hundredths of a ms a request.

Run it in a process of its own: ``python -m benchmarks.server [SECONDS]``. It listens on a free port
of 127.0.0.1, prints the port, and answers each request after that many seconds, by default at once.
It speaks as much HTTP/1.1 as the clients of the benchmark do: keep-alive, and bodies with a length.
"""

from __future__ import annotations

import asyncio
import sys
from itertools import count
from typing import TYPE_CHECKING

from benchmarks.store import NotFoundError, RefusedError, Store

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADERS = (
    "HTTP/1.1 {status}\r\n"
    "date: Sun, 01 Nov 2026 00:00:00 GMT\r\n"
    "content-type: application/json\r\n"
    "content-length: {length}\r\n"
    "openai-version: 2020-10-01\r\n"
    "x-request-id: req_{number:012d}\r\n"
    "openai-processing-ms: 23\r\n"
    "server: bench\r\n"
    "\r\n"
)
NOT_FOUND = b'{"error": {"message": "Not found.", "type": "invalid_request_error", "code": null}}'
REFUSED = b'{"error": {"message": "Cannot cancel.", "type": "invalid_request_error", "code": null}}'


class Connection(asyncio.Protocol):
    """A client's connection.

    :param store: answers its requests.
    :param latency: seconds after which they are answered.
    :param numbers: numbers the answers.
    """

    def __init__(self, store: Store, latency: float, numbers: Iterator[int]) -> None:
        self.store = store
        self.latency = latency
        self.numbers = numbers
        self.received = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is complete."""
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            head = self.received[:end].decode("latin-1")
            method, target, _ = head.split(" ", 2)
            until = end + 4 + (_content_length(head) if method == "POST" else 0)
            if len(self.received) < until:
                return
            body, self.received = self.received[end + 4 : until], self.received[until:]
            self._answer(method, target, body)

    def _answer(self, method: str, target: str, body: bytes) -> None:
        path, _, query = target.partition("?")
        status = "200 OK"
        try:
            content = self.store.answer(method, path, query, body)
        except NotFoundError:
            status, content = "404 Not Found", NOT_FOUND
        except RefusedError:
            status, content = "400 Bad Request", REFUSED
        head = HEADERS.format(status=status, length=len(content), number=next(self.numbers))
        assert self.transport is not None
        if self.latency and not path.startswith("/bench/"):
            loop = asyncio.get_running_loop()
            loop.call_later(self.latency, self.transport.write, head.encode() + content)
        else:
            self.transport.write(head.encode() + content)


def _content_length(head: str) -> int:
    for line in head.split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            return int(value)
    return 0


async def serve(latency: float) -> None:
    """Serve until the process is ended."""
    store, numbers = Store(), count()
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(store, latency, numbers), "127.0.0.1", 0, backlog=1024
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]) if len(sys.argv) > 1 else 0.0))
