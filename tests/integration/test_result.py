"""What a task returns of its run, and reports of its tokens; against a real server."""

from __future__ import annotations

import json
import logging
import re

import pytest
from airflow.providers.common.compat.sdk import Stats

from airflow_provider_runs.airflow_errors import AirflowTaskTimeout, TaskDeferred
from airflow_provider_runs.errors import RunFailed, RunTimeout
from airflow_provider_runs.models import Run
from airflow_provider_runs.operators import CancelRunOperator
from airflow_provider_runs.sensors import RunStatusSensor
from airflow_provider_runs.summary import SUMMARY
from airflow_provider_runs.tasks.events import RunEvent
from airflow_provider_runs.testing import Fault, RunScript, RunServer
from tests.integration.conftest import run_trigger

PROMPT = "You are a doctor's assistant. The patient is Ms Example."
TOOLS = [{"type": "function", "function": {"name": "diagnose", "description": PROMPT}}]
LABELS = {"team": "ward"}
USAGE = {"prompt_tokens": 123, "completion_tokens": 456, "total_tokens": 579}


@pytest.fixture
def run(server):
    return server.create_run(instructions=PROMPT, tools=TOOLS, metadata=LABELS)


@pytest.fixture(params=[CancelRunOperator, RunStatusSensor])
def make(request, run):
    """Return a function that makes a deferrable operator or sensor for the run."""

    def make(**kwargs):
        pause = "poll_interval" if request.param is CancelRunOperator else "poke_interval"
        ids = {"run_id": run["id"], "thread_id": run["thread_id"]}
        how = {pause: 0.2, "timeout": 120, "deferrable": True, **ids, **kwargs}
        return request.param(task_id="task", **how)

    return make


def defer(task, ti):
    """Execute a task until it waits in the triggerer."""
    with pytest.raises(TaskDeferred) as caught:
        task.execute({"ti": ti})
    return caught.value


@pytest.fixture
def resumed(server, run, ti):
    """Return a function that resumes a task with the event of its run's end, and what it asked.

    What is given to it happens after the event and before the task resumes.
    """

    def resumed(task, meanwhile=lambda: None, end="completed"):
        deferred = defer(task, ti)
        server.end(run["id"], end)
        event = run_trigger(deferred)
        meanwhile()
        before = len(server.requests)
        result = task.resume_execution(deferred.method_name, {"event": event}, {"ti": ti})
        return result, [request.method for request in server.requests[before:]]

    return resumed


@pytest.fixture
def counted(monkeypatch):
    """What Airflow's metrics are told of tokens."""
    told = []
    real = Stats.incr

    def incr(stat, count=1, *args, tags=None, **kwargs):
        if stat.startswith("runs.tokens."):
            told.append((stat.removeprefix("runs.tokens."), count, tags))
        return real(stat, count, *args, tags=tags, **kwargs)

    monkeypatch.setattr(Stats, "incr", incr, raising=False)
    return told


COUNTED = [
    (kind, number, {"conn_id": "runs_default"})
    for kind, number in (("prompt", 123), ("completion", 456), ("total", 579))
]


# -- what crosses, and what is returned ------------------------------------------------------------


def test_the_event_of_a_run_holds_nothing_that_people_wrote(server, run, make, ti):
    deferred = defer(make(), ti)
    server.end(run["id"], "failed", {"code": "server_error", "message": "boom"})
    event = run_trigger(deferred)
    assert PROMPT in json.dumps(server.run(run["id"]))
    assert "Ms Example" not in json.dumps(event)
    assert "ward" not in json.dumps(event)
    assert event["run"]["last_error"] == {"code": "server_error", "message": "boom"}
    assert event["run"]["usage"] == USAGE


def test_nor_does_the_event_of_a_timeout_that_has_seen_the_run(run, ti):
    ids = {"run_id": run["id"], "thread_id": run["thread_id"]}
    task = RunStatusSensor(task_id="t", deferrable=True, timeout=1, poke_interval=0.2, **ids)
    event = run_trigger(defer(task, ti))
    assert event["error"]["type"] == "RunTimeout"
    assert event["error"]["run"]["status"] == "in_progress"
    assert "Ms Example" not in json.dumps(event)


def test_a_resumed_task_returns_the_whole_run_without_what_it_was_started_with(resumed, make, run):
    result, asked = resumed(make())
    assert asked == ["GET"]
    assert (result["status"], result["metadata"], result["model"]) == (
        *("completed", LABELS),
        run["model"],
    )
    assert "instructions" not in result
    assert "tools" not in result
    assert "Ms Example" not in json.dumps(result)
    assert Run.model_validate(result).usage.total_tokens == 579


