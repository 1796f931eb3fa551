"""What every backend must do, whatever its wire: a new one gets this suite by being in BACKENDS."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from dataclasses import replace
from itertools import islice

import pytest

from airflow_provider_runs.airflow_errors import TaskDeferred
from airflow_provider_runs.backends import BACKENDS, ResponsesBackend
from airflow_provider_runs.errors import (
    CancelRefused,
    RunNotFound,
    RunsAPIError,
    RunsAuthError,
    RunsConfigError,
    RunsResponseError,
    RunsTransportError,
    RunTimeout,
    StartLost,
)
from airflow_provider_runs.hooks import RunsHook
from airflow_provider_runs.operators import CancelRunOperator
from airflow_provider_runs.sensors import RunStatusSensor
from airflow_provider_runs.testing import Fault, RunScript, RunServer
from tests.moments import once

KEY = "sk-the-good-key"
LONG = RunScript(queued_for=0, runs_for=float("inf"), cancelling_for=0.3)
ACTIVE = {"queued", "in_progress", "cancelling"}


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.form.conn_type)
def kind(request):
    return request.param


@pytest.fixture
def server(kind, connect):
    """A server of the backend's own dialect; the connection leads to it."""
    dialect = kind.form.conn_type.removeprefix("runs_")
    with RunServer(dialect=dialect, api_key=KEY, script=LONG, thread_lock=False) as server:
        connect(server)
        yield server


@pytest.fixture
def connect(monkeypatch):
    """Return a function that makes the connection lead to a server, with changes."""

    def connect(server, **changes):
        fields = json.loads(server.connection(max_retries=1))
        text = json.dumps({**fields, **changes})
        monkeypatch.setenv("AIRFLOW_CONN_RUNS_DEFAULT", text)

    return connect


@pytest.fixture
def start(kind, server):
    """Return a function that starts a run and returns its id and its thread's."""

    def start(script=None, thread_id=None, **fields):
        where = {"thread_id": thread_id} if thread_id else {}
        run = server.create_run(script=script, **where, **fields)
        return run[kind.id_field], run.get("thread_id")

    return start


def by_key(kind):
    """What a connection needs beyond a password to use it as the key."""
    return {"credential": "api_key"} if "credential" in kind.form.fields else {}


def test_get(start, call):
    ids = start(metadata={"team": "data"})
    run = call("get_run", *ids)
    assert (run.id, run.thread_id) == ids
    assert run.status in ACTIVE
    assert not run.is_final
    assert run.metadata == {"team": "data"}
    assert abs(run.created_at - time.time()) < 60


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
def test_ends_are_told_apart(server, start, call, end):
    ids = start()
    server.end(ids[0], end)
    run = call("get_run", *ids)
    assert (run.status, run.is_final) == (end, True)
    assert call("wait_for_run", *ids, timeout=60).status == end


def test_cancel_and_wait(server, start, call):
    ids = start()
    asked = call("cancel_run", *ids)
    assert asked.id == ids[0]
    ended = call("wait_for_run", *ids, timeout=60, poll_interval=0.2)
    assert ended.status == "cancelled"
    assert server.status(ids[0]) == "cancelled"
    assert server.accepted_cancels(ids[0]) == 1


def test_cancel_twice(server, start, call):
    ids = start(RunScript(queued_for=0, cancelling_for=0))
    for _ in range(2):
        assert call("cancel_run", *ids).status == "cancelled"
    assert server.accepted_cancels(ids[0]) == 1


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
def test_cancel_when_final(server, start, call, end):
    ids = start()
    server.end(ids[0], end)
    assert call("cancel_run", *ids).status == end
    assert server.accepted_cancels() == 0


def test_cancel_and_get_when_missing(server, start, call):
    ids = start()
    server.delete(ids[0])
    for name in ("get_run", "cancel_run"):
        with pytest.raises(RunNotFound) as caught:
            call(name, *ids)
        assert (caught.value.run_id, caught.value.status_code) == (ids[0], 404)


def test_cancel_when_refused(start, call):
    ids = start(RunScript(queued_for=0, runs_for=float("inf"), refuse_cancel=409))
    with pytest.raises(CancelRefused) as caught:
        call("cancel_run", *ids)
    assert caught.value.run["status"] in ACTIVE
    assert "409" in caught.value.message
    assert ids[0] in caught.value.message


