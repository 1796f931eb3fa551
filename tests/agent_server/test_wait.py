"""Waiting for runs of a real Agent Server, and listing them."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from uuid import UUID

import pytest

from airflow_provider_runs.airflow_errors import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
)
from airflow_provider_runs.errors import RunFailed, RunNotFound, RunTimeout
from airflow_provider_runs.sensors import RunStatusSensor


def ids(run):
    return run["run_id"], run["thread_id"]


@pytest.fixture(params=["poke", "reschedule", "deferred"])
def sense(request, run_task, ti):
    """Return a function that runs a sensor for a run to its end."""

    def sense(run, **kwargs):
        mode = {"deferrable": True} if request.param == "deferred" else {"mode": request.param}
        defaults = {"poke_interval": 0.2, "timeout": 120, "deferrable": False, **mode}
        named = {"run_id": run["run_id"], "thread_id": run["thread_id"]}
        task = RunStatusSensor(task_id="wait", **named, **{**defaults, **kwargs})
        ti.first_look = None
        while True:
            try:
                return run_task(task, {"ti": ti})
            except AirflowRescheduleException as later:
                ti.first_look = ti.first_look or datetime.now(UTC)
                time.sleep(max(0, later.reschedule_date.timestamp() - time.time()))

    return sense


# -- the hook


def test_a_run_is_followed_to_its_end(server, call):
    run = server.create_run(seconds=2)
    finished = call("wait_for_run", *ids(run), timeout=120, poll_interval=0.3)
    assert (finished.status, finished.raw_status) == ("completed", "success")
    assert finished.completed_at - finished.created_at >= 2
    assert server.run(run["thread_id"], run["run_id"])["status"] == "success"


def test_a_run_that_takes_too_long_is_named_with_its_status(start, call):
    run = start()
    with pytest.raises(RunTimeout, match="while the run was 'in_progress'") as caught:
        call("wait_for_run", *ids(run), timeout=0.5, poll_interval=0.2)
    assert caught.value.run["raw_status"] == "running"


def test_a_run_holds_what_the_server_says_of_it_but_not_its_input(start, call):
    run = start(metadata={"team": "data"})
    seen = call("get_run", *ids(run))
    assert seen.metadata["team"] == "data"
    assert seen.assistant_id == run["assistant_id"]
    assert abs(seen.created_at - time.time()) < 60
    assert seen.model_extra["multitask_strategy"] == run["multitask_strategy"]
    assert "kwargs" in run
    assert "kwargs" not in seen.to_json()


# -- the sensor


def test_a_sensor_returns_the_final_run(server, sense):
    result = sense(server.create_run(seconds=1.5), expected_statuses=["completed"])
    assert (result["status"], result["raw_status"]) == ("completed", "success")


def test_a_run_that_fails_fails_its_sensor_for_good(server, sense):
    run = server.create_run(seconds=0.5, error="Out of tokens.")
    why = "is 'failed', expected 'completed': “RuntimeError: Out of tokens”"
    with pytest.raises(RunFailed, match=why) as caught:
        sense(run)
    assert isinstance(caught.value, AirflowFailException)
    assert caught.value.run["raw_status"] == "error"


def test_a_run_that_somebody_cancels_ends_the_wait(start, call, sense):
    run = start()
    call("cancel_run", *ids(run))
    assert sense(run, expected_statuses=["cancelled"])["status"] == "cancelled"
    with pytest.raises(RunFailed, match="is 'cancelled', expected 'completed'"):
        sense(run)


def test_a_sensor_whose_time_is_up_cancels(server, start, sense):
    run = start()
    with pytest.raises(RunTimeout, match="it was then cancelled and ended 'cancelled'") as caught:
        sense(run, timeout=1, on_timeout="cancel")
    assert isinstance(caught.value, AirflowSensorTimeout)
    assert server.wait_for(run)["status"] == "interrupted"


def test_a_run_that_asks_a_human_requires_action(server, sense):
    # The question is on the thread, and the answer begins another run.
    run = server.create_run("asker")
    with pytest.raises(RunFailed, match="On this API a resume is a new run"):
        sense(run)
    with pytest.raises(RunFailed, match="is 'requires_action', expected 'completed'"):
        sense(run, on_requires_action="fail")
    # A cancel would find it `success`, which is expected.
    with pytest.raises(RunFailed, match="is 'requires_action', expected 'completed'"):
        sense(run, on_requires_action="fail", on_timeout="cancel")
    asks = sense(run, on_requires_action="succeed")
    assert asks["status"] == "requires_action"
    assert asks["raw_status"] in {"interrupted", "success"}
    assert asks["required_action"]["interrupts"][0]["value"] == "May I go on?"
    resumed = server.create_run("asker", thread_id=run["thread_id"], command={"resume": "Yes"})
    assert sense(resumed)["status"] == "completed"
    assert sense(run, expected_statuses=["completed", "cancelled"])["status"] != "requires_action"


def test_a_resume_that_somebody_cancels_asks_nothing(server, start, call, sense, tmp_path):
    # Its thread still has the question, which the run before it had asked.
    go_on = tmp_path / "end"
    go_on.touch()
    asked = server.wait_for(server.create_run("asker", until=go_on))
    go_on.unlink()  # a resumed node starts anew
    resumed = start("asker", thread_id=asked["thread_id"], command={"resume": "Yes"})
    call("cancel_run", *ids(resumed))
    result = sense(resumed, expected_statuses=["cancelled"], on_requires_action="fail")
    assert (result["status"], result["required_action"]) == ("cancelled", None)
    thread = server.request("GET", f"/threads/{asked['thread_id']}").json()
    assert (thread["status"], bool(thread["interrupts"])) == ("interrupted", True)


def test_the_reason_of_a_later_run_is_not_that_of_an_earlier_one(server, sense):
    first = server.wait_for(server.create_run(error="Out of tokens."))
    time.sleep(1.1)  # the times of both are compared in whole seconds
    later = server.create_run(thread_id=first["thread_id"], error="Out of luck.")
    with pytest.raises(RunFailed, match="RuntimeError: Out of luck"):
        sense(later)
    with pytest.raises(RunFailed, match="is 'failed', expected 'completed'") as caught:
        sense(first)
    assert "luck" not in caught.value.message


@pytest.mark.parametrize("spell", [str.upper, lambda text: text.replace("-", ""), UUID])
def test_ids_may_be_spelled_in_several_ways(server, sense, spell):
    run = server.create_run(seconds=0.5)
    named = {name: spell(run[name]) for name in ("run_id", "thread_id")}
    result = sense(named)
    assert (result["id"], result["status"]) == (str(named["run_id"]), "completed")


# -- the list


def test_the_runs_of_a_thread_are_listed_newest_first_over_all_pages(server, start, call):
    thread_id = server.create_thread()
    runs = [start(pending=True, thread_id=thread_id)["run_id"] for _ in range(205)]
    listed = list(call("list_runs", thread_id))
    assert [run.id for run in listed] == runs[::-1]
    assert {run.status for run in listed} == {"queued"}


def test_a_thread_without_runs_has_none(server, call):
    assert list(call("list_runs", server.create_thread())) == []


def test_an_unknown_thread_is_missing(call):
    with pytest.raises(RunNotFound):
        list(call("list_runs", "00000000-0000-4000-8000-000000000000"))
