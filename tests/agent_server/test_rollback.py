"""Rolling runs back: a real Agent Server deletes them at once, and a 404 is then the success."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from airflow_provider_runs.airflow_errors import AirflowSkipException
from airflow_provider_runs.errors import RunNotFound, RunsConfigError
from airflow_provider_runs.triggers import RunStatusTrigger
from tests.integration.conftest import drain


def ids(run):
    return run["run_id"], run["thread_id"]


@pytest.fixture(params=["connection", "parameter"])
def wanted(request, connect):
    """Ask for it in the connection, or return the parameter that does."""
    if request.param == "connection":
        connect(cancel_action="rollback")
        return {}
    return {"cancel_action": "rollback"}


@pytest.mark.parametrize("pending", [False, True], ids=["running", "pending"])
def test_the_hook_rolls_back(start, exists, call, wanted, pending):
    run = start(pending=pending)
    gone = call("cancel_run", *ids(run), **wanted)
    assert (gone.id, gone.thread_id) == ids(run)
    assert (gone.status, gone.raw_status) == ("cancelled", "rolled back")
    assert not exists(run)
    with pytest.raises(RunNotFound):
        call("get_run", *ids(run))


@pytest.mark.parametrize("graph", ["sleeper", "lingerer"])
def test_the_operator_rolls_back_and_returns_what_is_gone(start, exists, cancel, wanted, graph):
    run = start(graph, stop_seconds=1)
    result = cancel(run, **wanted)
    assert (result["id"], result["thread_id"]) == ids(run)
    assert (result["status"], result["raw_status"]) == ("cancelled", "rolled back")
    assert not exists(run)


def test_a_parameter_wins_over_the_connection(server, start, cancel, connect):
    connect(cancel_action="rollback")
    run = start()
    assert cancel(run, cancel_action="interrupt")["raw_status"] == "interrupted"
    assert server.wait_for(run)["status"] == "interrupted"


def test_a_second_try_finds_the_run_missing(start, cancel, wanted):
    run = start()
    cancel(run, **wanted)
    with pytest.raises(RunNotFound):
        cancel(run, **wanted)
    with pytest.raises(AirflowSkipException):
        cancel(run, on_missing="skip", **wanted)
    assert cancel(run, on_missing="succeed", **wanted) is None


def test_a_finished_run_stays(ended, exists, call, cancel, wanted):
    run = ended()
    assert call("cancel_run", *ids(run), **wanted).status == "completed"
    assert cancel(run, **wanted)["raw_status"] == "success"
    assert exists(run)


def test_an_interrupted_run_stays(start, exists, call, wanted):
    run = start()
    call("cancel_run", *ids(run), cancel_action="interrupt")
    assert call("cancel_run", *ids(run), **wanted).raw_status == "interrupted"
    assert exists(run)


@pytest.mark.anyio
async def test_a_trigger_takes_a_run_that_it_saw_and_that_is_gone_as_rolled_back(start):
    run_id, thread_id = ids(start())
    trigger = RunStatusTrigger(
        run_id=run_id,
        thread_id=thread_id,
        deadline=time.time() + 120,
        poll_interval=0.2,
        cancel=True,
        cancel_action="rollback",
    )
    (event,) = await drain(trigger.run())
    assert event.payload["run"]["raw_status"] == "rolled back"
    # Another triggerer takes over, and begins where the first one did.
    trigger.wait = replace(trigger.wait, seen="in_progress")
    (event,) = await drain(trigger.run())
    assert event.payload["run"]["status"] == "cancelled"
    assert event.payload["run"]["raw_status"] == "rolled back"


def test_another_action_is_refused_before_any_call(start, exists, call, cancel):
    # Servers take an unknown action for `interrupt`, without a word.
    run = start()
    for attempt in (
        lambda: call("cancel_run", *ids(run), cancel_action="delete"),
        lambda: cancel(run, cancel_action="delete"),
    ):
        with pytest.raises(RunsConfigError, match="'interrupt', 'rollback', not 'delete'"):
            attempt()
    assert exists(run)
    assert call("get_run", *ids(run)).status == "in_progress"
