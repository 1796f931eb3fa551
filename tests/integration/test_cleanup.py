"""CleanupRunsOperator against a real server; each rule in the worker and deferred."""

from __future__ import annotations

import asyncio
import enum
import logging
import re
import time
from datetime import timedelta

import pytest

from airflow_provider_runs.airflow_errors import TaskDeferred
from airflow_provider_runs.backends import AssistantsBackend
from airflow_provider_runs.backends.wire import PAGE_SIZE
from airflow_provider_runs.errors import CancelRefused, RunsConfigError, RunsError, RunTimeout
from airflow_provider_runs.hooks import RunsHook
from airflow_provider_runs.operators import CleanupRunsOperator
from airflow_provider_runs.polling.report import Result
from airflow_provider_runs.polling.sweep import Sweep, sweep
from airflow_provider_runs.testing import Fault, RunScript
from tests.moments import once

INF = float("inf")


@pytest.fixture(params=[False, True], ids=["worker", "deferred"])
def clean(request, run_task):
    """Return a function that runs the operator for some threads to its end."""

    def clean(*thread_ids, **kwargs):
        defaults = {"poll_interval": 0.2, "timeout": 120, "deferrable": request.param}
        task = CleanupRunsOperator(task_id="sweep", thread_ids=thread_ids, **{**defaults, **kwargs})
        return {line["run_id"]: line for line in run_task(task)}

    return clean


@pytest.fixture
def thread(server):
    return server.create_thread()


def test_every_active_run_of_the_threads_is_cancelled_and_reported(server, clean):
    threads = [server.create_thread() for _ in range(2)]
    runs = [server.create_run(name)["id"] for name in threads for _ in range(3)]
    ended = server.create_run(threads[0])["id"]
    server.end(ended)
    report = clean(*threads)
    assert set(report) == set(runs)
    assert {line["result"] for line in report.values()} == {"cancelled"}
    assert {(line["before"], line["after"]) for line in report.values()} == {
        ("in_progress", "cancelled")
    }
    assert all(0 <= line["age"] < 60 for line in report.values())
    assert server.accepted_cancels() == 6


def test_a_dry_run_changes_nothing(server, clean, thread):
    run = server.create_run(thread)["id"]
    assert clean(thread, dry_run=True)[run]["result"] == "would cancel"
    assert {request.method for request in server.requests} == {"GET"}


def test_only_what_is_old_enough_is_cancelled(server, clean, thread):
    server.create_run(thread)
    assert clean(thread, older_than=timedelta(hours=1)) == {}
    time.sleep(1.1)
    assert len(clean(thread, older_than=1)) == 1


def test_a_run_of_unknown_age_is_left_alone_if_the_age_matters(server, clean, thread):
    page = {"data": [{"id": "run_1", "status": "queued"}]}
    server.fault(Fault(body=page), times=None)
    assert clean(thread, older_than=60)["run_1"]["result"] == "unknown age"


def test_a_run_from_the_future_is_of_no_age(server, clean, thread):
    later = time.time() + 3600
    page = {"data": [{"id": "run_1", "status": "queued", "created_at": later}]}
    server.fault(Fault(body=page), times=None)
    found = clean(thread, dry_run=True)["run_1"]
    assert (found["result"], found["age"]) == ("would cancel", 0)
    assert clean(thread, dry_run=True, older_than=60) == {}


def test_only_what_matches_is_cancelled(server, clean, thread):
    ours = server.create_run(thread, metadata={"team": "data", "n": "1"})["id"]
    server.create_run(thread, metadata={"team": "web"})
    server.create_run(thread, metadata=None)
    assert set(clean(thread, metadata={"team": "data"})) == {ours}
    assert clean(thread, statuses="requires_action") == {}


def test_one_bad_run_or_thread_stops_no_other_and_fails_the_task(server, clean, thread):
    stubborn = RunScript(queued_for=0, runs_for=INF, refuse_cancel=409)
    # One that ends in the answer to its cancel: a busy machine may have no time for a second look.
    willing = RunScript(queued_for=0, runs_for=INF, cancelling_for=0)
    good, bad = (server.create_run(thread, script)["id"] for script in (willing, stubborn))
    with pytest.raises(CancelRefused, match="1 of 2 runs could not be confirmed"):
        clean(thread, timeout=1.5)
    assert server.run(good)["status"] == "cancelled"
    report = clean(thread, timeout=1, on_error="warn")
    assert (report[bad]["result"], report[bad]["after"]) == ("refused", "in_progress")
    report = clean(thread, "thread_nope", statuses="queued", on_error="warn")
    assert report[None]["result"] == "error"
    assert "thread_nope" in report[None]["error"]