def test_wrong_key(server, start, call, connect):
    ids = start()
    connect(server, password="sk-a-wrong-one")
    for name in ("get_run", "cancel_run"):
        with pytest.raises(RunsAuthError) as caught:
            call(name, *ids)
        assert caught.value.status_code in {401, 403}
        assert "sk-a-wrong-one" not in str(caught.value.to_json())
    ok, words = call("test_connection")
    assert not ok
    assert "key" in words
    assert server.accepted_cancels() == 0


def test_the_connection_can_be_tested(server, call, connect):
    ok, words = call("test_connection")
    assert ok, words
    dead = "http://127.0.0.1:9/"
    connect(server, host=dead)
    ok, words = call("test_connection")
    assert not ok
    assert "reached" in words


def test_a_wrong_base_url_is_no_missing_run(server, start, call, connect):
    ids = start()
    connect(server, host=f"{server.url}/some/where/else")
    with pytest.raises(Exception, match="base URL") as caught:
        call("get_run", *ids)
    assert not isinstance(caught.value, RunNotFound)
    ok, words = call("test_connection")
    assert not ok
    assert "does not serve this API" in words


def test_an_unknown_status_is_not_final(start, call):
    ids = start(RunScript(timeline=[("dreaming", float("inf"))]))
    run = call("get_run", *ids)
    assert (run.status, run.raw_status, run.is_final) == ("dreaming", "dreaming", False)
    with pytest.raises(RunTimeout, match="'dreaming', which this provider does not know"):
        call("wait_for_run", *ids, timeout=0.5, poll_interval=0.1)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'{"id": "other"}', b'"\xff"'])
def test_an_empty_or_garbage_body_is_an_error_of_a_get(server, start, call, body):
    ids = start()
    server.fault(Fault(body=body), method="GET", times=None)
    with pytest.raises(RunsResponseError, match="cannot be understood"):
        call("get_run", *ids)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b"{}", b'"\xff"'])
def test_an_empty_or_garbage_body_is_no_error_of_a_cancel(server, start, call, body):
    ids = start(RunScript(queued_for=0, runs_for=float("inf"), cancelling_for=0))
    server.fault(Fault(body=body, after_effect=True), method="POST")
    assert call("cancel_run", *ids).id == ids[0]
    assert server.accepted_cancels(ids[0]) == 1


def test_an_answer_that_is_lost_does_not_cancel_twice(server, start, call):
    ids = start(RunScript(queued_for=0, runs_for=float("inf"), cancelling_for=0))
    server.fault(Fault(drop=True, after_effect=True), method="POST")
    assert call("cancel_run", *ids).id == ids[0]
    assert server.accepted_cancels(ids[0]) == 1


def test_list_and_paging(kind, server, start, call):
    if kind is ResponsesBackend:
        with pytest.raises(RunsConfigError, match="cannot list"):
            list(call("list_runs", "any"))
        return
    first, thread = start()
    ids = [first, *(start(thread_id=thread)[0] for _ in range(119))]
    start()
    runs = list(call("list_runs", thread))
    assert [run.id for run in runs] == ids[::-1]
    lists = [request for request in server.requests if request.path.endswith("/runs")]
    assert len(lists) == 2


def test_a_list_is_read_page_by_page(kind, server, start):
    if kind is ResponsesBackend:
        return  # it has no list
    from airflow_provider_runs.hooks import RunsHook

    _, thread = start()
    for _ in range(119):
        start(thread_id=thread)
    assert len(list(islice(RunsHook().list_runs(thread), 5))) == 5
    assert len([request for request in server.requests if request.path.endswith("/runs")]) == 1


def test_a_list_of_a_missing_thread(kind, server, start, call):
    if kind is ResponsesBackend:
        return  # it has no threads
    _, thread = start()
    server.delete_thread(thread)
    with pytest.raises(RunNotFound):
        list(call("list_runs", thread))


