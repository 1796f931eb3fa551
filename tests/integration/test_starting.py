"""StartRunOperator against the run server: each rule in the worker and deferred, on each API."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pkgutil import resolve_name

import pytest

from airflow_provider_runs.airflow_errors import (
    AirflowFailException,
    AirflowTaskTimeout,
    TaskDeferred,
)
from airflow_provider_runs.backends import BACKENDS
from airflow_provider_runs.errors import (
    RunFailed,
    RunsAPIError,
    RunsConfigError,
    RunsError,
    RunTimeout,
    StartLost,
)
from airflow_provider_runs.hooks import RunsHook
from airflow_provider_runs.tasks.events import RunEvent
from airflow_provider_runs.testing import Fault, Responses, RunScript, RunServer
from tests.integration.conftest import run_trigger
from tests.integration.starting import KEY, Instance, Store
from tests.moments import auntil, once

INF = float("inf")
BODIES = {
    "assistants": {"assistant_id": "asst_1"},
    "foundry": {"assistant_id": "asst_1"},
    "langgraph": {"assistant_id": "agent", "input": {}},
    "responses": {"model": "gpt-4o", "input": "Hello"},
}
SOON = RunScript(queued_for=0, runs_for=0.2, cancelling_for=0.1, answer="42")
LONG = RunScript(queued_for=0, runs_for=INF, cancelling_for=0.1)
OLD = {"airflow_key": KEY, "airflow_start": "1", "airflow_try": "1"}


@pytest.fixture(params=[False, True], ids=["worker", "deferred"])
def deferrable(request):
    return request.param


@pytest.fixture(params=[kind.form.conn_type.removeprefix("runs_") for kind in BACKENDS])
def dialect(request):
    return request.param


@pytest.fixture
def server(dialect, monkeypatch):
    with RunServer(dialect=dialect, script=SOON, thread_lock=False) as server:
        monkeypatch.setenv("AIRFLOW_CONN_RUNS_DEFAULT", server.connection(max_retries=1))
        yield server


@pytest.fixture
def instance(dialect, deferrable, server):  # noqa: ARG001 - the server is there first
    return Instance(Store(), body=BODIES[dialect], deferrable=deferrable)


def on(*names):
    """Restrict a test to some dialects."""
    return pytest.mark.parametrize("dialect", names, indirect=True)


def starts(server):
    """The ids of the runs that were started, and how many cancels the server accepted."""
    return server.started_runs(KEY), server.accepted_cancels()


def text_of(dialect, output):
    """The text that a run has put out, dug out of what the API gives."""
    match dialect:
        case "responses":
            return output["output_text"]
        case "langgraph":
            return output["messages"][-1]["content"]
    return output[-1]["content"][0]["text"]["value"]


def test_it_returns_the_run_and_what_it_has_made(dialect, server, instance):
    result = instance.attempt()
    assert result["status"] == "completed"
    assert text_of(dialect, result["output"]) == "42"
    assert json.loads(json.dumps(result)) == result
    assert starts(server) == ([result["id"]], 0)
    assert instance.xcoms["run_id"] == result["id"]
    assert instance.xcoms.get("thread_id") == result["thread_id"]
    assert not {"instructions", "tools", "input", "kwargs"} & result.keys()


@pytest.mark.parametrize("xcom", ["run", "summary"])
def test_the_output_may_be_left_out(instance, xcom):
    assert "output" not in instance.attempt(output=False, xcom=xcom)
    assert "output" in instance.attempt(xcom=xcom)


@on("assistants", "responses")
def test_the_tokens_are_told(instance):
    assert instance.attempt()["usage"]["total_tokens"] == 579
    assert instance.xcoms["usage"]["total_tokens"] == 579


def test_without_waiting_it_returns_at_once(server, instance):
    server.next_run(LONG)
    result = instance.attempt(wait_for_termination=False)
    assert server.status(result["id"]) == "in_progress"
    assert "output" not in result
    assert instance.xcoms["run_id"] == result["id"]


@on("assistants", "langgraph")
def test_a_link_leads_to_the_run(server, instance, monkeypatch):
    connection = server.connection(console_url="https://console.test/{thread_id}/{run_id}")
    monkeypatch.setenv("AIRFLOW_CONN_RUNS_DEFAULT", connection)
    result = instance.attempt()
    assert instance.xcoms["run_link"] == (
        f"https://console.test/{result['thread_id']}/{result['id']}"
    )


def test_map_indexes_have_runs_of_their_own(dialect, server, deferrable):
    for index in range(3):
        Instance(Store(), body=BODIES[dialect], map_index=index, deferrable=deferrable).attempt()
    assert [len(server.started_runs(f"{KEY}[{index}]")) for index in range(3)] == [1, 1, 1]


@on("langgraph")
def test_two_hundred_map_indexes_start_two_hundred_runs(server):
    """All of them deferred, in one event loop, as in a triggerer."""
    body = BODIES["langgraph"]
    instances = [
        Instance(Store(), body=body, map_index=index, deferrable=True) for index in range(200)
    ]

    def begin(instance):
        instance.try_number += 1
        with pytest.raises(TaskDeferred) as caught:
            instance.new_task(output=False).execute(instance.context)
        return caught.value

    async def wait_for_all(deferred):
        async def event_of(each):
            path, kwargs = each.trigger.serialize()
            return (await anext(resolve_name(path)(**kwargs).run())).payload

        return await asyncio.gather(*map(event_of, deferred))

    with ThreadPoolExecutor(8) as pool:
        deferred = list(pool.map(begin, instances))
    events = asyncio.run(wait_for_all(deferred))
    results = [
        instance.resume(each, event, output=False)
        for instance, each, event in zip(instances, deferred, events, strict=True)
    ]
    assert {result["status"] for result in results} == {"completed"}
    assert len({result["id"] for result in results}) == len(server.started_runs()) == 200
    assert [len(server.started_runs(f"{KEY}[{index}]")) for index in range(200)] == [1] * 200


# -- ways to end -----------------------------------------------------------------------------------


def test_another_end_is_an_error_that_airflow_retries_with_another_run(server, instance):
    server.next_run(RunScript(queued_for=0, runs_for=0.1, ends="failed"))
    with pytest.raises(RunFailed, match="is 'failed', expected 'completed'") as caught:
        instance.attempt()
    assert not isinstance(caught.value, AirflowFailException)
    assert instance.attempt()["status"] == "completed"
    runs, cancels = starts(server)
    assert (len(runs), cancels) == (2, 0)


def test_a_timeout_cancels_the_run(server, instance):
    server.next_run(LONG)
    with pytest.raises(RunTimeout, match="it was then cancelled and ended 'cancelled'") as caught:
        instance.attempt(timeout=0.5)
    assert not isinstance(caught.value, AirflowFailException)
    assert starts(server)[1] == 1


def test_execution_timeout_is_folded_in(server, instance):
    server.next_run(LONG)
    with pytest.raises(RunTimeout):
        instance.attempt(execution_timeout=timedelta(seconds=0.6))
    assert starts(server)[1] == 1


def test_on_timeout_fail_leaves_it_alone_and_a_retry_goes_on_with_it(server, instance):
    server.next_run(RunScript(queued_for=0, runs_for=3))
    with pytest.raises(RunTimeout):
        instance.attempt(timeout=0.3, on_timeout="fail")
    result = instance.attempt(on_timeout="fail")
    assert starts(server) == ([result["id"]], 0)


def test_a_saved_answer_is_no_timeout(server, instance):
    """The run completes while it is being cancelled."""
    server.next_run(RunScript(queued_for=0, runs_for=INF, cancel_ends="completed"))
    assert instance.attempt(timeout=0.5)["status"] == "completed"


@on("assistants", "langgraph")
@pytest.mark.parametrize("choice", ["fail", "succeed"])
def test_a_run_that_waits_for_its_caller(server, instance, choice):
    server.next_run(RunScript(queued_for=0, runs_for=0.1, ends="requires_action"))
    if choice == "succeed":
        assert instance.attempt(on_requires_action=choice)["status"] == "requires_action"
        return
    with pytest.raises(RunFailed, match="requires_action"):
        instance.attempt(on_requires_action=choice)
    assert server.status(starts(server)[0][0]) in {"cancelled", "requires_action"}


def test_whatever_fails_while_the_run_is_active_cancels_it(server, instance):
    """Here the XCom cannot be stored; nothing of ours is to blame."""
    server.next_run(LONG)

    def push(key, value):
        if key == "run_id":
            raise ConnectionError(f"Airflow's API server is away: {value} is not stored")

    instance.xcom_push = push
    with pytest.raises(ConnectionError):
        instance.attempt()
    runs, cancels = starts(server)
    assert (len(runs), cancels, server.status(runs[0])) == (1, 1, "cancelled")


def test_a_note_that_cannot_be_stored_starts_nothing(server, instance):
    instance.store.set = instance.store.get = lambda *_: 1 / 0
    with pytest.raises(RunsError, match="could start a second run"):
        instance.attempt()
    assert starts(server) == ([], 0)


@on("assistants")
def test_a_deferral_that_airflow_ends_cancels_the_run(server, instance):
    server.next_run(LONG)
    instance.try_number += 1
    with pytest.raises(TaskDeferred):
        instance.new_task(deferrable=True).execute(instance.context)
    task = instance.new_task(deferrable=True)
    with pytest.raises(RunTimeout, match="it was then cancelled"):
        task.resume_execution("__fail__", {"error": "Trigger timeout"}, instance.context)
    assert starts(server)[1] == 1


@pytest.mark.parametrize("error", [AirflowTaskTimeout("timed out"), KeyboardInterrupt()])
def test_a_task_that_is_interrupted_during_the_start_cancels_the_run(dialect, server, error):
    """The answer comes after the interruption, and is awaited."""
    server.next_run(LONG)
    server.fault(Fault(delay=1), method="POST", path=_start_path(dialect))
    instance = Instance(Store(), body=BODIES[dialect])

    def interrupt(*_):
        raise error

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with (
            once(lambda: _is_starting(server, dialect), lambda: _signal(signal.SIGUSR1)),
            pytest.raises(type(error)),
        ):
            instance.attempt()
    finally:
        signal.signal(signal.SIGUSR1, before)
    runs, cancels = starts(server)
    assert (len(runs), cancels) == (1, 1)


def test_a_kill_during_the_start_cancels_the_run(dialect, server):
    server.next_run(LONG)
    server.fault(Fault(delay=0.5), method="POST", path=_start_path(dialect))
    instance = Instance(Store(), body=BODIES[dialect])
    before = signal.signal(signal.SIGUSR1, lambda *_: instance.task.on_kill())
    try:
        with (
            once(lambda: _is_starting(server, dialect), lambda: _signal(signal.SIGUSR1)),
            pytest.raises(RunsError, match="The task was killed"),
        ):
            instance.attempt()
    finally:
        signal.signal(signal.SIGUSR1, before)
    runs, cancels = starts(server)
    assert (len(runs), cancels) == (1, 1)


def test_a_kill_whose_start_is_not_answered_searches_for_the_run(dialect, server):
    """The server has it, and its answer comes too late: Airflow ends the process after 5 s."""
    server.next_run(LONG)
    late = Fault(delay=5, after_effect=True)
    server.fault(late, method="POST", path=_start_path(dialect))
    instance = Instance(Store(), body=BODIES[dialect])
    cancels = []

    def kill(*_):
        instance.task.on_kill()
        cancels.append(server.accepted_cancels())

    before = signal.signal(signal.SIGUSR1, kill)
    try:
        with (
            once(server.started_runs, lambda: _signal(signal.SIGUSR1)),
            pytest.raises(RunsError, match="The task was killed"),
        ):
            instance.attempt()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert cancels == [0 if dialect == "responses" else 1]  # which cannot be searched
    assert starts(server)[1] == 1


@on("assistants")
def test_a_kill_whose_cancel_fails_leaves_it_to_the_end_of_the_task(dialect, server):
    """Not every SIGTERM is followed by SIGKILL."""
    server.next_run(LONG)
    server.fault(Fault(status=403), path="/cancel", times=None)
    instance = Instance(Store(), body=BODIES[dialect])

    def kill(*_):
        instance.task.on_kill()
        server.clear_faults()

    before = signal.signal(signal.SIGUSR1, kill)
    try:
        with (
            once(lambda: "run_id" in instance.xcoms, lambda: _signal(signal.SIGUSR1)),
            pytest.raises(RunTimeout, match="it was then cancelled"),
        ):
            instance.attempt(timeout=2)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert starts(server)[1] == 1


@on("responses")
def test_any_exception_ends_the_run(dialect, server):
    """Airflow has exceptions of its own that are no `Exception`."""

    class Terminated(BaseException):
        pass

    server.next_run(LONG)
    instance = Instance(Store(), body=BODIES[dialect])

    def end(*_):
        raise Terminated

    before = signal.signal(signal.SIGUSR1, end)
    try:
        with (
            once(lambda: "run_id" in instance.xcoms, lambda: _signal(signal.SIGUSR1)),
            pytest.raises(Terminated),
        ):
            instance.attempt()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert starts(server)[1] == 1


@on("assistants", "langgraph")
def test_a_kill_while_a_retry_looks_for_the_run_cancels_it(dialect, server):
    server.next_run(LONG)
    instance = Instance(Store(), body=BODIES[dialect])
    first = _die_while_waiting(instance)
    server.fault(Fault(delay=0.5), method="GET", path=first)
    asked = len(server.requests)
    before = signal.signal(signal.SIGUSR1, lambda *_: instance.task.on_kill())
    try:
        with (
            once(lambda: len(server.requests) > asked, lambda: _signal(signal.SIGUSR1)),
            pytest.raises(RunsError, match="The task was killed"),
        ):
            instance.attempt()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert starts(server) == ([first], 1)


@pytest.mark.parametrize("cancel_on_kill", [True, False])
def test_a_kill_while_it_waits(server, dialect, cancel_on_kill):
    server.next_run(LONG if cancel_on_kill else RunScript(queued_for=0, runs_for=1.5))
    instance = Instance(Store(), body=BODIES[dialect], cancel_on_kill=cancel_on_kill)
    before = signal.signal(signal.SIGUSR1, lambda *_: instance.task.on_kill())
    try:
        with once(lambda: "run_id" in instance.xcoms, lambda: _signal(signal.SIGUSR1)):
            if cancel_on_kill:
                with pytest.raises(RunsError, match="The task was killed"):
                    instance.attempt()
            else:
                assert instance.attempt()["status"] == "completed"
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert starts(server)[1] == int(cancel_on_kill)


def _signal(number):
    signal.pthread_kill(threading.main_thread().ident, number)


def _start_path(dialect):
    return "/responses" if dialect == "responses" else "/runs"


def _is_starting(server, dialect):
    path = _start_path(dialect)
    return any(r.method == "POST" and r.path.endswith(path) for r in server.requests)


# -- the next try ----------------------------------------------------------------------------------


@pytest.mark.parametrize("script", [SOON, RunScript(queued_for=0, runs_for=2)], ids=["done", "on"])
def test_a_retry_goes_on_with_the_run(server, instance, script):
    server.next_run(script)
    first = _die_while_waiting(instance)
    result = instance.attempt()
    assert (result["id"], result["status"]) == (first, "completed")
    assert starts(server) == ([first], 0)
    assert instance.xcoms["run_id"] == first


def _die_while_waiting(instance):
    """Let a try start its run, and die without a word; return the run's id."""
    instance.attempt(wait_for_termination=False)
    return instance.xcoms["run_id"]


