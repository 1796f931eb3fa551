"""The hook against a real server on loopback; each rule for both drivers."""

from __future__ import annotations

import asyncio
import time

import pytest

from airflow_provider_runs.errors import (
    RunNotFound,
    RunsAPIError,
    RunsAuthError,
    RunsConfigError,
    RunsResponseError,
    RunsTransportError,
    RunTimeout,
)
from airflow_provider_runs.flows.wait import Wait
from airflow_provider_runs.hooks import RunsHook
from airflow_provider_runs.models import Run, RunRef
from airflow_provider_runs.testing import Fault, RunScript, RunServer
from airflow_provider_runs.transport import clients


def test_a_run_is_fetched(server, call):
    run = server.create_run(model="gpt-test")
    fetched = call("get_run", run["id"], run["thread_id"])
    assert isinstance(fetched, Run)
    assert (fetched.id, fetched.status, fetched.model) == (run["id"], "in_progress", "gpt-test")


def test_a_cancel_may_be_repeated(server, call):
    run = server.create_run()
    statuses = [call("cancel_run", run["id"], run["thread_id"]).status for _ in range(3)]
    assert set(statuses) <= {"cancelling", "cancelled"}
    assert server.accepted_cancels() == 1


@pytest.mark.parametrize("end", ["completed", "failed", "expired", "incomplete", "cancelled"])
def test_a_cancel_of_a_final_run_returns_it(server, call, end):
    run = server.create_run()
    server.end(run["id"], end)
    assert call("cancel_run", run["id"], run["thread_id"]).status == end
    assert server.accepted_cancels() == 0


def test_a_wait_returns_the_final_run(server, call):
    run = server.create_run(script=RunScript(queued_for=0.1, runs_for=0.4, ends="failed"))
    ended = call("wait_for_run", run["id"], run["thread_id"], timeout=60, poll_interval=0.2)
    assert ended.status == "failed"
    assert ended.last_error.code == "server_error"


def test_a_wait_has_an_end(server, call):
    run = server.create_run()
    with pytest.raises(RunTimeout, match="while the run was 'in_progress'"):
        call("wait_for_run", run["id"], run["thread_id"], timeout=0.5, poll_interval=0.2)


def test_a_list_is_paged_as_it_is_read(server, call):
    thread = server.create_thread()
    runs = [server.create_run(thread)["id"] for _ in range(101)]
    assert [run.id for run in call("list_runs", thread)] == runs[::-1]
    assert len(server.requests) == 2


def test_only_the_pages_that_are_read_are_fetched(server):
    thread = server.create_thread()
    for _ in range(101):
        server.create_run(thread)
    with RunsHook() as hook:
        next(hook.list_runs(thread))
    assert len(server.requests) == 1


def test_what_is_missing_is_named(server, call):
    thread = server.create_thread()
    with pytest.raises(RunNotFound, match="run_nope"):
        call("get_run", "run_nope", thread)
    with pytest.raises(RunNotFound, match="thread_nope"):
        list(call("list_runs", "thread_nope"))


@pytest.mark.parametrize("run_id", ["", " ", "..", "a/b", "a?b", "a#b", "a\nb", "None", None])
def test_an_impossible_id_is_refused_before_any_request(server, call, run_id):
    with pytest.raises(RunsConfigError, match=r"run_id.*Nothing was sent"):
        call("get_run", run_id, server.create_thread())
    assert server.requests == []


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(drop=True), RunsTransportError),
        (Fault(cut=True), RunsTransportError),
        (Fault(body=b"<html>welcome"), RunsResponseError),
        (Fault(status=503), RunsAPIError),
        (Fault(status=401), RunsAuthError),
        (Fault(status=429, headers={"retry-after": "0"}), RunsAPIError),
    ],
)
def test_a_fault_is_outlived_once_and_named_twice(server, call, fault, error):
    run = server.create_run()
    if error is not RunsAuthError:
        server.fault(fault)
        assert call("get_run", run["id"], run["thread_id"]).id == run["id"]
    server.fault(fault, times=None)
    with pytest.raises(error, match=run["id"]):
        call("get_run", run["id"], run["thread_id"])


def test_a_cancel_whose_answer_is_lost_is_accepted_once(server, call):
    run = server.create_run()
    server.fault(Fault(drop=True, after_effect=True), method="POST")
    assert call("cancel_run", run["id"], run["thread_id"]).status in {"cancelling", "cancelled"}
    assert server.accepted_cancels() == 1


def test_a_slow_answer_is_cut_off(server, call, connect):
    connect(timeout=0.3, max_retries=0)
    run = server.create_run()
    server.fault(Fault(delay=3600))
    with pytest.raises(RunsTransportError, match="timed out"):
        call("get_run", run["id"], run["thread_id"])


def test_the_key_is_never_taken_along_by_a_redirect(server, call):
    run = server.create_run()
    with RunServer() as other:
        server.fault(Fault(status=307, headers={"location": other.url}), times=None)
        for name in ("get_run", "cancel_run"):
            with pytest.raises(RunsAPIError, match=other.url):
                call(name, run["id"], run["thread_id"])
        assert other.requests == []


def test_a_connection_made_by_uri_works_the_same(server, call, monkeypatch):
    uri = f"runs-assistants://:sk-x@127.0.0.1:{server.port}/v1?timeout=5&max_retries=2&verify=true"
    monkeypatch.setenv("AIRFLOW_CONN_RUNS_DEFAULT", uri)
    run = server.create_run()
    assert call("get_run", run["id"], run["thread_id"]).id == run["id"]