@pytest.mark.parametrize("deferrable", [False, True])
def test_the_operator_cancels_and_the_sensor_waits(server, start, run_task, ti, deferrable):
    ids = dict(zip(("run_id", "thread_id"), start(), strict=True))
    how = {"deferrable": deferrable, **ids}
    cancel = CancelRunOperator(task_id="cancel", poll_interval=0.2, **how)
    assert run_task(cancel, {"ti": ti})["status"] == "cancelled"
    how["expected_statuses"] = ("cancelled",)
    watch = RunStatusSensor(task_id="watch", poke_interval=0.2, timeout=60, **how)
    assert run_task(watch, {"ti": ti})["status"] == "cancelled"
    assert server.accepted_cancels(ids["run_id"]) == 1


def test_no_request_goes_without_the_key(server, start, call):
    ids = start()
    call("cancel_run", *ids)
    call("get_run", *ids)
    for request in server.requests:
        assert "***" in request.headers.values(), request
        assert KEY not in str(request)


def test_a_host_that_serves_another_api_says_so(kind, call, monkeypatch):
    other = "assistants" if kind is ResponsesBackend else "responses"
    with RunServer(dialect=other, api_key=KEY) as server:
        fields = json.loads(server.connection(**by_key(kind)))
        text = json.dumps({**fields, "conn_type": kind.form.conn_type})
        monkeypatch.setenv("AIRFLOW_CONN_RUNS_DEFAULT", text)
        ok, words = call("test_connection")
    assert not ok
    assert "does not serve this API" in words


# -- what the Test button says of servers that are odd, or of another kind -------------------------

#: What routers, gateways and clouds answer for a path that they do not have.
ROUTERS = {
    "FastAPI": Fault(status=404, body={"detail": "Not Found"}),
    "API Management": Fault(status=404, body={"statusCode": 404, "message": "Resource not found"}),
    "NestJS": Fault(status=404, body={"message": "Cannot GET /it", "error": "Not Found"}),
    "nginx": Fault(status=404, body=b"<html><h1>404 Not Found</h1></html>"),
    "Go": Fault(status=404, body=b"404 page not found"),
    "wrong method": Fault(status=405, body={"detail": "Method Not Allowed"}),
    "not implemented": Fault(status=501, body=b""),
}


def probe_path(kind):
    """The path of the call that tests a connection."""
    path = "/assistants/search" if kind.form.conn_type == "runs_langgraph" else "/assistants"
    return "/models" if kind is ResponsesBackend else path


@pytest.mark.parametrize("gateway", [*ROUTERS, "words of its own"])
def test_without_the_call_of_the_test_the_key_cannot_be_told(kind, server, call, gateway):
    own = Fault(status=404, body={"error": {"message": "Listing is switched off here"}})
    server.fault(ROUTERS.get(gateway, own), path=probe_path(kind), times=None)
    ok, words = call("test_connection")
    assert ok, words
    assert "serves runs" in words
    assert "cannot tell whether the key is valid" in words
    assert KEY not in words


def test_without_the_call_of_the_test_a_wrong_key_is_still_seen(kind, server, call, connect):
    server.fault(ROUTERS["FastAPI"], path=probe_path(kind), times=None)
    connect(server, password="sk-a-wrong-one")
    ok, words = call("test_connection")
    assert not ok
    assert "the key was refused" in words
    assert "sk-a-wrong-one" not in words


@pytest.mark.parametrize("gateway", ROUTERS)
def test_a_host_where_nothing_is_found_does_not_serve_this_api(server, call, gateway):
    server.fault(ROUTERS[gateway], times=None)
    ok, words = call("test_connection")
    assert not ok
    assert "does not serve this API" in words


def test_a_server_that_is_down_is_not_taken_for_another_api(kind, server, call):
    server.fault(ROUTERS["FastAPI"], path=probe_path(kind), times=None)
    server.fault(Fault(status=503, body={"error": {"message": "Overloaded"}}), times=None)
    ok, words = call("test_connection")
    assert not ok
    assert words.startswith("503")
    assert "does not serve" not in words


