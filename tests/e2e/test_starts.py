"""Tasks that start their runs, in a real Airflow; tests/e2e_full has every way they can end."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING

from airflow_provider_runs.testing import Fault

if TYPE_CHECKING:
    from airflow_provider_runs.testing import RecordedRequest, RunServer
    from dev.local_airflow import LocalAirflow

#: The path of the call that starts a run.
STARTS = re.compile(r"/runs$")


def starts(run_server: RunServer, dag_run: str) -> list[RecordedRequest]:
    """The requests to start a run for the task of a DAG run."""
    posts = (r for r in run_server.requests if r.method == "POST" and STARTS.search(r.path))
    return [post for post in posts if post.body["metadata"].get("asked_by") == dag_run]


def test_a_run_is_started_waited_for_in_the_triggerer_and_returned(
    airflow: LocalAirflow, run_server: RunServer
) -> None:
    dag_run = airflow.trigger("start_deferred")

    state = airflow.wait_for_dag_run("start_deferred", dag_run, timeout=180)

    assert state == "success", airflow.log("start_deferred", dag_run, "ask")
    assert airflow.was_deferred("start_deferred", dag_run, "ask")
    (start,) = starts(run_server, dag_run)
    result = airflow.xcom("start_deferred", dag_run, "ask")
    assert (result["id"], result["status"]) == (start.run_id, "completed")
    assert airflow.xcom("start_deferred", dag_run, "ask", key="run_id") == start.run_id
    assert airflow.xcom("start_deferred", dag_run, "ask", key="thread_id") == result["thread_id"]
    links = airflow.extra_links("start_deferred", dag_run, "ask")
    assert links == {"Run": f"https://console.test/{result['thread_id']}/{result['id']}"}
    assert run_server.accepted_cancels(result["id"]) == 0


def test_a_retry_goes_on_with_a_run_whose_starter_was_killed(
    airflow: LocalAirflow, run_server: RunServer
) -> None:
    run_server.fault(Fault(delay=25, after_effect=True), method="POST", path=STARTS)
    dag_run = airflow.trigger("start_killed")
    airflow.wait_until(
        lambda: bool(starts(run_server, dag_run)), timeout=180, waiting_for=lambda: "the start"
    )
    pid = airflow.task_instances("start_killed", dag_run)["ask"]["pid"]
    assert pid in airflow.pids()
    assert starts(run_server, dag_run)[0].status is None

    os.kill(pid, signal.SIGKILL)

    state = airflow.wait_for_dag_run("start_killed", dag_run, timeout=180)
    log = airflow.log("start_killed", dag_run, "ask", 2)
    assert state == "success", log
    assert airflow.task_instances("start_killed", dag_run)["ask"]["try_number"] == 2
    (start,) = starts(run_server, dag_run)
    assert airflow.xcom("start_killed", dag_run, "ask")["id"] == start.run_id
    assert f"Run '{start.run_id}' is there already" in log
    assert run_server.accepted_cancels(str(start.run_id)) == 0
