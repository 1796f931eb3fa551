"""A task instance that starts a run, as the tasks under test see it: its tries, XComs and notes."""

from __future__ import annotations

import json
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_runs.airflow_errors import TaskDeferred
from airflow_provider_runs.operators import StartRunOperator
from airflow_provider_runs.testing import RunScript
from tests.integration.conftest import run_trigger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow.sdk import Context

#: The key of the task instances here.
KEY = "etl/manual__2026/ask"


class Store:
    """Works like Airflow's accessor of its task state store, which takes nothing but JSON."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return json.loads(self.values[key]) if key in self.values else default

    def set(self, key: str, value: Any) -> None:
        self.values[key] = json.dumps(value, allow_nan=False)


class Instance:
    """One task instance.

    :param store: what outlives a try; ``None`` for an Airflow without it.
    :param retries: the task's.
    :param map_index: the task instance's.
    :param task: parameters of the operator.
    """

    dag_id, run_id, task_id = "etl", "manual__2026", "ask"

    def __init__(
        self, store: Store | None, *, retries: int = 3, map_index: int = -1, **task: Any
    ) -> None:
        self.store = store
        self.retries = retries
        self.map_index = map_index
        self.parameters = task
        self.try_number = 0
        self.max_tries = retries
        self.xcoms: dict[str, Any] = {}
        self.task: StartRunOperator | None = None

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = json.loads(json.dumps(value))

    def xcom_pull(self, *, task_ids: str, key: str, map_indexes: int) -> Any:
        assert (task_ids, map_indexes) == (self.task_id, self.map_index)
        return self.xcoms.get(key)

    @property
    def context(self) -> Context:
        context: Any = {"ti": self}
        if self.store is not None:
            context["task_state_store"] = self.store
        return context

    def new_task(self, **changes: Any) -> StartRunOperator:
        """The task as a process of a worker has it: made from the DAG file."""
        defaults = {"task_id": self.task_id, "poll_interval": 0.2, "deferrable": False}
        self.task = StartRunOperator(
            retries=self.retries, **{**defaults, **self.parameters, **changes}
        )
        return self.task

    def clear(self) -> None:
        """Do what Airflow does when a person clears the task."""
        self.max_tries = self.try_number + self.retries

    def attempt(self, **changes: Any) -> Any:
        """Run the next try to its end, through its deferral if it has one."""
        self.try_number += 1
        self.xcoms.clear()
        try:
            return self.new_task(**changes).execute(self.context)
        except TaskDeferred as deferred:
            return self.resume(deferred, run_trigger(deferred), **changes)

    def resume(self, deferred: TaskDeferred, event: Any, **changes: Any) -> Any:
        """Go on after a deferral, in another process."""
        kwargs = {**json.loads(json.dumps(deferred.kwargs or {})), "event": event}
        task = self.new_task(**changes)
        return task.resume_execution(deferred.method_name, kwargs, self.context)


INF = float("inf")
BODIES = {
    "assistants": {"assistant_id": "asst_1"},
    "foundry": {"assistant_id": "asst_1"},
    "langgraph": {"assistant_id": "agent", "input": {}},
    "responses": {"model": "gpt-4o", "input": "Hello"},
}
SOON = RunScript(queued_for=0, runs_for=0.2, cancelling_for=0.1, answer="42")
LONG = RunScript(queued_for=0, runs_for=INF, cancelling_for=0.1)


def on(*names):
    """Restrict a test to some dialects."""
    return pytest.mark.parametrize("dialect", names, indirect=True)


def starts(server):
    """The ids of the runs that were started, and how many cancels the server accepted."""
    return server.started_runs(KEY), server.accepted_cancels()


@contextmanager
def sigusr1_means(handler: Callable[[int, Any], object]) -> Iterator[None]:
    """Let a signal call a handler within the block, wherever the main thread is."""
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


def send_signal(number):
    signal.pthread_kill(threading.main_thread().ident, number)


def start_path(dialect):
    return "/responses" if dialect == "responses" else "/runs"


def is_starting(server, dialect):
    path = start_path(dialect)
    return any(r.method == "POST" and r.path.endswith(path) for r in server.requests)


def die_while_waiting(instance):
    """Let a try start its run, and die without a word; return the run's id."""
    instance.attempt(wait_for_termination=False)
    return instance.xcoms["run_id"]


def text_of(dialect, output):
    """The text that a run has put out, dug out of what the API gives."""
    match dialect:
        case "responses":
            return output["output_text"]
        case "langgraph":
            return output["messages"][-1]["content"]
    return output[-1]["content"][0]["text"]["value"]
