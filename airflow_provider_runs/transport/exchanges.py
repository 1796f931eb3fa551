"""One exchange: a request is sent, and its answer is read within bounds of time and memory."""

from __future__ import annotations

import asyncio
import logging
import time
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
    from airflow_provider_runs.flows.steps import Send
    from airflow_provider_runs.transport.clients import BlockingClient, SharedClient

__all__ = ["exchange", "send"]

log = logging.getLogger(__name__)

#: Steps of an answer that arrives all at once before others go first; each takes a millisecond.
_STEPS = 16


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
    if slots is None:
        return await _send(step, client)
    try:
        async with asyncio.timeout(step.until - time.time()):
            await slots.acquire()
    except TimeoutError:
        failure = httpx.PoolTimeout("too many other requests are under way")
    else:
        try:
            return await _send(step, client)
        finally:
            slots.release()
    raise failure


async def _send(step: Send, client: SharedClient) -> Answer:
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


async def _exchange(step: Send, client: SharedClient) -> Answer:
    response = await client.begin(step.request, auth_of(step.credential, step.until))
    try:
        body, steps = Body(response.headers, step.most), 0
        async for chunk in response.aiter_raw():
            for _ in body.take(chunk):
                steps += 1
                if steps % _STEPS == 0:
                    # Else what arrives faster than it is read would hold the event loop.
                    await asyncio.sleep(0)
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