@pytest.mark.parametrize("end", ["failed", "cancelled", "expired"])
def test_a_retry_after_another_end_starts_anew(server, instance, end):
    server.next_run(LONG)
    first = _die_while_waiting(instance)
    server.end(first, end)
    assert instance.attempt()["id"] != first
    assert len(starts(server)[0]) == 2


@on("assistants", "foundry")
def test_a_run_that_is_being_cancelled_is_not_gone_on_with(server, instance):
    server.next_run(RunScript(queued_for=0, runs_for=INF, cancelling_for=1))
    first = _die_while_waiting(instance)
    RunsHook().cancel_run(first, instance.xcoms["thread_id"])
    assert instance.attempt()["id"] != first
    assert starts(server)[1] == 1


def test_a_run_that_is_gone_is_followed_by_another(server, instance):
    first = _die_while_waiting(instance)
    server.delete(first)
    assert instance.attempt(missing_grace=0)["id"] != first


def test_clearing_a_task_that_is_done_starts_anew(server, instance):
    first = instance.attempt()["id"]
    instance.clear()
    second = instance.attempt()["id"]
    assert second != first
    assert instance.attempt()["id"] == second  # a retry of the cleared task
    assert starts(server) == ([first, second], 0)


def test_clearing_goes_on_with_a_run_that_is_active(server, instance):
    """It was left alone by a worker that died; nobody has cancelled it."""
    server.next_run(RunScript(queued_for=0, runs_for=2))
    first = _die_while_waiting(instance)
    instance.clear()
    assert instance.attempt()["id"] == first
    assert starts(server)[1] == 0


