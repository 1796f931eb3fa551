"""StartRunOperator in a later try: the run that is there, is gone, or may be out there."""

from __future__ import annotations

import asyncio
import json
import signal

import pytest

from airflow_provider_runs.airflow_errors import (
    AirflowFailException,
    AirflowTaskTimeout,
    TaskDeferred,
)
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
from tests.integration.starting import (
    BODIES,
    INF,
    KEY,
    LONG,
    SOON,
    Instance,
    Store,
    die_while_waiting,
    is_starting,
    on,
    send_signal,
    sigusr1_means,
    start_path,
    starts,
    text_of,
)
from tests.moments import auntil, once


@pytest.mark.parametrize("script", [SOON, RunScript(queued_for=0, runs_for=2)], ids=["done", "on"])
def test_a_retry_goes_on_with_the_run(server, instance, script):
    server.next_run(script)
    first = die_while_waiting(instance)
    result = instance.attempt()
    assert (result["id"], result["status"]) == (first, "completed")
    assert starts(server) == ([first], 0)
    assert instance.xcoms["run_id"] == first


@pytest.mark.parametrize("end", ["failed", "cancelled", "expired"])
def test_a_retry_after_another_end_starts_anew(server, instance, end):
    server.next_run(LONG)
    first = die_while_waiting(instance)
    server.end(first, end)
    assert instance.attempt()["id"] != first
    assert len(starts(server)[0]) == 2


@on("assistants", "foundry")
def test_a_run_that_is_being_cancelled_is_not_gone_on_with(server, instance):
    server.next_run(RunScript(queued_for=0, runs_for=INF, cancelling_for=1))
    first = die_while_waiting(instance)
    RunsHook().cancel_run(first, instance.xcoms["thread_id"])
    assert instance.attempt()["id"] != first
    assert starts(server)[1] == 1


def test_a_run_that_is_gone_is_followed_by_another(server, instance):
    first = die_while_waiting(instance)
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
    first = die_while_waiting(instance)
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
    first = die_while_waiting(instance)
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
    first = die_while_waiting(instance)
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
    first = die_while_waiting(instance)
    changed = {**BODIES[dialect], "metadata": {"team": "data"}}
    with pytest.raises(AirflowFailException):
        instance.attempt(body=changed, on_timeout="fail")
    assert server.status(first) == "in_progress"


@pytest.mark.parametrize("is_active", [True, False])
def test_without_reattach_each_try_starts_anew(server, instance, is_active):
    server.next_run(LONG if is_active else SOON)
    first = die_while_waiting(instance)
    if not is_active:
        server.end(first)
    assert instance.attempt(reattach=False)["id"] != first
    assert starts(server)[1] == int(is_active)


@pytest.mark.parametrize("fault", [{"drop": True}, {"status": 503}, {"status": 502, "body": b""}])
@on("assistants", "foundry", "langgraph")
def test_a_start_whose_answer_is_lost_is_found(dialect, server, instance, fault):
    server.fault(Fault(**fault, after_effect=True), method="POST", path=start_path(dialect))
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
    first = die_while_waiting(instance)
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
    server.fault(fault, method="POST", path=start_path(dialect), times=3)
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
    first = die_while_waiting(instance)
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
    server.fault(fault, method="POST", path=start_path(dialect))

    async def ask():
        async with RunsHook().arun(BODIES[dialect]):
            raise AssertionError

    def interrupt(*_):
        raise AirflowTaskTimeout("timed out")

    if asynchronous:

        async def cancelled():
            task = asyncio.create_task(ask())
            await auntil(lambda: is_starting(server, dialect))
            task.cancel()
            await task

        with pytest.raises(asyncio.CancelledError):
            asyncio.run(cancelled())
    else:
        before = signal.signal(signal.SIGUSR1, interrupt)
        try:
            with (
                once(lambda: is_starting(server, dialect), lambda: send_signal(signal.SIGUSR1)),
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
    first = die_while_waiting(Instance(Store(), body=BODIES[dialect]))
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
    server.fault(fault, method="POST", path=start_path(dialect))

    def interrupt(*_):
        raise AirflowTaskTimeout("timed out")

    with (
        sigusr1_means(interrupt),
        once(lambda: is_starting(server, dialect), lambda: send_signal(signal.SIGUSR1)),
        pytest.raises(AirflowTaskTimeout),
    ):
        instance.attempt()
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
        first = die_while_waiting(Instance(Store(), body=BODIES["responses"]))
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
    first = die_while_waiting(instance)
    asked = len(server.requests)
    server.fault(Fault(delay=1), method="GET", path=first)
    cancels = []

    def kill(*_):
        instance.task.on_kill()
        cancels.append(server.accepted_cancels(first))

    with (
        sigusr1_means(kill),
        once(lambda: len(server.requests) > asked, lambda: send_signal(signal.SIGUSR1)),
        pytest.raises(RunsError, match=r"was killed .*: a cancel of its run was requested"),
    ):
        instance.attempt()
    assert cancels == [1]
    assert starts(server) == ([first], 1)


@on("langgraph")
@pytest.mark.parametrize("retries", [1, 2])
def test_a_run_that_cannot_be_looked_at_is_cancelled_by_the_last_try(server, dialect, retries):
    """Before, it is left to the next try."""
    server.next_run(LONG)
    instance = Instance(Store(), body=BODIES[dialect], retries=retries, cancel_timeout=1)
    first = die_while_waiting(instance)
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
    first = die_while_waiting(instance)
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
    first = die_while_waiting(instance)
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
    second = die_while_waiting(instance)
    server.delete(starts(server)[0][0])
    assert instance.attempt()["id"] == second
    assert len(starts(server)[0]) == 2
