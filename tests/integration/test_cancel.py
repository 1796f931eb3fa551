"""CancelRunOperator against a real server; each rule waiting in the worker and deferred."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from airflow_provider_runs.airflow_errors import (
    AirflowFailException,
    AirflowSkipException,
    TaskDeferred,
)
from airflow_provider_runs.errors import (
    CancelRefused,
    RunFailed,
    RunNotFound,
    RunsAPIError,
    RunsAuthError,
    RunsConfigError,
    RunsError,
    RunsResponseError,
    RunTimeout,
)
from airflow_provider_runs.models import Run
from airflow_provider_runs.operators import CancelRunOperator
from airflow_provider_runs.tasks.deferral import settling_time
from airflow_provider_runs.testing import Fault, RunScript, RunServer
from tests.moments import PATIENCE

NOW = 1_800_000_000.0
INF = float("inf")


@pytest.fixture(params=[False, True], ids=["worker", "deferred"])
def cancel(request, run_task):
    """Return a function that runs an operator for a run to its end."""

    def cancel(run, **kwargs):
        defaults = {"poll_interval": 0.2, "timeout": 120, "deferrable": request.param}
        ids = {"run_id": run["id"], "thread_id": run["thread_id"]}
        return run_task(CancelRunOperator(task_id="cancel", **ids, **{**defaults, **kwargs}))

    cancel.deferrable = request.param
    return cancel


def test_an_active_run_is_cancelled_once_and_returned_as_plain_json(server, cancel):
    run = server.create_run()
    result = cancel(run)
    assert result["status"] == result["raw_status"] == "cancelled"
    assert Run.model_validate(result).id == run["id"]
    assert server.run(run["id"])["status"] == "cancelled"
    assert server.accepted_cancels() == 1


def test_a_wait_looks_time_and_again_and_ends_with_the_first_look_after_the_end(
    cancel, monkeypatch
):
    # On this server a second goes by with each request, and pauses of many real ones would be over
    # only after the operator's timeout.
    with RunServer(clock=lambda: NOW + len(asked.requests)) as asked:
        monkeypatch.setenv("AIRFLOW_CONN_RUNS_DEFAULT", asked.connection())
        run = asked.create_run(script=RunScript(queued_for=0, cancelling_for=8))
        assert cancel(run)["status"] == "cancelled"
        # A deferred task fetches the run once more when it resumes.
        looks = 8 + cancel.deferrable
        assert [request.method for request in asked.requests] == ["POST", *["GET"] * looks]


@pytest.mark.parametrize("end", ["completed", "failed", "expired", "incomplete"])
def test_a_run_that_ended_before_is_judged_as_told(server, cancel, end):
    run = server.create_run()
    server.end(run["id"], end)
    assert cancel(run)["status"] == end
    with pytest.raises(AirflowSkipException, match=f"ended '{end}' before the cancel took effect"):
        cancel(run, on_already_final="skip")
    with pytest.raises(RunFailed, match=f"ended '{end}' before the cancel took effect") as caught:
        cancel(run, on_already_final="fail")
    assert isinstance(caught.value, AirflowFailException)  # Airflow will not retry it
    assert caught.value.run["status"] == end


@pytest.mark.parametrize("end", ["completed", "failed"])
def test_a_run_that_wins_the_race_against_the_cancel_is_judged_the_same(server, cancel, end):
    script = RunScript(queued_for=0, runs_for=INF, cancelling_for=0.3, cancel_ends=end)
    assert cancel(server.create_run(script=script))["status"] == end
    with pytest.raises(AirflowSkipException):
        cancel(server.create_run(script=script), on_already_final="skip")
    with pytest.raises(RunFailed):
        cancel(server.create_run(script=script), on_already_final="fail")


@pytest.mark.parametrize("choice", ["succeed", "skip", "fail"])
def test_a_run_that_is_cancelled_already_is_a_success(server, cancel, choice):
    run = server.create_run()
    for _ in range(2):  # the second time as a retried task would
        assert cancel(run, on_already_final=choice)["status"] == "cancelled"
    assert server.accepted_cancels() == 1


def test_a_missing_run_is_judged_as_told(server, cancel):
    run = {"id": "run_nope", "thread_id": server.create_thread()}
    with pytest.raises(RunNotFound, match="run_nope"):
        cancel(run)
    with pytest.raises(AirflowSkipException, match="run_nope"):
        cancel(run, on_missing="skip")
    assert cancel(run, on_missing="succeed") is None


def test_a_run_that_vanishes_while_it_is_cancelled_is_judged_as_told(server, cancel):
    run = server.create_run()
    gone = {"error": {"message": f"No run found with id '{run['id']}'."}}
    server.fault(Fault(status=404, body=gone), method="GET", times=None)
    assert cancel(run, on_missing="succeed", missing_grace=0) is None


def test_a_wrong_base_url_is_never_a_missing_run(server, cancel, connect):
    connect(host=f"{server.url}/proxy")
    server.fault(Fault(status=404, body=b"<html>nginx"), times=None)
    with pytest.raises(RunsAPIError, match="base URL"):
        cancel(server.create_run(), on_missing="succeed")


def test_a_run_stuck_in_cancelling_is_an_error_that_says_so(server, cancel):
    run = server.create_run(script=RunScript(cancelling_for=INF))
    with pytest.raises(RunTimeout, match=r"after \d+ s while the run was 'cancelling'") as caught:
        cancel(run, timeout=1)
    assert caught.value.run_id == run["id"]
    assert server.accepted_cancels() == 1


def test_an_unknown_status_is_waited_out_and_never_taken_as_final(server, cancel):
    run = server.create_run(script=RunScript(timeline=[("ended_somehow", INF)], cancelling_for=INF))
    server.fault(Fault(status=400), method="POST", times=None)
    with pytest.raises(CancelRefused, match="ended_somehow"):
        cancel(run, timeout=1)


def test_a_server_that_refuses_first_is_asked_again(server, cancel):
    run = server.create_run()
    server.fault(Fault(status=409), method="POST", times=2)
    assert cancel(run)["status"] == "cancelled"
    assert server.accepted_cancels() == 1


def test_a_server_that_refuses_always_is_reported_in_its_words(server, cancel):
    run = server.create_run(script=RunScript(queued_for=0, refuse_cancel=409))
    with pytest.raises(CancelRefused, match="none was accepted") as caught:
        cancel(run, timeout=1)
    assert caught.value.status_code == 409
    assert caught.value.run["status"] == "in_progress"
    assert server.accepted_cancels() == 0


def test_a_server_that_is_away_for_a_while_is_waited_for(server, cancel, connect):
    connect(max_retries=0)
    run = server.create_run()
    server.fault(Fault(drop=True), times=4)
    assert cancel(run)["status"] == "cancelled"
    assert server.accepted_cancels() == 1


def test_a_lost_answer_to_the_cancel_does_not_cancel_twice(server, cancel):
    run = server.create_run()
    server.fault(Fault(drop=True, after_effect=True), method="POST")
    assert cancel(run)["status"] == "cancelled"
    assert server.accepted_cancels() == 1


def test_a_refused_key_fails_at_once(server, cancel):
    server.fault(Fault(status=401), times=None)
    with pytest.raises(RunsAuthError):
        cancel(server.create_run())
    assert [request.method for request in server.requests] == ["POST", "GET"]


def test_without_waiting_the_run_is_returned_as_it_is(server, cancel):
    run = server.create_run(script=RunScript(queued_for=0, cancelling_for=INF))
    assert cancel(run, wait_for_termination=False)["status"] == "cancelling"
    server.end(run["id"], "failed")
    with pytest.raises(AirflowSkipException):
        cancel(run, wait_for_termination=False, on_already_final="skip")


def test_execution_timeout_bounds_the_wait_too(server, cancel):
    run = server.create_run(script=RunScript(cancelling_for=INF))
    begun = time.monotonic()
    with pytest.raises(RunTimeout):
        cancel(run, timeout=5 * PATIENCE, execution_timeout=timedelta(seconds=2))
    assert time.monotonic() - begun < PATIENCE


def test_a_run_that_is_final_at_once_is_not_deferred(server):
    run = server.create_run(script=RunScript(cancelling_for=0))
    ids = {"run_id": run["id"], "thread_id": run["thread_id"]}
    task = CancelRunOperator(task_id="cancel", deferrable=True, **ids)
    assert task.execute({})["status"] == "cancelled"


def test_the_deferral_has_absolute_times_a_longer_net_and_no_secret(server):
    run = server.create_run()
    ids = {"run_id": run["id"], "thread_id": run["thread_id"]}
    task = CancelRunOperator(task_id="cancel", deferrable=True, timeout=60, **ids)
    begun = time.time()
    with pytest.raises(TaskDeferred) as caught:
        task.execute({})
    _, kwargs = caught.value.trigger.serialize()
    wait = kwargs["wait"]
    assert begun <= wait["started_at"] <= wait["asked_at"] <= time.time()
    assert wait["deadline"] == pytest.approx(wait["started_at"] + 60, abs=0.001)
    assert kwargs["fire_not_before"] >= wait["asked_at"] + settling_time()
    assert caught.value.timeout > timedelta(seconds=120)
    assert "sk-runs-testing" not in repr(kwargs)


@pytest.mark.parametrize("event", [None, {}, {"status": "success"}, {"version": 2}, "done"])
def test_an_event_that_is_none_of_ours_fails_the_task(event):
    task = CancelRunOperator(task_id="cancel", run_id="run_1", on_missing="succeed")
    with pytest.raises(RunsResponseError, match="cannot be understood"):
        task.execute_complete({}, event)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("on_already_final", "ignore"),
        ("on_missing", "ignore"),
        ("timeout", 0),
        ("poll_interval", -1),
        ("xcom", "all"),
        ("timeout", timedelta(0)),
        ("timeout", float("inf")),
    ],
)
def test_a_senseless_parameter_is_an_error_in_the_dag_file(name, value):
    with pytest.raises(ValueError, match=name):
        CancelRunOperator(task_id="cancel", run_id="run_1", **{name: value})


def test_spans_may_be_given_as_timedelta():
    spans = {"timeout": timedelta(minutes=2), "poll_interval": timedelta(seconds=3)}
    task = CancelRunOperator(task_id="cancel", run_id="run_1", **spans)
    assert (task.timeout, task.poll_interval) == (120, 3)


def test_no_error_holds_the_key(server, cancel, connect):
    connect(password="sk-very-secret", max_retries=0)
    run = server.create_run()
    faults = [
        Fault(status=401, body={"error": {"message": "bad key sk-very-secret"}}),
        Fault(status=400, body=b"sk-very-secret"),
        Fault(body=b"sk-very-secret"),
        Fault(drop=True),
    ]
    for fault in faults:
        server.clear_faults()
        server.fault(fault, times=None)
        with pytest.raises(RunsError) as caught:
            cancel(run, timeout=0.5)
        assert "sk-very-secret" not in repr(caught.value.to_json())


def test_the_link_is_there_while_the_task_still_waits(server, connect, ti):
    connect(console_url="https://console.test/{thread_id}/runs/{run_id}?tab=log")
    run = server.create_run()
    ids = {"run_id": run["id"], "thread_id": run["thread_id"]}
    with pytest.raises(TaskDeferred):
        CancelRunOperator(task_id="cancel", deferrable=True, **ids).execute({"ti": ti})
    link = f"https://console.test/{run['thread_id']}/runs/{run['id']}?tab=log"
    assert ti.xcoms == {"run_link": link}


def test_a_link_that_cannot_be_stored_does_not_keep_the_run_alive(server, connect):
    connect(console_url="https://console.test/{run_id}")
    run = server.create_run()
    ids = {"run_id": run["id"], "thread_id": run["thread_id"]}
    task = CancelRunOperator(task_id="cancel", wait_for_termination=False, **ids)
    assert task.execute({"ti": None})["id"] == run["id"]
    assert server.accepted_cancels() == 1


def test_ids_that_are_none_are_named_before_a_link_is_made_of_them(server, connect, ti):
    connect(console_url="https://console.test/{run_id}")
    task = CancelRunOperator(task_id="cancel", run_id=None, thread_id=server.create_thread())
    with pytest.raises(RunsConfigError, match="run_id is empty"):
        task.execute({"ti": ti})


def test_without_waiting_the_timeout_holds_too(server, cancel, connect):
    connect(timeout=PATIENCE, max_retries=5)
    server.fault(Fault(delay=3600), times=None)
    begun = time.monotonic()
    with pytest.raises(RunsError):
        cancel(server.create_run(), wait_for_termination=False, timeout=2)
    assert time.monotonic() - begun < PATIENCE


@pytest.mark.parametrize("run_id", [None, "", "None"])
def test_a_teardown_whose_start_gave_no_run_has_nothing_to_do(run_task, run_id):
    ids = {"run_id": run_id, "thread_id": None}
    assert run_task(CancelRunOperator(task_id="c", on_missing="succeed", **ids)) is None
    with pytest.raises(AirflowSkipException, match="There is no run to cancel"):
        run_task(CancelRunOperator(task_id="c", on_missing="skip", **ids))


def test_the_pauses_can_be_pinned_to_one_length(server):
    run = server.create_run(script=RunScript(queued_for=0, runs_for=float("inf")))
    ids = {"run_id": run["id"], "thread_id": run["thread_id"]}
    how = {"poll_interval": 3, "first_poll_interval": 3, "deferrable": True}
    with pytest.raises(TaskDeferred) as caught:
        CancelRunOperator(task_id="cancel", **how, **ids).execute({})
    _, kwargs = caught.value.trigger.serialize()
    assert (kwargs["wait"]["first_interval"], kwargs["wait"]["poll_interval"]) == (3, 3)
    with pytest.raises(ValueError, match="first_poll_interval"):
        CancelRunOperator(task_id="cancel", first_poll_interval=0, **ids)


@pytest.mark.parametrize("error", ["Trigger timeout", "Trigger failure"])
def test_a_deferral_that_airflow_ended_is_followed_by_one_more_look(server, error):
    run = server.create_run()
    ids = {"run_id": run["id"], "thread_id": run["thread_id"]}
    resumed = "__fail__", {"error": error, "traceback": ["line"]}, {}

    with pytest.raises(
        RunTimeout, match=r"Check that a triggerer is up\. The run is 'cancelling' now"
    ) as caught:
        CancelRunOperator(task_id="cancel", **ids).resume_execution(*resumed)
    assert caught.value.run["id"] == run["id"]

    server.end(run["id"], "cancelled")
    assert CancelRunOperator(task_id="again", **ids).resume_execution(*resumed)["id"] == run["id"]
    missing = {**ids, "run_id": "run_nope", "on_missing": "succeed", "missing_grace": 0}
    assert CancelRunOperator(task_id="none", **missing).resume_execution(*resumed) is None