@pytest.mark.parametrize("deferrable", [True], indirect=True)
@pytest.mark.parametrize("cancel_on_kill", [True, False])
def test_clearing_a_task_that_waits_deferred_ends_its_run(server, instance, cancel_on_kill):
    """Its trigger is about to cancel the run, and may be slower than the next try."""
    server.next_run(LONG if cancel_on_kill else RunScript(queued_for=0, runs_for=2))
    instance.try_number += 1
    with pytest.raises(TaskDeferred):
        instance.new_task(cancel_on_kill=cancel_on_kill).execute(instance.context)
    first = instance.xcoms["run_id"]
    instance.clear()
    result = instance.attempt(cancel_on_kill=cancel_on_kill)
    assert (result["id"] != first) is cancel_on_kill
    assert starts(server)[1] == int(cancel_on_kill)


@pytest.mark.parametrize("deferrable", [True], indirect=True)
def test_a_run_that_was_left_alone_after_a_deferral_is_gone_on_with(server, instance):
    """No trigger is about to cancel it: the task has ended, and left it alone on purpose."""
    server.next_run(RunScript(queued_for=0, runs_for=3))
    with pytest.raises(RunTimeout):
        instance.attempt(timeout=0.5, on_timeout="fail")
    first = instance.xcoms["run_id"]
    instance.clear()
    assert instance.attempt(on_timeout="fail")["id"] == first
    assert starts(server) == ([first], 0)


