"""RunStatusTrigger on an event loop, against a real server."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from pkgutil import resolve_name

import pytest

from airflow_provider_runs.errors import RunTimeout
from airflow_provider_runs.tasks.events import RunEvent
from airflow_provider_runs.testing import Fault, RunScript
from airflow_provider_runs.transport import clients
from airflow_provider_runs.triggers import RunStatusTrigger

pytestmark = pytest.mark.anyio
INF = float("inf")


def watch(run, **kwargs):
    defaults = {"deadline": time.time() + 30, "poll_interval": 0.2}
    ids = {"run_id": run["id"], "thread_id": run["thread_id"]}
    return RunStatusTrigger(**ids, **{**defaults, **kwargs})


async def fire(trigger):
    """Return the one event of a trigger."""
    (event,) = [event async for event in trigger.run()]
    return event.payload


@asynccontextmanager
async def heartbeat():
    """Beat every 5 ms, and yield the gaps between the beats, in seconds."""
    gaps = []

    async def beat():
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.005)
            gaps.append(time.monotonic() - before)

    beating = asyncio.create_task(beat())
    try:
        yield gaps
    finally:
        beating.cancel()


async def test_it_fires_when_the_run_is_final(server):
    run = server.create_run(script=RunScript(queued_for=0, runs_for=0.5))
    assert RunEvent.read(await fire(watch(run)), run["id"]).status == "completed"


async def test_it_fires_with_the_error_when_its_time_is_up(server):
    run = server.create_run()
    payload = await fire(watch(run, deadline=time.time() + 0.5))
    with pytest.raises(RunTimeout, match="in_progress"):
        RunEvent.read(payload, run["id"])


async def test_it_is_stored_and_made_anew_without_loss(server):
    trigger = watch(server.create_run(), cancel_on_kill=True, first_interval=2.0)
    path, kwargs = trigger.serialize()
    assert resolve_name(path)(**kwargs).serialize() == (path, kwargs)


async def test_the_event_loop_keeps_beating_while_a_server_is_slow(server):
    server.fault(Fault(delay=0.4), times=None)

    async def longest_gap():
        run = server.create_run(script=RunScript(queued_for=0, runs_for=0.5))
        async with heartbeat() as gaps:
            await fire(watch(run))
        assert len(gaps) > 50
        return max(gaps)

    await longest_gap()  # the first one of a process loads what it needs
    # A busy machine can only make the gaps longer: the shortest of three tells what we cause.
    assert min([await longest_gap() for _ in range(3)]) < 0.05


async def test_many_triggers_share_one_client_and_the_last_closes_it(server):
    runs = [server.create_run(script=RunScript(queued_for=0, runs_for=0.5)) for _ in range(10)]
    waits = [asyncio.create_task(fire(watch(run))) for run in runs]
    await asyncio.sleep(0.2)
    (shared,) = clients.shared_clients()
    await asyncio.gather(*waits)
    assert shared.is_closed
    assert clients.shared_clients() == []


async def test_the_end_of_one_trigger_is_not_the_end_of_another(server):
    run = server.create_run(script=RunScript(queued_for=0, runs_for=1))
    ended = asyncio.create_task(fire(watch(run)))
    other = asyncio.create_task(fire(watch(run)))
    await asyncio.sleep(0.3)
    ended.cancel()
    assert RunEvent.read(await other, run["id"]).status == "completed"
    with pytest.raises(asyncio.CancelledError):
        await ended
    assert server.accepted_cancels() == 0


async def test_a_trigger_that_ends_at_its_very_start_leaves_no_client_open(server):
    run = server.create_run()
    for moments in range(12):
        starting = asyncio.create_task(fire(watch(run)))
        for _ in range(moments):
            await asyncio.sleep(0)
        starting.cancel()
        with suppress(asyncio.CancelledError):
            await starting
    assert clients.shared_clients() == []


async def test_in_a_triggerer_the_event_is_held_back_until_it_may_fire(server):
    run = server.create_run()
    server.end(run["id"])
    trigger = watch(run, fire_not_before=time.time() + 1)
    begun = time.monotonic()
    await fire(trigger)
    assert time.monotonic() - begun < 0.9  # `dag.test()` is no triggerer
    trigger.trigger_id = 7
    await fire(trigger)
    assert 0.9 < time.monotonic() - begun < 3


async def test_neither_cleanup_nor_cancellation_touches_the_run(server):
    trigger = watch(server.create_run(), cancel_on_kill=True)
    running = asyncio.create_task(fire(trigger))
    await asyncio.sleep(0.2)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await trigger.cleanup()
    assert server.accepted_cancels() == 0


@pytest.mark.parametrize("asked", [True, False])
async def test_a_killed_task_cancels_its_run_only_if_asked(server, asked):
    run = server.create_run()
    await watch(run, cancel_on_kill=asked).on_kill()
    assert server.accepted_cancels(run["id"]) == asked


async def test_the_cancel_of_a_killed_task_outlives_on_kill_and_cleanup(server):
    run = server.create_run()
    server.fault(Fault(delay=0.5), method="POST")
    trigger = watch(run, cancel_on_kill=True)
    killing = asyncio.create_task(trigger.on_kill())
    await asyncio.sleep(0.2)
    for _ in range(3):  # as Airflow 3.3.2 does at each of its rounds
        killing.cancel()
        await asyncio.sleep(0.01)
    await trigger.cleanup()
    assert killing.cancelled()
    async with asyncio.timeout(5):
        while not server.accepted_cancels(run["id"]):  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.05)


async def test_a_kill_whose_cancel_fails_is_logged_and_raises_nothing(server, capfd):
    server.fault(Fault(status=401), times=None)
    await watch(server.create_run(), cancel_on_kill=True).on_kill()
    assert "Could not cancel run" in "".join(capfd.readouterr())


async def test_a_connection_that_is_away_for_a_moment_is_looked_up_again(server, monkeypatch):
    run = server.create_run()
    server.end(run["id"])
    connection = server.connection()
    monkeypatch.delenv("AIRFLOW_CONN_RUNS_DEFAULT")
    waiting = asyncio.create_task(fire(watch(run)))
    await asyncio.sleep(0.5)
    assert not waiting.done()
    monkeypatch.setenv("AIRFLOW_CONN_RUNS_DEFAULT", connection)
    assert RunEvent.read(await waiting, run["id"]).is_final


async def test_a_connection_that_stays_away_is_reported_at_the_deadline(server, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_RUNS_DEFAULT")
    payload = await fire(watch(server.create_run(), deadline=time.time() + 1))
    assert "no connection 'runs_default'" in payload["error"]["message"]
