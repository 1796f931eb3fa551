"""Many waits that share a poller, against a real server on loopback."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from contextvars import ContextVar

import pytest

from airflow_provider_runs.errors import RunNotFound, RunsAuthError, RunsConfigError, RunTimeout
from airflow_provider_runs.flows.wait import Wait
from airflow_provider_runs.hooks import RunsHook
from airflow_provider_runs.models import RunRef
from airflow_provider_runs.polling import lookup, poller
from airflow_provider_runs.polling.clock import TICK
from airflow_provider_runs.polling.looks import WORKERS, WORKERS_WHEN_LATE
from airflow_provider_runs.polling.poller import LOOKS_PER_TICK, shared_poller
from airflow_provider_runs.testing import Fault, RunScript, RunServer
from airflow_provider_runs.transport.clients import DEFAULT_RETRY_AFTER, shared_clients
from tests.moments import PATIENCE, auntil, beats

LOG = logging.getLogger("runs.test")
LONG = RunScript(queued_for=0, runs_for=float("inf"), cancelling_for=0)


def wait_of(run, *, timeout=120.0, poll_interval=0.4, **changes):
    now = time.time()
    return Wait(RunRef(run["id"], run["thread_id"]), now, now + timeout, poll_interval, **changes)


async def look_up():
    return await RunsHook().abackend()


async def follow(run, conn_id="runs_default", find=look_up, log=LOG, **changes):
    async with shared_poller(conn_id, find) as poller:
        return await poller.follow(wait_of(run, **changes), log)


def runs_on(server, thread_id, count, **changes):
    """Start runs that go on until the test ends them."""
    script = RunScript(queued_for=0, **{"runs_for": float("inf"), **changes})
    return [server.create_run(thread_id, script) for _ in range(count)]


def on_threads(server, count, **changes):
    return [run for _ in range(count) for run in runs_on(server, None, 1, **changes)]


def asked(server):
    """How often the server was asked for single runs and for lists."""
    kinds = Counter(len(request.path.strip("/").split("/")) for request in server.requests)
    return kinds[4], kinds[3]


async def ending(server, runs, happened):
    """End runs when something has happened."""
    await auntil(happened)
    for run in runs:
        server.end(run["id"])


async def leave_all(waits):
    """End waits from outside, which all are still going on."""
    for wait in waits:
        assert not wait.done()
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)


def follow_all(server, runs, happened):
    """Wait for runs, which end when something has happened; return how the waits ended."""
    *ends, _ = gather(*(follow(run) for run in runs), ending(server, runs, happened))
    return ends


def gather(*waits):
    async def all_of_them():
        ends = await asyncio.gather(*waits, return_exceptions=True)
        assert not asyncio.all_tasks() - {asyncio.current_task()}
        assert shared_clients() == []
        return ends

    return asyncio.run(all_of_them())


def test_a_list_answers_for_all_runs_of_a_thread(server):
    runs = runs_on(server, server.create_thread(), 20)
    ends = follow_all(server, runs, lambda: asked(server)[1] >= 3)
    assert [end.id for end in ends] == [run["id"] for run in runs]
    assert {end.status for end in ends} == {"completed"}
    assert ends[0].model == runs[0]["model"]
    singles, lists = asked(server)
    assert singles <= 3
    assert lists <= 12


def test_a_line_is_logged_where_its_wait_was_begun_and_a_request_nowhere(server, caplog):
    """The triggerer sorts lines into the logs of tasks by such a variable."""
    owner = ContextVar("owner", default=None)
    told, requested = [], []

    class Log:
        def info(self, _, run, *__):
            told.append((owner.get(), run))

        warning = info

    class Requests(logging.Handler):
        def emit(self, _):
            requested.append(owner.get())

    async def owned(run, conn_id="runs_default"):
        owner.set(run["id"])
        async with shared_poller(conn_id, look_up) as poller:
            return await poller.follow(wait_of(run, cancel=run is alone), Log())

    runs = runs_on(server, server.create_thread(), 3)
    alone = server.create_run(None, LONG)
    handler, logger = Requests(), "airflow_provider_runs.transport"
    logging.getLogger(logger).addHandler(handler)
    caplog.set_level(logging.DEBUG, logger)
    try:
        # Each run is told of as it is before it ends.
        gather(*map(owned, [*runs, alone]), ending(server, runs, lambda: len(told) == 4))
    finally:
        logging.getLogger(logger).removeHandler(handler)
    assert len(told) == 7  # each as it was and as it ended, and one as it was cancelled at once
    assert all(owner in run for owner, run in told)
    assert set(requested) == {None}


def test_runs_with_a_thread_each_are_fetched(server):
    runs = on_threads(server, 5)
    ends = follow_all(server, runs, lambda: asked(server)[0] >= 10)
    assert {end.status for end in ends} == {"completed"}
    assert asked(server)[1] == 0


def test_waits_for_the_same_run_share_its_fetch(server):
    (run,) = runs_on(server, None, 1)
    waits = [follow(run) for _ in range(20)]
    *ends, _ = gather(*waits, ending(server, [run], lambda: asked(server)[0] >= 3))
    assert {end.status for end in ends} == {"completed"}
    singles, lists = asked(server)
    assert singles <= 10
    assert lists == 0


def test_a_refused_list_is_not_asked_for_again(server):
    server.fault(Fault(status=405), path="/runs", method="GET", times=1)
    runs = runs_on(server, server.create_thread(), 4)
    ends = follow_all(server, runs, lambda: asked(server)[0] >= 8)
    assert {end.status for end in ends} == {"completed"}
    assert asked(server)[1] == 1


def test_a_list_that_makes_no_sense_is_not_asked_for_again(server, connect):
    connect(max_retries=0)
    server.fault(Fault(body={"runs": []}), path="/runs", times=1)
    runs = runs_on(server, server.create_thread(), 3)
    ends = follow_all(server, runs, lambda: asked(server)[0] >= 6)
    assert {end.status for end in ends} == {"completed"}
    assert asked(server)[1] == 1


def test_a_busy_server_is_not_asked_for_each_run_instead(server, connect):
    connect(max_retries=0)
    server.fault(Fault(status=503), times=2)
    runs = runs_on(server, server.create_thread(), 20)
    ends = follow_all(server, runs, lambda: asked(server)[1] >= 3)
    assert {end.status for end in ends} == {"completed"}
    assert [request.status for request in server.requests[:3]] == [503, 503, 200]
    assert asked(server)[0] <= 5


def test_runs_that_are_too_far_back_are_fetched(server):
    thread = server.create_thread()
    old = runs_on(server, thread, 2)
    runs_on(server, thread, 60)
    ends = follow_all(server, old, lambda: asked(server)[0] >= 4)
    assert {end.status for end in ends} == {"completed"}


def test_an_error_of_one_touches_no_other(server):
    thread = server.create_thread()
    runs = runs_on(server, thread, 5)
    missing = runs[2]
    others = [run for run in runs if run is not missing]
    server.delete(missing["id"])
    error, *ends, _ = gather(
        *(follow(run) for run in (missing, *others)),
        ending(server, others, lambda: min(asked(server)) >= 1),
    )
    assert isinstance(error, RunNotFound)
    assert {end.status for end in ends} == {"completed"}


def test_the_end_of_one_cancels_no_request_of_the_others(server, wire):
    runs = runs_on(server, server.create_thread(), 3)
    wire.hold()

    async def leave():
        tasks = [asyncio.create_task(follow(run)) for run in runs]
        await auntil(lambda: wire.waiting)
        tasks[0].cancel()
        await asyncio.wait(tasks[:1])
        for run in runs:
            server.end(run["id"])
        assert wire.waiting
        wire.let_go()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(ends[0], asyncio.CancelledError)
        return ends[1:]

    assert {end.status for end in asyncio.run(leave())} == {"completed"}
    assert {request.status for request in server.requests} == {200}
    assert len(server.requests) <= 2  # the first one may have begun a tick before the others


def test_waits_that_begin_together_are_spread(server):
    runs = [server.create_run(script=LONG) for _ in range(60)]
    since = time.time()

    async def begin():
        how = {"poll_interval": 2.0, "first_interval": 2.0}
        waits = [asyncio.create_task(follow(run, **how)) for run in runs]
        await auntil(lambda: len(server.requests) >= 120)
        await leave_all(waits)

    asyncio.run(begin())
    # A busy machine can make looks only later. None comes before there is room in a tick for it,
    # while a herd would come at once; and from there each run's pauses keep them apart.
    for number, request in enumerate(server.requests[:60]):
        ticks = number // LOOKS_PER_TICK
        assert request.at - since > (ticks - 1) * TICK
    for run in runs:
        first, second, *_ = (request.at for request in server.requests if run["id"] in request.path)
        assert second - first > 1.99


@pytest.mark.parametrize(
    ("headers", "pause"),
    [({"retry-after": "1.2"}, 1.2), ({}, DEFAULT_RETRY_AFTER)],
    ids=["said", "not said"],
)
def test_a_pause_that_the_server_needs_for_one_holds_up_all(server, connect, headers, pause):
    connect(max_retries=0)
    first, second = on_threads(server, 2, runs_for=0)
    server.fault(Fault(status=429, headers=headers), path=first["id"], times=1)
    refused = asyncio.Event()

    class Log:
        def info(self, *_):
            pass

        def warning(self, *_):
            refused.set()

    async def later():
        await refused.wait()
        return await follow(second)

    ends = gather(follow(first, log=Log()), later())
    assert [end.status for end in ends] == ["completed", "completed"]
    refusal, *others = server.requests
    assert refusal.status == 429
    assert min(request.at for request in others) - refusal.at > pause - 0.01


def test_one_lookup_serves_all(server):
    lookups = []

    async def count():
        lookups.append(time.time())
        return await look_up()

    runs = [run for _ in range(30) for run in runs_on(server, None, 1, runs_for=0.5)]
    gather(*(follow(run, find=count) for run in runs))
    assert len(lookups) == 1


def test_a_refused_key_is_looked_up_anew(monkeypatch):
    with RunServer(api_key="sk-new", script=RunScript(runs_for=0)) as strict:
        run = strict.create_run()
        good = json.loads(strict.connection())
        keys = ["sk-old", "sk-new"]

        async def find():
            key = keys.pop(0) if len(keys) > 1 else keys[0]
            text = json.dumps({**good, "password": key})
            monkeypatch.setenv("AIRFLOW_CONN_RUNS_DEFAULT", text)
            return await look_up()

        monkeypatch.setattr(poller, "REFUSED", 0.0)
        (end,) = gather(follow(run, find=find))
        assert end.status == "completed"
        keys = ["sk-wrong"]
        (end,) = gather(follow(run, find=find))
        assert isinstance(end, RunsAuthError)


def test_a_connection_that_is_nowhere_is_an_error_for_each(server, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_RUNS_DEFAULT")
    run = server.create_run()
    ends = gather(follow(run), follow(run))
    assert {type(end) for end in ends} == {RunsConfigError}


def test_a_connection_that_cannot_be_read_again_is_used_as_it_was(server, monkeypatch):
    monkeypatch.setattr(lookup, "FRESH", 0.0)
    (run,) = runs_on(server, None, 1)
    found = []

    async def find():
        if found:
            found.append(None)
            raise RunsConfigError("gone")
        found.append(await look_up())
        return found[0]

    end, _ = gather(follow(run, find=find), ending(server, [run], lambda: len(found) >= 2))
    assert end.status == "completed"


def test_a_server_that_hangs_holds_no_wait_beyond_its_deadline(server, connect):
    connect(timeout=5 * PATIENCE, max_retries=0)
    server.fault(Fault(delay=3600), times=None)
    patient, hasty = on_threads(server, WORKERS_WHEN_LATE), on_threads(server, 40)

    async def come_later():
        waits = [asyncio.create_task(follow(run, timeout=3600)) for run in patient]
        await auntil(lambda: len(server.requests) == WORKERS_WHEN_LATE)
        since = time.monotonic()
        how = {"return_exceptions": True}
        ends = await asyncio.gather(*(follow(run, timeout=1.0) for run in hasty), **how)
        assert time.monotonic() - since < PATIENCE
        await leave_all(waits)
        return ends

    (ends,) = gather(come_later())
    assert {type(end) for end in ends} == {RunTimeout}


def test_a_cancel_goes_through_the_poller_too(server):
    runs = runs_on(server, server.create_thread(), 10, runs_for=float("inf"))
    ends = gather(*(follow(run, cancel=True) for run in runs))
    assert {end.status for end in ends} == {"cancelled"}
    assert server.accepted_cancels() == 10


@pytest.mark.parametrize("together", [1, 3])
def test_the_event_loop_keeps_beating(server, wire, together):
    runs = runs_on(server, server.create_thread(), together, runs_for=0)
    wire.hold()

    async def beat_while_the_server_is_silent():
        waits = [asyncio.create_task(follow(run)) for run in runs]
        await auntil(lambda: wire.waiting)
        await beats()
        assert wire.waiting
        wire.let_go()
        return await asyncio.gather(*waits)

    (ends,) = gather(beat_while_the_server_is_silent())
    assert {end.status for end in ends} == {"completed"}


def test_a_deadline_that_has_passed_leaves_one_look(server):
    done, going = (*runs_on(server, None, 1, runs_for=0), server.create_run(script=LONG))
    ends = gather(follow(done, timeout=-60), follow(going, timeout=-60))
    assert ends[0].status == "completed"
    assert isinstance(ends[1], RunTimeout)


def test_workers_that_all_hang_hold_up_nobody_else(server, connect):
    """Even where nothing else happens that could bring more of them."""
    connect(timeout=3600, max_retries=0)
    hung, healthy = on_threads(server, WORKERS), on_threads(server, 2, runs_for=0)
    for run in hung:
        server.fault(Fault(delay=3600), path=run["id"], times=None)

    async def come_later():
        waits = [asyncio.create_task(follow(run, timeout=3600)) for run in hung]
        await auntil(lambda: len(server.requests) == WORKERS)
        ends = await asyncio.gather(*(follow(run, timeout=30) for run in healthy))
        await leave_all(waits)
        return ends

    (ends,) = gather(come_later())
    assert [end.status for end in ends] == ["completed"] * 2


def test_the_last_look_does_not_wait_for_those_that_the_server_wants_to_wait(server):
    """They hold all workers, also those that come in need; the last poll needs none."""
    patient = on_threads(server, 60)
    (urgent,) = on_threads(server, 1, runs_for=0)
    server.fault(Fault(status=429, headers={"retry-after": "3600"}), path=patient[0]["id"])

    async def come_later():
        waits = [asyncio.create_task(follow(run, timeout=7200)) for run in patient]
        await auntil(lambda: shared_clients() and shared_clients()[0].quiet_until)
        end = await follow(urgent, timeout=4)
        await leave_all(waits)
        return end

    (end,) = gather(come_later())
    assert end.status == "completed"
    statuses = [request.status for request in server.requests]
    after = server.requests[statuses.index(429) + 1 :]
    assert sum(urgent["id"] in request.path for request in after) == 1
    assert len(after) <= len(patient)  # some were on their way; and none has looked again and again


def test_a_connection_that_is_edited_ends_no_wait(server, connect, monkeypatch):
    """What is under way on the old client is lost, and asked again on the new one."""
    monkeypatch.setattr(lookup, "FRESH", 0.0)
    connect(timeout=3600, max_retries=0)
    (run,) = runs_on(server, None, 1)
    server.fault(Fault(delay=3600), path=run["id"])

    async def edit():
        async with shared_poller("runs_default", look_up) as shared:
            waiting = asyncio.create_task(shared.follow(wait_of(run), LOG))
            await auntil(lambda: server.requests)
            server.end(run["id"])
            old = await shared.backend()
            connect(host=server.url, verify=False, max_retries=0)
            # Each time it looks it up again in the background; one may have begun before the edit.
            while (await shared.backend()).settings == old.settings:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
            return await waiting

    (end,) = gather(edit())
    assert end.status == "completed"
    assert [request.status for request in server.requests] == [None, 200]