@pytest.mark.parametrize("status", [200, 404])
def test_a_web_page_is_no_api(server, call, status):
    # Such as Airflow's own UI, or the page of a proxy where people log in.
    page = Fault(status=status, body=b"<!DOCTYPE html><html><title>Airflow</title></html>")
    server.fault(page, times=None)
    ok, words = call("test_connection")
    assert not ok
    assert ("web page, not the API" if status == 200 else "does not serve this API") in words


def test_a_web_page_for_what_a_server_does_not_have_is_no_api(kind, server, call):
    server.fault(ROUTERS["wrong method"], path=probe_path(kind), times=None)
    server.fault(Fault(body=b"<!DOCTYPE html><html></html>"), times=None)
    ok, words = call("test_connection")
    assert not ok
    assert "web page, not the API" in words


@pytest.mark.parametrize(
    "body",
    [b'{"ok": true}', b'{"data": {}}', b"null", b"5", b'"ok"', b"", b'{"error": "No such method"}'],
)
def test_another_json_is_no_success(server, call, body):
    server.fault(Fault(body=body), times=None)
    ok, words = call("test_connection")
    assert not ok
    assert "cannot be understood" in words


# -- starting --------------------------------------------------------------------------------------

BODIES = {
    "runs_assistants": {"assistant_id": "asst_1"},
    "runs_foundry": {"assistant_id": "asst_1"},
    "runs_langgraph": {"assistant_id": "agent", "input": {}},
    "runs_responses": {"model": "gpt-4o", "input": "Hello"},
}
DONE = RunScript(queued_for=0, runs_for=0, answer="42")


@pytest.fixture
def body(kind):
    return BODIES[kind.form.conn_type]


@pytest.fixture
def where(kind, server):
    """A thread of the user's, where the API has threads."""
    has_threads = kind.form.conn_type != "runs_responses"
    return {"thread_id": server.create_thread()} if has_threads else {}


def start_path(kind):
    return "/responses" if kind is ResponsesBackend else "/runs"


def test_start(server, call, body, kind):
    run = call("start_run", {**body, "metadata": {"team": "data"}})
    assert run.status in ACTIVE
    assert server.started_runs() == [run.id]
    assert run.metadata.items() >= {"team": "data", "airflow_start": "1"}.items()
    assert (run.thread_id is None) is (kind is ResponsesBackend)
    assert call("get_run", run.id, run.thread_id).id == run.id


def test_start_on_a_thread(server, call, body, where):
    run = call("start_run", body, **where)
    assert run.thread_id == where.get("thread_id")
    assert server.started_runs() == [run.id]


@pytest.mark.parametrize("fault", [{"drop": True}, {"status": 503}, {"cut": True}])
def test_a_start_whose_answer_is_lost(server, call, body, kind, fault):
    """It starts no second run: it is found, or the caller is told that it may be out there."""
    lost = Fault(**fault, after_effect=True)
    server.fault(lost, method="POST", path=start_path(kind))
    if kind is ResponsesBackend:
        with pytest.raises(StartLost, match="may be out there"):
            call("start_run", body)
    else:
        assert [call("start_run", body).id] == server.started_runs()
    assert len(server.started_runs()) == 1


def test_a_start_that_never_arrives(server, call, body, connect):
    connect(server, host="http://127.0.0.1:9/v1")
    with pytest.raises(RunsTransportError, match="The host cannot be reached"):
        call("start_run", body)
    assert server.started_runs() == []


@pytest.mark.parametrize("status", [400, 401, 422, 429])
def test_a_start_that_is_refused(server, call, body, kind, status):
    refusal = {"error": {"message": "Not like this."}, "detail": "Not like this."}
    fault = Fault(status=status, body=refusal, headers={"x-request-id": "req_7"})
    server.fault(fault, method="POST", path=start_path(kind), times=None)
    with pytest.raises(RunsAPIError, match="Not like this") as caught:
        call("start_run", body)
    assert (caught.value.status_code, caught.value.request_id) == (status, "req_7")
    assert server.started_runs() == []


def test_starts_of_one_key(server, call, body, kind, where):
    """Where runs can be found, there is one at a time."""
    first = call("start_run", body, **where, key="k")
    second = call("start_run", body, **where, key="k")
    assert (second.id == first.id) is (kind is not ResponsesBackend)
    assert call("start_run", body, **where, key="another").id not in {first.id, second.id}
    server.end(second.id, "completed")
    third = call("start_run", body, **where, key="k")
    assert (third.id == second.id) is (kind is not ResponsesBackend)
    server.end(third.id, "failed")
    assert call("start_run", body, **where, key="k").id not in {first.id, second.id, third.id}


