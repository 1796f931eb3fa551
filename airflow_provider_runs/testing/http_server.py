"""Serves an ASGI application from a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING, NamedTuple

from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from airflow_provider_runs.testing.middleware import TRANSPORT

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["HOST", "HttpServer"]

#: The address to listen on: only this machine can reach it.
HOST = "127.0.0.1"


class _Running(NamedTuple):
    thread: threading.Thread
    loop: asyncio.AbstractEventLoop
    stopping: asyncio.Event


class _Protocol(H11Protocol):
    """Speaks HTTP/1.1, and shows the application the transport of each request.

    ASGI has no way to hang up in the middle of an answer, which is just what a fault must do.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Put the transport where each of the connection's requests finds it."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, TRANSPORT: transport}
        # Per protocol, because uvicorn's own option for it empties a logger of the process.
        self.access_log = False


class HttpServer:
    """Serves an application on a loopback socket, in a daemon thread.

    It uses uvicorn's protocol, but not its ``Server``, which checks ten times a second whether it
    should stop and then waits for open requests: here a stop takes milliseconds, whatever the
    clients do.

    :param app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._config = Config(
            app,
            interface="asgi3",
            ws="none",
            lifespan="off",
            proxy_headers=False,
            log_config=None,
            # Seconds; longer than the usual pause between two polls, so that a client does not
            # send the next one just when its connection is being closed.
            timeout_keep_alive=75,
        )
        self._running: _Running | None = None
        self._lock = threading.Lock()

    def start(self, port: int) -> int:
        """Serve, unless it does so already, and return the port.

        :param port: the TCP port; 0 takes a free one.
        :raises OSError: if the port is taken.
        """
        with self._lock:
            if self._running is not None:
                return port
            # Clients may connect from here on: they wait in the backlog for the loop to begin.
            listener = socket.create_server((HOST, port), backlog=1024)
            # Accepted connections inherit it. asyncio would set it only on sockets with an explicit
            # protocol number, and without it every answer waits 40 ms for a delayed ACK.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            loop, stopping = asyncio.new_event_loop(), asyncio.Event()
            thread = threading.Thread(
                target=self._run, args=(listener, loop, stopping), name="run-server", daemon=True
            )
            thread.start()
            self._running = _Running(thread, loop, stopping)
            return int(listener.getsockname()[1])

    def stop(self) -> None:
        """Close all connections and wait for the end of the thread, if there is one."""
        with self._lock:
            if self._running is not None:
                self._running.loop.call_soon_threadsafe(self._running.stopping.set)
                self._running.thread.join()
                self._running = None

    def _run(
        self, listener: socket.socket, loop: asyncio.AbstractEventLoop, stopping: asyncio.Event
    ) -> None:
        # The runner also cancels the requests that are still being delayed.
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(self._serve(listener, stopping))

    async def _serve(self, listener: socket.socket, stopping: asyncio.Event) -> None:
        state = ServerState()
        server = await asyncio.get_running_loop().create_server(
            lambda: _Protocol(self._config, state, {}), sock=listener
        )
        await stopping.wait()
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        # Aborted connections are closed, and their sockets with them, in the loop's next turn.
        await asyncio.sleep(0)
