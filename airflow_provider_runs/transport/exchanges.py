"""One exchange: a request is sent, and its answer is read within bounds of time and memory."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx

from airflow_provider_runs.backends.json_bodies import LONG, without_long_texts
from airflow_provider_runs.backends.wire import Answer
from airflow_provider_runs.errors import RunsError
from airflow_provider_runs.transport.bodies import Body
from airflow_provider_runs.transport.entra import auth_of
from airflow_provider_runs.transport.failed import failure_of
from airflow_provider_runs.transport.network import TimeLeft

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_provider_runs.flows.steps import Send
    from airflow_provider_runs.transport.clients import BlockingClient, SharedClient

__all__ = ["exchange", "send"]

log = logging.getLogger(__name__)

#: Seconds for which an answer that arrives all at once may keep everybody else waiting.
_HOLD = 0.005


def exchange(step: Send, client: BlockingClient) -> Answer:
    """Send one request, blocking, and return its complete answer.

    :raises httpx.RequestError: if no complete answer arrives in time.
    :raises RunsError: if the credential cannot be used.
    """
    # Each step of it is told when all of it must be over.
    timeouts = step.request.extensions["timeout"]
    step.request.extensions["timeout"] = {
        name: TimeLeft(seconds, step.until) for name, seconds in timeouts.items()
    }
    try:
        response = client.begin(step.request, auth_of(step.credential, step.until))
        try:
            body = Body(response.headers, step.most)
            for chunk in response.iter_raw():
                for _ in body.take(chunk):
                    _check_time(step)
        finally:
            response.close()
        return _answer(step, response, body)
    except (httpx.RequestError, RunsError):
        raise
    except Exception as error:  # noqa: BLE001 - no bytes may do more harm than a lost connection
        failure = failure_of(error, httpx.RemoteProtocolError)
    raise failure


async def send(step: Send, client: SharedClient, slots: asyncio.Semaphore | None) -> Answer:
    """Send one request, and return its complete answer.

    When the server asks one flow to wait, all other flows of the same client wait too.

    :param slots: bounds the number of concurrent requests of all who share it.
    :raises httpx.RequestError: if no complete answer arrives in time.
    :raises RunsError: if the credential cannot be used.
    """
    async with _turn(slots, step.until):
        if not step.hurried:
            await client.pause(step.until)
        try:
            async with asyncio.timeout(step.until - time.time()):
                answer = await _exchange(step, client)
        except (httpx.RequestError, RunsError):
            raise
        except TimeoutError:
            failure: httpx.RequestError = httpx.ReadTimeout("the answer was still arriving")
        except Exception as error:  # noqa: BLE001 - as above
            failure = failure_of(error, httpx.RemoteProtocolError)
        else:
            client.take_note(answer)
            return answer
        raise failure


@asynccontextmanager
async def _turn(slots: asyncio.Semaphore | None, until: float) -> AsyncIterator[None]:
    """Wait for a slot, and lend it for the block.

    :raises httpx.PoolTimeout: if there is none in time.
    """
    if slots is None:
        yield
        return
    try:
        async with asyncio.timeout(until - time.time()):
            await slots.acquire()
    except TimeoutError:
        failure = httpx.PoolTimeout("too many other requests are under way")
    else:
        try:
            yield
        finally:
            slots.release()
        return
    raise failure


async def _exchange(step: Send, client: SharedClient) -> Answer:
    response = await client.begin(step.request, auth_of(step.credential, step.until))
    try:
        body = Body(response.headers, step.most)
        rested = time.monotonic()
        async for chunk in response.aiter_raw():
            for _ in body.take(chunk):
                if time.monotonic() - rested > _HOLD:
                    # Else what arrives faster than it is read would hold the event loop.
                    await asyncio.sleep(0)
                    rested = time.monotonic()
    finally:
        await response.aclose()
    if step.glance and len(body.content) > LONG:
        body.content = await asyncio.to_thread(without_long_texts, body.content)
    return _answer(step, response, body)


def _check_time(step: Send) -> None:
    if time.time() > step.until:
        raise httpx.ReadTimeout("the answer was still arriving")


def _answer(step: Send, response: httpx.Response, body: Body) -> Answer:
    log.debug("%s %s: %d", step.request.method, step.request.url, response.status_code)
    return Answer(response.status_code, response.headers, body.end())