def test_fewer_retries_in_the_dag_file_are_no_clear(server, instance):
    first = _die_while_waiting(instance)
    instance.retries = 2  # max_tries stays what it was
    assert instance.attempt()["id"] == first
    instance.clear()
    assert instance.attempt()["id"] != first
    assert len(starts(server)[0]) == 2


@pytest.mark.parametrize("choice", ["fail", "cancel"])
def test_a_run_of_a_connection_that_is_gone(server, instance, monkeypatch, choice):
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", server.connection(max_retries=1))
    instance.attempt(conn_id="other", wait_for_termination=False)
    # It cannot be used, which is found out at once; one that is not there is looked up for a while.
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", '{"conn_type": "http"}')
    if choice == "fail":
        with pytest.raises(AirflowFailException, match="by the connection 'other'") as caught:
            instance.attempt()
        assert caught.value.run_id == starts(server)[0][0]
        instance.clear()
    assert instance.attempt(on_changed_body=choice)["status"] == "completed"
    assert len(starts(server)[0]) == 2


@pytest.mark.parametrize("choice", ["fail", "cancel"])
def test_a_body_that_has_changed(dialect, server, instance, choice):
    server.next_run(LONG)
    first = _die_while_waiting(instance)
    changed = {**BODIES[dialect], "metadata": {"team": "data"}}
    if choice == "fail":
        with pytest.raises(AirflowFailException, match="on_changed_body='cancel'"):
            instance.attempt(body=changed)
        assert len(starts(server)[0]) == 1
    else:
        assert instance.attempt(body=changed, on_changed_body=choice)["id"] != first
        assert len(starts(server)[0]) == 2
    assert server.status(first) == "cancelled"  # what a task has started it also stops
    assert starts(server)[1] == 1