def test_a_task_that_does_not_wait_in_the_triggerer_returns_the_same(server, run, make, ti):
    server.end(run["id"])
    result = make(deferrable=False).execute({"ti": ti})
    assert (result["metadata"], "tools" in result, "instructions" in result) == (
        *(LABELS, False),
        False,
    )
    summary = make(deferrable=False, xcom="summary").execute({"ti": ti})
    assert tuple(summary) == SUMMARY
    assert summary == {name: result[name] for name in SUMMARY}


def test_a_summary_needs_no_look(resumed, make):
    result, asked = resumed(make(xcom="summary"))
    assert asked == []
    assert tuple(result) == SUMMARY
    assert (result["status"], result["usage"]) == ("completed", USAGE)


def test_an_answer_is_returned_but_crosses_in_no_event(monkeypatch, ti):
    with RunServer(dialect="responses") as server:
        monkeypatch.setenv("AIRFLOW_CONN_RUNS_DEFAULT", server.connection())
        run = server.create_run(
            script=RunScript(queued_for=0, runs_for=0.5), instructions=PROMPT, tools=TOOLS
        )
        task = RunStatusSensor(
            task_id="t", run_id=run["id"], deferrable=True, timeout=60, poke_interval=0.2
        )
        deferred = defer(task, ti)
        event = run_trigger(deferred)
        answer = server.run(run["id"])["output"]
        assert answer
        assert "output" not in event["run"]
        assert answer[0]["content"][0]["text"] not in json.dumps(event)
        result = task.resume_execution(deferred.method_name, {"event": event}, {"ti": ti})
        assert result["output"] == answer
        assert "Ms Example" not in json.dumps([event, result])


@pytest.mark.parametrize(
    "name",
    [
        *("instructions", "tools", "additional_instructions", "additional_messages"),
        *("input", "prompt", "config", "context", "command", "kwargs"),
    ],
)
def test_inputs_of_any_api_are_not_returned(server, run, make, ti, name):
    body = {**server.run(run["id"]), "status": "completed", name: [PROMPT], "own": "kept"}
    server.fault(Fault(body=body), method="GET", times=None)
    result = make(deferrable=False).execute({"ti": ti})
    assert name not in result
    assert result["own"] == "kept"


# -- the event's facts stand -----------------------------------------------------------------------


@pytest.fixture
def lines(caplog):
    """What the results say in the log."""
    caplog.set_level(logging.INFO, logger="airflow_provider_runs.tasks.result")
    name = "airflow_provider_runs.tasks.result"
    return lambda: [record for record in caplog.records if record.name == name]


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (Fault(drop=True), "cannot be fetched once more"),
        (Fault(status=500), "cannot be fetched once more"),
        (Fault(status=401), "cannot be fetched once more"),
        (Fault(status=404), "cannot be fetched once more"),
        (Fault(body=b"<html>"), "cannot be fetched once more"),
        (Fault(body={"id": "run_other", "status": "completed"}), "cannot be fetched once more"),
    ],
)
def test_a_run_that_cannot_be_fetched_ended_as_the_event_says(
    server, resumed, make, lines, fault, why
):
    result, _ = resumed(make(), lambda: server.fault(fault, times=None))
    assert (result["status"], result["usage"]) == ("completed", USAGE)
    (line,) = lines()
    assert line.levelno == logging.INFO
    assert why in line.getMessage()


@pytest.mark.parametrize("status", ["in_progress", "failed", "some_word"])
def test_a_run_that_has_another_status_then_ended_as_the_event_says(
    server, run, resumed, make, lines, status
):
    body = {**server.run(run["id"]), "status": status}
    result, asked = resumed(make(), lambda: server.fault(Fault(body=body), times=None))
    assert asked == ["GET"]
    assert (result["status"], result["usage"]) == ("completed", USAGE)
    (line,) = lines()
    assert f"it is '{status}' now" in line.getMessage()


def test_a_run_that_is_gone_by_then_ended_as_the_event_says(server, run, resumed, make, lines):
    result, _ = resumed(make(), lambda: server.delete(run["id"]))
    assert result["status"] == "completed"
    assert len(lines()) == 1


def test_without_its_connection_a_task_ends_as_the_event_says(resumed, make, lines, monkeypatch):
    result, asked = resumed(make(), lambda: monkeypatch.delenv("AIRFLOW_CONN_RUNS_DEFAULT"))
    assert (result["status"], asked) == ("completed", [])
    (line,) = lines()
    assert "no connection 'runs_default'" in line.getMessage()