def test_a_run_that_is_not_final_in_time_is_unconfirmed(server, clean, thread):
    run = server.create_run(thread, RunScript(queued_for=0, cancelling_for=INF))["id"]
    with pytest.raises(RunTimeout, match="could not be confirmed"):
        clean(thread, timeout=1)
    report = clean(thread, timeout=1, on_error="warn")
    assert (report[run]["result"], report[run]["after"]) == ("unconfirmed", "cancelling")
    assert server.accepted_cancels() == 1


def test_a_run_that_ends_otherwise_is_no_failure(server, clean, thread):
    run = server.create_run(thread, RunScript(queued_for=0, cancel_ends="completed"))["id"]
    assert clean(thread)[run]["result"] == "ended"


def test_a_pause_that_the_server_asks_for_holds_up_all_requests(server, clean, thread):
    for _ in range(5):
        server.create_run(thread)
    server.fault(Fault(status=429, headers={"retry-after": "1"}), method="POST")
    clean(thread, max_concurrency=1)  # so that none is on its way when the first is refused
    requests = server.requests
    (refused,) = [number for number, request in enumerate(requests) if request.status == 429]
    later = [request.at - requests[refused].at for request in requests[refused + 1 :]]
    assert len(later) >= 5
    assert min(later) > 0.99


def test_runs_whose_cancels_are_refused_at_first_are_asked_for_again(server, clean, thread):
    for _ in range(20):
        server.create_run(thread)
    server.fault(Fault(status=409), method="POST", times=50)
    # A list that one of them asks for shows others that are about to ask again, not to look.
    report = clean(thread)
    assert [line["result"] for line in report.values()] == ["cancelled"] * 20
    assert server.accepted_cancels() == 20


def test_a_page_that_fails_keeps_no_run_of_another_page_from_being_cancelled(
    server, run_task, thread
):
    for _ in range(110):
        server.create_run(thread)
    last = server.run(server.create_run(thread)["id"])["id"]
    page = re.compile(f"/threads/{thread}/runs$")
    server.fault(Fault(), method="GET", path=page)  # the first page
    server.fault(Fault(status=400), method="GET", path=page)
    how = {"poll_interval": 0.2, "max_concurrency": 16, "on_error": "warn"}
    report = run_task(CleanupRunsOperator(task_id="sweep", thread_ids=thread, **how))
    results = [line["result"] for line in report]
    assert (results.count("cancelled"), results.count("error")) == (100, 1)
    assert report[-1]["thread_id"] == thread
    assert last in {line["run_id"] for line in report}


def test_a_hundred_runs_are_cancelled_and_waited_for_together(server, clean, thread):
    stuck = RunScript(queued_for=0, runs_for=INF, cancelling_for=INF)
    runs = [server.create_run(thread, stuck)["id"] for _ in range(100)]

    def end_all():
        for run in runs:
            server.end(run, "cancelled")

    with once(lambda: server.accepted_cancels() == 100, end_all):
        report = clean(thread, max_concurrency=16)
    assert {line["result"] for line in report.values()} == {"cancelled"}
    assert len(report) == server.accepted_cancels() == 100
    methods = [request.method for request in server.requests]
    assert methods[::-1].index("POST") < 100  # then come some lists, and not each run by itself


def test_an_unusable_connection_is_an_error(clean, connect):
    connect(host="ftp://x")
    with pytest.raises(RunsConfigError):
        clean("thread_1")


def test_a_run_that_is_deleted_meanwhile_runs_no_more(server, clean, thread):
    run = server.create_run(thread)["id"]
    gone = {"error": {"message": f"No run found with id '{run}'."}}
    server.fault(Fault(status=404, body=gone), path=run, times=None)
    assert clean(thread, missing_grace=0)[run]["result"] == "ended"


