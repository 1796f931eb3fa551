"""What every backend makes of the answers of real servers and gateways: a verdict is the truth."""

from __future__ import annotations

import json
import time

import pytest

from airflow_provider_runs.backends import (
    BACKENDS,
    AssistantsBackend,
    LangGraphBackend,
    ResponsesBackend,
)
from airflow_provider_runs.errors import (
    CancelRefused,
    RunFailed,
    RunNotFound,
    RunsAPIError,
    RunsAuthError,
    RunsConfigError,
    RunsResponseError,
    RunTimeout,
)
from airflow_provider_runs.flows.wait import Wait
from airflow_provider_runs.hooks import RunsHook
from airflow_provider_runs.models import RunRef
from airflow_provider_runs.operators import CancelRunOperator, CleanupRunsOperator
from airflow_provider_runs.sensors import RunStatusSensor
from airflow_provider_runs.testing import Fault, Gateway, RunScript, RunServer
from airflow_provider_runs.testing.gateways import GARBAGE, NOT_FOUND
from tests.moments import once

INF = float("inf")
LONG = RunScript(queued_for=0, runs_for=INF, cancelling_for=0)
SHORT = RunScript(queued_for=0, runs_for=2.5)


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.form.conn_type)
def kind(request):
    return request.param


@pytest.fixture
def server(kind, monkeypatch):
    dialect = kind.form.conn_type.removeprefix("runs_")
    with RunServer(dialect=dialect, script=LONG, thread_lock=False) as server:
        monkeypatch.setenv("AIRFLOW_CONN_RUNS_DEFAULT", server.connection(max_retries=1))
        yield server


@pytest.fixture
def start(kind, server):
    """Return a function that starts a run and returns the names of its ids."""

    def start(script=None):
        run = server.create_run(script=script)
        return {"run_id": run[kind.id_field], "thread_id": run.get("thread_id")}

    return start


@pytest.fixture(params=[False, True], ids=["worker", "deferred"])
def deferrable(request):
    return request.param


@pytest.fixture
def watch(run_task, ti, deferrable):
    def watch(ids, **kwargs):
        defaults = {"poke_interval": 0.3, "timeout": 60, "deferrable": deferrable}
        task = RunStatusSensor(task_id="watch", **ids, **{**defaults, **kwargs})
        return run_task(task, {"ti": ti})

    return watch


@pytest.fixture
def cancel(run_task, deferrable):
    def cancel(ids, **kwargs):
        defaults = {"poll_interval": 0.3, "timeout": 60, "deferrable": deferrable}
        return run_task(CancelRunOperator(task_id="cancel", **ids, **{**defaults, **kwargs}))

    return cancel


def untouched(server):
    return server.accepted_cancels() == 0


# -- a 404


def test_a_new_run_that_its_server_does_not_know_yet_is_waited_for(server, start, watch):
    server.gateway = Gateway(missing_for=1.5)
    assert watch(start(SHORT), on_timeout="cancel")["status"] == "completed"
    assert untouched(server)


def test_a_run_that_is_not_known_now_and_then_is_waited_for(server, start, watch):
    server.gateway = Gateway(misses_every=2)
    assert watch(start(SHORT), on_timeout="cancel")["status"] == "completed"
    assert untouched(server)


def test_a_cancel_is_delivered_though_the_run_is_not_known_now_and_then(server, start, cancel):
    server.gateway = Gateway(misses_every=2)
    ids = start()
    assert cancel(ids)["status"] == "cancelled"
    assert server.accepted_cancels(ids["run_id"]) == 1


def test_a_new_run_that_its_server_does_not_know_yet_is_cancelled_without_a_wait_too(
    server, start, cancel
):
    server.gateway = Gateway(missing_for=1.5)
    ids = start()
    assert cancel(ids, wait_for_termination=False, on_missing="succeed")["id"] == ids["run_id"]
    assert server.accepted_cancels(ids["run_id"]) == 1


def test_a_cancel_through_the_hook_gives_a_missing_run_the_grace_that_it_is_told(
    kind, server, start, call
):
    if kind is not AssistantsBackend:
        return  # no matter of backends
    server.gateway = Gateway(missing_for=1.5)
    with pytest.raises(RunNotFound):
        call("cancel_run", *start().values())
    assert call("cancel_run", *start().values(), missing_grace=30).status == "cancelled"


def test_a_run_that_is_gone_is_missing_after_the_grace(server, start, watch, cancel):
    ids = start()
    server.delete(ids["run_id"])
    with pytest.raises(RunNotFound):
        watch(ids, missing_grace=1)
    assert cancel(ids, missing_grace=1, on_missing="succeed") is None


@pytest.mark.parametrize("name", NOT_FOUND)
def test_no_404_of_a_router_is_a_missing_run(server, start, call, name):
    ids = start()
    server.gateway = Gateway(forwards=False, not_found=name)
    for method in ("get_run", "cancel_run"):
        with pytest.raises(RunsAPIError, match="is the base URL of this API") as caught:
            call(method, *ids.values())
        assert type(caught.value) is RunsAPIError
    ok, words = call("test_connection")
    assert (ok, "does not serve this API" in words) == (False, True)


