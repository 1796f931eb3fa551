"""The transports on httpcore, for a blocking client and for asyncio's.

They are httpx's own, but for three things: their connections have a bound to all of an exchange,
nothing is read from the environment, and no error holds what the server has sent in another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpcore
import httpx

from airflow_provider_runs.transport.failed import failure_of
from airflow_provider_runs.transport.network import AsyncNetwork, Network

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterator

__all__ = ["AsyncPlainTransport", "PlainTransport"]


class PlainTransport(httpx.BaseTransport):
    """Sends the requests of a blocking client.

    :param verify: the TLS context, also for a proxy that speaks TLS.
    :param limits: how many connections there are, and for how long.
    :param proxy: the proxy that all requests go through, if any.
    :raises ValueError: if it is not a proxy.
    """

    def __init__(
        self, verify: ssl.SSLContext, limits: httpx.Limits, proxy: str | None = None
    ) -> None:
        own = {**_pool(verify, limits), "network_backend": Network()}
        if proxy is None:
            self._pool = httpcore.ConnectionPool(**own)
        else:
            kind = httpcore.SOCKSProxy if _is_socks(proxy) else httpcore.HTTPProxy
            self._pool = kind(**own, **_proxy(proxy, verify))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request.

        :return: the response, whose body may still be arriving.
        :raises httpx.RequestError: if no answer begins to arrive.
        """
        try:
            answer = self._pool.handle_request(_request(request))
        except Exception as error:  # noqa: BLE001 - httpcore's have no common base
            failure = failure_of(error, _named(error))
        else:
            stream = _Stream(answer.stream)
            return httpx.Response(answer.status, headers=answer.headers, stream=stream)
        raise failure

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()


class AsyncPlainTransport(httpx.AsyncBaseTransport):
    """Sends the requests of asyncio's client; its parameters are those of ``PlainTransport``."""

    def __init__(
        self, verify: ssl.SSLContext, limits: httpx.Limits, proxy: str | None = None
    ) -> None:
        own = {**_pool(verify, limits), "network_backend": AsyncNetwork()}
        if proxy is None:
            self._pool = httpcore.AsyncConnectionPool(**own)
        else:
            kind = httpcore.AsyncSOCKSProxy if _is_socks(proxy) else httpcore.AsyncHTTPProxy
            self._pool = kind(**own, **_proxy(proxy, verify))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Do what ``PlainTransport.handle_request`` does, for asyncio."""
        try:
            answer = await self._pool.handle_async_request(_request(request))
        except Exception as error:  # noqa: BLE001 - httpcore's have no common base
            failure = failure_of(error, _named(error))
        else:
            stream = _AsyncStream(answer.stream)
            return httpx.Response(answer.status, headers=answer.headers, stream=stream)
        raise failure

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()


class _Stream(httpx.SyncByteStream):
    """The body of an answer, as it arrives."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._stream
        except Exception as error:  # noqa: BLE001 - httpcore's have no common base
            failure = failure_of(error, _named(error))
        else:
            return
        raise failure

    def close(self) -> None:
        self._stream.close()


class _AsyncStream(httpx.AsyncByteStream):
    """The same for asyncio."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._stream:
                yield part
        except Exception as error:  # noqa: BLE001 - httpcore's have no common base
            failure = failure_of(error, _named(error))
        else:
            return
        raise failure

    async def aclose(self) -> None:
        await self._stream.aclose()


def _named(error: Exception) -> type[httpx.RequestError]:
    """Return httpx's class of an error: httpcore's have the same names."""
    kind = getattr(httpx, type(error).__name__, None)
    if isinstance(kind, type) and issubclass(kind, httpx.RequestError):
        return kind
    return httpx.RemoteProtocolError


def _pool(verify: ssl.SSLContext, limits: httpx.Limits) -> dict[str, Any]:
    return {
        "ssl_context": verify,
        "max_connections": limits.max_connections,
        "max_keepalive_connections": limits.max_keepalive_connections,
        "keepalive_expiry": limits.keepalive_expiry,
    }


def _proxy(url: str, verify: ssl.SSLContext) -> dict[str, Any]:
    proxy = httpx.Proxy(url)
    own = {"proxy_url": _url(proxy.url), "proxy_auth": proxy.raw_auth}
    return {**own, "proxy_ssl_context": verify} if proxy.url.scheme == "https" else own


def _is_socks(proxy: str) -> bool:
    return proxy.startswith("socks")


def _request(request: httpx.Request) -> httpcore.Request:
    return httpcore.Request(
        method=request.method,
        url=_url(request.url),
        headers=request.headers.raw,
        content=request.stream,
        extensions=request.extensions,
    )


def _url(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(
        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
    )
