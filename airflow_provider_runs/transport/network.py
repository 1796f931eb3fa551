"""The connections of httpcore, with a bound to all of an exchange.

httpx bounds each read and each write, not their sum: a server that sends a byte now and then would
hold a blocking client for as long as it likes. Here each of them gets the time that is left.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

import httpcore

from airflow_provider_runs.transport.heads import Head, HeadTooLong
from airflow_provider_runs.transport.in_time import in_time

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator

__all__ = ["AsyncNetwork", "Network", "TimeLeft"]

#: Bytes that are written at once, and that asyncio's client reads at once: what they hold is parsed
#: before anything else in the event loop can go on.
_WRITE, _READ = 64 * 1024, 8 * 1024


class TimeLeft(float):
    """A timeout, in seconds, that shrinks to the time that is left to a whole exchange."""

    until: float

    def __new__(cls, seconds: float, until: float) -> Self:
        """Make one.

        :param seconds: the timeout of a single step, in seconds.
        :param until: when the exchange must be over, in epoch seconds.
        """
        own = super().__new__(cls, seconds)
        own.until = until
        return own


def _left(timeout: float | None, late: type[Exception]) -> float | None:
    """Return the time that a step may take, in seconds.

    :param late: what is raised if there is none left.
    """
    if not isinstance(timeout, TimeLeft):
        return timeout
    left = min(timeout, timeout.until - time.time())
    if left <= 0:
        raise late("the answer was still arriving")
    return left


class _Stream(httpcore.NetworkStream):
    """A connection of a blocking client."""

    def __init__(self, stream: httpcore.NetworkStream, timeout: float | None) -> None:
        self._stream = stream
        # The last one: not every step is told one, such as those of a SOCKS handshake.
        self._timeout = timeout
        self._head = Head()

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there, in the time that is left."""
        data = self._stream.read(max_bytes, self._left(timeout, httpcore.ReadTimeout))
        try:
            self._head.take(data)
        except HeadTooLong as error:
            raise httpcore.RemoteProtocolError(str(error)) from None
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of it, in the time that is left."""
        self._head.begin()
        for start in range(0, len(buffer), _WRITE):
            left = self._left(timeout, httpcore.WriteTimeout)
            self._stream.write(buffer[start : start + _WRITE], left)

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """Return the connection with TLS; there may be TLS within TLS, through a proxy."""
        left = self._left(timeout, httpcore.ConnectTimeout)
        nested = self.get_extra_info("ssl_object") is not None
        with _ended_after(left, self if nested else None):
            stream = self._stream.start_tls(ssl_context, server_hostname, left)
        return (_Nested if nested else _Stream)(stream, self._timeout)

    def get_extra_info(self, info: str) -> Any:
        """Return what the connection says of itself."""
        return self._stream.get_extra_info(info)

    def _left(self, timeout: float | None, late: type[Exception]) -> float | None:
        self._timeout = self._timeout if timeout is None else timeout
        return _left(self._timeout, late)


class _Nested(_Stream):
    """A connection with TLS within TLS: one read of it is any number of reads below."""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there, in the time that is left."""
        with _ended_after(self._left(timeout, httpcore.ReadTimeout), self):
            return super().read(max_bytes, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of it, in the time that is left."""
        with _ended_after(self._left(timeout, httpcore.WriteTimeout), self):
            super().write(buffer, timeout)


@contextmanager
def _ended_after(seconds: float | None, stream: _Stream | None) -> Iterator[None]:
    """Shut a connection down if the block takes longer, which ends whatever it waits for.

    :param seconds: how long it may take, in seconds; ``None`` for any time.
    :param stream: the connection; ``None`` to do nothing.
    """
    sock = stream.get_extra_info("socket") if stream else None
    if sock is None or seconds is None:
        yield
        return
    timer = threading.Timer(seconds, _shut_down, (sock,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _shut_down(sock: socket.socket) -> None:
    with suppress(OSError):  # it has been closed in this moment
        sock.shutdown(socket.SHUT_RDWR)


class Network(httpcore.NetworkBackend):
    """Opens the connections of a blocking client."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first of a host's addresses that can be reached.

        Each address gets a part of the time, so that one which does not answer spares the others
        some of it.

        :raises httpcore.ConnectError: if none can be reached.
        :raises httpcore.ConnectTimeout: if the time is over.
        """
        addresses = _addresses(host, port, _left(timeout, httpcore.ConnectTimeout))
        for others, address in zip(reversed(range(len(addresses))), addresses, strict=True):
            left = _left(timeout, httpcore.ConnectTimeout)
            part = left and left / (others + 1)
            try:
                stream = httpcore.SyncBackend().connect_tcp(
                    address, port, part, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if not others:
                    raise
            else:
                return _Stream(stream, timeout)
        raise AssertionError  # pragma: no cover - a host without an address is an error before


def _addresses(host: str, port: int, seconds: float | None) -> list[str]:
    """Return the addresses of a host, each once; the system has no timeout for looking them up."""

    def look_up() -> list[str]:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    try:
        return in_time(look_up, seconds)
    except TimeoutError:
        raise httpcore.ConnectTimeout(f"looking up the address of {host!r} timed out") from None
    except OSError as error:
        raise httpcore.ConnectError(str(error)) from None


class _AsyncStream(httpcore.AsyncNetworkStream):
    """A connection of asyncio's client, whose time is bounded from outside."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._head = Head()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's
        """Read a little of what is there."""
        data = await self._stream.read(min(max_bytes, _READ), timeout)
        try:
            self._head.take(data)
        except HeadTooLong as error:
            raise httpcore.RemoteProtocolError(str(error)) from None
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Write all of it."""
        self._head.begin()
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        """Return the connection with TLS."""
        return _AsyncStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """Return what the connection says of itself."""
        return self._stream.get_extra_info(info)


class AsyncNetwork(httpcore.AsyncNetworkBackend):
    """Opens the connections of asyncio's client."""

    def __init__(self) -> None:
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to a host."""
        return _AsyncStream(
            await self._backend.connect_tcp(host, port, timeout, local_address, socket_options)
        )
