"""The example DAGs that no other test runs, all at once, on the embedded server."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_runs.testing import RunScript, RunServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dev.local_airflow import LocalAirflow

    Started = dict[str, tuple[str, str]]

FOREVER = RunScript(queued_for=0, runs_for=math.inf, cancelling_for=2)
SHORT = RunScript(queued_for=0, runs_for=25)
#: Those that get a run, with the state of the DAG run, the run's end and the cancels.
EXAMPLES = {
    "example_deadline": (SHORT, "success", "completed", 0),
    "example_failure_callback": (FOREVER, "failed", "cancelled", 1),
}
#: Those that start a run, with the task that does, the DAG run's state, the run's end, the cancels.
STARTING = {
    "example_start_run": ("ask", "success", "completed", 0),
    "example_start_responses": ("ask", "success", "completed", 0),
    "example_time_limit": ("start_run", "success", "completed", 0),
    "example_teardown": ("start_run", "failed", "cancelled", 1),  # the wait's time was up
}


@pytest.fixture(scope="module")
def responses() -> Iterator[RunServer]:
    """Serve responses."""
    with RunServer(dialect="responses", script=RunScript(runs_for=15, answer="Sunny.")) as server:
        yield server


@pytest.fixture(scope="module")
def started(airflow: LocalAirflow, run_server: RunServer, responses: RunServer) -> Started:
    """Start them all; gives the DAG run and the run of each."""
    known = json.loads(responses.connection())
    conn_type, host, password = known["conn_type"], known["host"], known["password"]
    airflow.create_connection("runs_responses_default", conn_type, host=host, password=password)
    started: Started = {name: (airflow.trigger(name), "") for name in STARTING}
    started["example_guarded_task"] = airflow.trigger("example_guarded_task"), ""
    for name, (script, *_) in EXAMPLES.items():
        run = run_server.create_run(script=script)
        ids = {"run_id": run["id"], "thread_id": run["thread_id"]}
        started[name] = airflow.trigger(name, ids), run["id"]
    thread = run_server.create_run(script=FOREVER)
    variable = {"key": "runs_threads", "value": f'["{thread["thread_id"]}"]'}
    airflow.call("POST", "/variables", variable)
    started["example_sweep"] = airflow.trigger("example_sweep"), thread["id"]
    return started


@pytest.fixture
def end(airflow: LocalAirflow, started: Started) -> Callable[[str], Any]:
    """Return a function that waits for the end of an example's DAG run, and gives its state."""
    return lambda name: airflow.wait_for_dag_run(name, started[name][0], timeout=240)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_does_what_it_says(
    airflow: LocalAirflow,
    run_server: RunServer,
    started: Started,
    end: Callable[[str], Any],
    name: str,
) -> None:
    _, state, status, cancels = EXAMPLES[name]
    assert end(name) == state
    run = started[name][1]
    airflow.wait_until(  # a callback waits for no effect
        lambda: run_server.status(run) == status,
        timeout=30,
        waiting_for=lambda: f"{status}: {run_server.status(run)}",
    )
    assert (run_server.status(run), run_server.accepted_cancels(run)) == (status, cancels)


def test_the_sweep_leaves_what_is_young(
    airflow: LocalAirflow, run_server: RunServer, started: Started, end: Callable[[str], Any]
) -> None:
    assert end("example_sweep") == "success"
    dag_run, run = started["example_sweep"]
    assert airflow.xcom("example_sweep", dag_run, "sweep") == []
    assert run_server.status(run) == "in_progress"


@pytest.mark.parametrize("name", STARTING)
def test_an_example_starts_one_run_and_does_what_it_says(
    run_server: RunServer,
    responses: RunServer,
    started: Started,
    end: Callable[[str], Any],
    name: str,
) -> None:
    task_id, state, status, cancels = STARTING[name]
    assert end(name) == state
    server = responses if name == "example_start_responses" else run_server
    (run,) = server.started_runs(f"{name}/{started[name][0]}/{task_id}")
    assert (server.status(run), server.accepted_cancels(run)) == (status, cancels)


@pytest.mark.parametrize("name", ["example_start_run", "example_start_responses"])
def test_the_next_task_gets_the_answer(
    airflow: LocalAirflow, started: Started, end: Callable[[str], Any], name: str
) -> None:
    assert end(name) == "success"
    assert airflow.was_deferred(name, started[name][0], "ask")
    assert airflow.xcom(name, started[name][0], "use") == "Sunny."


def test_a_guarded_run_is_left_alone_when_all_is_well(
    airflow: LocalAirflow, run_server: RunServer, started: Started, end: Callable[[str], Any]
) -> None:
    assert end("example_guarded_task") == "success"
    dag_run, _ = started["example_guarded_task"]
    (message,) = airflow.xcom("example_guarded_task", dag_run, "work_with_the_run")
    run = message["run_id"]
    assert (run_server.status(run), run_server.accepted_cancels(run)) == ("completed", 0)
