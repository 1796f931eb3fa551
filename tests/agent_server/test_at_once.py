"""Twenty cancels of one run at once: the server takes one, and answers the others 404."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from airflow_provider_runs.errors import RunNotFound
from airflow_provider_runs.flows.wait import Wait
from airflow_provider_runs.hooks import RunsHook
from airflow_provider_runs.models import RunRef

MANY = 20


def ids(run):
    return run["run_id"], run["thread_id"]


def in_threads(method, *args, **kwargs):
    """Call a method of as many hooks, each in a thread; what came of each, errors too."""
    barrier = Barrier(MANY)

    def one(_):
        with RunsHook() as hook:
            hook.get_conn()
            barrier.wait()
            try:
                return getattr(hook, method)(*args, **kwargs)
            except RunNotFound as error:
                return error

    with ThreadPoolExecutor(MANY) as pool:
        return list(pool.map(one, range(MANY)))


def gathered(method, *args, **kwargs):
    """Call a method for asyncio as often at once; what came of each, errors too."""

    async def many():
        hook = RunsHook()
        calls = (getattr(hook, f"a{method}")(*args, **kwargs) for _ in range(MANY))
        return await asyncio.gather(*calls, return_exceptions=True)

    return asyncio.run(many())


@pytest.fixture(params=[in_threads, gathered], ids=["threads", "asyncio"])
def at_once(request):
    return request.param


def waiting(run, action, **kwargs):
    """Return the wait of a task that cancels a run."""
    now = time.time()
    return Wait(RunRef(*ids(run)), now, now + 120, 0.2, cancel=True, cancel_action=action, **kwargs)


@pytest.mark.parametrize("pending", [False, True], ids=["running", "pending"])
def test_all_interrupts_succeed(server, start, at_once, pending):
    run = start(pending=pending)
    results = at_once("cancel_run", *ids(run))
    assert [result.status for result in results] == ["cancelled"] * MANY
    assert server.wait_for(run)["status"] == "interrupted"


def test_all_interrupts_that_are_waited_for_succeed(server, start, at_once):
    run = start("lingerer", stop_seconds=1)
    results = at_once("follow", waiting(run, "interrupt"))
    assert [result.raw_status for result in results] == ["interrupted"] * MANY
    assert server.wait_for(run)["status"] == "interrupted"


@pytest.mark.parametrize("pending", [False, True], ids=["running", "pending"])
def test_all_rollbacks_of_a_run_that_was_seen_succeed(start, exists, at_once, pending):
    run = start(pending=pending)
    results = at_once("follow", waiting(run, "rollback", seen="in_progress"))
    assert [result.raw_status for result in results] == ["rolled back"] * MANY
    assert not exists(run)


def test_a_rollback_that_never_saw_the_run_finds_it_missing_at_worst(start, exists, at_once):
    # The first one may have deleted the run before the last one looks: for the last one there
    # never was such a run, which `on_missing` decides about.
    run = start()
    results = at_once("cancel_run", *ids(run), cancel_action="rollback")
    ends = [getattr(result, "raw_status", type(result)) for result in results]
    assert "rolled back" in ends
    assert set(ends) <= {"rolled back", RunNotFound}
    assert not exists(run)


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
def test_all_tasks_succeed_for_which_a_missing_run_is_none(start, cancel, action):
    run = start()
    with ThreadPoolExecutor(MANY) as pool:
        tasks = [
            pool.submit(cancel, run, cancel_action=action, on_missing="succeed")
            for _ in range(MANY)
        ]
    ends = {result and result["status"] for result in (task.result() for task in tasks)}
    assert "cancelled" in ends
    assert ends <= ({"cancelled", None} if action == "rollback" else {"cancelled"})
