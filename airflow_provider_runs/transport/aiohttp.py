"""A transport on aiohttp, which takes much less CPU time: the optional extra ``fast``.

It behaves as the plain one does. So it keeps no cookies, sends paths as they are, accepts the same
heads, and raises httpx's errors.

Source: https://docs.aiohttp.org/en/stable/client_reference.html.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache, partial
from inspect import signature
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from airflow_provider_runs.transport.failed import failure_of
from airflow_provider_runs.transport.heads import HEAD, Head, HeadTooLong

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

__all__ = ["FastTransport"]

#: What bounds single lines and their number in aiohttp, as far as this one has it. Here only the
#: whole head has a bound.
_HEADS = ("max_line_size", "max_field_size", "max_headers")


#: Bytes that are read at once: what they hold is parsed before anything else in the event loop can
#: go on.
_READ = 64 * 1024


class FastTransport(httpx.AsyncBaseTransport):
    """Sends requests through aiohttp.

    :param verify: the TLS context.
    :param limits: how many connections there are, and for how long.
    """

    def __init__(self, verify: ssl.SSLContext, limits: httpx.Limits) -> None:
        self._verify = verify
        self._limits = limits
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request.

        :return: the response, whose body may still be arriving.
        :raises httpx.RequestError: if no answer begins to arrive.
        """
        if self._session is None:
            self._session = self._open()
        timeouts = request.extensions.get("timeout", {})
        try:
            response = await self._session.request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=request.headers.multi_items(),
                data=request.content or None,
                allow_redirects=False,
                timeout=_timeout(
                    timeouts.get("pool"), timeouts.get("connect"), timeouts.get("read")
                ),
            )
        except Exception as error:  # noqa: BLE001 - aiohttp lets those of others pass
            failure = failure_of(error, _kind(error))
        else:
            return httpx.Response(
                response.status, headers=response.raw_headers, stream=_Stream(response)
            )
        raise failure

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            ssl=self._verify,
            limit=self._limits.max_connections or 0,
            keepalive_timeout=self._limits.keepalive_expiry,
        )
        # There is no public way to bound what comes before an answer.
        make: Any = partial(_Connection, asyncio.get_running_loop())
        connector._factory = make  # noqa: SLF001
        known = signature(aiohttp.ClientSession).parameters
        heads: Any = {name: HEAD for name in _HEADS if name in known}
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
            **heads,
        )


@lru_cache(maxsize=64)  # most requests have the same, and making one takes time
def _timeout(
    pool: float | None, connect: float | None, read: float | None
) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(connect=pool, sock_connect=connect, sock_read=read)


class _Connection(ResponseHandler):
    """A connection that is closed if the head of an answer is too long."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._head = Head()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if hasattr(transport, "max_size"):  # asyncio's own has it
            transport.max_size = _READ
        super().connection_made(transport)

    def set_response_params(self, **params: Any) -> None:
        self._head.begin()
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        try:
            self._head.take(data)
        except HeadTooLong as error:
            self.set_exception(aiohttp.ClientConnectionError(str(error)))
            if self.transport:
                self.transport.abort()
        else:
            super().data_received(data)


class _Stream(httpx.AsyncByteStream):
    """The body of an answer, as it arrives."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._response.content.iter_any():
                yield part
        except Exception as error:  # noqa: BLE001 - aiohttp lets those of others pass
            failure = failure_of(error, _kind(error))
        else:
            return
        raise failure

    async def aclose(self) -> None:
        self._response.release()


#: httpx's classes of aiohttp's errors; the first one that fits counts.
_KINDS: tuple[tuple[type[Exception], type[httpx.RequestError]], ...] = (
    (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout),
    (TimeoutError, httpx.ReadTimeout),
    (aiohttp.ClientConnectorError, httpx.ConnectError),
    (aiohttp.ClientConnectionError, httpx.ReadError),
)


def _kind(error: Exception) -> type[httpx.RequestError]:
    return next((own for kind, own in _KINDS if isinstance(error, kind)), httpx.RemoteProtocolError)
