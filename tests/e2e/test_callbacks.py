"""Cancels from Airflow's callbacks, and from a teardown that is mapped."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from airflow_provider_runs.testing import RunScript

if TYPE_CHECKING:
    from airflow_provider_runs.testing import RunServer
    from dev.local_airflow import LocalAirflow

FOREVER = RunScript(queued_for=0, runs_for=math.inf, cancelling_for=2)
CALLBACKS = ("retry", "failure", "skipped", "dag_failure")


def test_every_callback_of_a_task_and_of_a_dag_cancels(
    airflow: LocalAirflow, run_server: RunServer
) -> None:
    thread_id = run_server.create_thread()
    runs = {name: run_server.create_run(thread_id, FOREVER)["id"] for name in CALLBACKS}
    other = run_server.create_run(thread_id, FOREVER)["id"]

    dag_run = airflow.trigger("callbacks", {**runs, "thread_id": thread_id})

    assert airflow.wait_for_dag_run("callbacks", dag_run) == "failed"
    # Airflow's DAG processor makes the DAG's own callback, some seconds later.
    airflow.wait_until(
        lambda: {run_server.status(run) for run in runs.values()} == {"cancelled"},
        timeout=90,
        waiting_for=lambda: f"cancels: { {n: run_server.status(r) for n, r in runs.items()} }",
    )
    assert {run_server.accepted_cancels(run) for run in runs.values()} == {1}
    assert run_server.status(other) == "in_progress"


def test_a_mapped_teardown_cancels_each_run_and_hides_no_failure(
    airflow: LocalAirflow, run_server: RunServer
) -> None:
    thread_id = run_server.create_thread()
    runs = [run_server.create_run(thread_id, FOREVER)["id"] for _ in range(3)]
    run_server.end(runs[0])

    dag_run = airflow.trigger("mapped_teardown", {"run_ids": runs, "thread_id": thread_id})

    assert airflow.wait_for_dag_run("mapped_teardown", dag_run, timeout=180) == "failed"
    tasks = airflow.task_instances("mapped_teardown", dag_run)
    assert {tasks[f"stop[{index}]"]["state"] for index in range(3)} == {"success"}
    assert tasks["work"]["state"] == "failed"
    assert [run_server.status(run) for run in runs] == ["completed", "cancelled", "cancelled"]
    assert [run_server.accepted_cancels(run) for run in runs] == [0, 1, 1]
