"""Those who wait for runs in the benchmark: ours, the official rivals, and the floor.

Each is a context that gives a function: it waits for the end of the run with a number, and returns
when its event is there. Triggers run as the triggerer runs them, each in a task of one event loop.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from airflow.triggers.base import BaseTrigger

    from benchmarks.jobs import Job

    Watch = Callable[[int], Awaitable[None]]
    Contender = Callable[[Job], AbstractAsyncContextManager[Watch]]

#: Seconds until a wait's deadline, which no measurement reaches.
LONG = 3600.0


@asynccontextmanager
async def ours(job: Job) -> AsyncIterator[Watch]:
    """Give a watch with our trigger."""
    _connect("runs_default", "runs_assistants", f"{job.url}/v1")
    from airflow_provider_runs.triggers import RunStatusTrigger

    def make(run: int) -> BaseTrigger:
        return RunStatusTrigger(
            run_id=f"run_{run:06d}",
            thread_id=f"thread_{run % job.threads:06d}",
            deadline=time.time() + LONG,
            poll_interval=job.interval,
        )

    yield _trigger(make, "completed")


@asynccontextmanager
async def openai(job: Job) -> AsyncIterator[Watch]:
    """Give a watch with the official OpenAI provider's batch trigger."""
    _connect("openai_default", "openai", f"{job.url}/v1")
    from airflow.providers.openai.triggers.openai import OpenAIBatchTrigger

    def make(run: int) -> BaseTrigger:
        trigger: BaseTrigger = OpenAIBatchTrigger(
            conn_id="openai_default",
            batch_id=f"batch_{run:06d}",
            poll_interval=job.interval,
            timeout=LONG,
        )
        return trigger

    yield _trigger(make, "success")


@asynccontextmanager
async def anthropic(job: Job) -> AsyncIterator[Watch]:
    """Give a watch with the official Anthropic provider's batch trigger."""
    _connect("anthropic_default", "anthropic", job.url)
    from airflow.providers.anthropic.triggers.batch import AnthropicBatchTrigger

    def make(run: int) -> BaseTrigger:
        trigger: BaseTrigger = AnthropicBatchTrigger(
            conn_id="anthropic_default",
            batch_id=f"msgbatch_{run:06d}",
            poll_interval=job.interval,
            end_time=time.time() + LONG,
        )
        return trigger

    yield _trigger(make, "success")


@asynccontextmanager
async def bare(job: Job) -> AsyncIterator[Watch]:
    """Give a watch with nothing but aiohttp: a GET for each run and interval, evenly spread."""
    import aiohttp

    begin = time.monotonic()
    headers = {"Authorization": "Bearer any", "OpenAI-Beta": "assistants=v2"}
    async with aiohttp.ClientSession(headers=headers) as http:

        async def watch(run: int) -> None:
            url = f"{job.url}/v1/threads/thread_{run % job.threads:06d}/runs/run_{run:06d}"
            # Next in a row of moments that is the same for as long as the benchmark runs.
            phase = (begin + job.interval * run / job.waits - time.monotonic()) % job.interval
            due = time.monotonic() + phase
            status = ""
            while status != "completed":
                await asyncio.sleep(due - time.monotonic())
                async with http.get(url) as response:
                    status = json.loads(await response.read())["status"]
                due += job.interval

        yield watch


CONTENDERS: dict[str, Contender] = {
    "ours": ours,
    "ours, fast": ours,
    "bare aiohttp": bare,
    "OpenAIBatchTrigger": openai,
    "AnthropicBatchTrigger": anthropic,
}


def _connect(conn_id: str, conn_type: str, host: str) -> None:
    connection = {"conn_type": conn_type, "host": host, "password": "any"}
    os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(connection)


def _trigger(make: Callable[[int], BaseTrigger], word: str) -> Watch:
    """Return a watch with triggers.

    :param word: what an event of success says. Another event ends the benchmark.
    """

    async def watch(run: int) -> None:
        events: list[Any] = [event.payload async for event in make(run).run()]
        if len(events) != 1 or word not in json.dumps(events):
            raise RuntimeError(f"Not the event of a success: {events}")

    return watch