def test_a_body_that_has_changed_may_leave_the_run_alone(dialect, server, instance):
    server.next_run(LONG)
    first = _die_while_waiting(instance)
    changed = {**BODIES[dialect], "metadata": {"team": "data"}}
    with pytest.raises(AirflowFailException):
        instance.attempt(body=changed, on_timeout="fail")
    assert server.status(first) == "in_progress"


@pytest.mark.parametrize("is_active", [True, False])
def test_without_reattach_each_try_starts_anew(server, instance, is_active):
    server.next_run(LONG if is_active else SOON)
    first = _die_while_waiting(instance)
    if not is_active:
        server.end(first)
    assert instance.attempt(reattach=False)["id"] != first
    assert starts(server)[1] == int(is_active)


@pytest.mark.parametrize("fault", [{"drop": True}, {"status": 503}, {"status": 502, "body": b""}])
@on("assistants", "foundry", "langgraph")
def test_a_start_whose_answer_is_lost_is_found(dialect, server, instance, fault):
    server.fault(Fault(**fault, after_effect=True), method="POST", path=_start_path(dialect))
    assert instance.attempt()["status"] == "completed"
    assert len(starts(server)[0]) == 1


@on("responses")
def test_a_response_whose_start_is_lost_fails_the_task_for_good(server, instance):
    server.fault(Fault(drop=True, after_effect=True), method="POST", path="/responses")
    with pytest.raises(StartLost, match="on_lost_start='start_again'") as caught:
        instance.attempt()
    assert isinstance(caught.value, AirflowFailException)
    assert KEY in caught.value.message
    with pytest.raises(StartLost, match="An earlier try"):  # a retry, if there were one
        instance.attempt()
    assert len(starts(server)[0]) == 1
    instance.clear()  # by a person who has read that
    assert instance.attempt()["status"] == "completed"
    assert len(starts(server)[0]) == 2


@on("responses")
def test_clearing_a_task_whose_worker_was_killed_tells_first_that_a_run_may_be_out_there(
    server, instance
):
    instance.attempt(wait_for_termination=False)
    ((key, text),) = instance.store.values.items()
    instance.store.set(key, {**json.loads(text), "run_id": None})  # as the worker has left it
    instance.clear()
    with pytest.raises(StartLost, match="Clear the task to start another one"):
        instance.attempt()
    assert len(starts(server)[0]) == 1


@pytest.mark.parametrize("choice", ["fail", "cancel"])
def test_a_run_of_another_connection_is_ended_by_that(
    dialect, server, instance, monkeypatch, choice
):
    server.next_run(LONG)
    first = _die_while_waiting(instance)
    with RunServer(dialect=dialect, script=SOON) as other:
        monkeypatch.setenv("AIRFLOW_CONN_OTHER", other.connection(max_retries=1))
        if choice == "fail":
            with pytest.raises(AirflowFailException, match="or connection"):
                instance.attempt(conn_id="other")
            assert other.requests == []
        else:
            assert instance.attempt(conn_id="other", on_changed_body=choice)["id"] != first
            assert len(other.started_runs()) == 1
    assert server.status(first) == "cancelled"


@on("responses")
def test_or_starts_another_one_if_asked_to(server, instance):
    server.fault(Fault(drop=True, after_effect=True), method="POST", path="/responses")
    with pytest.raises(StartLost) as caught:
        instance.attempt(on_lost_start="start_again")
    assert not isinstance(caught.value, AirflowFailException)
    assert instance.attempt(on_lost_start="start_again")["status"] == "completed"
    assert len(starts(server)[0]) == 2


@pytest.mark.parametrize("client_ids", ["request_id", "x-agent-response-id"])
def test_a_response_with_an_id_of_ours_is_found(deferrable, monkeypatch, client_ids):
    with RunServer(dialect=Responses(client_ids=client_ids), script=SOON) as server:
        connection = server.connection(client_ids=client_ids)
        monkeypatch.setenv("AIRFLOW_CONN_RUNS_DEFAULT", connection)
        server.fault(Fault(drop=True, after_effect=True), method="POST", path="/responses")
        instance = Instance(Store(), body=BODIES["responses"], deferrable=deferrable)
        result = instance.attempt()
        assert server.started_runs() == [result["id"]]
        assert instance.attempt()["id"] == result["id"]
        server.next_run(RunScript(queued_for=0, runs_for=0.1, ends="failed"))
        instance.clear()
        with pytest.raises(RunFailed):
            instance.attempt()
        assert instance.attempt()["id"] not in {result["id"], server.started_runs()[1]}


