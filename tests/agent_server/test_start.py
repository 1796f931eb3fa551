"""Starting runs of a real Agent Server exactly once, whatever dies when."""

from __future__ import annotations

import asyncio
import json
import signal
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Barrier
from uuid import uuid4

import pytest

from airflow_provider_runs.airflow_errors import AirflowFailException
from airflow_provider_runs.backends.starts import Start
from airflow_provider_runs.errors import RunFailed, RunsAPIError
from airflow_provider_runs.hooks import RunsHook
from tests.agent_server.conftest import LONG
from tests.agent_server.starting import (
    FileStore,
    LateWire,
    LosingWire,
    child,
    runs_of,
    runs_on,
)
from tests.agent_server.test_at_once import MANY, gathered, in_threads
from tests.integration.starting import Instance, Store
from tests.moments import once, until

ACTIVE = {"queued", "in_progress"}


@pytest.fixture
def dag_run():
    """The id of a DAG run that no other test has."""
    return f"manual__{uuid4().hex}"


@pytest.fixture
def name(server, dag_run):
    """The key of that DAG run's task instance; after the test its runs are cancelled."""
    name = f"etl/{dag_run}/ask"
    yield name
    for run in runs_of(server, name):
        path = f"/threads/{run['thread_id']}/runs/{run['run_id']}/cancel"
        server.request("POST", path, params={"wait": 0, "action": "interrupt"})
        server.request("DELETE", f"/threads/{run['thread_id']}")


@pytest.fixture
def go_on(tmp_path):
    """The file that the runs of ``waits`` wait for."""
    return tmp_path / "go on"


@pytest.fixture
def waits(go_on):
    """The body of a run that goes on until the test lets it end."""
    return body(until=str(go_on), answer="42")


@pytest.fixture
def attempt(dag_run):
    """Return a function that runs a try of the operator to its end; the number of the try."""

    def attempt(number, store=None, **task):
        instance = Instance(store, **task)
        instance.run_id, instance.try_number = dag_run, number - 1
        return instance.attempt()

    return attempt


def body(graph="sleeper", **work):
    return {"assistant_id": graph, "input": work}


def ids(run):
    return {"run_id": run.id, "thread_id": run.thread_id}


def only(server, name):
    """The id of the one run that was started with a key."""
    (run,) = runs_of(server, name)
    return run["run_id"]


def numbers(server, name):
    """The numbers of the runs of a key, by their threads."""
    return {run["thread_id"]: run["metadata"]["airflow_start"] for run in runs_of(server, name)}


# -- the hook


def test_a_run_starts_on_a_thread_of_its_own_with_the_marks(server, name, call):
    run = call("start_run", body(seconds=LONG) | {"metadata": {"team": "data"}}, key=name)
    assert run.status in ACTIVE
    marks = {"team": "data", "airflow_key": name, "airflow_start": "1"}
    (listed,) = runs_on(server, run.thread_id)
    for seen in (run.metadata, server.run(run.thread_id, run.id)["metadata"], listed["metadata"]):
        assert seen.items() >= marks.items()
    # The server refuses a second run while it is active, whoever sends it.
    path = f"/threads/{run.thread_id}/runs"
    second = server.request("POST", path, json={**body(), "multitask_strategy": "reject"})
    assert (second.status_code, "already running" in second.text) == (409, True)


def test_without_a_key_each_start_is_another_run(server, call):
    runs = [call("start_run", body()) for _ in range(2)]
    assert len({run.thread_id for run in runs}) == 2
    for run in runs:
        assert server.wait_for(ids(run))["status"] == "success"


@pytest.mark.parametrize("exists", [True, False])
def test_a_thread_may_be_given(server, name, call, exists):
    thread_id = server.create_thread() if exists else str(uuid4())
    if exists:
        other = server.create_run(thread_id=thread_id, seconds=LONG)
    run = call("start_run", body(), thread_id, key=name)
    assert run.thread_id == thread_id
    # Its strategy is the server's own: on a busy thread it waits.
    assert call("start_run", body(), thread_id, key=name).id == run.id
    if exists:
        assert server.run(thread_id, run.id)["status"] == "pending"
        call("cancel_run", other["run_id"], thread_id)
    assert server.wait_for(ids(run))["status"] == "success"
    assert call("start_run", body(), thread_id, key=name).id == run.id
    marked = [r for r in runs_on(server, thread_id) if r["metadata"].get("airflow_key") == name]
    assert [r["run_id"] for r in marked] == [run.id]


