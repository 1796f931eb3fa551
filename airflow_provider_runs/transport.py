"""Where the bytes move: the two drivers of a flow, and the HTTP clients they send with."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, TypeVar
from urllib.request import getproxies
from weakref import WeakKeyDictionary

import httpx

from airflow_provider_runs.errors import RunsConfigError
from airflow_provider_runs.flows.steps import Answer, Flow, Send
from airflow_provider_runs.shared_client import SharedClient

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import AsyncIterator, Iterator

    from airflow_provider_runs.backends import Backend
    from airflow_provider_runs.connections.settings import Settings
    from airflow_provider_runs.fast import FastTransport

__all__ = ["adrive", "drive", "make_client", "shared_client", "shared_clients"]

T = TypeVar("T")

log = logging.getLogger(__name__)

#: Bytes that an answer may have; a run has some kilobytes.
MAX_BODY = 32 * 1024 * 1024
#: Connections to one server, and seconds for which an idle one is kept: for longer than between two
#: polls. A pool looks at every connection it holds for each request, so more of them make each
#: request slower.
LIMITS = httpx.Limits(max_connections=32, max_keepalive_connections=32, keepalive_expiry=30.0)


def drive(flow: Flow[T], client: httpx.Client) -> T:
    """Run a flow to its end, blocking.

    :raises RunsError: what the flow raises.
    """
    try:
        step = next(flow)
        while True:
            if isinstance(step, Send):
                try:
                    answer = _exchange(step, client)
                except httpx.RequestError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
            else:
                time.sleep(step.seconds)
                step = next(flow)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # the flow's own type


async def adrive(flow: Flow[T], client: SharedClient, gate: asyncio.Semaphore | None = None) -> T:
    """Run a flow to its end without blocking the event loop.

    A pause that the server asks one flow for holds up all others of the same client.

    :param gate: bounds how many requests of those who share it are on their way at once.
    :raises RunsError: what the flow raises.
    """
    try:
        step = next(flow)
        while True:
            if isinstance(step, Send):
                try:
                    async with gate or nullcontext():
                        answer = await _aexchange(step, client)
                except httpx.RequestError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
            else:
                await asyncio.sleep(step.seconds)
                step = next(flow)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # the flow's own type


def _exchange(step: Send, client: httpx.Client) -> Answer:
    content = bytearray()
    # Never redirected: the key would go to whatever host the answer names.
    response = client.send(step.request, stream=True, follow_redirects=False, auth=step.auth)
    try:
        for chunk in response.iter_bytes():
            content += chunk
            _check(step, content)
    finally:
        response.close()
    return _answer(step, response, content)


async def _aexchange(step: Send, client: SharedClient) -> Answer:
    content = bytearray()
    await client.rest(step.until)
    try:
        async with asyncio.timeout(step.until - time.time()):
            response = await client.begin(step.request, step.auth)
            try:
                async for chunk in response.aiter_bytes():
                    content += chunk
                    _check(step, content)
            finally:
                await response.aclose()
    except TimeoutError as error:
        raise httpx.ReadTimeout("the answer was still coming in") from error
    answer = _answer(step, response, content)
    client.heed(answer)
    return answer


def _answer(step: Send, response: httpx.Response, content: bytearray) -> Answer:
    log.debug("%s %s: %d", step.request.method, step.request.url, response.status_code)
    return Answer(response.status_code, response.headers, bytes(content))


def _check(step: Send, content: bytearray) -> None:
    """Stop an answer that drips in or never ends: httpx bounds each read, not all of them.

    A blocking client cannot be stopped while headers drip in; there h11 bounds their size.
    """
    if time.time() > step.until:
        raise httpx.ReadTimeout("the answer was still coming in")
    if len(content) > MAX_BODY:
        raise httpx.RemoteProtocolError(f"the answer is longer than {MAX_BODY} bytes")


def make_client(backend: Backend) -> httpx.Client:
    """Return a client for a connection, with its base URL and key; whoever makes it closes it.

    :raises RunsConfigError: if its CA bundle or proxy cannot be used.
    """
    settings = backend.settings
    with _explained(settings):
        return httpx.Client(
            base_url=settings.base_url,
            headers=backend.all_headers(),
            params=backend.params(),
            auth=backend.auth(),
            proxy=settings.proxy,
            verify=settings.ssl_context(),
            timeout=settings.timeout,
            limits=LIMITS,
        )


async def _make_async_client(settings: Settings) -> SharedClient:
    # Certificates, and aiohttp, take tens of milliseconds to load: too long for an event loop.
    context = await asyncio.to_thread(settings.ssl_context)
    fast = await asyncio.to_thread(_fast_transport)
    if not settings.proxy and getproxies().keys() - {"no"}:
        # Which of the environment's proxies serves a host is httpx's to know.
        return SharedClient(verify=context, limits=LIMITS)
    if fast and not settings.proxy:
        return SharedClient(fast(verify=context, limits=LIMITS))
    with _explained(settings):
        plain = httpx.AsyncHTTPTransport(verify=context, limits=LIMITS, proxy=settings.proxy)
    return SharedClient(plain)


def _fast_transport() -> type[FastTransport] | None:
    try:
        from airflow_provider_runs.fast import FastTransport
    except ImportError:
        return None
    return FastTransport


@contextmanager
def _explained(settings: Settings) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise RunsConfigError(
            f"Connection {settings.conn_id!r} has a SOCKS proxy, which needs another package: "
            f"pip install 'httpx[socks]'. ({error})",
            conn_id=settings.conn_id,
        ) from error
    except ValueError as error:
        raise RunsConfigError(
            f"Connection {settings.conn_id!r} has a proxy that this httpx cannot use: {error}",
            conn_id=settings.conn_id,
        ) from error


class _Shared:
    """A client of one event loop and the number of those who use it."""

    def __init__(self, settings: Settings) -> None:
        self.users = 0
        # A task, so that two who come at once wait for one client, and neither's end ends it.
        self.client = asyncio.create_task(_make_async_client(settings))


_shared: WeakKeyDictionary[AbstractEventLoop, dict[object, _Shared]] = WeakKeyDictionary()


def shared_clients() -> list[SharedClient]:
    """Return the clients that are open on this event loop; for tests and for the curious."""
    clients = _shared.get(asyncio.get_running_loop(), {})
    return [shared.client.result() for shared in clients.values() if shared.client.done()]


@asynccontextmanager
async def shared_client(settings: Settings) -> AsyncIterator[SharedClient]:
    """Lend the client that this event loop has for a connection; the last one out closes it.

    :raises RunsConfigError: if the connection's CA bundle or proxy cannot be used.
    """
    clients = _shared.setdefault(asyncio.get_running_loop(), {})
    # The client holds no key: that goes with each request, so a new key needs no new client.
    name = (
        settings.conn_id,
        settings.base_url,
        settings.verify,
        settings.ca_bundle,
        settings.proxy,
    )
    shared = clients.get(name)
    if shared is None:
        shared = clients[name] = _Shared(settings)
    shared.users += 1
    try:
        yield await asyncio.shield(shared.client)
    finally:
        shared.users -= 1
        if not shared.users:
            del clients[name]
            with suppress(RunsConfigError):  # then there is nothing to close
                await (await shared.client).aclose()
