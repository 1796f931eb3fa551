"""RunStatusSensor where Airflow, not the run, decides: resumed, killed, asked for one look."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import traceback
from pkgutil import resolve_name

import pytest
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_runs.airflow_errors import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    TaskDeferred,
)
from airflow_provider_runs.errors import (
    RunFailed,
    RunNotFound,
    RunsAuthError,
    RunsConfigError,
    RunsError,
    RunsResponseError,
    RunTimeout,
)
from airflow_provider_runs.models import Run
from airflow_provider_runs.sensors import RunStatusSensor
from airflow_provider_runs.tasks.events import RunEvent
from airflow_provider_runs.testing import Fault, RunScript, RunServer
from tests.moments import once

INF = float("inf")


@pytest.fixture
def run(server):
    return server.create_run()


@pytest.fixture
def make(run):
    """Return a function that makes a sensor for the run."""

    def make(**kwargs):
        ids = {"run_id": run["id"], "thread_id": run["thread_id"]}
        defaults = {"poke_interval": 0.2, "timeout": 120, "cancel_timeout": 60}
        return RunStatusSensor(task_id="wait", **ids, **{**defaults, **kwargs})

    return make


def resume(sensor, error):
    """Resume as Airflow does a task whose deferral it has ended itself."""
    kwargs = {"error": error, "traceback": ["line"]}
    return sensor.resume_execution("__fail__", kwargs, {})


@pytest.mark.parametrize("error", ["Trigger timeout", "Trigger failure"])
def test_a_deferral_that_airflow_ended_cancels_if_asked(server, run, make, error):
    with pytest.raises((AirflowSensorTimeout, RunsError), match="it was then cancelled and ended"):
        resume(make(on_timeout="cancel"), error)
    assert server.run(run["id"])["status"] == "cancelled"


def test_a_deferral_that_airflow_ended_leaves_the_run_if_not_asked(server, make):
    with pytest.raises(RunTimeout, match="check that a triggerer is up"):
        resume(make(), "Trigger timeout")
    with pytest.raises(AirflowSkipException):
        resume(make(soft_fail=True), "Trigger timeout")
    with pytest.raises(RunsError, match="The trigger failed: Trigger failure"):
        resume(make(), "Trigger failure")
    assert server.accepted_cancels() == 0


@pytest.mark.parametrize("event", [None, {}, {"version": 9}, {"outcome": "final"}, 5])
def test_an_event_that_is_none_of_ours_cancels_if_asked(server, make, event):
    with pytest.raises(RunsResponseError, match=r"cannot be understood.*it was then cancelled"):
        make(on_timeout="cancel").execute_complete({}, event)
    assert server.accepted_cancels() == 1


def test_execution_timeout_that_rings_cancels_and_goes_on(server, run, make):
    def ring():
        raise AirflowTaskTimeout("Timeout, PID: 7")

    with pytest.raises(AirflowTaskTimeout, match="PID: 7; it was then cancelled and ended"):
        make(on_timeout="cancel")._finish(ring, {})
    assert server.run(run["id"])["status"] == "cancelled"


def test_one_look_is_enough_for_poke(server, run, make):
    assert not make().poke({})
    server.end(run["id"], "completed")
    poked = make().poke({})
    assert poked.is_done
    assert poked.xcom_value["status"] == "completed"
    server.end(run["id"], "failed")
    with pytest.raises(RunFailed):
        make().poke({})


def test_a_killed_sensor_cancels_only_if_asked(server, run, make, ti):
    for asked in (False, True):
        sensor = make(cancel_on_kill=asked, deferrable=True)
        sensor.on_kill()  # before it began: there is nothing to know yet
        with pytest.raises(TaskDeferred):
            sensor.execute({"ti": ti})
        sensor.on_kill()
        assert server.accepted_cancels() == asked
    assert server.run(run["id"])["status"] in {"cancelling", "cancelled"}


def test_a_killed_sensor_whose_cancel_fails_says_so_and_raises_nothing(server, make, capfd, ti):
    sensor = make(cancel_on_kill=True, deferrable=True)
    with pytest.raises(TaskDeferred):
        sensor.execute({"ti": ti})
    server.fault(Fault(status=403), times=None)
    sensor.on_kill()
    assert "Could not cancel run" in "".join(capfd.readouterr())


def test_the_trigger_gets_what_the_sensor_was_told(run, make, ti):
    sensor = make(
        deferrable=True, cancel_on_kill=True, on_requires_action="fail", exponential_backoff=True
    )
    with pytest.raises(TaskDeferred) as caught:
        sensor.execute({"ti": ti})
    _, kwargs = caught.value.trigger.serialize()
    assert kwargs["cancel_on_kill"]
    assert kwargs["wait"]["stop_on_requires_action"]
    assert (kwargs["wait"]["first_interval"], kwargs["wait"]["poll_interval"]) == (0.2, 120)
    assert json.loads(json.dumps(kwargs)) == kwargs
    assert TriggerEvent(kwargs)
    assert ti.xcoms == {"watched_run": run["id"]}


def test_a_rescheduled_sensor_that_must_hear_of_kills_waits_in_the_triggerer(make, ti):
    expected = TaskDeferred if hasattr(BaseTrigger, "on_kill") else AirflowRescheduleException
    with pytest.raises(expected):
        make(mode="reschedule", cancel_on_kill=True).execute({"ti": ti})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("expected_statuses", []),
        ("expected_statuses", ["done"]),
        ("expected_statuses", ["cancelling"]),
        ("on_requires_action", "ignore"),
        ("on_timeout", "kill"),
        ("cancel_timeout", 0),
        ("xcom", "all"),
    ],
)
def test_a_senseless_parameter_is_an_error_in_the_dag_file(name, value):
    with pytest.raises(ValueError, match=name):
        RunStatusSensor(task_id="wait", run_id="run_1", **{name: value})


def test_a_killed_sensor_never_succeeds_with_the_run_it_has_cancelled(server, run, make, ti):
    sensor = make(cancel_on_kill=True, retries=3)
    with (
        once(lambda: server.requests, sensor.on_kill),
        pytest.raises(RunsError, match="a cancel of its run was requested") as caught,
    ):
        sensor.execute({"ti": ti})
    assert not isinstance(caught.value, AirflowFailException)  # a retry may follow
    assert server.run(run["id"])["status"] == "cancelled"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ({"message": "boom"}, "'completed': “boom”"),
        ({"code": "server_error"}, "'completed': “server_error”"),
        ({"odd": 1}, "'completed': "),
    ],
)
def test_what_is_known_of_the_runs_error_is_shown(server, run, make, error, words):
    server.end(run["id"], "failed", error)
    with pytest.raises(RunFailed, match=words) as caught:
        make().poke({})
    assert "None" not in caught.value.message or "odd" in error


def test_execution_timeout_that_rings_during_the_cancel_does_not_end_it(server, run, make):
    def ring(*_):
        raise AirflowTaskTimeout("Timeout, PID: 7")

    def is_cancelling():
        return [request for request in server.requests if request.method == "POST"]

    server.fault(Fault(delay=3600), method="POST")  # nothing but the bell ends the first one
    before = signal.signal(signal.SIGALRM, ring)
    try:
        with (
            once(is_cancelling, lambda: os.kill(os.getpid(), signal.SIGALRM)),
            pytest.raises(RunTimeout, match="it was then cancelled and ended 'cancelled'"),
        ):
            make(on_timeout="cancel", timeout=0.4).execute({})
    finally:
        signal.signal(signal.SIGALRM, before)
    assert len(is_cancelling()) == 2
    assert server.run(run["id"])["status"] == "cancelled"


# -- cancel_action ---------------------------------------------------------------------------------


@pytest.fixture
def graph_run(monkeypatch):
    """A run of a LangGraph server that goes on for ever; yields the server and the sensor's ids."""
    with RunServer(dialect="langgraph", script=RunScript(queued_for=0, runs_for=INF)) as graphs:
        monkeypatch.setenv("AIRFLOW_CONN_RUNS_DEFAULT", graphs.connection())
        run = graphs.create_run()
        yield graphs, {"run_id": run["run_id"], "thread_id": run["thread_id"]}


