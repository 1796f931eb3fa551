"""A server on loopback that plays scripted bytes, however odd. It needs the standard library only.

A script is a list of steps, played after a request has been read: bytes to send, seconds to wait,
bytes to send again and again, and how the connection ends; by default it is closed.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import Self

__all__ = [
    "BATCH",
    "End",
    "Many",
    "RawServer",
    "Reader",
    "Script",
    "Step",
    "drip",
    "in_pieces",
    "nothing",
    "plays",
    "slowly",
    "whole_head",
]

HOST = "127.0.0.1"
#: Bytes that are sent at a time where a chunk is repeated without pauses.
BATCH = 65536


class End(Enum):
    """How a connection ends."""

    CLOSE = auto()
    RESET = auto()
    SILENCE = auto()
    #: It does not: the next request is read.
    NEXT = auto()


@dataclass(frozen=True, slots=True)
class Many:
    """Bytes that are sent again and again: so many times, by default for ever."""

    chunk: bytes
    times: int | None = None
    pause: float = 0.0

    def play(self) -> Iterable[bytes | float]:
        """Yield the bytes and the pauses; without pauses, many chunks at a time."""
        at_a_time = 1 if self.pause else max(1, BATCH // len(self.chunk))
        batch, left = self.chunk * at_a_time, self.times
        while left is None or left > 0:
            yield batch if left is None or left >= at_a_time else self.chunk * left
            left = left and max(0, left - at_a_time)
            if self.pause:
                yield self.pause


Step = bytes | float | Many | End
Script = Callable[[bytes], Iterable[Step]]
Reader = Callable[[socket.socket], bytes]


def plays(*steps: Step) -> Script:
    """Return the script that plays the same steps after each request."""
    return lambda _: steps


def drip(data: bytes, pause: float) -> list[Step]:
    """Return the steps that send bytes one at a time."""
    return [step for index in range(len(data)) for step in (data[index : index + 1], pause)]


def in_pieces(steps: Iterable[Step], size: int) -> list[Step]:
    """Return the same steps with bytes that come in pieces, unless there are many."""
    found: list[Step] = []
    for step in steps:
        if isinstance(step, bytes) and len(step) <= BATCH:
            found += (step[start : start + size] for start in range(0, len(step), size))
        else:
            found.append(step)
    return found


def whole_head(peer: socket.socket) -> bytes:
    """Read a request to the end of its headers; it is empty when the peer has hung up."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = peer.recv(BATCH)
        if not data:
            return b""
        head += data
    return head


def nothing(_: socket.socket) -> bytes:
    """Read nothing, and play at once."""
    return b"nothing"


def slowly(peer: socket.socket) -> bytes:
    """Read the beginning of a request byte by byte, ten a second, and then the rest."""
    head = b""
    while len(head) < 40 and (data := peer.recv(1)):
        head += data
        time.sleep(0.1)
    return head + whole_head(peer) if head else b""


class RawServer:
    """The server. It serves each connection in a thread of its own, and keeps what was asked.

    :param play: the script.
    :param read: reads a request.
    """

    def __init__(self, play: Script, read: Reader = whole_head) -> None:
        self.requests: list[bytes] = []
        self._play = play
        self._read = read
        self._stopped = threading.Event()
        self._peers: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server((HOST, 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://{HOST}:{self.port}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for thread in self._threads:
            thread.join(5)

    def stop(self) -> None:
        """Hang up on everybody."""
        self._stopped.set()
        for each in (self._listener, *self._peers):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):  # the end
            while True:
                peer, _ = self._listener.accept()
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._peers.append(peer)
                self._start(self._serve, peer)

    def _serve(self, peer: socket.socket) -> None:
        with peer, suppress(OSError):  # whatever goes wrong with it, this is the end of it
            while request := self._read(peer):
                self.requests.append(request)
                end = self._send(peer, self._play(request))
                if end is not End.NEXT:
                    _finish(peer, end)
                    return

    def _send(self, peer: socket.socket, steps: Iterable[Step]) -> End:
        for step in steps:
            if isinstance(step, End):
                return step
            for each in step.play() if isinstance(step, Many) else (step,):
                if isinstance(each, bytes):
                    peer.sendall(each)
                elif self._stopped.wait(each):
                    return End.RESET
        return End.CLOSE


def _finish(peer: socket.socket, end: End) -> None:
    if end is End.RESET:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return
    if end is End.CLOSE:
        peer.shutdown(socket.SHUT_WR)
    while peer.recv(BATCH):  # a close with unread bytes would be a reset
        pass