def test_a_timeout_that_rings_during_the_fetch_does_not_end_the_task(
    resumed, make, lines, monkeypatch
):
    def ring(*_, **__):
        raise AirflowTaskTimeout("Timeout, PID: 7")

    def meanwhile():  # as the signal's handler would, wherever the fetch is
        monkeypatch.setattr("httpcore.ConnectionPool.handle_request", ring)

    result, _ = resumed(make(), meanwhile)
    assert result["status"] == "completed"
    assert "PID: 7" in lines()[0].getMessage()


def test_what_only_the_event_knows_is_returned_too(server, run, make, ti):
    """As for LangGraph, where the trigger has asked the thread why its run failed."""
    server.end(run["id"], "completed")
    event = json.loads(json.dumps(RunEvent.of(Run.model_validate(server.run(run["id"]))).to_json()))
    event["run"].update(last_error={"code": "c", "message": "as the thread says"}, usage=None)
    result = make().execute_complete({"ti": ti}, event)
    assert result["last_error"]["message"] == "as the thread says"
    assert result["usage"] == USAGE  # the event had none
    assert result["metadata"] == LABELS


def test_the_event_of_a_whole_run_is_returned_without_its_inputs(server, run, make, ti):
    """As version 0.1.0 has stored it."""
    server.end(run["id"], "completed")
    whole = Run.model_validate(server.run(run["id"])).to_json()
    event = {"version": 1, "outcome": "final", "run": whole, "error": None}
    server.fault(Fault(drop=True), times=None)
    result = make().execute_complete({"ti": ti}, event)
    assert result["metadata"] == LABELS
    assert "Ms Example" not in json.dumps(result)


def test_what_a_run_waits_for_is_returned_and_crosses_in_no_event(server, ti):
    run = server.create_run(script=RunScript(queued_for=0, runs_for=1, ends="requires_action"))
    ids = {"run_id": run["id"], "thread_id": run["thread_id"]}
    task = RunStatusSensor(
        task_id="t", on_requires_action="succeed", deferrable=True, poke_interval=0.2, **ids
    )
    deferred = defer(task, ti)
    event = run_trigger(deferred)
    assert "required_action" not in event["run"]
    before = len(server.requests)
    result = task.resume_execution(deferred.method_name, {"event": event}, {"ti": ti})
    assert result["required_action"]["submit_tool_outputs"]["tool_calls"]
    assert len(server.requests) == before + 1


@pytest.fixture
def langgraph(monkeypatch):
    script = RunScript(queued_for=0, runs_for=1, cancelling_for=1)
    with RunServer(dialect="langgraph", script=script) as server:
        monkeypatch.setenv("AIRFLOW_CONN_RUNS_DEFAULT", server.connection())
        yield server


def test_what_a_graph_asks_a_person_is_returned_and_crosses_in_no_event(langgraph, ti):
    run = langgraph.create_run()
    ids = {"run_id": run["run_id"], "thread_id": run["thread_id"]}
    task = RunStatusSensor(
        task_id="t", on_requires_action="succeed", deferrable=True, poke_interval=0.2, **ids
    )
    deferred = defer(task, ti)
    thread = {"status": "interrupted", "interrupts": {"task": [{"value": PROMPT, "id": "i"}]}}
    path = re.compile(rf"/threads/{run['thread_id']}$")
    langgraph.fault(Fault(body=thread), method="GET", path=path, times=None)
    event = run_trigger(deferred)
    assert event["outcome"] == "requires_action"
    assert "Ms Example" not in json.dumps(event)
    result = task.resume_execution(deferred.method_name, {"event": event}, {"ti": ti})
    assert result["status"] == "requires_action"
    assert result["required_action"]["interrupts"] == [{"value": PROMPT, "id": "i"}]


def test_a_run_that_was_rolled_back_is_returned_as_the_event_says(langgraph, ti, lines):
    run = langgraph.create_run(script=RunScript(queued_for=0, cancelling_for=1))
    ids = {"run_id": run["run_id"], "thread_id": run["thread_id"]}
    task = CancelRunOperator(
        task_id="t", cancel_action="rollback", deferrable=True, poll_interval=0.2, **ids
    )
    deferred = defer(task, ti)
    event = run_trigger(deferred)
    result = task.resume_execution(deferred.method_name, {"event": event}, {"ti": ti})
    assert (result["status"], result["raw_status"]) == ("cancelled", "rolled back")
    assert len(lines()) == 1


