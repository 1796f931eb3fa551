"""The HTTP clients: a blocking one for each hook, and one that all users of an event loop share."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any

import httpx

from airflow_provider_runs.errors import RunsConfigError
from airflow_provider_runs.flows.failures import retry_after
from airflow_provider_runs.flows.steps import LAST_LOOK
from airflow_provider_runs.transport.certificates import ssl_context
from airflow_provider_runs.transport.entra import auth_of
from airflow_provider_runs.transport.environment import proxy_of
from airflow_provider_runs.transport.leases import Leases
from airflow_provider_runs.transport.plain import AsyncPlainTransport, PlainTransport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_provider_runs.backends import Backend
    from airflow_provider_runs.backends.wire import Answer
    from airflow_provider_runs.connections.settings import Settings
    from airflow_provider_runs.transport.aiohttp import FastTransport

__all__ = ["BlockingClient", "SharedClient", "make_client", "shared_client", "shared_clients"]

#: Connections to one server, and seconds for which an idle one is kept: longer than the pause
#: between two polls. For each request a pool looks through all of its connections, so a larger pool
#: makes each request slower.
LIMITS = httpx.Limits(max_connections=64, max_keepalive_connections=32, keepalive_expiry=30.0)
#: Seconds to wait after a 429 without ``Retry-After``.
DEFAULT_RETRY_AFTER = 1.0


class BlockingClient(httpx.Client):
    """A client that keeps no cookies and reads nothing from the environment.

    :param transport: for all requests.
    :param options: for ``httpx.Client``.
    """

    def __init__(self, transport: httpx.BaseTransport, **options: Any) -> None:
        super().__init__(transport=transport, cookies=_no_cookies(), trust_env=False, **options)
        self._direct = transport

    def begin(self, request: httpx.Request, auth: httpx.Auth | None) -> httpx.Response:
        """Send a request; redirects are not followed, as the key would go wherever they lead.

        :param auth: what puts a token into the request, if anything.
        :return: the response, whose body may still be arriving.
        :raises httpx.RequestError: if no answer begins to arrive.
        """
        # httpx's own `send` builds the request that would follow a redirect, and may fail at that.
        if auth is None:
            return self._direct.handle_request(request)
        flow = auth.sync_auth_flow(request)
        request = next(flow)
        while True:
            response = self._direct.handle_request(request)
            try:
                request = flow.send(response)
            except StopIteration:
                return response
            except BaseException:
                response.close()
                raise
            response.close()


class SharedClient(httpx.AsyncClient):
    """A client that applies the server's ``Retry-After`` to all of its users.

    :param transport: for all requests.
    """

    quiet_until = 0.0  # epoch seconds

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        super().__init__(transport=transport, cookies=_no_cookies(), trust_env=False)
        self._direct = transport

    async def begin(self, request: httpx.Request, auth: httpx.Auth | None) -> httpx.Response:
        """Do what ``BlockingClient.begin`` does, for asyncio."""
        if self.is_closed:
            raise httpx.ConnectError("the connection was changed in the meantime")
        # httpx's own `send` also spends a third of its time on cookies.
        if auth is None:
            return await self._direct.handle_async_request(request)
        flow = auth.async_auth_flow(request)
        request = await anext(flow)
        while True:
            response = await self._direct.handle_async_request(request)
            try:
                request = await flow.asend(response)
            except StopAsyncIteration:
                return response
            except BaseException:
                await response.aclose()
                raise
            await response.aclose()

    async def pause(self, until: float) -> None:
        """Sleep until the server may be asked again, but leave time for a last request.

        :param until: when the answer to that request must be there, in epoch seconds.
        """
        pause = min(self.quiet_until, until - LAST_LOOK) - time.time()
        if pause > 0:
            await asyncio.sleep(pause)

    def take_note(self, answer: Answer) -> None:
        """Note how long the server asks its clients to wait, if it does."""
        if answer.status_code not in {429, 503}:
            return
        seconds = retry_after(answer)
        if seconds is None and answer.status_code == 429:
            seconds = DEFAULT_RETRY_AFTER
        self.quiet_until = max(self.quiet_until, time.time() + (seconds or 0.0))


def _no_cookies() -> CookieJar:
    return CookieJar(DefaultCookiePolicy(allowed_domains=()))


def make_client(backend: Backend) -> BlockingClient:
    """Return a blocking client with a connection's base URL and key. The caller closes it.

    :param backend: of the connection.
    :raises RunsConfigError: if the connection's CA bundle or proxy cannot be used.
    """
    settings = backend.settings
    transport = PlainTransport(ssl_context(settings), LIMITS, proxy_of(settings))
    return BlockingClient(
        transport,
        base_url=settings.base_url,
        headers=backend.all_headers(),
        params=backend.params(),
        auth=auth_of(backend.credential),
        timeout=settings.options.timeout,
    )


async def _make(settings: Settings) -> SharedClient:
    # Loading certificates, or aiohttp, takes tens of milliseconds: too long for an event loop.
    context = await asyncio.to_thread(ssl_context, settings)
    proxy = proxy_of(settings)
    fast = None if proxy else await asyncio.to_thread(_fast_transport)
    if fast:
        return SharedClient(fast(context, LIMITS))
    return SharedClient(AsyncPlainTransport(context, LIMITS, proxy))


def _fast_transport() -> type[FastTransport] | None:
    try:
        from airflow_provider_runs.transport.aiohttp import FastTransport
    except ImportError:
        return None
    return FastTransport


async def _close(client: asyncio.Task[SharedClient]) -> None:
    with suppress(RunsConfigError):  # then there is nothing to close
        await (await client).aclose()


_clients = Leases(_close)


def shared_clients() -> list[SharedClient]:
    """Return the clients that are open on this event loop, for tests and debugging."""
    return [client.result() for client in _clients.lent() if client.done()]


@asynccontextmanager
async def shared_client(settings: Settings) -> AsyncIterator[SharedClient]:
    """Lend the client that this event loop has for a connection; its last user closes it.

    :param settings: the connection's settings.
    :raises RunsConfigError: if the connection's CA bundle or proxy cannot be used.
    """
    # The client holds no key: each request carries it, so a new key needs no new client.
    name = (
        settings.conn_id,
        settings.base_url,
        settings.options.verify,
        settings.options.ca_bundle,
        settings.options.proxy,
    )
    # A task, so that two users who come at once wait for one client, and neither of them, when it
    # is cancelled, cancels the client of the other.
    async with _clients.lend(name, lambda: asyncio.create_task(_make(settings))) as client:
        yield await asyncio.shield(client)
