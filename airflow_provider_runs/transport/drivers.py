"""The two drivers of a flow: blocking, and for asyncio."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

import httpx

from airflow_provider_runs.backends.wire import Answer
from airflow_provider_runs.errors import RunsError
from airflow_provider_runs.flows.calls import glimpse_run
from airflow_provider_runs.flows.steps import Look, Refresh, Send, Sleep, advance
from airflow_provider_runs.transport.exchanges import exchange, send

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airflow_provider_runs.backends import Backend
    from airflow_provider_runs.flows.steps import Flow, Reply, Step
    from airflow_provider_runs.transport.clients import BlockingClient, SharedClient

__all__ = ["adrive", "drive"]

T = TypeVar("T")


def drive(
    flow: Flow[T],
    client: BlockingClient,
    refresh: Callable[[], tuple[Backend, BlockingClient]] | None = None,
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


def _take(step: Send | Sleep | Look, client: BlockingClient) -> Reply | Exception:
    """Carry out a step; an error that is the flow's to judge is returned."""
    match step:
        case Sleep():
            time.sleep(step.seconds)
            return None
        case Send():
            try:
                return exchange(step, client)
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
    while True:
        if isinstance(reply, Answer) and reply.is_heavy:
            # Reading it takes too long for an event loop. A flow does no I/O and shares nothing.
            # The parser keeps Python's lock, so it has a bound of its own: see `json_bodies`.
            step, result = await asyncio.to_thread(_advance, flow, reply)
        else:
            step, result = _advance(flow, reply)
        reply = None  # no body is kept while it sleeps
        if step is None:
            return result  # type: ignore[return-value]  # the flow has ended with it
        if not isinstance(step, Refresh):
            reply = await _atake(step, client, slots)
        elif refresh:
            reply, client = await refresh()


def _advance(flow: Flow[T], reply: Reply | Exception) -> tuple[Step | None, T | None]:
    """Return the next step of a flow; or ``None``, and what it returned."""
    try:
        return advance(flow, reply), None
    except StopIteration as end:
        return None, end.value


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
