"""A backend, and a player that runs flows without sockets and without real time."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import pytest
import time_machine

from airflow_provider_runs.backends import AssistantsBackend
from airflow_provider_runs.backends.wire import Answer
from airflow_provider_runs.connections.settings import Settings
from airflow_provider_runs.errors import RunsError
from airflow_provider_runs.flows.calls import glimpse_run
from airflow_provider_runs.flows.steps import Flow, Look, Refresh, Send, Step, advance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

NOW = 1_800_000_000.0


class Player:
    """Runs a flow: answers its requests from a list, and lets time pass when it sleeps."""

    def __init__(self, clock: time_machine.Traveller) -> None:
        self.clock = clock
        self.replies: list[Any] = []
        self.requests: list[httpx.Request] = []
        self.sleeps: list[float] = []
        #: What a lookup of the connection returns, and how often it was asked for.
        self.refreshed: Any = None
        self.refreshes = 0

    def run(self, flow: Flow[T], *replies: Any) -> T:
        """Run a flow; a reply is an answer, an error, or a function that gives one."""
        self.replies = list(replies)
        return self._play(flow)

    def _play(self, flow: Flow[T]) -> T:
        reply: Any = None
        try:
            while True:
                reply = self._take(advance(flow, reply))
        except StopIteration as end:
            return end.value

    def _take(self, step: Step) -> Any:
        if isinstance(step, Send):
            self.requests.append(step.request)
            reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
            return reply() if callable(reply) else reply
        if isinstance(step, Look):
            try:
                return self._play(glimpse_run(step.backend, step.ref, deadline=step.deadline))
            except RunsError as error:
                return error
        if isinstance(step, Refresh):
            self.refreshes += 1
            return self.refreshed
        assert step.seconds >= 0
        self.sleeps.append(step.seconds)
        self.clock.shift(step.seconds)
        return None

    @property
    def sent(self) -> list[str]:
        """The requests so far, as 'GET' and 'POST'."""
        return [request.method for request in self.requests]


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """A clock that stands still unless it is moved."""
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def player(clock: time_machine.Traveller) -> Player:
    return Player(clock)


@pytest.fixture
def make_backend() -> Callable[..., AssistantsBackend]:
    """Return a function that makes a backend from a connection's fields."""

    def make(**changes: Any) -> AssistantsBackend:
        conn = SimpleNamespace(
            conn_id="runs_default",
            host="https://gateway.test/v1",
            port=None,
            schema=None,
            password="sk-secret-key",
        )
        settings = Settings.from_connection(conn, {}, AssistantsBackend.form)
        own = {name: changes.pop(name) for name in ("base_url", "key") if name in changes}
        return AssistantsBackend(replace(settings, **own).with_options(**changes))

    return make


@pytest.fixture
def backend(make_backend: Callable[..., AssistantsBackend]) -> AssistantsBackend:
    return make_backend()


@pytest.fixture
def answer() -> Callable[..., Answer]:
    """Return a function that makes an answer."""

    def make(status: int = 200, body: Any = None, **headers: str) -> Answer:
        content = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return Answer(status, httpx.Headers(names), content)

    return make


@pytest.fixture
def run_is(answer: Callable[..., Answer]) -> Callable[..., Answer]:
    """Return a function that makes the answer for a run in some status."""

    def make(status: str, **fields: Any) -> Answer:
        return answer(200, {"id": "run_1", "thread_id": "thread_1", "status": status, **fields})

    return make


@pytest.fixture
def refusal(answer: Callable[..., Answer]) -> Callable[..., Answer]:
    """Return a function that makes an error's answer in the API's own form; a 404 names the run."""

    def make(
        status: int, message: str | None = None, code: str | None = None, **headers: str
    ) -> Answer:
        own = "No run found with id 'run_1'." if status == 404 else "No."
        message = message or own
        return answer(status, {"error": {"message": message, "code": code}}, **headers)

    return make