# -- tokens ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("xcom", ["run", "summary"])
def test_tokens_are_stored_and_counted_once(resumed, make, ti, counted, xcom):
    resumed(make(xcom=xcom))
    assert ti.xcoms["usage"] == USAGE
    assert counted == COUNTED


def test_so_are_those_of_a_task_that_does_not_defer(server, run, make, ti, counted):
    server.end(run["id"])
    make(deferrable=False).execute({"ti": ti})
    assert ti.xcoms["usage"] == USAGE
    assert counted == COUNTED


def test_so_are_those_of_a_task_that_fails(make, ti, counted, resumed):
    how = {"on_already_final": "fail"} if type(make()) is CancelRunOperator else {}
    with pytest.raises(RunFailed):
        resumed(make(**how), end="failed")
    assert ti.xcoms["usage"] == USAGE
    assert counted == COUNTED


def test_so_are_those_of_a_run_that_is_cancelled_on_a_timeout(run, ti, counted):
    ids = {"run_id": run["id"], "thread_id": run["thread_id"]}
    sensor = RunStatusSensor(task_id="t", timeout=0.5, on_timeout="cancel", **ids)
    with pytest.raises(RunTimeout):
        sensor.execute({"ti": ti})
    assert ti.xcoms["usage"] == USAGE
    assert counted == COUNTED


def test_a_killed_sensor_that_also_cancels_counts_them_once(server, run, ti, counted):
    ids = {"run_id": run["id"], "thread_id": run["thread_id"]}
    sensor = RunStatusSensor(
        task_id="t", deferrable=True, on_timeout="cancel", cancel_on_kill=True, **ids
    )
    event = run_trigger_after_kill(sensor, server, run, ti)
    with pytest.raises(Exception, match="The task was killed"):
        sensor.execute_complete({"ti": ti}, event)
    assert counted == COUNTED


def run_trigger_after_kill(sensor, server, run, ti):
    deferred = defer(sensor, ti)
    sensor.on_kill()
    server.end(run["id"], "cancelled")
    return run_trigger(deferred)


def test_nothing_is_reported_before_a_run_has_ended(make, run, server, ti, counted):
    server.fault(
        Fault(body={**server.run(run["id"]), "status": "requires_action", "usage": USAGE}),
        method="GET",
        times=None,
    )
    if type(make()) is CancelRunOperator:
        make(wait_for_termination=False).execute({"ti": ti})
    else:
        make(on_requires_action="succeed").execute({"ti": ti})
    assert "usage" not in ti.xcoms
    assert counted == []


@pytest.mark.parametrize("usage", [None, {}, "many", [5], {"total_tokens": None}, {"x": {}}])
def test_without_numbers_nothing_is_reported(server, run, make, ti, counted, usage):
    body = {**server.run(run["id"]), "status": "completed", "usage": usage}
    server.fault(Fault(body=body), method="GET", times=None)
    make(deferrable=False).execute({"ti": ti})
    assert "usage" not in ti.xcoms
    assert counted == []


def test_only_numbers_are_stored_also_those_of_its_parts(server, run, make, ti):
    parts = {"prompt_tokens_details": {"cached_tokens": 4, "note": PROMPT}, "note": PROMPT}
    body = {**server.run(run["id"]), "status": "completed", "usage": {**USAGE, **parts}}
    server.fault(Fault(body=body), method="GET", times=None)
    make(deferrable=False).execute({"ti": ti})
    assert ti.xcoms["usage"] == {**USAGE, "prompt_tokens_details": {"cached_tokens": 4}}


def test_a_task_that_stores_no_xcom_only_counts(server, run, make, ti, counted):
    server.end(run["id"])
    make(deferrable=False, do_xcom_push=False).execute({"ti": ti})
    assert ti.xcoms == {}
    assert counted == COUNTED


def test_a_report_that_fails_never_fails_the_task(server, run, make, ti, lines, monkeypatch):
    server.end(run["id"])

    def fail(*_, **__):
        raise ConnectionError("the supervisor is away")

    monkeypatch.setattr(ti, "xcom_push", fail)
    assert make(deferrable=False).execute({"ti": ti})["status"] == "completed"
    (line,) = lines()
    assert "Could not report the tokens" in line.getMessage()


def test_langgraph_has_no_usage_to_report(langgraph, ti, counted):
    run = langgraph.create_run()
    ids = {"run_id": run["run_id"], "thread_id": run["thread_id"]}
    result = RunStatusSensor(task_id="t", poke_interval=0.2, **ids).execute({"ti": ti})
    assert (result["status"], ti.xcoms, counted) == ("completed", {}, [])