def actions(graphs):
    """How the server was asked to cancel."""
    posts = [request for request in graphs.requests if request.method == "POST"]
    return [request.query["action"] for request in posts]


@pytest.mark.parametrize("action", ["interrupt", "rollback", None])
def test_the_sensor_cancels_on_a_timeout_as_it_is_told(graph_run, action):
    graphs, ids = graph_run
    sensor = RunStatusSensor(
        task_id="w", timeout=0.5, on_timeout="cancel", cancel_action=action, **ids
    )
    with pytest.raises(RunTimeout, match="it was then cancelled and ended 'cancelled'"):
        sensor.execute({})
    assert actions(graphs) == [action or "interrupt"]


@pytest.mark.parametrize("place", ["worker", "triggerer"])
@pytest.mark.parametrize("action", ["interrupt", "rollback", None])
def test_a_killed_sensor_cancels_as_it_is_told(graph_run, ti, action, place):
    graphs, ids = graph_run
    sensor = RunStatusSensor(
        task_id="w", deferrable=True, cancel_on_kill=True, cancel_action=action, **ids
    )
    with pytest.raises(TaskDeferred) as caught:
        sensor.execute({"ti": ti})
    if place == "worker":
        sensor.on_kill()
    else:
        path, kwargs = caught.value.trigger.serialize()
        asyncio.run(resolve_name(path)(**json.loads(json.dumps(kwargs))).on_kill())
    assert actions(graphs) == [action or "interrupt"]


