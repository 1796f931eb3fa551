"""A run server on loopback, the connection to it, and a way to run a task as Airflow would."""

from __future__ import annotations

import asyncio
import inspect
import json
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_runs.airflow_errors import TaskDeferred
from airflow_provider_runs.hooks import RunsHook
from airflow_provider_runs.testing import RunScript, RunServer
from tests.moments import PATIENCE, Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow.sdk import BaseOperator


class NoSupervisor:
    """A supervisor that knows of nothing; Airflow's own looks in the environment come first."""

    def send(self, _message: Any) -> Any:
        from airflow.sdk.exceptions import ErrorType
        from airflow.sdk.execution_time.comms import ErrorResponse

        return ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND)

    async def asend(self, message: Any) -> Any:
        return self.send(message)


@pytest.fixture(autouse=True)
def supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give Airflow 3.1 the channel to a supervisor that it imports although it needs none."""
    import airflow
    from airflow.sdk.execution_time import task_runner

    if airflow.__version__.startswith("3.1."):
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", NoSupervisor(), raising=False)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[RunServer]:
    """A run server whose runs go on for ever, and end soon after a cancel."""
    script = RunScript(queued_for=0, runs_for=float("inf"), cancelling_for=0.3)
    with RunServer(script=script, thread_lock=False) as server:
        monkeypatch.setenv("AIRFLOW_CONN_RUNS_DEFAULT", server.connection(max_retries=1))
        yield server


@pytest.fixture
def connect(server: RunServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that changes fields of the connection."""

    def connect(*, host: str | None = None, password: str = "sk-x", **extra: Any) -> None:
        fields = {"conn_type": "runs_assistants", "host": host or server.url}
        text = json.dumps({**fields, "password": password, "extra": extra})
        monkeypatch.setenv("AIRFLOW_CONN_RUNS_DEFAULT", text)

    return connect


@pytest.fixture
def wire(server: RunServer, connect: Callable[..., None]) -> Iterator[Wire]:
    """Make the connection lead through a wire that can be held."""
    with Wire(server.port) as wire:
        # A client that gave up before the wire does would look like one that can do something else.
        connect(host=wire.url, timeout=5 * PATIENCE, max_retries=0)
        yield wire


@pytest.fixture(params=["", "a"], ids=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Return a function that calls a method of a new hook, or the same one for asyncio."""

    def call(name: str, *args: Any, **kwargs: Any) -> Any:
        result = getattr(RunsHook(), request.param + name)(*args, **kwargs)
        if inspect.isasyncgen(result):
            return asyncio.run(drain(result))
        return asyncio.run(result) if inspect.iscoroutine(result) else result

    return call


async def drain(items: Any) -> list[Any]:
    return [item async for item in items]


class TaskInstance:
    """The part of a task instance that tasks use: XComs, and when they looked first."""

    def __init__(self) -> None:
        self.xcoms: dict[str, Any] = {}
        self.first_look: Any = None

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value

    def get_first_reschedule_date(self, _: Any) -> Any:
        return self.first_look


@pytest.fixture
def ti() -> TaskInstance:
    return TaskInstance()


def run_trigger(deferred: TaskDeferred) -> Any:
    """Run a trigger as the triggerer does: stored as JSON, made anew, its event JSON again."""
    path, kwargs = deferred.trigger.serialize()
    trigger = resolve_name(path)(**json.loads(json.dumps(kwargs)))
    (event,) = asyncio.run(drain(trigger.run()))
    return json.loads(json.dumps(event.payload))


@pytest.fixture
def run_task() -> Callable[..., Any]:
    """Return a function that executes a task to its end, through its deferral if it has one."""

    def run_task(task: BaseOperator, context: Any = None) -> Any:
        context = context or {}
        try:
            return task.execute(context)
        except TaskDeferred as deferred:
            event = run_trigger(deferred)
            kwargs = {**(deferred.kwargs or {}), "event": event}
            return task.resume_execution(deferred.method_name, kwargs, context)

    return run_task
