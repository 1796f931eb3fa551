"""The two drivers of a flow: blocking, and for asyncio."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, TypeVar

import httpx

from airflow_provider_runs.backends.wire import Answer
from airflow_provider_runs.errors import RunsError
from airflow_provider_runs.flows.calls import glimpse_run
from airflow_provider_runs.flows.steps import Look, Refresh, Send, Sleep, advance
from airflow_provider_runs.transport.entra import auth_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airflow_provider_runs.backends import Backend
    from airflow_provider_runs.flows.steps import Flow, Reply
    from airflow_provider_runs.transport.clients import SharedClient

__all__ = ["adrive", "drive", "send"]

T = TypeVar("T")

log = logging.getLogger(__name__)

#: The longest answer that is accepted, in bytes; a run has a few kilobytes.
MAX_BODY = 32 * 1024 * 1024


def drive(
    flow: Flow[T],
    client: httpx.Client,
    refresh: Callable[[], tuple[Backend, httpx.Client]] | None = None,
) -> T:
    """Run a flow to its end, blocking.

    :param client: sends its requests.
    :param refresh: looks the connection up again, and returns its backend and its client; by
        default the connection stays as it is.
    :return: what the flow returns.
    :raises RunsError: what the flow raises.
    """
    reply: Reply | Exception = None
    try:
        while True:
            step, reply = advance(flow, reply), None  # no body is kept while it sleeps
            if not isinstance(step, Refresh):
                reply = _take(step, client)
            elif refresh:
                reply, client = refresh()
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # the flow's own type


def _take(step: Send | Sleep | Look, client: httpx.Client) -> Reply | Exception:
    """Carry out a step; an error that is the flow's to judge is returned."""
    match step:
        case Sleep():
            time.sleep(step.seconds)
            return None
        case Send():
            try:
                return _exchange(step, client)
            except httpx.RequestError as error:
                return error
        case Look():
            try:
                return drive(glimpse_run(step.backend, step.ref, deadline=step.deadline), client)
            except RunsError as error:
                return error


async def adrive(
    flow: Flow[T],
    client: SharedClient,
    slots: asyncio.Semaphore | None = None,
    refresh: Callable[[], Awaitable[tuple[Backend, SharedClient]]] | None = None,
) -> T:
    """Run a flow to its end without blocking the event loop.

    When the server asks one flow to wait, all other flows of the same client wait too.

    :param client: sends its requests.
    :param slots: bounds the number of concurrent requests of all who share it.
    :param refresh: as for ``drive``.
    :return: what the flow returns.
    :raises RunsError: what the flow raises.
    """
    reply: Reply | Exception = None
    try:
        while True:
            step, reply = advance(flow, reply), None
            if not isinstance(step, Refresh):
                reply = await _atake(step, client, slots)
            elif refresh:
                reply, client = await refresh()
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # the flow's own type


async def _atake(
    step: Send | Sleep | Look, client: SharedClient, slots: asyncio.Semaphore | None
) -> Reply | Exception:
    match step:
        case Sleep():
            await asyncio.sleep(step.seconds)
            return None
        case Send():
            try:
                return await send(step, client, slots)
            except httpx.RequestError as error:
                return error
        case Look():
            alone = glimpse_run(step.backend, step.ref, deadline=step.deadline)
            try:
                return await adrive(alone, client, slots)
            except RunsError as error:
                return error


async def send(step: Send, client: SharedClient, slots: asyncio.Semaphore | None) -> Answer:
    """Send one request, and return its complete answer.

    :param slots: as for ``adrive``.
    :raises httpx.RequestError: if no complete answer arrives in time.
    """
    async with slots or nullcontext():
        return await _aexchange(step, client)


def _exchange(step: Send, client: httpx.Client) -> Answer:
    content = bytearray()
    # Redirects are not followed: the key would go to whatever host the answer names.
    response = client.send(
        step.request, stream=True, follow_redirects=False, auth=auth_of(step.credential)
    )
    try:
        for chunk in response.iter_bytes():
            content += chunk
            _check(step, content)
    finally:
        response.close()
    return _answer(step, response, content)


async def _aexchange(step: Send, client: SharedClient) -> Answer:
    content = bytearray()
    await client.pause(step.until)
    try:
        async with asyncio.timeout(step.until - time.time()):
            response = await client.begin(step.request, auth_of(step.credential))
            try:
                async for chunk in response.aiter_bytes():
                    content += chunk
                    _check(step, content)
            finally:
                await response.aclose()
    except TimeoutError as error:
        raise httpx.ReadTimeout("the answer was still arriving") from error
    answer = _answer(step, response, content)
    client.take_note(answer)
    return answer


def _answer(step: Send, response: httpx.Response, content: bytearray) -> Answer:
    log.debug("%s %s: %d", step.request.method, step.request.url, response.status_code)
    return Answer(response.status_code, response.headers, bytes(content))


def _check(step: Send, content: bytearray) -> None:
    """Stop an answer that trickles in or never ends: httpx bounds each read, not their sum.

    A blocking client cannot be stopped while headers trickle in; there h11 bounds their size.
    """
    if time.time() > step.until:
        raise httpx.ReadTimeout("the answer was still arriving")
    if len(content) > MAX_BODY:
        raise httpx.RemoteProtocolError(f"the answer is longer than {MAX_BODY} bytes")