def test_a_connection_that_the_triggerer_cannot_read_is_reported(thread, monkeypatch):
    task = CleanupRunsOperator(task_id="sweep", thread_ids=thread, timeout=1, deferrable=True)
    with pytest.raises(TaskDeferred) as caught:
        task.execute({})
    monkeypatch.delenv("AIRFLOW_CONN_RUNS_DEFAULT")

    async def fire():
        (event,) = [event async for event in caught.value.trigger.run()]
        return event.payload

    with pytest.raises(RunsConfigError, match="no connection"):
        task.execute_complete({}, asyncio.run(fire()))


def test_no_thread_is_swept_twice_and_one_may_be_a_text(server, run_task, thread):
    server.create_run(thread)
    task = CleanupRunsOperator(task_id="sweep", thread_ids=[thread, thread], poll_interval=0.2)
    assert len(run_task(task)) == 1
    assert run_task(CleanupRunsOperator(task_id="again", thread_ids=thread)) == []


@pytest.mark.parametrize(
    "event",
    [
        None,
        {},
        {"version": 2},
        {"version": 1, "report": [{"run_id": "r"}]},
        {"version": 1, "error": 5},
    ],
)
def test_an_event_that_is_none_of_ours_fails_the_task(event):
    task = CleanupRunsOperator(task_id="sweep", thread_ids=["thread_1"])
    with pytest.raises(RunsError, match="cannot be understood"):
        task.execute_complete({}, event)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("statuses", ["completed"]),
        ("statuses", []),
        ("max_concurrency", 0),
        ("on_error", "ignore"),
        ("older_than", -5),
    ],
)
def test_a_senseless_parameter_is_an_error_in_the_dag_file(name, value):
    with pytest.raises(ValueError, match=name):
        CleanupRunsOperator(task_id="sweep", thread_ids=["thread_1"], **{name: value})


def test_a_thread_that_is_none_loses_no_report(server, clean, thread):
    run = server.create_run(thread)["id"]
    report = clean(thread, None, on_error="warn")
    assert report[run]["result"] == "cancelled"
    assert report[None]["result"] == "error"


class Choice(str, enum.Enum):  # noqa: UP042 - as older code has it, whose text differs
    """As a user may spell parameters: equal to the words, but its text is another."""

    FAIL = "fail"
    QUEUED = "queued"


def test_a_member_of_an_enum_is_taken_for_its_word():
    sweep = CleanupRunsOperator(
        task_id="t", thread_ids=["thread_1"], on_error=Choice.FAIL, statuses=[Choice.QUEUED]
    )
    assert (type(sweep.on_error), sweep.on_error) == (str, "fail")
    assert [(type(word), word) for word in sweep.statuses] == [(str, "queued")]
    with pytest.raises(ValueError, match="on_error must be one of 'fail', 'warn'"):
        CleanupRunsOperator(task_id="u", thread_ids=["thread_1"], on_error="FAIL")


class Odd(AssistantsBackend):
    """A backend with a fault of its own: no sweep may stop at it."""

    def list_runs(self, thread_id, cursor, limit=PAGE_SIZE):
        if thread_id == "thread_odd":
            raise TypeError("a list\nof nothing")
        return super().list_runs(thread_id, cursor, limit)

    def cancel(self, ref, action=None):
        if "odd" in self.odd:
            raise KeyError(ref.run_id)
        return super().cancel(ref, action)

    odd = ""


@pytest.mark.parametrize("deadline", [0, 20])
def test_a_sweep_survives_any_exception_of_one_thread_or_run(server, thread, deadline):
    runs = [server.create_run(thread)["id"] for _ in range(3)]
    backend = Odd(RunsHook().backend().settings)
    todo = Sweep(["thread_odd", thread], deadline=time.time() + deadline if deadline else None)

    def swept():
        return asyncio.run(sweep(backend, todo, logging.getLogger(__name__)))

    backend.odd = "odd"
    report = {line.run_id: line for line in swept()}
    assert report.keys() == {None, *runs}
    assert report[None].error == "TypeError: a list of nothing"
    assert all(line.result is Result.ERROR for line in report.values())
    assert all("KeyError" in report[run].error for run in runs)
    backend.odd = ""
    assert [line.result.is_failure for line in swept()] == [True, False, False, False]
