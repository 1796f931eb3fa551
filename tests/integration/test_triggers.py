"""RunStatusTrigger on an event loop, against a real server."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from contextlib import suppress
from pkgutil import resolve_name

import certifi
import pytest

from airflow_provider_runs.errors import RunTimeout
from airflow_provider_runs.tasks.events import RunEvent
from airflow_provider_runs.testing import Fault, RunScript
from airflow_provider_runs.transport import clients
from airflow_provider_runs.triggers import RunStatusTrigger
from tests.moments import PATIENCE, auntil, beats

pytestmark = pytest.mark.anyio
INF = float("inf")


def watch(run, **kwargs):
    defaults = {"deadline": time.time() + 120, "poll_interval": 0.2}
    ids = {"run_id": run["id"], "thread_id": run["thread_id"]}
    return RunStatusTrigger(**ids, **{**defaults, **kwargs})


async def fire(trigger):
    """Return the one event of a trigger."""
    (event,) = [event async for event in trigger.run()]
    return event.payload


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


async def test_the_event_loop_keeps_beating_while_a_server_is_silent(server, wire):
    run = server.create_run()
    server.end(run["id"])
    wire.hold()
    firing = asyncio.create_task(fire(watch(run)))
    await auntil(lambda: wire.waiting)
    await beats()
    assert wire.waiting == 1
    wire.let_go()
    assert RunEvent.read(await firing, run["id"]).is_final


async def test_certificates_are_loaded_beside_the_event_loop(server, connect, monkeypatch):
    connect(ca_bundle=certifi.where())
    load, threads = ssl.SSLContext.load_verify_locations, []

    def noted(*args, **kwargs):
        threads.append(threading.current_thread())
        return load(*args, **kwargs)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", noted)
    run = server.create_run()
    server.end(run["id"])
    await fire(watch(run))
    assert threads
    assert threading.current_thread() not in threads


async def test_many_triggers_share_one_client_and_the_last_closes_it(server):
    runs = [server.create_run() for _ in range(10)]
    waits = [asyncio.create_task(fire(watch(run))) for run in runs]
    await auntil(lambda: {run["id"] for run in runs} <= {r.run_id for r in server.requests})
    (shared,) = clients.shared_clients()
    assert not shared.is_closed
    for run in runs:
        server.end(run["id"])
    await asyncio.gather(*waits)
    assert shared.is_closed
    assert clients.shared_clients() == []


async def test_the_end_of_one_trigger_is_not_the_end_of_another(server):
    run = server.create_run()
    ended = asyncio.create_task(fire(watch(run)))
    other = asyncio.create_task(fire(watch(run)))
    await auntil(lambda: len(server.requests) >= 3)
    ended.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ended
    server.end(run["id"])
    assert RunEvent.read(await other, run["id"]).status == "completed"
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
    async with asyncio.timeout(PATIENCE):
        await fire(watch(run, fire_not_before=time.time() + 3600))  # `dag.test()` is no triggerer
    trigger = watch(run, fire_not_before=time.time() + 1)
    trigger.trigger_id = 7
    await fire(trigger)
    assert time.time() > trigger.fire_not_before - 0.01


async def test_neither_cleanup_nor_cancellation_touches_the_run(server):
    trigger = watch(server.create_run(), cancel_on_kill=True)
    running = asyncio.create_task(fire(trigger))
    await auntil(lambda: server.requests)
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


async def test_the_cancel_of_a_killed_task_outlives_on_kill_and_cleanup(server, wire, connect):
    run = server.create_run()
    connect(host=wire.url, timeout=5 * PATIENCE)
    # What was sent arrives in any case; it takes somebody who lives on to send it again.
    server.fault(Fault(status=503), method="POST", path=run["id"])
    wire.hold()
    trigger = watch(run, cancel_on_kill=True)
    killing = asyncio.create_task(trigger.on_kill())
    await auntil(lambda: wire.waiting)
    for _ in range(3):  # as Airflow 3.3.2 does at each of its rounds
        killing.cancel()
        await asyncio.sleep(0.01)
    await trigger.cleanup()
    assert killing.cancelled()
    assert server.requests == []
    wire.let_go()
    await auntil(lambda: server.accepted_cancels(run["id"]))


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
