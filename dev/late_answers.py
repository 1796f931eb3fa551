"""A relay before a server, for the demo: it hands a request on, and keeps the answer to itself."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import TYPE_CHECKING, Self

from dev.airflow_processes import LOOPBACK

if TYPE_CHECKING:
    from types import TracebackType

CHUNK = 65536  # bytes; the head of a request of ours has far less, and comes in one piece


class LateAnswers(ThreadingTCPServer):
    """Relays connections to a port on the loopback interface, which it knows no more of than bytes.

    :param port: of the server.
    :param request: the head of the requests whose answers can be held back.
    """

    daemon_threads = True

    def __init__(self, port: int, request: str) -> None:
        super().__init__((LOOPBACK, 0), _Relay)
        self.target = LOOPBACK, port
        self.url = f"http://{LOOPBACK}:{self.server_address[1]}"
        self._request = re.compile(request.encode())
        self._next = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shutdown()
        super().__exit__(kind, error, trace)

    def hold_back(self) -> None:
        """Hold back the answer to the next such request, for as long as its client waits."""
        self._next.set()

    def is_held_back(self, sent: bytes) -> bool:
        """Return whether the answer to what a client has sent is to be held back; only once."""
        if not self._next.is_set() or not self._request.match(sent):
            return False
        self._next.clear()
        return True


class _Relay(BaseRequestHandler):
    server: LateAnswers
    request: socket.socket

    def handle(self) -> None:
        """Relay a connection until its client hangs up."""
        held_back = threading.Event()
        with contextlib.suppress(OSError), socket.create_connection(self.server.target) as there:
            answers = threading.Thread(target=self._answer, args=(there, held_back), daemon=True)
            answers.start()
            while sent := self.request.recv(CHUNK):
                if self.server.is_held_back(sent):
                    held_back.set()
                there.sendall(sent)
            there.shutdown(socket.SHUT_RDWR)
            answers.join()

    def _answer(self, there: socket.socket, held_back: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while answer := there.recv(CHUNK):
                if not held_back.is_set():
                    self.request.sendall(answer)
            self.request.shutdown(socket.SHUT_RDWR)