def test_output(server, call, body, kind):
    server.next_run(DONE)
    run = call("start_run", body)
    output = call("get_output", call("get_run", run.id, run.thread_id))
    assert "42" in json.dumps(output)
    assert json.loads(json.dumps(output)) == output
    shape = {"runs_langgraph": dict, "runs_responses": dict}
    assert type(output) is shape.get(kind.form.conn_type, list)


def test_the_output_is_that_of_the_run(server, call, body, where):
    """Another run has used the thread since."""
    runs = []
    for answer in ("first answer", "second answer"):
        server.next_run(replace(DONE, answer=answer))
        runs.append(call("start_run", body, **where))
    first, second = (json.dumps(call("get_output", run)) for run in runs)
    assert "first answer" in first
    assert "second answer" not in first
    assert "second answer" in second


def test_output_of_a_run_that_is_gone(server, call, body):
    server.next_run(DONE)
    run = call("start_run", body)
    server.delete(run.id)
    if run.thread_id:
        server.delete_thread(run.thread_id)
    with pytest.raises(RunNotFound):
        call("get_output", run.model_copy(update={"output": None}))


@pytest.mark.parametrize("answer", [b"", b"<html>", b"[7]", b"null", b'{"data": 7}'])
def test_an_output_that_is_none(server, call, body, answer):
    server.next_run(DONE)
    run = call("start_run", body).model_copy(update={"output": None})
    server.fault(Fault(body=answer), method="GET", times=None)
    server.fault(Fault(body=answer), method="POST", path="history", times=None)
    with pytest.raises(RunsResponseError):
        call("get_output", run)


def test_a_run_that_is_guarded(server, body):
    """It is cancelled when an exception ends the block, and left alone otherwise."""
    hook = RunsHook()
    with hook.run(body) as run:
        assert server.status(run.id) in ACTIVE
    assert server.accepted_cancels() == 0
    with pytest.raises(KeyError), hook.run(body) as run:
        raise KeyError(run.id)
    assert server.accepted_cancels(run.id) == 1
    assert len(server.started_runs()) == 2


def test_a_run_that_is_guarded_on_asyncio(server, body):
    async def work(error):
        async with RunsHook().arun(body) as run:
            if error:
                raise error
        return run

    run = asyncio.run(work(None))
    assert server.accepted_cancels() == 0
    with pytest.raises(KeyError):
        asyncio.run(work(KeyError("x")))
    assert server.accepted_cancels() == 1
    assert server.started_runs()[0] == run.id


def test_a_guarded_start_that_is_refused(server, kind, body):
    server.fault(Fault(status=400), method="POST", path=start_path(kind))
    with pytest.raises(RunsAPIError), RunsHook().run(body):
        raise AssertionError("the block must not begin")
    assert server.accepted_cancels() == 0


@pytest.mark.parametrize("error", [TaskDeferred(trigger=None, method_name="x")])
def test_a_guarded_run_goes_on_when_its_task_defers(server, body, error):
    async def work():
        async with RunsHook().arun(body):
            raise error

    with pytest.raises(TaskDeferred), RunsHook().run(body):
        raise error
    with pytest.raises(TaskDeferred):
        asyncio.run(work())
    assert server.accepted_cancels() == 0


@pytest.mark.parametrize("seconds", [0.5, 3], ids=["in time", "late"])
def test_sigterm_during_a_guarded_start_cancels_the_run(server, kind, body, seconds):
    """Whoever has set a handler before goes on after that, as Airflow's task runner does."""
    server.fault(Fault(delay=seconds), method="POST", path=start_path(kind))
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with (
            once(lambda: server.requests, lambda: os.kill(os.getpid(), signal.SIGTERM)),
            RunsHook().run(body) as run,
        ):
            assert server.accepted_cancels(run.id) == 1
    finally:
        signal.signal(signal.SIGTERM, before)
    assert server.accepted_cancels() == 1
