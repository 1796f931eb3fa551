"""The provider in a real Airflow, against a real LangGraph Agent Server.

Such a server shows a cancelled run as `interrupted` at once, so a task that cancels one has nothing
to wait for and does not defer. What defers are sensors, and a cancel that gets no answer.
"""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from dev.agent_server import AgentServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dev.local_airflow import LocalAirflow

LONG = 600.0


@pytest.fixture(scope="module")
def agents() -> Iterator[AgentServer]:
    """Serve our graphs."""
    with AgentServer() as server:
        yield server


@pytest.fixture(autouse=True)
def connection(airflow: LocalAirflow, agents: AgentServer) -> None:
    """Store the connection in Airflow's database, where users have theirs."""
    airflow.create_connection("runs_langgraph_default", "runs_langgraph", host=agents.url)


def started(agents: AgentServer, **fields: Any) -> dict[str, Any]:
    return agents.wait_for(agents.create_run(**fields), "running")


def ids(run: dict[str, Any]) -> dict[str, str]:
    return {"run_id": run["run_id"], "thread_id": run["thread_id"]}


@contextmanager
def silent(server: AgentServer) -> Iterator[None]:
    """Keep the server from answering: it stands still, and connections to it wait."""
    pids = server.pids()
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_the_example_interrupts_one_run_and_rolls_the_other_back(
    airflow: LocalAirflow, agents: AgentServer
) -> None:
    dag_run = airflow.trigger("example_langgraph", {"assistant_id": "sleeper"})
    airflow.wait_for_task("example_langgraph", dag_run, "start_run", {"success"}, timeout=120)
    with silent(agents):  # so that there is something to wait for
        airflow.wait_for_task("example_langgraph", dag_run, "cancel_run", {"deferred"}, timeout=120)

    state = airflow.wait_for_dag_run("example_langgraph", dag_run, timeout=180)

    def result(task_id: str) -> Any:
        return airflow.xcom("example_langgraph", dag_run, task_id)

    log = airflow.log("example_langgraph", dag_run, "cancel_run")
    assert state == "success", log
    assert airflow.was_deferred("example_langgraph", dag_run, "cancel_run")
    assert "is cancelled" in log
    run, interrupted = result("start_run"), result("cancel_run")
    assert (interrupted["id"], interrupted["raw_status"]) == (run["id"], "interrupted")
    assert interrupted["status"] == "cancelled"
    assert agents.run(run["thread_id"], run["id"])["status"] == "interrupted"
    run, gone = result("start_other_run"), result("roll_back_run")
    assert (gone["id"], gone["raw_status"]) == (run["id"], "rolled back")
    assert gone["status"] == "cancelled"
    path = f"/threads/{run['thread_id']}/runs/{run['id']}"
    assert agents.request("GET", path).status_code == 404


def test_the_example_uses_the_answer_of_a_graph(airflow: LocalAirflow, agents: AgentServer) -> None:
    dag_run = airflow.trigger("example_start_langgraph", {"assistant_id": "sleeper"})

    state = airflow.wait_for_dag_run("example_start_langgraph", dag_run, timeout=180)

    assert state == "success", airflow.log("example_start_langgraph", dag_run, "ask")
    assert airflow.was_deferred("example_start_langgraph", dag_run, "ask")
    answer = airflow.xcom("example_start_langgraph", dag_run, "use")
    assert answer == "I have slept for 15 s."
    run = airflow.xcom("example_start_langgraph", dag_run, "ask")
    (only,) = agents.request("GET", f"/threads/{run['thread_id']}/runs").json()
    assert (only["run_id"], only["status"]) == (run["id"], "success")


def test_a_cancel_that_gets_no_answer_is_made_and_confirmed_by_the_triggerer(
    airflow: LocalAirflow, agents: AgentServer
) -> None:
    run = started(agents, seconds=LONG)

    with silent(agents):
        dag_run = airflow.trigger("langgraph_cancel", ids(run))
        airflow.wait_for_task("langgraph_cancel", dag_run, "cancel", {"deferred"}, timeout=120)

    state = airflow.wait_for_dag_run("langgraph_cancel", dag_run, timeout=180)
    assert state == "success", airflow.log("langgraph_cancel", dag_run, "cancel")
    assert airflow.was_deferred("langgraph_cancel", dag_run, "cancel")
    assert airflow.xcom("langgraph_cancel", dag_run, "cancel")["raw_status"] == "interrupted"
    assert agents.wait_for(run)["status"] == "interrupted"


def test_a_deferred_sensor_sees_a_run_end_by_itself(
    airflow: LocalAirflow, agents: AgentServer, tmp_path: Path
) -> None:
    run = started(agents, until=tmp_path / "end")

    dag_run = airflow.trigger("langgraph_wait", ids(run))
    airflow.wait_until_watched("langgraph_wait", dag_run, "wait")
    (tmp_path / "end").touch()

    state = airflow.wait_for_dag_run("langgraph_wait", dag_run, timeout=180)
    assert state == "success", airflow.log("langgraph_wait", dag_run, "wait")
    assert airflow.was_deferred("langgraph_wait", dag_run, "wait")
    assert airflow.xcom("langgraph_wait", dag_run, "wait")["raw_status"] == "success"
    assert agents.run(run["thread_id"], run["run_id"])["status"] == "success"


def test_a_deferred_sensor_fails_with_the_run(
    airflow: LocalAirflow, agents: AgentServer, tmp_path: Path
) -> None:
    run = started(agents, until=tmp_path / "end", error="Out of tokens.")

    dag_run = airflow.trigger("langgraph_wait", ids(run))
    airflow.wait_until_watched("langgraph_wait", dag_run, "wait")
    (tmp_path / "end").touch()

    assert airflow.wait_for_dag_run("langgraph_wait", dag_run, timeout=180) == "failed"
    assert airflow.was_deferred("langgraph_wait", dag_run, "wait")
    assert "is 'failed', expected 'completed'" in airflow.log("langgraph_wait", dag_run, "wait")
    assert agents.run(run["thread_id"], run["run_id"])["status"] == "error"


def test_a_deferred_sensor_whose_time_is_up_cancels(
    airflow: LocalAirflow, agents: AgentServer
) -> None:
    run = started(agents, graph="lingerer", seconds=LONG, stop_seconds=3)

    dag_run = airflow.trigger("langgraph_timeout", ids(run))

    assert airflow.wait_for_dag_run("langgraph_timeout", dag_run, timeout=180) == "failed"
    log = airflow.log("langgraph_timeout", dag_run, "wait")
    assert airflow.was_deferred("langgraph_timeout", dag_run, "wait")
    assert "it was then cancelled and ended 'cancelled'" in log
    assert agents.wait_for(run)["status"] == "interrupted"


def test_a_deferred_sensor_that_a_person_marks_failed_cancels(
    airflow: LocalAirflow, agents: AgentServer
) -> None:
    run = started(agents, seconds=LONG)
    dag_run = airflow.trigger("langgraph_kill", ids(run))
    airflow.wait_until_watched("langgraph_kill", dag_run, "wait")

    airflow.set_task_state("langgraph_kill", dag_run, "wait", "failed")

    assert airflow.wait_for_dag_run("langgraph_kill", dag_run) == "failed"
    assert agents.wait_for(run, timeout=180)["status"] == "interrupted"