def test_a_run_that_is_active_or_completed_is_returned(server, name, call, waits, go_on):
    first = call("start_run", waits, key=name)
    assert call("start_run", waits, key=name).id == first.id
    go_on.touch()
    server.wait_for(ids(first))
    again = call("start_run", waits, key=name)
    assert (again.id, again.status) == (first.id, "completed")
    assert only(server, name) == first.id


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_one_that_has_ended_otherwise_is_followed_by_another(server, name, call, end):
    fails = body(error="Out of tokens.") if end == "failed" else body(seconds=LONG)
    first = call("start_run", fails, key=name)
    if end == "cancelled":
        call("cancel_run", first.id, first.thread_id)
    server.wait_for(ids(first))
    second = call("start_run", body(seconds=LONG), key=name)
    assert second.thread_id != first.thread_id
    assert numbers(server, name) == {first.thread_id: "1", second.thread_id: "2"}
    assert call("start_run", body(), key=name).id == second.id
    hook = RunsHook()
    newest = hook.backend().prepared(Start(body(), key=name, number=None))
    found = hook.find_started(newest, since=0.0)
    assert (found.run.id, found.number) == (second.id, 2)
    one = hook.find_started(hook.backend().prepared(Start(body(), key=name)), since=0.0)
    assert (one.run.id, one.run.status, one.number) == (first.id, end, 1)


def test_one_that_waits_for_a_person_is_returned(server, name, call):
    first = call("start_run", body("asker"), key=name)
    server.wait_for(ids(first))
    again = call("start_run", body("asker"), key=name)
    assert (again.id, again.status) == (first.id, "requires_action")
    assert only(server, name) == first.id


def test_a_start_that_is_refused_for_the_same_one_becomes_it(server, name):
    hook = RunsHook()
    start = hook.place(hook.backend().prepared(Start(body(seconds=LONG), key=name)))
    first, second = (hook.job_of(start).begin().wait() for _ in range(2))
    assert first.id == second.id == only(server, name)


def test_a_start_that_is_refused_for_another_one_fails(server, name, call):
    own = Start(body(), key=name).derived_uuid()
    other = server.create_run(thread_id=own, if_not_exists="create", seconds=LONG)
    try:
        with pytest.raises(RunsAPIError, match="already running a task") as caught:
            call("start_run", body(), key=name)
        assert caught.value.status_code == 409
        assert [run["run_id"] for run in runs_on(server, own)] == [other["run_id"]]
    finally:
        RunsHook().cancel_run(other["run_id"], own)


# -- at once


@pytest.mark.parametrize("at_once", [in_threads, gathered], ids=["threads", "asyncio"])
def test_twenty_starts_at_once_are_one_run(server, name, at_once):
    runs = at_once("start_run", body(seconds=LONG), key=name)
    assert [run.id for run in runs] == [only(server, name)] * MANY
    assert {run.thread_id for run in runs} == set(numbers(server, name))


@pytest.mark.parametrize("store", ["none", "shared", "own"])
@pytest.mark.parametrize("number", [1, 2])
def test_twenty_tries_of_a_task_at_once_are_one_run(server, name, attempt, waits, store, number):
    shared, barrier = Store(), Barrier(MANY)
    stores = {"none": lambda: None, "shared": lambda: shared, "own": Store}

    def one(_):
        barrier.wait()
        return attempt(number, stores[store](), body=waits, wait_for_termination=False)

    with ThreadPoolExecutor(MANY) as pool:
        runs = list(pool.map(one, range(MANY)))
    assert [run["id"] for run in runs] == [only(server, name)] * MANY


# -- what is lost


@pytest.fixture
def wire(server, connect):
    """A wire that loses answers, which the connection leads through."""
    with LosingWire(int(server.url.rpartition(":")[2])) as wire:
        connect(host=wire.url)
        yield wire


@pytest.mark.parametrize("own", [True, False], ids=["own thread", "given thread"])
def test_a_run_whose_answer_is_lost_is_found(server, name, call, wire, own):
    thread_id = None if own else server.create_thread()
    wire.keep()
    with once(lambda: wire.kept, wire.lose):
        run = call("start_run", body(seconds=LONG), thread_id, key=name)
    assert wire.kept == 1
    assert run.metadata["airflow_key"] == name
    assert [each["run_id"] for each in runs_on(server, run.thread_id)] == [run.id]
    assert run.thread_id == (thread_id or Start({}, key=name).derived_uuid())
    call("cancel_run", run.id, run.thread_id)


def test_a_task_whose_answer_is_lost_finds_its_run(server, name, attempt, wire):
    wire.keep()
    with once(lambda: wire.kept, wire.lose):
        result = attempt(1, Store(), body=body(answer="42"))
    assert (result["id"], result["output"]["answer"]) == (only(server, name), "42")
    assert wire.kept == 1


def test_a_start_that_was_not_sent_is_sent_again(server, name, connect, capfd):
    logged = []

    def refused():
        logged.append("".join(capfd.readouterr()))
        return "The start is sent again" in "".join(logged)

    with LateWire(int(server.url.rpartition(":")[2])) as wire:
        connect(host=wire.url, max_retries=10)
        hook = RunsHook()
        start = hook.place(hook.backend().prepared(Start(body(), key=name)))
        job = hook.job_of(start).begin()
        try:
            until(refused)
            assert runs_of(server, name) == []
        finally:
            wire.listen()
        assert job.wait(60).id == only(server, name)


#: The first try of a task, which keeps its notes in a file, if it has any.
TRY = """
import json, sys
from tests.agent_server.starting import FileStore
from tests.integration.starting import Instance

dag_run, body, store = sys.argv[1:]
instance = Instance(FileStore(store) if store else None, body=json.loads(body))
instance.run_id = dag_run
instance.attempt()
"""


