"""Interrupting runs of a real Agent Server, which shows them `interrupted` at once."""

from __future__ import annotations

import time

import pytest

from airflow_provider_runs.airflow_errors import AirflowFailException, AirflowSkipException
from airflow_provider_runs.errors import RunFailed
from airflow_provider_runs.hooks import RunsHook
from airflow_provider_runs.models import Run
from airflow_provider_runs.triggers import RunStatusTrigger
from tests.integration.conftest import drain


def ids(run):
    return run["run_id"], run["thread_id"]


# -- the hook


def test_a_running_run_is_cancelled(server, start, call):
    run = start()
    cancelled = call("cancel_run", *ids(run))
    assert (cancelled.id, cancelled.thread_id) == ids(run)
    assert (cancelled.status, cancelled.raw_status) == ("cancelled", "interrupted")
    assert cancelled.created_at <= cancelled.cancelled_at <= time.time()
    assert server.wait_for(run)["status"] == "interrupted"


def test_a_pending_run_is_cancelled_and_never_begins(server, start, call):
    run = start(pending=True)
    assert call("get_run", *ids(run)).status == "queued"
    assert call("cancel_run", *ids(run)).status == "cancelled"
    assert server.wait_for(run)["status"] == "interrupted"


def test_a_run_that_waits_for_another_one_is_cancelled_alone(server, start, call):
    first = start()
    waiting = server.create_run(
        seconds=60, thread_id=first["thread_id"], multitask_strategy="enqueue"
    )
    assert call("cancel_run", *ids(waiting)).status == "cancelled"
    assert call("get_run", *ids(first)).status == "in_progress"


def test_a_second_cancel_is_no_error(start, call):
    run = start()
    call("cancel_run", *ids(run))
    assert call("cancel_run", *ids(run)).raw_status == "interrupted"


def test_a_cancel_comes_too_late_for_a_finished_run(server, ended, call):
    run = ended()
    finished = call("cancel_run", *ids(run))
    assert (finished.status, finished.raw_status) == ("completed", "success")
    assert server.run(run["thread_id"], run["run_id"]) == run


def test_a_cancel_comes_too_late_for_a_failed_run(ended, call):
    failed = call("cancel_run", *ids(ended(error="Out of tokens.")))
    assert (failed.status, failed.raw_status) == ("failed", "error")


def test_a_run_that_is_slow_to_stop_counts_as_cancelled_at_once(server, start, call):
    run = start("lingerer", stop_seconds=20)
    assert call("cancel_run", *ids(run)).status == "cancelled"
    thread = server.request("GET", f"/threads/{run['thread_id']}").json()
    assert thread["status"] == "busy"  # it still tidies up, and its thread says so
    assert server.wait_for(run)["status"] == "interrupted"


# -- the operator and its trigger


@pytest.mark.parametrize("graph", ["sleeper", "lingerer"])
def test_the_operator_cancels_and_returns_the_final_run(server, start, cancel, graph):
    run = start(graph, stop_seconds=1)
    result = cancel(run)
    assert (result["id"], result["thread_id"]) == ids(run)
    assert (result["status"], result["raw_status"]) == ("cancelled", "interrupted")
    assert Run.model_validate(result).is_final
    assert server.wait_for(run)["status"] == "interrupted"


def test_the_operator_cancels_a_pending_run(server, start, cancel):
    run = start(pending=True)
    assert cancel(run)["status"] == "cancelled"
    assert server.wait_for(run)["status"] == "interrupted"


def test_a_cleared_task_finds_its_run_cancelled(start, cancel):
    run = start()
    assert cancel(run)["status"] == cancel(run)["status"] == "cancelled"


def test_asking_is_enough_without_waiting(start, cancel):
    assert cancel(start(), wait_for_termination=False)["status"] == "cancelled"


@pytest.mark.parametrize(("error", "end"), [("", "completed"), ("Out of tokens.", "failed")])
def test_a_run_that_ended_before_is_judged_as_told(ended, cancel, error, end):
    run = ended(error=error)
    assert cancel(run)["status"] == end
    with pytest.raises(AirflowSkipException, match=f"ended '{end}' before the cancel took effect"):
        cancel(run, on_already_final="skip")
    with pytest.raises(RunFailed, match=f"ended '{end}' before the cancel took effect") as caught:
        cancel(run, on_already_final="fail")
    assert isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize("pending", [False, True], ids=["running", "pending"])
@pytest.mark.anyio
async def test_a_trigger_cancels_what_its_task_could_not(server, start, pending):
    run_id, thread_id = ids(run := start(pending=pending))
    trigger = RunStatusTrigger(
        run_id=run_id,
        thread_id=thread_id,
        deadline=time.time() + 120,
        poll_interval=0.2,
        cancel=True,
        cancel_action="interrupt",
    )
    (event,) = await drain(trigger.run())
    assert event.payload["outcome"] == "final"
    assert event.payload["run"]["status"] == "cancelled"
    assert server.wait_for(run)["status"] == "interrupted"


def test_a_guarded_block_that_fails_leaves_no_run(server, start):
    run = start()

    def work():
        with RunsHook().cancel_on_exit(*ids(run)):
            raise RuntimeError("something broke")

    with pytest.raises(RuntimeError, match="something broke"):
        work()
    assert server.wait_for(run)["status"] == "interrupted"