@pytest.mark.parametrize("status", [400, 401, 404, 429])
def test_a_start_that_is_refused_is_an_error_of_ours_and_a_retry_starts(
    dialect, server, instance, status
):
    message = {"error": {"message": "Not like this."}, "detail": "Not like this."}
    fault = Fault(status=status, body=message, headers={"x-request-id": "req_7"})
    server.fault(fault, method="POST", path=_start_path(dialect), times=3)
    with pytest.raises(RunsAPIError, match="Not like this") as caught:
        instance.attempt()
    assert caught.value.request_id == "req_7"
    assert starts(server) == ([], 0)
    server.clear_faults()
    asked = len(server.requests)
    assert instance.attempt()["status"] == "completed"
    assert len(starts(server)[0]) == 1
    first = server.requests[asked]
    assert first.method == "POST"  # nothing was started, so nothing is searched for


@pytest.mark.parametrize(
    "body", [{"stream": True}, {"background": False}, {"metadata": {"airflow_key": "x"}}]
)
@on("responses")
def test_a_body_that_contradicts_is_refused_before_anything_is_sent(server, instance, body):
    with pytest.raises(RunsConfigError, match="Nothing was sent"):
        instance.attempt(body={**BODIES["responses"], **body})
    assert server.requests == []
    assert instance.store.values == {}


# -- Airflow before 3.3 ----------------------------------------------------------------------------


@on("assistants", "foundry", "langgraph")
@pytest.mark.parametrize("with_thread", [True, False])
def test_without_a_store_the_run_is_found_by_its_marks(dialect, server, deferrable, with_thread):
    thread = {"thread_id": server.create_thread()} if with_thread else {}
    instance = Instance(None, body=BODIES[dialect], deferrable=deferrable, **thread)
    first = _die_while_waiting(instance)
    if dialect != "langgraph" and not with_thread:
        # The thread that was made for the run is known to nobody any more.
        with pytest.raises(StartLost, match="An earlier try"):
            instance.attempt()
        assert instance.attempt(on_lost_start="start_again")["id"] != first
        return
    assert instance.attempt()["id"] == first
    server.end(first, "failed")
    second = instance.attempt()["id"]
    assert second == first or len(starts(server)[0]) == 2
    instance.clear()
    third = instance.attempt()["id"]
    assert third not in {first, second}
    assert instance.attempt()["id"] == third


@on("responses")
def test_without_a_store_a_response_is_lost(server, instance):
    instance.store = None
    instance.attempt()
    with pytest.raises(StartLost, match="An earlier try") as caught:
        instance.attempt()
    assert isinstance(caught.value, AirflowFailException)
    assert len(starts(server)[0]) == 1


@on("assistants", "foundry", "responses")
def test_the_first_try_searches_nothing(server, instance):
    instance.store = None
    instance.attempt(output=False)
    assert server.requests[0].method == "POST"


@on("langgraph")
@pytest.mark.usefixtures("server")
def test_a_dag_run_that_was_deleted_and_made_again_starts_its_own_run(dialect, instance):
    """Its thread is not that of the other one, whose graph it would go on with."""
    first = instance.attempt()
    again = Instance(Store(), body=BODIES[dialect])
    second = again.attempt()
    assert second["id"] != first["id"]
    assert second["thread_id"] != first["thread_id"]
    assert again.attempt()["id"] == second["id"]


@pytest.mark.usefixtures("server")
def test_the_triggers_event_ends_the_task_it_belongs_to(dialect):
    """What execute_complete gets besides the event is stored: it may come from an older version."""
    instance = Instance(Store(), body=BODIES[dialect], deferrable=True)
    instance.try_number += 1
    with pytest.raises(TaskDeferred) as caught:
        instance.new_task().execute(instance.context)
    deferred = caught.value
    assert set(deferred.kwargs) == {"run_id", "thread_id"}
    event = run_trigger(deferred)
    result = instance.resume(deferred, event)
    assert result["status"] == "completed"


def test_airflows_own_names_stay_free():
    """`output` is what other tasks use of this one."""
    task = Instance(Store(), body={}).new_task(output=False)
    assert type(task.output).__name__ == "PlainXComArg"
    assert task.returns_output is False
    assert task.template_fields == ("body", "thread_id", "conn_id")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("on_timeout", "ignore"),
        ("on_changed_body", "ignore"),
        ("on_lost_start", "ignore"),
        ("on_requires_action", "ignore"),
        ("expected_statuses", ()),
        ("timeout", 0),
        ("xcom", "all"),
    ],
)
def test_parameters_are_checked(name, value):
    with pytest.raises(ValueError, match=name):
        Instance(Store(), body={}).new_task(**{name: value})


