"""The provider in a real Airflow, against the embedded server, which counts the cancels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_runs.testing import Fault, RunScript

if TYPE_CHECKING:
    from airflow_provider_runs.testing import RunServer
    from dev.local_airflow import LocalAirflow

INF = float("inf")
FOREVER = RunScript(queued_for=0, runs_for=INF, cancelling_for=4)
#: What no log may hold.
PROMPT = "You are a doctor's assistant."


def ids(run: dict[str, Any]) -> dict[str, str]:
    return {"run_id": run["id"], "thread_id": run["thread_id"]}


def until_looked_at(
    airflow: LocalAirflow, run_server: RunServer, run: dict[str, Any], times: int
) -> None:
    def looks() -> int:
        return sum(r.method == "GET" and r.run_id == run["id"] for r in run_server.requests)

    airflow.wait_until(
        lambda: looks() >= times,
        timeout=180,
        waiting_for=lambda: f"look {times} at run {run['id']}: {looks()}",
    )


def test_the_example_cancels_defers_resumes_and_returns_the_final_run(
    airflow: LocalAirflow, run_server: RunServer
) -> None:
    dag_run = airflow.trigger("example_cancel_run")

    state = airflow.wait_for_dag_run("example_cancel_run", dag_run, timeout=180)

    def log(task_id: str) -> str:
        return airflow.log("example_cancel_run", dag_run, task_id)

    assert state == "success", log("cancel_run") + log("wait_until_ended")
    for start, end in (("start_run", "cancel_run"), ("start_other_run", "wait_until_ended")):
        started = airflow.xcom("example_cancel_run", dag_run, start)
        ended = airflow.xcom("example_cancel_run", dag_run, end)
        assert airflow.was_deferred("example_cancel_run", dag_run, end)
        assert (ended["id"], ended["status"]) == (started["id"], "cancelled")
        assert run_server.accepted_cancels(started["id"]) == 1
        assert log(end).count(" is cancelled") == 1
        assert "HTTP Request" not in log(end)  # a line for each change, not for each look
    links = airflow.extra_links("example_cancel_run", dag_run, "cancel_run")
    run = airflow.xcom("example_cancel_run", dag_run, "cancel_run")
    assert links == {"Run": f"https://console.test/{run['thread_id']}/{run['id']}"}


def test_a_fast_end_does_not_race_the_scheduler(
    airflow: LocalAirflow, run_server: RunServer
) -> None:
    runs = [run_server.create_run(script=RunScript(cancelling_for=0.5)) for _ in range(3)]

    dag_runs = [airflow.trigger("cancel_one", ids(run)) for run in runs]

    for dag_run, run in zip(dag_runs, runs, strict=True):
        state = airflow.wait_for_dag_run("cancel_one", dag_run, timeout=300)
        assert state == "success", airflow.log("cancel_one", dag_run, "cancel")
        assert airflow.was_deferred("cancel_one", dag_run, "cancel")
        assert airflow.task_instances("cancel_one", dag_run)["cancel"]["try_number"] == 1
        assert run_server.accepted_cancels(run["id"]) == 1


def test_mapped_tasks_cancel_a_run_each(airflow: LocalAirflow, run_server: RunServer) -> None:
    thread_id = run_server.create_thread()
    runs = [run_server.create_run(thread_id, FOREVER)["id"] for _ in range(3)]

    dag_run = airflow.trigger("cancel_mapped", {"run_ids": runs, "thread_id": thread_id})

    assert airflow.wait_for_dag_run("cancel_mapped", dag_run, timeout=180) == "success"
    for index, run_id in enumerate(runs):
        ended = airflow.xcom("cancel_mapped", dag_run, "cancel", map_index=index)
        assert (ended["id"], ended["status"]) == (run_id, "cancelled")
        assert run_server.accepted_cancels(run_id) == 1


def test_a_run_stuck_in_cancelling_fails_the_task_and_says_so(
    airflow: LocalAirflow, run_server: RunServer
) -> None:
    run = run_server.create_run(script=RunScript(queued_for=0, cancelling_for=INF))

    dag_run = airflow.trigger("cancel_stuck", ids(run))

    assert airflow.wait_for_dag_run("cancel_stuck", dag_run) == "failed"
    log = airflow.log("cancel_stuck", dag_run, "cancel")
    assert "while the run was 'cancelling'. A cancel was accepted" in log
    assert run_server.accepted_cancels(run["id"]) == 1


@pytest.mark.parametrize("mode", ["poke", "reschedule", "deferred"])
def test_a_sensor_returns_the_final_run_in_every_mode(
    airflow: LocalAirflow, run_server: RunServer, mode: str
) -> None:
    run = run_server.create_run(script=FOREVER, instructions=PROMPT)

    dag_run = airflow.trigger(f"wait_{mode}", ids(run))
    until_looked_at(airflow, run_server, run, 2)  # the second time where the mode has it wait
    run_server.end(run["id"])

    assert airflow.wait_for_dag_run(f"wait_{mode}", dag_run, timeout=300) == "success"
    ended = airflow.xcom(f"wait_{mode}", dag_run, "wait")
    assert (ended["status"], ended["model"]) == ("completed", run["model"])
    assert "instructions" not in ended
    assert airflow.xcom(f"wait_{mode}", dag_run, "wait", key="usage") == ended["usage"]
    assert airflow.was_deferred(f"wait_{mode}", dag_run, "wait") == (mode == "deferred")
    assert run_server.accepted_cancels(run["id"]) == 0


@pytest.mark.parametrize("mode", ["poke", "reschedule", "deferred"])
def test_a_sensor_whose_time_is_up_cancels_and_says_how_the_run_ended(
    airflow: LocalAirflow, run_server: RunServer, mode: str
) -> None:
    run = run_server.create_run(script=FOREVER)

    dag_run = airflow.trigger(f"timeout_{mode}", ids(run))

    assert airflow.wait_for_dag_run(f"timeout_{mode}", dag_run) == "failed"
    instance = airflow.task_instances(f"timeout_{mode}", dag_run)["wait"]
    assert instance["state"] == "failed"
    log = airflow.log(f"timeout_{mode}", dag_run, "wait")
    assert "it was then cancelled and ended 'cancelled'" in log
    assert run_server.run(run["id"])["status"] == "cancelled"
    assert run_server.accepted_cancels(run["id"]) == 1


def test_a_deferred_sensor_that_a_person_marks_failed_cancels_its_run(
    airflow: LocalAirflow, run_server: RunServer
) -> None:
    run = run_server.create_run(script=FOREVER)
    dag_run = airflow.trigger("kill_me", ids(run))
    airflow.wait_for_task("kill_me", dag_run, "wait", {"deferred"}, timeout=180)
    until_looked_at(airflow, run_server, run, 2)  # the second time by the triggerer

    airflow.set_task_state("kill_me", dag_run, "wait", "failed")

    assert airflow.wait_for_dag_run("kill_me", dag_run) == "failed"
    airflow.wait_until(
        lambda: run_server.run(run["id"])["status"] == "cancelled",
        timeout=180,
        waiting_for=lambda: "the run to be cancelled",
    )
    assert run_server.accepted_cancels(run["id"]) == 1


def test_the_connection_can_be_tested_in_the_api_server(
    airflow: LocalAirflow, run_server: RunServer
) -> None:
    fields = {"host": run_server.url, "password": "sk-typed-in"}
    ok, words = airflow.test_connection("typed_in", "runs_assistants", **fields)
    assert ok, words

    run_server.fault(Fault(status=401))
    ok, words = airflow.test_connection("typed_in", "runs_assistants", **fields)
    assert not ok
    assert "Put a key that is allowed to do this into the connection's password" in words
    assert "sk-typed-in" not in words


def test_neither_the_key_nor_what_people_wrote_is_in_any_log(airflow: LocalAirflow) -> None:
    logs = [path for path in airflow.home.rglob("*.log") if path.is_file()]
    assert len(logs) > 10
    for path in logs:
        text = path.read_text(errors="replace")
        assert "sk-runs-testing" not in text, path
        assert PROMPT not in text, path
