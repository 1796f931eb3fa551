"""The example DAGs that no other test runs, all at once, on the embedded server."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_runs.testing import RunScript

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_runs.testing import RunServer
    from dev.local_airflow import LocalAirflow

    Started = dict[str, tuple[str, str]]

FOREVER = RunScript(queued_for=0, runs_for=math.inf, cancelling_for=2)
SHORT = RunScript(queued_for=0, runs_for=25)
#: By example: its run, the state of the DAG run, the run's end and the cancels.
EXAMPLES = {
    "example_time_limit": (SHORT, "success", "completed", 0),
    "example_deadline": (SHORT, "success", "completed", 0),
    "example_guarded_task": (SHORT, "success", "completed", 0),
    "example_failure_callback": (FOREVER, "failed", "cancelled", 1),
}


@pytest.fixture(scope="module")
def started(airflow: LocalAirflow, run_server: RunServer) -> Started:
    """Start them all; gives the DAG run and the run of each."""
    started: Started = {"example_teardown": (airflow.trigger("example_teardown"), "")}
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


def test_the_teardown_cancels_what_nobody_waits_for_any_more(
    airflow: LocalAirflow, run_server: RunServer, started: Started, end: Callable[[str], Any]
) -> None:
    assert end("example_teardown") == "failed"  # the wait's time was up
    dag_run, _ = started["example_teardown"]
    run = airflow.xcom("example_teardown", dag_run, "start_run")["run_id"]
    assert (run_server.status(run), run_server.accepted_cancels(run)) == ("cancelled", 1)