def test_a_trigger_that_failed_cancels(server, dialect):
    instance = Instance(Store(), body=BODIES[dialect], deferrable=True)
    server.next_run(LONG)
    instance.try_number += 1
    with pytest.raises(TaskDeferred):
        instance.new_task().execute(instance.context)
    task = instance.new_task()
    with pytest.raises(RunsError, match=r"The trigger failed: boom\..*; it was then cancelled"):
        task.resume_execution("__fail__", {"error": "boom"}, instance.context)
    assert starts(server)[1] == 1


def test_it_resumes_in_dag_test_where_airflow_hands_on_nothing_but_the_event(dialect, server):
    instance = Instance(Store(), body=BODIES[dialect], deferrable=True)
    instance.try_number += 1
    with pytest.raises(TaskDeferred) as caught:
        instance.new_task().execute(instance.context)
    event = run_trigger(caught.value)
    task = instance.new_task()
    result = task.resume_execution("execute_complete", {"event": event}, instance.context)
    assert [result["id"]] == starts(server)[0]
    assert text_of(dialect, result["output"]) == "42"


def test_a_triggerer_that_cannot_read_the_connection_does_not_save_the_run(server, dialect):
    """The worker can, and what a task has started it also stops."""
    server.next_run(LONG)
    instance = Instance(Store(), body=BODIES[dialect], deferrable=True)
    instance.try_number += 1
    with pytest.raises(TaskDeferred) as caught:
        instance.new_task().execute(instance.context)
    error = RunsConfigError("No. (connection 'runs_default')", conn_id="runs_default")
    event = RunEvent.of(error).to_json()
    with pytest.raises(RunsConfigError, match="it was then cancelled and ended 'cancelled'"):
        instance.resume(caught.value, event)
    assert starts(server)[1] == 1


@on("responses", "langgraph")
@pytest.mark.parametrize("asynchronous", [True, False])
def test_the_hooks_guard_awaits_the_answer_to_a_slow_start(server, dialect, asynchronous):
    """Nobody is about to kill the process, so the run need not be lost."""
    server.next_run(LONG)
    fault = Fault(delay=3, after_effect=True)
    server.fault(fault, method="POST", path=_start_path(dialect))

    async def ask():
        async with RunsHook().arun(BODIES[dialect]):
            raise AssertionError

    def interrupt(*_):
        raise AirflowTaskTimeout("timed out")

    if asynchronous:

        async def cancelled():
            task = asyncio.create_task(ask())
            await auntil(lambda: _is_starting(server, dialect))
            task.cancel()
            await task

        with pytest.raises(asyncio.CancelledError):
            asyncio.run(cancelled())
    else:
        before = signal.signal(signal.SIGUSR1, interrupt)
        try:
            with (
                once(lambda: _is_starting(server, dialect), lambda: _signal(signal.SIGUSR1)),
                pytest.raises(AirflowTaskTimeout),
                RunsHook().run(BODIES[dialect]),
            ):
                raise AssertionError
        finally:
            signal.signal(signal.SIGUSR1, before)
    assert server.accepted_cancels() == 1


@on("langgraph")
def test_a_thread_of_its_own_that_is_busy_is_so_with_its_run(server, dialect):
    """The list of the thread's runs is that of a replica that lags."""
    server.next_run(RunScript(queued_for=0, runs_for=1))
    first = _die_while_waiting(Instance(Store(), body=BODIES[dialect]))
    server.fault(Fault(body=b"[]"), method="GET", path="/runs", times=2)
    instance = Instance(Store(), body=BODIES[dialect])
    with pytest.raises(RunsAPIError, match="already running"):
        instance.attempt()
    server.end(first)
    assert instance.attempt()["id"] == first
    assert starts(server) == ([first], 0)


@on("responses")
def test_the_id_of_a_run_is_noted_also_if_its_start_is_interrupted(server, instance, dialect):
    """The run is known, and was cancelled: nothing is lost, and the retry starts another one."""
    server.next_run(LONG)
    fault = Fault(delay=0.5, after_effect=True)
    server.fault(fault, method="POST", path=_start_path(dialect))

    def interrupt(*_):
        raise AirflowTaskTimeout("timed out")

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with (
            once(lambda: _is_starting(server, dialect), lambda: _signal(signal.SIGUSR1)),
            pytest.raises(AirflowTaskTimeout),
        ):
            instance.attempt()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert instance.attempt()["status"] == "completed"
    runs, cancels = starts(server)
    assert (len(runs), cancels, server.status(runs[0])) == (2, 1, "cancelled")


