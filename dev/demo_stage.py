"""Where the demo plays: a run server, and what it tells of its runs."""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_runs.backends.langgraph import LangGraphBackend
from airflow_provider_runs.testing import Assistants, Fault, LangGraph, RunScript, RunServer
from dev.agent_server import AgentServer
from dev.airflow_log import why
from dev.late_answers import LateAnswers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: Seconds for which the answer to a start is held back: longer than its client lives.
HELD_BACK = 60.0


class Starts(Protocol):
    """What a server of our own tells of the runs that tasks have started."""

    def runs_of(self, key: str) -> dict[str, str]:
        """Return the status of each run of a key, in the words of ``Run``, by the run's id."""

    def cancels_of(self, run_id: str) -> int | None:
        """Return how many cancels of a run took effect; ``None`` if the server cannot tell."""


@dataclass
class Stage:
    """Where the demo plays.

    :param url: base URL of the run server.
    :param connection: the Airflow connection to it, as JSON.
    :param dag: the example DAG that cancels runs; its tasks use the connection ``conn_id``.
    :param start_dag: the example DAG that starts a run; its tasks use it too.
    :param conf: what the DAGs are triggered with.
    :param ask: asks the server itself, by thread and run id, how a run ended; by default what
        Airflow says of it is enough.
    :param starts: tells which runs were started; ``None`` on a server that is not ours, which no
        second act is played on.
    :param hold_back: has the server start the next run, and its answer held back; with ``starts``.
    """

    url: str
    connection: str
    dag: str = "example_cancel_run"
    start_dag: str = "example_start_run"
    conn_id: str = "runs_default"
    conf: dict[str, str] = field(default_factory=dict)
    ask: Callable[[str, str], str] | None = None
    starts: Starts | None = None
    hold_back: Callable[[], None] | None = None


@contextlib.contextmanager
def assistants(url: str | None) -> Iterator[Stage]:
    """Play on a server of the Assistants API, by default on the embedded one."""
    if url:
        yield Stage(url, connection_to("runs_assistants", url))
        return
    with RunServer(script=RunScript(cancelling_for=4)) as server:

        def hold_back() -> None:
            late = Fault(delay=HELD_BACK, after_effect=True)
            server.fault(late, method="POST", path=re.compile("/runs$"))

        starts = _Embedded(server)
        yield Stage(server.url, server.connection(), starts=starts, hold_back=hold_back)


@contextlib.contextmanager
def langgraph(url: str | None) -> Iterator[Stage]:
    """Play on a LangGraph Agent Server, by default on one that is started here."""
    stage = partial(
        Stage,
        dag="example_langgraph",
        start_dag="example_start_langgraph",
        conn_id="runs_langgraph_default",
    )
    if url:
        yield stage(url, connection_to("runs_langgraph", url))
        return
    print("Starting a LangGraph Agent Server …", flush=True)
    start = r"POST /threads/[^/ ]+/runs[ ?]"
    with AgentServer() as server, LateAnswers(server.port, start) as relay:

        def ask(thread_id: str, run_id: str) -> str:
            answer = server.request("GET", f"/threads/{thread_id}/runs/{run_id}")
            return "404" if answer.status_code == 404 else str(answer.json()["status"])

        conf = {"assistant_id": "sleeper"}
        yield stage(
            server.url,
            connection_to("runs_langgraph", relay.url),
            conf=conf,
            ask=ask,
            starts=_Agents(server),
            hold_back=relay.hold_back,
        )


#: The APIs with example DAGs that start their own runs, by the name of the run server's dialect.
BACKENDS = {Assistants.name: assistants, LangGraph.name: langgraph}


def connection_to(conn_type: str, url: str) -> str:
    """Return an Airflow connection as JSON; its key comes from the environment."""
    key = os.environ.get("API_KEY", "")
    return json.dumps({"conn_type": conn_type, "host": url, "password": key})


def print_why(what: str, log: Sequence[str]) -> None:
    """Print what failed, and what Airflow's log says of why."""
    print(f"\n{what}. Airflow's log says:\n", *why(log), sep="\n")


def print_failure(what: str, log: Sequence[str]) -> None:
    """Print what failed and why, and that the demo ends with it."""
    print_why(what, log)
    print("\nThe demo failed.")


class _Embedded:
    def __init__(self, server: RunServer) -> None:
        self._server = server

    def runs_of(self, key: str) -> dict[str, str]:
        return {run_id: self._server.status(run_id) for run_id in self._server.started_runs(key)}

    def cancels_of(self, run_id: str) -> int:
        return self._server.accepted_cancels(run_id)


class _Agents:
    """A real server keeps no record of its requests; it is asked for all runs of all threads."""

    def __init__(self, server: AgentServer) -> None:
        self._server = server

    def runs_of(self, key: str) -> dict[str, str]:
        threads = self._get("POST", "/threads/search", json={"limit": 1000})
        runs = [
            run
            for thread in threads
            for run in self._get("GET", f"/threads/{thread['thread_id']}/runs")
            if run["metadata"].get("airflow_key") == key
        ]
        words = LangGraphBackend.statuses
        return {run["run_id"]: words.get(run["status"], run["status"]) for run in runs}

    def cancels_of(self, run_id: str) -> None:
        return None

    def _get(self, method: str, path: str, **options: Any) -> Any:
        return self._server.request(method, path, **options).raise_for_status().json()
