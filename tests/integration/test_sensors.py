"""RunStatusSensor against a real server; each rule in poke mode, rescheduled and deferred."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from airflow_provider_runs.airflow_errors import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
)
from airflow_provider_runs.errors import (
    RunFailed,
    RunNotFound,
    RunsAuthError,
    RunsConfigError,
    RunTimeout,
)
from airflow_provider_runs.sensors import RunStatusSensor
from airflow_provider_runs.testing import Fault, RunScript
from tests.moments import PATIENCE, once

INF = float("inf")


@pytest.fixture(params=["poke", "reschedule", "deferred"])
def mode(request):
    return request.param


@pytest.fixture
def sense(mode, run_task, ti):
    """Return a function that runs a sensor for a run to its end."""

    def sense(run, **kwargs):
        changes = {"deferrable": True} if mode == "deferred" else {"mode": mode}
        defaults = {"poke_interval": 0.2, "timeout": 120, "deferrable": False, **changes}
        ids = {"run_id": run["id"], "thread_id": run["thread_id"]}
        task = RunStatusSensor(task_id="wait", **ids, **{**defaults, **kwargs})
        ti.first_look = None
        while True:
            try:
                return run_task(task, {"ti": ti})
            except AirflowRescheduleException as later:
                ti.first_look = ti.first_look or datetime.now(UTC)
                time.sleep(max(0, later.reschedule_date.timestamp() - time.time()))

    return sense


def lasting(seconds, ends="completed", **kwargs):
    return RunScript(queued_for=0, runs_for=seconds, ends=ends, **kwargs)


def test_an_expected_end_is_returned_as_plain_json(server, sense):
    assert sense(server.create_run(script=lasting(0.5)))["status"] == "completed"
    assert server.accepted_cancels() == 0


@pytest.mark.parametrize("end", ["failed", "expired", "incomplete"])
def test_another_end_fails_at_once_without_retries(server, sense, end):
    run = server.create_run()
    server.end(run["id"], end)
    with pytest.raises(RunFailed, match=f"is '{end}', expected 'completed'") as caught:
        sense(run)
    assert isinstance(caught.value, AirflowFailException)
    assert caught.value.run["status"] == end


def test_the_runs_own_error_is_in_the_message(server, sense):
    run = server.create_run()
    server.end(run["id"], "failed", {"code": "rate_limit_exceeded", "message": "Too many."})
    with pytest.raises(RunFailed, match="rate_limit_exceeded: Too many"):
        sense(run)


def test_the_expected_statuses_can_be_chosen(server, sense):
    run = server.create_run()
    server.end(run["id"], "failed")
    assert sense(run, expected_statuses=["failed", "expired"])["status"] == "failed"
    server.end(run["id"], "cancelled")
    with pytest.raises(RunFailed, match=r"set expected_statuses=\('completed', 'cancelled'\)"):
        sense(run)
    assert sense(run, expected_statuses=("completed", "cancelled"))["status"] == "cancelled"


def test_requires_action_is_handled_as_told(server, sense):
    script = lasting(0, ends="requires_action", expires_after=1.5)
    assert sense(server.create_run(script=script), expected_statuses=["expired"])
    waiting = server.create_run(script=lasting(0, ends="requires_action"))
    assert sense(waiting, on_requires_action="succeed")["status"] == "requires_action"
    with pytest.raises(RunFailed, match="requires_action"):
        sense(waiting, on_requires_action="fail")
    with pytest.raises(AirflowSkipException):
        sense(waiting, on_requires_action="fail", soft_fail=True)


def test_the_timeout_is_a_sensor_timeout_that_leaves_the_run_alone(server, sense):
    run = server.create_run()
    with pytest.raises(RunTimeout, match="while the run was 'in_progress'") as caught:
        sense(run, timeout=0.7)
    assert isinstance(caught.value, AirflowSensorTimeout)
    assert server.accepted_cancels() == 0


def test_execution_timeout_bounds_the_wait_too(server, sense):
    begun = time.monotonic()
    with pytest.raises(RunTimeout):
        sense(server.create_run(), timeout=5 * PATIENCE, execution_timeout=timedelta(seconds=2))
    assert time.monotonic() - begun < PATIENCE


def test_an_unknown_status_is_waited_out_and_never_taken_as_final(server, sense):
    run = server.create_run(script=RunScript(timeline=[("ended_somehow", INF)]))
    with pytest.raises(RunTimeout, match="'ended_somehow', which this provider does not know"):
        sense(run, timeout=0.7)


def test_soft_fail_skips_instead(server, sense):
    run = server.create_run()
    with pytest.raises(AirflowSkipException, match="in_progress"):
        sense(run, timeout=0.5, soft_fail=True)
    server.end(run["id"], "failed")
    with pytest.raises(AirflowSkipException, match="failed"):
        sense(run, soft_fail=True)


def test_never_fail_skips_for_any_error(server, sense):
    run = {"id": "run_nope", "thread_id": server.create_thread()}
    with pytest.raises(RunNotFound):
        sense(run, soft_fail=True, missing_grace=0)
    with pytest.raises(AirflowSkipException, match="run_nope"):
        sense(run, never_fail=True, missing_grace=0)


def test_an_outage_is_outlived(server, sense, connect):
    connect(max_retries=0)
    run = server.create_run(script=lasting(1.5))
    server.fault(Fault(drop=True), times=3)
    assert sense(run)["status"] == "completed"


# -- on_timeout="cancel" ---------------------------------------------------------------------------


def test_on_timeout_the_run_is_cancelled_and_the_error_says_how_it_ended(server, sense):
    run = server.create_run()
    with pytest.raises(RunTimeout, match="it was then cancelled and ended 'cancelled'"):
        sense(run, timeout=0.5, on_timeout="cancel")
    assert server.run(run["id"])["status"] == "cancelled"
    assert server.accepted_cancels() == 1


def test_a_timeout_is_no_success_though_a_cancelled_run_would_be_one(server, sense):
    run = server.create_run()
    with pytest.raises(RunTimeout, match="it was then cancelled and ended 'cancelled'"):
        sense(run, timeout=0.5, on_timeout="cancel", expected_statuses=("completed", "cancelled"))


def test_on_timeout_the_run_is_cancelled_before_a_soft_fail_skips(server, sense):
    run = server.create_run()
    with pytest.raises(AirflowSkipException, match="it was then cancelled"):
        sense(run, timeout=0.5, on_timeout="cancel", soft_fail=True)
    assert server.run(run["id"])["status"] == "cancelled"


def test_a_cancel_that_is_not_confirmed_in_time_says_so(server, sense):
    run = server.create_run(script=RunScript(cancelling_for=INF))
    with pytest.raises(RunTimeout, match="a cancel was then requested, but is not confirmed"):
        sense(run, timeout=0.5, on_timeout="cancel", cancel_timeout=0.5)


def test_a_cancel_that_is_refused_says_so(server, sense):
    run = server.create_run(script=RunScript(queued_for=0, runs_for=INF, refuse_cancel=400))
    with pytest.raises(RunTimeout, match="the server then refused to cancel it"):
        sense(run, timeout=0.5, on_timeout="cancel", cancel_timeout=0.5)
    assert server.accepted_cancels() == 0


def test_one_refusal_of_a_key_that_never_worked_cancels_nothing(server, sense):
    run = server.create_run()
    server.fault(Fault(status=401), method="GET", times=1)
    with pytest.raises(RunsAuthError):
        sense(run, on_timeout="cancel")
    assert server.status(run["id"]) == "in_progress"
    assert [request.method for request in server.requests] == ["GET"]


@pytest.mark.parametrize("status", [302, 400, 422])
def test_no_answer_before_the_run_was_seen_cancels_it(server, sense, status):
    run = server.create_run(script=lasting(3))
    server.fault(Fault(status=status), method="GET", times=2)
    assert sense(run, on_timeout="cancel")["status"] == "completed"
    other = server.create_run()
    server.fault(Fault(status=status), method="GET", path=other["id"], times=None)
    with pytest.raises(RunTimeout):
        sense(other, timeout=1)
    assert server.accepted_cancels() == 0


def test_a_run_that_waits_for_its_caller_may_be_cancelled(server, sense):
    run = server.create_run(script=lasting(0, ends="requires_action"))
    with pytest.raises(RunFailed, match=r"'requires_action'.*it was then cancelled"):
        sense(run, on_requires_action="fail", on_timeout="cancel")
    assert server.accepted_cancels() == 1


def test_a_refusal_that_passes_cancels_nothing(server, sense):
    run = server.create_run(script=lasting(3))
    with once(lambda: server.requests, lambda: server.fault(Fault(status=401))):
        assert sense(run, on_timeout="cancel", poke_interval=1)["status"] == "completed"
    assert server.accepted_cancels() == 0


def test_a_finished_answer_is_not_thrown_away(server, sense, caplog):
    run = server.create_run(script=RunScript(queued_for=0, runs_for=INF, refuse_cancel=409))
    ends = once(
        lambda: [request for request in server.requests if request.method == "POST"],
        lambda: server.end(run["id"], "completed"),
    )
    with ends, caplog.at_level("INFO"):
        assert sense(run, timeout=0.5, on_timeout="cancel")["status"] == "completed"
    said = caplog.text
    assert "cancelling the run, which may take up to 60 s" in said
    assert "has ended 'completed', as expected, while it was being cancelled" in said


def test_a_run_that_has_ended_or_is_missing_is_not_cancelled(server, sense):
    run = server.create_run()
    server.end(run["id"], "failed")
    with pytest.raises(RunFailed):
        sense(run, on_timeout="cancel")
    missing = {"id": "run_nope", "thread_id": run["thread_id"]}
    with pytest.raises(RunNotFound):
        sense(missing, on_timeout="cancel", missing_grace=0)
    assert [request.method for request in server.requests if request.method == "POST"] == []


def test_with_an_unusable_connection_nothing_is_known_of_a_cancel(sense, connect):
    connect(host="ftp://x")
    for on_timeout in ("cancel", "fail"):
        with pytest.raises(RunsConfigError) as caught:
            sense({"id": "run_1", "thread_id": "thread_1"}, on_timeout=on_timeout)
        assert "cancel" not in str(caught.value)


# -- reschedule mode -------------------------------------------------------------------------------


@pytest.fixture
def look_once(server, ti):
    """Return a function that lets a rescheduled sensor look, and says when it looks again.

    The clock stands still meanwhile, and the answer is in seconds from then.
    """

    def look_once(first=None, **kwargs):
        run = server.create_run()
        ids = {"run_id": run["id"], "thread_id": run["thread_id"]}
        task = RunStatusSensor(task_id="wait", mode="reschedule", **ids, **kwargs)
        ti.first_look = first
        now = time.time()
        with (
            time_machine.travel(now, tick=False),
            pytest.raises(AirflowRescheduleException) as caught,
        ):
            task.execute({"ti": ti})
        return caught.value.reschedule_date.timestamp() - now

    return look_once


def test_a_rescheduled_sensor_looks_again_after_its_interval(look_once):
    assert look_once(poke_interval=90, timeout=600) == pytest.approx(90)
    assert look_once(poke_interval=90, timeout=600, exponential_backoff=True) < 95


def test_a_rescheduled_sensor_stays_away_until_airflow_has_seen_it_off(look_once):
    assert look_once(poke_interval=0, timeout=600) == pytest.approx(2)


def test_a_rescheduled_sensor_comes_back_for_its_deadline(look_once):
    assert look_once(poke_interval=90, timeout=30) == pytest.approx(30)
    now = time.time()
    earlier = datetime.fromtimestamp(now - 500, UTC)
    with time_machine.travel(now, tick=False):
        assert look_once(earlier, poke_interval=200, timeout=600) == pytest.approx(100)