def test_a_wrong_base_url_is_an_error_whatever_on_missing_says(server, start, cancel):
    ids = start()
    server.gateway = Gateway(forwards=False)
    with pytest.raises(RunsAPIError, match="says nothing about the run"):
        cancel(ids, on_missing="succeed", missing_grace=0)
    assert server.status(ids["run_id"]) == "in_progress"


# -- a refused key


def test_a_key_that_is_refused_now_and_then_cancels_nothing(server, start, watch):
    server.gateway = Gateway(refuses_every=3)
    assert watch(start(SHORT), on_timeout="cancel")["status"] == "completed"
    assert untouched(server)


def test_a_key_that_never_worked_is_refused_at_once(server, start, watch):
    server.gateway = Gateway(refuses_every=1)
    with pytest.raises(RunsAuthError):
        watch(start(), on_timeout="cancel")
    assert [request.method for request in server.requests] == ["GET"]


# -- a cancel


@pytest.mark.parametrize("status", [500, 501, 503, 408, 429, 404, 400])
def test_an_error_to_a_cancel_that_took_effect_is_none(server, start, cancel, call, status):
    server.gateway = Gateway(cancel_status=status)
    ids = start()
    assert cancel(ids)["status"] == "cancelled"
    other = start()
    assert call("cancel_run", *other.values()).status == "cancelled"
    assert server.accepted_cancels() == 2


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_accepts_no_cancel(server, start, cancel, name):
    ids = start()
    if name == "nothing" and server.dialect.name == "langgraph":
        return  # that is what it answers
    server.fault(Fault(body=GARBAGE[name]), method="POST", times=2)  # without any effect
    assert cancel(ids)["status"] == "cancelled"
    assert server.accepted_cancels(ids["run_id"]) == 1
    assert [request.method for request in server.requests][:4] == ["POST", "GET"] * 2


def test_garbage_accepts_no_cancel_without_a_wait_either(server, start, cancel):
    ids = start()
    server.fault(Fault(body=b"<html>Sign in"), method="POST", times=None)
    with pytest.raises(RunsResponseError, match="a web page, not the API"):
        cancel(ids, wait_for_termination=False)
    assert server.status(ids["run_id"]) == "in_progress"


def test_a_cancel_that_was_accepted_and_lost_is_sent_again(server, start):
    server.gateway = Gateway(loses_cancels=1)
    ids = start()
    hook = RunsHook()
    asked = hook.cancel_run(*ids.values())  # lost
    assert (asked.status, server.status(ids["run_id"])) == ("in_progress", "in_progress")
    now = time.time()
    wait = Wait(
        RunRef(*ids.values()), now - 31, now + 60, 0.3, cancel=True, asked_at=now - 31, asks=1
    )
    assert hook.follow(wait).status == "cancelled"
    assert server.accepted_cancels(ids["run_id"]) == 1


def test_a_server_that_stays_silent_about_a_lost_cancel_ends_in_a_timeout(server, start, cancel):
    server.gateway = Gateway(loses_cancels=99)
    with pytest.raises(RunTimeout, match=r"The cancel was requested once at .* and accepted"):
        cancel(start(), timeout=2)


def test_a_server_without_a_cancel_call_is_named_so(server, start, cancel, call):
    server.gateway = Gateway(cancel_route=False)
    ids = start()
    for act in (lambda: cancel(ids), lambda: call("cancel_run", *ids.values())):
        with pytest.raises(CancelRefused, match="serves runs but has no cancel call"):
            act()
    assert server.status(ids["run_id"]) == "in_progress"


# -- answers that are odd otherwise


def test_a_web_page_in_place_of_the_api_is_named_at_the_first_looks(server, start):
    ids = start()
    server.gateway = Gateway(look_body="page")
    with pytest.raises(RunsResponseError, match="it is a web page, not the API"):
        RunsHook().wait_for_run(*ids.values(), timeout=60, poll_interval=0.5)


def test_another_id_for_the_same_object_is_no_matter(kind, server, start, watch, cancel):
    if kind is not ResponsesBackend:
        return  # only this API's answers say of what type they are
    server.gateway = Gateway(other_ids=True)
    ids = start(SHORT)
    assert watch(ids)["id"] == ids["run_id"]
    ids = start()
    ended = cancel(ids)
    assert (ended["id"], ended["status"]) == (ids["run_id"], "cancelled")


