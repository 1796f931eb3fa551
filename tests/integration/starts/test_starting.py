"""StartRunOperator against the run server: what it returns, and every way in which it ends."""

from __future__ import annotations

import asyncio
import json
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pkgutil import resolve_name

import pytest

from airflow_provider_runs.airflow_errors import (
    AirflowFailException,
    AirflowTaskTimeout,
    TaskDeferred,
)
from airflow_provider_runs.errors import (
    RunFailed,
    RunsAPIError,
    RunsError,
    RunTimeout,
)
from airflow_provider_runs.testing import Fault, RunScript
from tests.integration.starting import (
    BODIES,
    INF,
    KEY,
    LONG,
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
from tests.moments import once


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
    server.fault(Fault(delay=1), method="POST", path=start_path(dialect))
    instance = Instance(Store(), body=BODIES[dialect])

    def interrupt(*_):
        raise error

    with (
        sigusr1_means(interrupt),
        once(lambda: is_starting(server, dialect), lambda: send_signal(signal.SIGUSR1)),
        pytest.raises(type(error)),
    ):
        instance.attempt()
    runs, cancels = starts(server)
    assert (len(runs), cancels) == (1, 1)


def test_a_kill_during_the_start_cancels_the_run(dialect, server):
    server.next_run(LONG)
    server.fault(Fault(delay=0.5), method="POST", path=start_path(dialect))
    instance = Instance(Store(), body=BODIES[dialect])
    with (
        sigusr1_means(lambda *_: instance.task.on_kill()),
        once(lambda: is_starting(server, dialect), lambda: send_signal(signal.SIGUSR1)),
        pytest.raises(RunsError, match="The task was killed"),
    ):
        instance.attempt()
    runs, cancels = starts(server)
    assert (len(runs), cancels) == (1, 1)


def test_a_kill_whose_start_is_not_answered_searches_for_the_run(dialect, server):
    """The server has it, and its answer comes too late: Airflow ends the process after 5 s."""
    server.next_run(LONG)
    late = Fault(delay=5, after_effect=True)
    server.fault(late, method="POST", path=start_path(dialect))
    instance = Instance(Store(), body=BODIES[dialect])
    cancels = []

    def kill(*_):
        instance.task.on_kill()
        cancels.append(server.accepted_cancels())

    with (
        sigusr1_means(kill),
        once(server.started_runs, lambda: send_signal(signal.SIGUSR1)),
        pytest.raises(RunsError, match="The task was killed"),
    ):
        instance.attempt()
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

    with (
        sigusr1_means(kill),
        once(lambda: "run_id" in instance.xcoms, lambda: send_signal(signal.SIGUSR1)),
        pytest.raises(RunTimeout, match="it was then cancelled"),
    ):
        instance.attempt(timeout=2)
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

    with (
        sigusr1_means(end),
        once(lambda: "run_id" in instance.xcoms, lambda: send_signal(signal.SIGUSR1)),
        pytest.raises(Terminated),
    ):
        instance.attempt()
    assert starts(server)[1] == 1


@on("assistants", "langgraph")
def test_a_kill_while_a_retry_looks_for_the_run_cancels_it(dialect, server):
    server.next_run(LONG)
    instance = Instance(Store(), body=BODIES[dialect])
    first = die_while_waiting(instance)
    server.fault(Fault(delay=0.5), method="GET", path=first)
    asked = len(server.requests)
    with (
        sigusr1_means(lambda *_: instance.task.on_kill()),
        once(lambda: len(server.requests) > asked, lambda: send_signal(signal.SIGUSR1)),
        pytest.raises(RunsError, match="The task was killed"),
    ):
        instance.attempt()
    assert starts(server) == ([first], 1)


@pytest.mark.parametrize("cancel_on_kill", [True, False])
def test_a_kill_while_it_waits(server, dialect, cancel_on_kill):
    server.next_run(LONG if cancel_on_kill else RunScript(queued_for=0, runs_for=1.5))
    instance = Instance(Store(), body=BODIES[dialect], cancel_on_kill=cancel_on_kill)
    with (
        sigusr1_means(lambda *_: instance.task.on_kill()),
        once(lambda: "run_id" in instance.xcoms, lambda: send_signal(signal.SIGUSR1)),
    ):
        if cancel_on_kill:
            with pytest.raises(RunsError, match="The task was killed"):
                instance.attempt()
        else:
            assert instance.attempt()["status"] == "completed"
    assert starts(server)[1] == int(cancel_on_kill)


@on("assistants")
def test_the_output_of_a_failed_run_is_no_reason_to_fail(server, instance):
    server.next_run(RunScript(queued_for=0, runs_for=0.1, ends="failed"))
    server.fault(Fault(status=500), path="/messages", times=None)
    result = instance.attempt(expected_statuses=("failed",))
    assert (result["status"], result["output"]) == ("failed", None)


@on("assistants")
def test_but_that_of_a_completed_one_is_and_a_retry_fetches_it(server, instance):
    server.fault(Fault(status=500), path="/messages", times=2)
    with pytest.raises(RunsAPIError, match="500"):
        instance.attempt()
    assert text_of("assistants", instance.attempt()["output"]) == "42"
    assert starts(server)[1] == 0
    assert len(starts(server)[0]) == 1


def test_a_task_that_is_not_at_work_has_nothing_to_cancel(server, instance):
    instance.new_task().on_kill()
    assert server.requests == []


@on("responses")
def test_a_start_that_is_not_answered_in_time_is_told(dialect, server, capsys):
    server.next_run(LONG)
    server.fault(Fault(delay=2), method="POST", path=start_path(dialect))
    instance = Instance(Store(), body=BODIES[dialect], cancel_timeout=0.3)

    def interrupt(*_):
        raise AirflowTaskTimeout("timed out")

    with (
        sigusr1_means(interrupt),
        once(lambda: is_starting(server, dialect), lambda: send_signal(signal.SIGUSR1)),
        pytest.raises(AirflowTaskTimeout),
    ):
        instance.attempt()
    assert f"a run with 'airflow_key' '{KEY}' may be out there" in capsys.readouterr().out


@on("assistants")
@pytest.mark.parametrize("deferrable", [True], indirect=True)
def test_a_store_that_fails_while_a_task_fails_hides_no_error(server, instance):
    server.next_run(LONG)
    instance.try_number += 1
    with pytest.raises(TaskDeferred):
        instance.new_task().execute(instance.context)
    instance.store.get = lambda *_: 1 / 0
    with pytest.raises(RunTimeout, match="it was then cancelled"):
        instance.new_task().resume_execution(
            "__fail__", {"error": "Trigger timeout"}, instance.context
        )


@on("assistants")
def test_a_store_that_fails_after_a_refused_start_hides_no_error(server, instance):
    server.fault(Fault(status=422), method="POST", path="/runs")
    store, keep = instance.store, instance.store.set

    def keep_the_first(key, value):
        store.set = lambda *_: 1 / 0
        keep(key, value)

    store.set = keep_the_first
    with pytest.raises(RunsAPIError, match="422"):
        instance.attempt()