def test_the_key_may_go_in_its_own_header(server, call, connect):
    connect(key_header="api-key", organization="org_1", project="proj_1", api_version="v1")
    run = server.create_run()
    call("get_run", run["id"], run["thread_id"])
    (request,) = server.requests
    assert request.headers["api-key"] == "***"
    assert "authorization" not in request.headers
    assert request.headers["openai-organization"] == "org_1"
    assert request.headers["openai-project"] == "proj_1"
    assert request.query == {"api-version": "v1"}


#: Airflow 3.1 refuses such a connection itself.
NO_EXTRA = "not a JSON object|Airflow has no connection 'runs_default', or cannot read it"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "Airflow has no connection 'runs_default'"),
        ('{"conn_type": "http", "host": "x"}', "is of type 'http'; change it to"),
        ('{"conn_type": "runs_assistants", "extra": "[1]"}', NO_EXTRA),
        ('{"conn_type": "runs_assistants", "extra": "{oops"}', NO_EXTRA),
        ('{"conn_type": "runs_assistants", "extra": {"timeout": "long"}}', "field 'timeout'"),
        (
            '{"conn_type": "runs_assistants", "extra": {"timeuot": 3}}',
            "unknown extra fields: 'timeuot'",
        ),
        ('{"conn_type": "runs_assistants", "extra": {"ca_bundle": "/no/such"}}', "CA bundle"),
    ],
)
def test_a_connection_that_cannot_be_used_says_why(call, monkeypatch, value, words):
    if value is None:
        monkeypatch.delenv("AIRFLOW_CONN_RUNS_DEFAULT", raising=False)
    else:
        monkeypatch.setenv("AIRFLOW_CONN_RUNS_DEFAULT", value)
    with pytest.raises(RunsConfigError, match=words):
        call("get_run", "run_1", "thread_1")


@pytest.mark.usefixtures("server")
def test_the_hook_has_a_client_with_url_and_key():
    with RunsHook() as hook:
        http = hook.get_conn()
        assert http.get("/assistants").status_code == 200
        assert hook.get_conn() is http
    assert http.is_closed
    hook.close()  # once more does no harm
    assert hook.get_conn() is not http
    hook.close()


@pytest.mark.usefixtures("server")
def test_a_forgotten_hook_closes_its_client():
    hook = RunsHook()
    http = hook.get_conn()
    del hook
    assert http.is_closed


def test_a_list_that_turns_in_circles_ends(server, call):
    page = {"data": [{"id": "run_1", "status": "queued"}], "last_id": "run_1", "has_more": True}
    server.fault(Fault(body=page), times=None)
    runs = list(call("list_runs", server.create_thread()))
    assert [run.id for run in runs] == ["run_1"]


def test_a_hook_may_be_subclassed(server):
    class OwnHook(RunsHook):
        pass

    run = server.create_run()
    assert OwnHook().get_run(run["id"], run["thread_id"]).id == run["id"]


def test_a_list_whose_pages_lead_to_each_other_ends(server, call):
    def page(name, last):
        return {"data": [{"id": name, "status": "queued"}], "last_id": last, "has_more": True}

    server.fault(Fault(body=page("run_1", "run_2")), times=1)
    server.fault(Fault(body=page("run_2", "run_1")), times=1)
    server.fault(Fault(body=page("run_1", "run_2")), times=None)
    runs = list(call("list_runs", server.create_thread()))
    assert [run.id for run in runs] == ["run_1", "run_2"]


def test_an_async_block_keeps_one_client_for_its_calls(server):
    run = server.create_run()

    async def calls():
        async with RunsHook() as hook:
            (client,) = clients.shared_clients()
            for _ in range(3):
                await hook.aget_run(run["id"], run["thread_id"])
            assert clients.shared_clients() == [client]
        return client.is_closed

    assert asyncio.run(calls())


# -- a key that is refused, and the connection looked up again


@pytest.fixture
def guarded(monkeypatch):
    """A server that asks for a key, and a function that sets the connection's key."""
    with RunServer(api_key="sk-the-right-one") as server:

        def use(key):
            text = server.connection(max_retries=0).replace("sk-the-right-one", key)
            monkeypatch.setenv("AIRFLOW_CONN_RUNS_DEFAULT", text)

        server.use_key = use
        use("sk-an-old-one")
        yield server


def waits(hook, wait, driver):
    """Follow a run with a hook that has read its connection already."""
    if driver == "sync":
        hook.backend()
        return lambda: hook.follow(wait)

    async def follow():
        await hook.abackend()
        return await hook.afollow(wait)

    hook.backend()
    return lambda: asyncio.run(follow())


@pytest.fixture(params=["sync", "async"])
def follow(request, guarded):
    run = guarded.create_run(script=RunScript(queued_for=0, runs_for=0.5))
    now = time.time()
    wait = Wait(RunRef(run["id"], run["thread_id"]), now, now + 60, 0.3)
    return waits(RunsHook(), wait, request.param)


def test_a_new_key_in_the_connection_is_used_by_a_wait_that_goes_on(guarded, follow):
    guarded.use_key("sk-the-right-one")  # the hook has read the old one
    assert follow().status == "completed"
    statuses = [request.status for request in guarded.requests]
    assert statuses[0] == 401
    assert set(statuses[1:]) == {200}


def test_a_key_that_stays_as_it_was_is_refused(guarded, follow):
    with pytest.raises(RunsAuthError):
        follow()
    assert len(guarded.requests) == 1


def test_a_connection_that_cannot_be_read_again_is_used_as_it_was(
    follow, guarded, monkeypatch, capfd
):
    monkeypatch.delenv("AIRFLOW_CONN_RUNS_DEFAULT")
    with pytest.raises(RunsAuthError):
        follow()
    assert "The connection is used as it was read before" in "".join(capfd.readouterr())
    assert len(guarded.requests) == 1