def test_a_run_that_asks_a_person_is_no_cancelled_one(kind, server, start, watch, call):
    if kind is not LangGraphBackend:
        return  # other APIs say so in the run itself
    ids = start(RunScript(queued_for=0, runs_for=0.5, ends="requires_action"))
    with pytest.raises(RunFailed, match="On this API a resume is a new run"):
        watch(ids)
    with pytest.raises(RunFailed, match="waits for a person"):
        call("wait_for_run", *ids.values(), timeout=60, poll_interval=0.3)
    asks = watch(ids, on_requires_action="succeed")
    assert (asks["status"], asks["raw_status"]) == ("requires_action", "interrupted")
    assert asks["required_action"]["interrupts"][0]["value"]
    assert untouched(server)


def test_busy_threads_that_cannot_all_be_listed_keep_no_other_from_being_swept(
    kind, server, run_task, deferrable
):
    if kind is not LangGraphBackend:
        return  # no other API lists busy threads
    for _ in range(101):
        server.create_run()
    server.fault(Fault(), path="/threads/search")  # the first page
    server.fault(Fault(status=400), path="/threads/search")
    how = {"poll_interval": 0.3, "on_error": "warn", "deferrable": deferrable}
    task = CleanupRunsOperator(task_id="clean", all_threads=True, max_concurrency=16, **how)
    results = [line["result"] for line in run_task(task)]
    assert (results.count("cancelled"), results.count("error")) == (100, 1)
    server.fault(Fault(status=400), path="/threads/search")
    with pytest.raises(RunsAPIError):  # nothing is known
        run_task(task)


def test_one_odd_record_hides_no_other_run(kind, server, start, run_task, call, deferrable):
    if kind is ResponsesBackend:
        return  # it has no lists
    server.gateway = Gateway(odd_records=True)
    ids = start()
    assert [run.id for run in call("list_runs", ids["thread_id"])] == [ids["run_id"]]
    how = {"poll_interval": 0.3, "on_error": "warn", "deferrable": deferrable}
    task = CleanupRunsOperator(task_id="clean", thread_ids=ids["thread_id"], **how)
    report = run_task(task)
    assert sorted(line["result"] for line in report) == ["cancelled", *["error"] * 4]
    assert "cannot be read" in report[-1]["error"]


WORDS = {
    "completed": "Succeeded",
    "success": "SUCCEEDED",
    "cancelled": "canceled",
    "interrupted": "Canceled",
}


def test_usual_spellings_of_a_status_are_understood(server, start, watch, cancel):
    server.gateway = Gateway(status_words=WORDS)
    assert watch(start(SHORT))["raw_status"] in {"Succeeded", "SUCCEEDED"}
    assert cancel(start())["status"] == "cancelled"


@pytest.mark.parametrize("flat", [False, True])
def test_a_missing_run_is_known_in_flat_errors_too(server, start, call, flat):
    ids = start()
    server.gateway = Gateway(flat_errors=flat)
    server.delete(ids["run_id"])
    with pytest.raises(RunNotFound):
        call("get_run", *ids.values())


def test_a_missing_probe_is_no_missing_api(server, call):
    server.gateway = Gateway(probe_route=False)
    ok, words = call("test_connection")
    assert ok
    assert "it serves runs. This test cannot tell whether the key is valid" in words


@pytest.mark.parametrize("body", [b"<html>Airflow</html>", b'{"detail": "hello"}', b'"ok"'])
def test_a_server_that_is_not_the_api_is_no_success_of_a_test(server, call, body):
    server.fault(Fault(body=body), times=None)
    ok, words = call("test_connection")
    assert not ok
    assert ("a web page, not the API" in words) is body.startswith(b"<")


# -- a connection that cannot be read


def test_a_connection_that_is_not_found_for_a_while_is_looked_up_again(
    kind, server, start, watch, monkeypatch
):
    if kind is not AssistantsBackend:
        return  # no matter of backends
    ids = start(SHORT)
    text = server.connection()
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", text)
    monkeypatch.delenv("AIRFLOW_CONN_OTHER")
    begun = time.monotonic()
    with once(
        lambda: time.monotonic() - begun > 1,
        lambda: monkeypatch.setenv("AIRFLOW_CONN_OTHER", text),
    ):
        assert watch({**ids, "conn_id": "other"}, on_timeout="cancel")["status"] == "completed"
    assert untouched(server)


def test_a_connection_that_stays_unknown_fails_the_task_and_cancels_nothing(
    kind, server, start, watch, cancel
):
    if kind is not AssistantsBackend:
        return
    ids = {**start(), "conn_id": "nowhere"}
    for act in (watch, cancel):
        with pytest.raises(RunsConfigError, match="no connection 'nowhere'"):
            act(ids, timeout=1)
    assert server.requests == []


def test_a_connection_with_a_wrong_field_is_not_looked_up_again(server, start, watch, monkeypatch):
    fields = json.loads(server.connection())
    monkeypatch.setenv("AIRFLOW_CONN_RUNS_DEFAULT", json.dumps({**fields, "host": "ftp://x"}))
    begun = time.monotonic()
    with pytest.raises(RunsConfigError):
        watch(start())
    assert time.monotonic() - begun < 3  # the pause between two lookups
