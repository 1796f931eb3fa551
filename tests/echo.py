"""A server on loopback that echoes what it must not, and how a secret may be spelled then."""

from __future__ import annotations

import base64
import html
import json
import socketserver
import threading
from collections import Counter
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple, Self, TypeAlias
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

HOST = "127.0.0.1"
#: How much of a secret's beginning counts as the secret, which may have been cut.
TELLING = 9


class Seen(NamedTuple):
    """A request.

    :param method: the HTTP method, in capitals.
    :param run_id: the run that its path names; empty if it names none.
    :param headers: its headers, by lower-case name.
    """

    method: str
    run_id: str
    headers: dict[str, str]

    @property
    def key(self) -> str:
        """The key that it was sent with."""
        return self.headers.get("authorization", "").removeprefix("Bearer ")


#: What is sent back for a request: all of it, from the status line on.
Answer: TypeAlias = "Callable[[Seen], bytes]"


def answer(
    status: int,
    body: str | bytes | Mapping[str, object] = b"",
    *,
    reason: str | None = None,
    lines: Iterable[str] = (),
    kind: str | None = None,
) -> bytes:
    """Return a whole HTTP answer.

    :param body: a dict as JSON.
    :param reason: the reason phrase; by default the usual one.
    :param lines: more lines of its head, as they are.
    :param kind: the content type; by default what suits the body.
    """
    if not isinstance(body, (str, bytes)):
        kind, body = kind or "application/json", json.dumps(body)
    data = body if isinstance(body, bytes) else body.encode()
    phrase = HTTPStatus(status).phrase if reason is None else reason
    head = [
        f"HTTP/1.1 {status} {phrase}",
        f"content-type: {kind or 'text/plain'}",
        f"content-length: {len(data)}",
        "connection: close",
        *lines,
    ]
    return "\r\n".join([*head, "", ""]).encode() + data


def run(run_id: str, status: str = "in_progress", **fields: object) -> bytes:
    """Return the answer that shows a run."""
    shown = {"id": run_id, "object": "thread.run", "thread_id": "thread_1", "status": status}
    return answer(200, {**shown, **fields})


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    respond: Callable[[Seen], bytes]


class _Handler(socketserver.StreamRequestHandler):
    timeout = 20
    server: _Server

    def handle(self) -> None:
        method, target, _ = self.rfile.readline().decode("latin-1").split(" ")
        headers: dict[str, str] = {}
        while line := self.rfile.readline().decode("latin-1").rstrip("\r\n"):
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        self.rfile.read(int(headers.get("content-length", 0)))
        parts = urlsplit(target).path.split("/")
        run_id = parts[parts.index("runs") + 1] if "runs" in parts else ""
        self.wfile.write(self.server.respond(Seen(method, run_id, headers)))


class EchoServer:
    """Answers requests about a run as planned, each of them on a connection of its own.

    What is about no run is answered like Assistants does with an empty list.
    """

    def __init__(self) -> None:
        self._plans: dict[tuple[str, str], list[Answer]] = {}
        self._lock = threading.Lock()
        self._server = _Server((HOST, 0), _Handler)
        self._server.respond = self._respond
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.served: Counter[tuple[str, str]] = Counter()
        self.port: int = self._server.server_address[1]
        self.url = f"http://{HOST}:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def plan(self, run_id: str, *answers: Answer, methods: Iterable[str] = ("GET", "POST")) -> None:
        """Say how requests about a run are answered, one after the other; the last one for ever."""
        for method in methods:
            self._plans[method, run_id] = list(answers)

    def _respond(self, seen: Seen) -> bytes:
        asked = seen.method, seen.run_id
        with self._lock:
            self.served[asked] += 1
            planned = self._plans.get(asked)
            if not planned:
                return answer(200, {"object": "list", "data": []})
            chosen = planned.pop(0) if len(planned) > 1 else planned[0]
        return chosen(seen)


@lru_cache
def spellings(secret: str) -> frozenset[str]:
    """Return a secret as it is, and as Python, JSON, URLs, HTML and base64 write it.

    A log or a column may hold JSON that holds JSON that holds any of these.
    """
    once = {
        secret,
        " ".join(secret.split()),
        secret.replace('"', "'"),
        repr(secret)[1:-1],
        repr(f"{secret}'\"")[1:-4],
        repr(secret.encode())[2:-1],
        quote(secret, safe=""),
        quote(secret),
        html.escape(secret),
        base64.b64encode(secret.encode()).decode(),
    }
    twice = {_in_json(each) for each in once}
    return frozenset(once | twice | {_in_json(each) for each in twice})


def telling(secret: str, length: int = TELLING) -> frozenset[str]:
    """Return what shows a secret, or at least its beginning, in any spelling.

    :param length: how long the beginning is; a multiple of three, for base64.
    """
    return spellings(secret[:length])


def _in_json(text: str) -> str:
    return json.dumps(text)[1:-1]