@pytest.mark.parametrize("is_active", [False, True])
def test_an_answer_to_another_question_is_never_returned(deferrable, monkeypatch, is_active):
    """Its run has the id that was meant for this one: the DAG run was deleted, and begins anew."""
    with RunServer(dialect=Responses(client_ids="request_id"), script=SOON) as server:
        connection = server.connection(client_ids="request_id")
        monkeypatch.setenv("AIRFLOW_CONN_RUNS_DEFAULT", connection)
        server.next_run(LONG if is_active else SOON)
        first = _die_while_waiting(Instance(Store(), body=BODIES["responses"]))
        if not is_active:
            server.end(first)
        other = {"model": "gpt-4o", "input": "Quite another question"}
        instance = Instance(Store(), body=other, deferrable=deferrable)
        if is_active:
            with pytest.raises(AirflowFailException, match="another body"):
                instance.attempt(on_timeout="fail")
            assert server.status(first) == "in_progress"
        second = instance.attempt(on_changed_body="cancel")["id"]
        assert server.started_runs() == [first, second]
        assert instance.attempt()["id"] == second


def test_a_kill_while_it_looks_at_its_run_cancels_that(server, dialect):
    """Airflow leaves five seconds, and the look may take longer."""
    server.next_run(LONG)
    instance = Instance(Store(), body=BODIES[dialect])
    first = _die_while_waiting(instance)
    asked = len(server.requests)
    server.fault(Fault(delay=1), method="GET", path=first)
    cancels = []

    def kill(*_):
        instance.task.on_kill()
        cancels.append(server.accepted_cancels(first))

    before = signal.signal(signal.SIGUSR1, kill)
    try:
        with (
            once(lambda: len(server.requests) > asked, lambda: _signal(signal.SIGUSR1)),
            pytest.raises(RunsError, match=r"was killed .*: a cancel of its run was requested"),
        ):
            instance.attempt()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert cancels == [1]
    assert starts(server) == ([first], 1)


@on("langgraph")
@pytest.mark.parametrize("retries", [1, 2])
def test_a_run_that_cannot_be_looked_at_is_cancelled_by_the_last_try(server, dialect, retries):
    """Before, it is left to the next try."""
    server.next_run(LONG)
    instance = Instance(Store(), body=BODIES[dialect], retries=retries, cancel_timeout=1)
    first = _die_while_waiting(instance)
    server.fault(Fault(status=401), method="GET", path=first, times=None)
    with pytest.raises(RunsAPIError, match="401") as caught:
        instance.attempt()
    is_last = retries == 1
    assert ("a cancel was then requested" in caught.value.message) is is_last
    assert starts(server) == ([first], int(is_last))


@on("langgraph", "responses")
@pytest.mark.parametrize("choice", ["fail", "cancel"])
def test_a_run_on_a_server_to_which_the_connection_leads_no_more(
    server, dialect, monkeypatch, choice
):
    """It is not there, but that does not mean that it does not go on elsewhere."""
    server.next_run(LONG)
    instance = Instance(Store(), body=BODIES[dialect], missing_grace=0, on_changed_body=choice)
    first = _die_while_waiting(instance)
    with RunServer(dialect=dialect, script=SOON) as other:
        monkeypatch.setenv("AIRFLOW_CONN_RUNS_DEFAULT", other.connection(max_retries=1))
        if choice == "fail":
            with pytest.raises(AirflowFailException, match=f"another server.*{first}"):
                instance.attempt()
            assert other.started_runs() == []
            instance.clear()  # who clears it has read that
        assert instance.attempt()["status"] == "completed"
        assert len(other.started_runs()) == 1


@on("assistants", "langgraph")
@pytest.mark.parametrize("what", ["thread", "connection"])
def test_a_run_is_searched_for_where_it_was_to_be_started(server, dialect, monkeypatch, what):
    """Its id was never noted, and the next try names another thread, or another connection."""
    server.next_run(LONG)
    instance = Instance(Store(), body=BODIES[dialect], thread_id=server.create_thread())
    first = _die_while_waiting(instance)
    (name, text), *_ = instance.store.values.items()
    intent = json.loads(text)
    instance.store.values[name] = json.dumps({**intent, "run_id": None, "at": intent["at"] - 600})
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", server.connection(max_retries=1))
    changes = {"conn_id": "other"} if what == "connection" else {}
    where = {"thread_id": server.create_thread()} if what == "thread" else {}
    with pytest.raises(AirflowFailException, match="another body, thread or connection") as caught:
        instance.attempt(**changes, **where)
    assert caught.value.run_id == first
    assert first in caught.value.message
    assert "'runs_default'" in caught.value.message
    assert starts(server) == ([first], 1)


@on("langgraph")
def test_a_run_is_found_also_where_the_one_before_it_was_deleted(server, dialect):
    """Each has a thread of its own, and nothing but the key leads there before Airflow 3.3."""
    server.next_run(RunScript(queued_for=0, runs_for=0.1, ends="failed"))
    instance = Instance(None, body=BODIES[dialect])
    with pytest.raises(RunFailed):
        instance.attempt()
    server.next_run(RunScript(queued_for=0, runs_for=5))
    second = _die_while_waiting(instance)
    server.delete(starts(server)[0][0])
    assert instance.attempt()["id"] == second
    assert len(starts(server)[0]) == 2
