"""Servers of LangGraph's family: how ids may be spelled, and what only a thread knows of a run."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime
from uuid import UUID

import httpx
import pytest

from airflow_provider_runs.airflow_errors import AirflowRescheduleException
from airflow_provider_runs.errors import RunFailed, RunsConfigError
from airflow_provider_runs.operators import CancelRunOperator, CleanupRunsOperator
from airflow_provider_runs.sensors import RunStatusSensor
from airflow_provider_runs.testing import Fault, RunScript, RunServer
from airflow_provider_runs.testing.dialects.langgraph import LangGraph

INF = float("inf")
LONG = RunScript(queued_for=0, runs_for=INF, cancelling_for=0)
ASKS = RunScript(queued_for=0, runs_for=1, ends="requires_action")
FAILS = RunScript(
    queued_for=0, runs_for=1, ends="failed", last_error={"code": "ValueError", "message": "boom"}
)

SPELLINGS = {
    "upper case": str.upper,
    "no dashes": lambda text: text.replace("-", ""),
    "urn": lambda text: f"urn:uuid:{text}",
    "a UUID": UUID,
}


@pytest.fixture
def server(monkeypatch):
    dialect = LangGraph(any_thread_id=True)
    with RunServer(dialect=dialect, script=LONG) as server:
        monkeypatch.setenv("AIRFLOW_CONN_RUNS_DEFAULT", server.connection(max_retries=1))
        yield server


@pytest.fixture
def start(server):
    """Return a function that starts a run and returns the names of its ids."""

    def start(script=None, thread_id=None):
        run = server.create_run(thread_id, script)
        return {"run_id": run["run_id"], "thread_id": run["thread_id"]}

    return start


@pytest.fixture(params=["poke", "reschedule", "deferred"])
def sense(request, run_task, ti):
    """Return a function that runs a sensor for a run to its end."""

    def sense(ids, **kwargs):
        mode = {"deferrable": True} if request.param == "deferred" else {"mode": request.param}
        defaults = {"poke_interval": 0.2, "timeout": 60, "deferrable": False, **mode}
        task = RunStatusSensor(task_id="wait", **ids, **{**defaults, **kwargs})
        ti.first_look = None
        while True:
            try:
                return run_task(task, {"ti": ti})
            except AirflowRescheduleException as later:
                ti.first_look = ti.first_look or datetime.now(UTC)
                time.sleep(max(0, later.reschedule_date.timestamp() - time.time()))

    return sense


@pytest.fixture(params=[False, True], ids=["worker", "deferred"])
def deferrable(request):
    return request.param


# -- ids


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_a_uuid_in_any_spelling_names_the_run(server, start, sense, spell):
    ids = start(RunScript(queued_for=0, runs_for=1))
    named = {name: spell(value) for name, value in ids.items()}
    result = sense(named)
    assert (result["id"], result["status"]) == (str(named["run_id"]), "completed")
    path = "/threads/{thread_id}/runs/{run_id}".format(**ids)
    assert {request.path for request in server.requests if "/runs/" in request.path} == {path}


def test_a_thread_that_is_spelled_in_several_ways_is_swept_once(
    server, start, run_task, deferrable
):
    thread = server.create_thread()
    runs = [start(thread_id=thread)["run_id"] for _ in range(5)]
    named = [UUID(thread), thread.upper(), thread]
    task = CleanupRunsOperator(
        task_id="sweep", thread_ids=named, poll_interval=0.2, deferrable=deferrable
    )
    report = run_task(task)
    assert sorted(line["run_id"] for line in report) == sorted(runs)
    assert {line["result"] for line in report} == {"cancelled"}
    assert {server.accepted_cancels(run) for run in runs} == {1}


def test_one_thread_may_be_a_uuid(start, run_task):
    ids = start()
    task = CleanupRunsOperator(
        task_id="sweep", thread_ids=UUID(ids["thread_id"]), poll_interval=0.2
    )
    assert [line["result"] for line in run_task(task)] == ["cancelled"]


@pytest.mark.parametrize("name", ["test-thread-123", "the thread of today", "7"])
def test_a_thread_may_have_any_name(server, start, run_task, deferrable, call, name):
    httpx.post(f"{server.url}/threads", json={"thread_id": name}).raise_for_status()
    ids = start(thread_id=name)
    assert [run.id for run in call("list_runs", name)] == [ids["run_id"]]
    task = CancelRunOperator(task_id="c", **ids, poll_interval=0.2, deferrable=deferrable)
    assert run_task(task)["thread_id"] == name
    assert server.accepted_cancels(ids["run_id"]) == 1


def test_a_stateless_run_is_told_where_its_thread_is(server, start, run_task, deferrable):
    ids = {**start(), "thread_id": None}
    task = CancelRunOperator(task_id="c", **ids, deferrable=deferrable)
    with pytest.raises(RunsConfigError, match="A stateless run has a thread too"):
        run_task(task)
    assert server.requests == []


@pytest.mark.parametrize("wrong", [{"thread_id": "t"}, 1.5, True])
def test_what_is_no_list_of_threads_is_an_error_that_says_its_type(run_task, server, wrong):
    task = CleanupRunsOperator(task_id="sweep", thread_ids=wrong)
    with pytest.raises(ValueError, match=f"thread_ids is a {type(wrong).__name__}, not a list"):
        run_task(task)
    assert server.requests == []


def test_a_whole_run_in_place_of_its_id_is_named_by_its_type_and_stays_out_of_the_words(
    server, run_task, deferrable
):
    run = server.create_run()
    wrong = {**run, "metadata": {"prompt": "Ms Example"}}
    task = CancelRunOperator(
        task_id="cancel", run_id=wrong, thread_id=run["thread_id"], deferrable=deferrable
    )
    with pytest.raises(RunsConfigError, match="run_id is a dict, not an id") as caught:
        run_task(task)
    assert "Ms Example" not in caught.value.message


# -- odd records


def test_odd_threads_and_runs_are_reported_and_spoil_nothing(server, start, run_task, deferrable):
    good = start()
    thread = good["thread_id"]
    cut = "cut \ud83d"  # half an emoji: Airflow's triggerer would die of it
    threads = [{"thread_id": thread}, None, {"status": "busy"}, {"thread_id": cut}]
    runs = [{"run_id": cut, "status": None}, server.run(good["run_id"]), {"run_id": 7}]
    server.fault(Fault(body=threads), path=re.compile("/threads/search$"), times=None)
    server.fault(Fault(body=runs), path=re.compile(f"/threads/{thread}/runs$"), times=None)
    how = {"poll_interval": 0.2, "on_error": "warn", "deferrable": deferrable}
    report = run_task(CleanupRunsOperator(task_id="sweep", all_threads=True, **how))
    json.dumps(report, ensure_ascii=False).encode()
    assert [(line["thread_id"], line["run_id"], line["result"]) for line in report] == [
        (thread, good["run_id"], "cancelled"),
        (thread, "cut ?", "error"),
        (thread, "7", "error"),
        ("cut ?", None, "error"),
        *[("(unknown thread)", None, "error")] * 2,
    ]
    assert "cannot be an id" in report[3]["error"]
    assert {"cannot be read" in line["error"] for line in (*report[1:3], *report[4:])} == {True}


# -- what only the thread knows


def test_a_failed_run_fails_its_sensor_with_the_reason_that_its_thread_has(server, start, sense):
    ids = start(FAILS)
    with pytest.raises(RunFailed, match="is 'failed', expected 'completed': “ValueError: boom”"):
        sense(ids)
    paths = [request.path for request in server.requests]
    assert paths.count(f"/threads/{ids['thread_id']}") == 1


def test_the_reason_of_a_later_run_is_not_that_of_an_earlier_one(server, start, sense):
    ids = start(RunScript(queued_for=0, runs_for=0, ends="failed"))
    time.sleep(1.1)  # the times of both are in whole seconds
    later = RunScript(queued_for=0, runs_for=0, ends="failed", last_error={"code": "Other"})
    server.create_run(ids["thread_id"], later)
    with pytest.raises(RunFailed) as caught:
        sense(ids)
    assert "Other" not in caught.value.message
    assert caught.value.run["last_error"] is None


def test_a_run_that_waits_for_a_person_requires_action(server, start, sense):
    ids = start(ASKS)
    with pytest.raises(RunFailed, match="On this API a resume is a new run"):
        sense(ids)
    with pytest.raises(RunFailed, match="is 'requires_action', expected 'completed'"):
        sense(ids, on_requires_action="fail", on_timeout="cancel")
    result = sense(ids, on_requires_action="succeed")
    assert (result["status"], result["raw_status"]) == ("requires_action", "interrupted")
    assert result["required_action"]["interrupts"][0]["value"]
    assert not [request for request in server.requests if request.path.endswith("/cancel")]


def test_a_run_that_waits_for_a_person_has_nothing_to_cancel(server, start, run_task, deferrable):
    ids = start(RunScript(queued_for=0, runs_for=0, ends="requires_action"))
    task = CancelRunOperator(task_id="c", **ids, poll_interval=0.2, deferrable=deferrable)
    assert run_task(task)["status"] == "cancelled"
    assert server.accepted_cancels() == 0


def test_a_resume_that_somebody_cancelled_asks_nothing(start, sense, call):
    asked = start(RunScript(queued_for=0, runs_for=0, ends="requires_action"))
    ids = start(thread_id=asked["thread_id"])
    call("cancel_run", *ids.values())
    result = sense(ids, expected_statuses=["cancelled"], on_requires_action="fail")
    assert (result["status"], result["required_action"]) == ("cancelled", None)


def test_a_thread_that_cannot_be_asked_leaves_the_run_as_it_is(server, start, sense):
    ids = start(FAILS)
    path = re.compile(rf"/threads/{ids['thread_id']}$")
    server.fault(Fault(status=500), method="GET", path=path, times=None)
    with pytest.raises(RunFailed, match=r"is 'failed', expected 'completed'\."):
        sense(ids)