@pytest.mark.parametrize("has_store", [True, False], ids=["store", "no store"])
def test_a_try_that_is_killed_during_its_start_is_gone_on_with(
    server, name, dag_run, attempt, wire, waits, go_on, tmp_path, has_store
):
    path = str(tmp_path / "store") if has_store else ""
    wire.keep()
    with child(TRY, dag_run, json.dumps(waits), path) as process:
        try:
            until(lambda: wire.kept)
        finally:
            process.kill()
    assert process.returncode == -signal.SIGKILL
    wire.lose()  # nobody is there any more
    run_id = only(server, name)
    store = FileStore(path) if has_store else None
    if store:
        (note,) = map(json.loads, store.values.values())
        assert (note["run_id"], note["sent"]) == (None, True)
    go_on.touch()
    result = attempt(2, store, body=waits)
    assert (result["id"], result["status"]) == (run_id, "completed")
    assert result["output"]["answer"] == "42"
    assert only(server, name) == run_id


# -- a block


@pytest.fixture(params=["sync", "async"])
def block(request):
    """Return a function that runs a block around a run; in it, it calls another one."""

    def block(act, *args, **kwargs):
        if request.param == "sync":
            with RunsHook().run(*args, **kwargs) as run:
                act(run)
            return

        async def guarded():
            async with RunsHook().arun(*args, **kwargs) as run:
                act(run)

        asyncio.run(guarded())

    return block


def test_a_block_that_fails_leaves_no_run(server, name, block):
    def fail(run):
        assert run.status in ACTIVE
        assert only(server, name) == run.id
        raise RuntimeError("something broke")

    with pytest.raises(RuntimeError, match="something broke"):
        block(fail, body(seconds=LONG), key=name)
    (run,) = runs_of(server, name)
    assert server.wait_for(run)["status"] == "interrupted"


def test_a_block_that_ends_by_itself_leaves_its_run_alone(server, name, block, waits, go_on):
    seen = []
    block(seen.append, waits, key=name)
    (run,) = runs_of(server, name)
    assert [run["run_id"]] == [each.id for each in seen]
    assert server.wait_for(run, "running")
    go_on.touch()
    assert server.wait_for(run)["status"] == "success"


#: Stays in the block until its input ends.
BLOCK = """
import json, sys
from airflow_provider_runs.hooks import RunsHook

with RunsHook().run(json.loads(sys.argv[1]), key=sys.argv[2]):
    sys.stdin.readline()
"""


def test_a_process_that_is_ended_during_the_start_leaves_no_run(server, name, wire):
    wire.keep()
    with child(BLOCK, json.dumps(body(seconds=LONG)), name) as process:
        until(lambda: wire.kept)
        process.send_signal(signal.SIGTERM)
        wire.hand_on()
        process.wait(60)
    assert process.returncode == -signal.SIGTERM
    (run,) = runs_of(server, name)
    assert server.wait_for(run)["status"] == "interrupted"


# -- the operator


@pytest.fixture(params=[False, True], ids=["worker", "deferred"])
def deferrable(request):
    return request.param


def test_the_operator_returns_what_the_run_has_made(server, name, attempt, deferrable):
    result = attempt(1, Store(), body=body(seconds=0.5, answer="42"), deferrable=deferrable)
    assert (result["id"], result["status"]) == (only(server, name), "completed")
    assert result["output"] == {"seconds": 0.5, "answer": "42"}
    (run,) = runs_of(server, name)
    assert run["metadata"]["airflow_try"] == "1"


def test_a_run_that_fails_is_followed_by_another_in_the_next_try(server, name, attempt, deferrable):
    tries, store = count(1), Store()
    task = {"body": body(error="Out of tokens."), "deferrable": deferrable}
    for _ in range(2):
        why = "is 'failed', expected 'completed': “RuntimeError: Out of tokens”"
        with pytest.raises(RunFailed, match=why) as caught:
            attempt(next(tries), store, **task)
        assert not isinstance(caught.value, AirflowFailException)
    # Without its notes it finds the newest of them.
    with pytest.raises(RunFailed, match="is 'failed'"):
        attempt(next(tries), None, **task)
    marks = [run["metadata"] for run in runs_of(server, name)]
    found = {mark["airflow_start"]: mark["airflow_try"] for mark in marks}
    assert found == {"1": "1", "2": "2", "3": "3"}


def test_a_run_that_asks_a_human(server, name, attempt, deferrable):
    store = Store()
    task = {"body": body("asker"), "deferrable": deferrable}
    with pytest.raises(RunFailed, match="is 'requires_action', expected 'completed'"):
        attempt(1, store, on_requires_action="fail", **task)
    result = attempt(2, store, on_requires_action="succeed", **task)
    assert (result["id"], result["status"]) == (only(server, name), "requires_action")
    assert result["required_action"]["interrupts"][0]["value"] == "May I go on?"
    assert "output" not in result
