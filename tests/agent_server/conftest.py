"""Two real LangGraph Agent Servers, one with custom auth, the connection to them, and their runs.

Without `.venv-langgraph` every test here fails: ``make test-langgraph`` makes it first.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_runs.operators import CancelRunOperator, CleanupRunsOperator
from dev.agent_server import AgentServer
from tests.integration.conftest import call, run_task, supervisor, ti  # noqa: F401 - fixtures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Longer than any test takes: a run that only a cancel ends.
LONG = 600.0

Run = dict[str, Any]


@pytest.fixture(scope="session")
def open_server() -> Iterator[AgentServer]:
    """A server that asks for no key."""
    with AgentServer() as server:
        yield server


@pytest.fixture(scope="session")
def guarded_server() -> Iterator[AgentServer]:
    """A server that asks for the key of one of two users."""
    with AgentServer(auth=True) as server:
        yield server


@pytest.fixture
def server(open_server: AgentServer) -> AgentServer:
    """The server of a test; modules about keys have the other one."""
    return open_server


@pytest.fixture
def key() -> str | None:
    """Whose runs a test starts, and whose key its connection has."""
    return None


@pytest.fixture
def connect(server: AgentServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that changes fields of the connection."""

    def connect(*, host: str | None = None, password: str | None = None, **extra: Any) -> None:
        fields = {"conn_type": "runs_langgraph", "host": host or server.url}
        text = json.dumps({**fields, "password": password or "", "extra": extra})
        monkeypatch.setenv("AIRFLOW_CONN_RUNS_DEFAULT", text)

    return connect


@pytest.fixture(autouse=True)
def connection(connect: Callable[..., None], key: str | None) -> None:
    """Connect to the test's server, with the test's key."""
    connect(password=key)


@pytest.fixture
def start(server: AgentServer, key: str | None) -> Iterator[Callable[..., Run]]:
    """Return a function that starts a long run, and waits until it runs.

    With ``pending=True`` the run is one that has not begun, and will not for an hour. What a test
    leaves behind is removed after it: the server has ten places to work at.
    """
    begun: list[tuple[Run, str | None]] = []
    threads: dict[str, str | None] = {}

    def start(graph: str = "sleeper", *, pending: bool = False, **fields: Any) -> Run:
        fields = {"seconds": LONG, "key": key, **fields}
        if pending:
            # Any number of runs may wait on one thread.
            fields = {"after_seconds": 3600, "multitask_strategy": "enqueue", **fields}
        run = server.create_run(graph, **fields)
        threads[run["thread_id"]] = fields["key"]
        if pending:
            return run
        begun.append((run, fields["key"]))
        return server.wait_for(run, "running", key=fields["key"])

    yield start
    for run, owner in begun:  # without its thread it would go on; it may have ended
        path = f"/threads/{run['thread_id']}/runs/{run['run_id']}/cancel"
        server.request("POST", path, key=owner, params={"wait": 0, "action": "interrupt"})
    for thread_id, owner in threads.items():
        server.request("DELETE", f"/threads/{thread_id}", key=owner)


@pytest.fixture
def ended(server: AgentServer, key: str | None) -> Callable[..., Run]:
    """Return a function that starts a short run, and waits until it has ended."""

    def ended(**fields: Any) -> Run:
        return server.wait_for(server.create_run(key=key, **fields), key=key)

    return ended


@pytest.fixture
def exists(server: AgentServer, key: str | None) -> Callable[[Run], bool]:
    """Return a function that tells whether the server still has a run."""

    def exists(run: Run) -> bool:
        path = f"/threads/{run['thread_id']}/runs/{run['run_id']}"
        return bool(server.request("GET", path, key=key).is_success)

    return exists


@pytest.fixture(params=[False, True], ids=["worker", "deferrable"])
def cancel(request: pytest.FixtureRequest, run_task: Callable[..., Any]) -> Callable[..., Any]:  # noqa: F811
    """Return a function that runs the cancel operator for a run to its end."""

    def cancel(run: Run, **kwargs: Any) -> Any:
        defaults = {"poll_interval": 0.2, "timeout": 120, "deferrable": request.param}
        defaults["missing_grace"] = 2  # seconds, in place of half a minute
        ids = {"run_id": run["run_id"], "thread_id": run["thread_id"]}
        return run_task(CancelRunOperator(task_id="cancel", **ids, **{**defaults, **kwargs}))

    return cancel


@pytest.fixture(params=[False, True], ids=["worker", "deferred"])
def clean(request: pytest.FixtureRequest, run_task: Callable[..., Any]) -> Callable[..., Any]:  # noqa: F811
    """Return a function that sweeps; its report by run id."""

    def clean(**kwargs: Any) -> dict[str, Any]:
        defaults = {"poll_interval": 0.2, "timeout": 120, "deferrable": request.param}
        report = run_task(CleanupRunsOperator(task_id="sweep", **{**defaults, **kwargs}))
        return {line["run_id"]: line for line in report}

    return clean