def test_a_cancel_action_that_the_api_does_not_have_is_told_before_the_wait(server, make, ti):
    for how in ({}, {"on_timeout": "cancel"}, {"mode": "reschedule"}, {"deferrable": True}):
        with pytest.raises(RunsConfigError, match="no cancel_action 'rollback'"):
            make(cancel_action="rollback", **how).execute({"ti": ti})
    assert server.requests == []


def fired(run, error, *, seen):
    """Return the event of a trigger whose wait has ended with an error."""
    last = Run.model_validate({"id": run["id"], "status": "in_progress"}).to_json()
    return RunEvent.of(error.replacing(run=last if seen else None)).to_json()


@pytest.mark.parametrize("kind", [RunsAuthError, RunNotFound])
def test_a_run_that_was_seen_may_go_on_whatever_the_server_says(server, run, make, kind):
    """The key is refused, or the server denies the run: neither stops it."""
    error = kind("No. (connection 'runs_default')", conn_id="runs_default")
    event = fired(run, error, seen=True)
    words = r"^No; it was then cancelled and ended 'cancelled'\. \(connection"
    with pytest.raises(kind, match=words):
        make(on_timeout="cancel").execute_complete({}, event)
    assert server.status(run["id"]) == "cancelled"


@pytest.mark.parametrize("kind", [RunsAuthError, RunNotFound, RunsConfigError])
def test_what_says_nothing_of_the_run_cancels_nothing(server, run, make, kind):
    event = fired(run, kind("No."), seen=kind is RunsConfigError)
    with pytest.raises(kind, match=r"^No\.$"):
        make(on_timeout="cancel").execute_complete({}, event)
    assert server.requests == []


def test_an_error_is_told_once_and_without_the_machinery_that_found_it(server, make, ti):
    server.fault(Fault(status=401), times=None)
    with pytest.raises(RunsAuthError) as caught:
        make().execute({"ti": ti})
    told = "".join(traceback.format_exception(caught.value))
    assert told.count("the key was refused") == 1
    assert "During handling" not in told
    assert "/flows/" not in told
    assert len(traceback.extract_tb(caught.value.__traceback__)) < 8
