"""What tests wait for in place of seconds: an event, some beats of a loop, a request on its way.

A machine may be busy, and a test that measures how long something took measures that.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Seconds after which what has not happened never will, on however busy a machine. What must not
#: take long takes less, and some times as much where it goes wrong.
PATIENCE = 60.0

HOST = "127.0.0.1"


def until(happened: Callable[[], object]) -> None:
    """Wait until something has happened, blocking.

    :raises TimeoutError: if it does not.
    """
    give_up = time.monotonic() + PATIENCE
    while not happened():
        if time.monotonic() > give_up:
            raise TimeoutError(f"it did not happen in {PATIENCE:.0f} s")
        time.sleep(0.01)


async def auntil(happened: Callable[[], object]) -> None:
    """Wait until something has happened, while the event loop goes on.

    :raises TimeoutError: if it does not.
    """
    async with asyncio.timeout(PATIENCE):
        while not happened():  # noqa: ASYNC110 - most of what happens has no event
            await asyncio.sleep(0.01)


@contextmanager
def once(happened: Callable[[], object], act: Callable[[], object]) -> Iterator[None]:
    """Do something in another thread as soon as something has happened in the block.

    :raises TimeoutError: if it does not, also for some time after the block.
    """

    def wait_and_act() -> None:
        until(happened)
        act()

    with ThreadPoolExecutor(1) as pool:
        acting = pool.submit(wait_and_act)
        yield
        acting.result()


async def beats(count: int = 50) -> None:
    """Let the event loop beat; a caller whose request waits meanwhile shows that it can."""
    for _ in range(count):
        await asyncio.sleep(0.005)


class Wire:
    """A relay to a server on loopback; while it is held, what clients send waits in it.

    :param port: the server's.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._is_open = threading.Event()
        self._is_open.set()
        self._listener = socket.create_server((HOST, 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._ends: list[socket.socket] = []
        self._held: set[socket.socket] = set()
        self.url = f"http://{HOST}:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()
        for end in (self._listener, *self._ends):
            with suppress(OSError):  # it is closed already
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    @property
    def waiting(self) -> int:
        """How many clients have something waiting in it."""
        return len(self._held)

    def hold(self) -> None:
        """Keep from now on what clients send, for a minute at most."""
        self._is_open.clear()

    def let_go(self) -> None:
        """Pass on what waits, and all that comes."""
        self._is_open.set()

    def _accept(self) -> None:
        with suppress(OSError):  # the end
            while True:
                client, _ = self._listener.accept()
                self._ends.append(client)
                thread = threading.Thread(target=self._relay, args=(client,))
                thread.start()
                self._threads.append(thread)

    def _relay(self, client: socket.socket) -> None:
        with client, socket.create_connection((HOST, self._port)) as server:
            back = threading.Thread(target=self._carry, args=(server, client))
            back.start()
            self._carry(client, server, is_held=True)
            back.join()

    def _carry(
        self, source: socket.socket, target: socket.socket, *, is_held: bool = False
    ) -> None:
        with suppress(OSError):  # one of them has hung up
            while data := source.recv(65536):
                if is_held:
                    self._held.add(source)
                    self._is_open.wait(PATIENCE)
                    self._held.discard(source)
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
