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
from airflow_provider_runs.polling.looks import WORKERS
from airflow_provider_runs.polling.poller import shared_poller
from airflow_provider_runs.testing import Fault, RunScript, RunServer
from airflow_provider_runs.transport.clients import shared_clients

LOG = logging.getLogger("runs.test")
LONG = RunScript(queued_for=0, runs_for=float("inf"), cancelling_for=0)


def wait_of(run, *, timeout=30.0, poll_interval=0.4, **changes):
    now = time.time()
    return Wait(RunRef(run["id"], run["thread_id"]), now, now + timeout, poll_interval, **changes)


async def look_up():
    return await RunsHook().abackend()


async def follow(run, conn_id="runs_default", find=look_up, **changes):
    async with shared_poller(conn_id, find) as poller:
        return await poller.follow(wait_of(run, **changes), LOG)


def runs_on(server, thread_id, count, **changes):
    script = RunScript(queued_for=0, **{"runs_for": 1.5, **changes})
    return [server.create_run(thread_id, script) for _ in range(count)]


def asked(server):
    """How often the server was asked for single runs and for lists."""
    kinds = Counter(len(request.path.strip("/").split("/")) for request in server.requests)
    return kinds[4], kinds[3]


def gather(*waits):
    async def all_of_them():
        ends = await asyncio.gather(*waits, return_exceptions=True)
        assert not asyncio.all_tasks() - {asyncio.current_task()}
        assert shared_clients() == []
        return ends

    return asyncio.run(all_of_them())


def test_a_list_answers_for_all_runs_of_a_thread(server):
    runs = runs_on(server, server.create_thread(), 20)
    ends = gather(*(follow(run) for run in runs))
    assert [end.id for end in ends] == [run["id"] for run in runs]
    assert {end.status for end in ends} == {"completed"}
    assert ends[0].model == runs[0]["model"]
    singles, lists = asked(server)
    assert singles <= 3
    assert 3 <= lists <= 12


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
        gather(*map(owned, [*runs, alone]))
    finally:
        logging.getLogger(logger).removeHandler(handler)
    assert len(told) == 7  # each as it was and as it ended, and one as it was cancelled at once
    assert all(owner in run for owner, run in told)
    assert set(requested) == {None}


def test_runs_with_a_thread_each_are_fetched(server):
    runs = [run for _ in range(5) for run in runs_on(server, None, 1)]
    assert {end.status for end in gather(*(follow(run) for run in runs))} == {"completed"}
    assert asked(server)[1] == 0


def test_waits_for_the_same_run_share_its_fetch(server):
    (run,) = runs_on(server, None, 1)
    ends = gather(*(follow(run) for _ in range(20)))
    assert {end.status for end in ends} == {"completed"}
    singles, lists = asked(server)
    assert singles <= 10
    assert lists == 0


def test_a_refused_list_is_not_asked_for_again(server):
    server.fault(Fault(status=405), path="/runs", method="GET", times=1)
    runs = runs_on(server, server.create_thread(), 4)
    assert {end.status for end in gather(*(follow(run) for run in runs))} == {"completed"}
    singles, lists = asked(server)
    assert lists == 1
    assert singles >= 8


def test_a_list_that_makes_no_sense_is_not_asked_for_again(server, connect):
    connect(max_retries=0)
    server.fault(Fault(body={"runs": []}), path="/runs", times=1)
    runs = runs_on(server, server.create_thread(), 3)
    assert {end.status for end in gather(*(follow(run) for run in runs))} == {"completed"}
    assert asked(server)[1] == 1


def test_a_busy_server_is_not_asked_for_each_run_instead(server, connect):
    connect(max_retries=0)
    server.fault(Fault(status=503), times=2)
    runs = runs_on(server, server.create_thread(), 20)
    assert {end.status for end in gather(*(follow(run) for run in runs))} == {"completed"}
    assert [request.status for request in server.requests[:3]] == [503, 503, 200]
    assert asked(server)[0] <= 5


def test_runs_that_are_too_far_back_are_fetched(server):
    thread = server.create_thread()
    old = runs_on(server, thread, 2)
    runs_on(server, thread, 60)
    assert {end.status for end in gather(*(follow(run) for run in old))} == {"completed"}
    singles, _ = asked(server)
    assert singles >= 4


def test_an_error_of_one_touches_no_other(server):
    thread = server.create_thread()
    runs = runs_on(server, thread, 5)
    server.delete(runs[2]["id"])
    ends = gather(*(follow(run) for run in runs))
    assert isinstance(ends.pop(2), RunNotFound)
    assert {end.status for end in ends} == {"completed"}


def test_the_end_of_one_cancels_no_request_of_the_others(server):
    runs = runs_on(server, server.create_thread(), 3)
    server.fault(Fault(delay=1.0), path="/runs", times=1)

    async def leave():
        tasks = [asyncio.create_task(follow(run)) for run in runs]
        await asyncio.sleep(0.5)
        (request,) = server.requests
        assert request.status is None
        tasks[0].cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(ends[0], asyncio.CancelledError)
        return ends[1:]

    assert {end.status for end in asyncio.run(leave())} == {"completed"}
    assert server.requests[0].status == 200


def test_waits_that_begin_together_are_spread(server):
    runs = [server.create_run(script=LONG) for _ in range(60)]

    async def begin():
        tasks = [
            asyncio.create_task(follow(run, poll_interval=2.0, first_interval=2.0)) for run in runs
        ]
        await asyncio.sleep(4.5)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(begin())
    times = [request.at for request in server.requests]
    busiest = Counter(int(at / 0.2) for at in times).most_common(1)[0][1]
    assert len(times) >= 60
    assert busiest <= 30  # two ticks have room for 16; a herd would be 60


@pytest.mark.parametrize("headers", [{"retry-after": "1.2"}, {}], ids=["said", "not said"])
def test_a_pause_that_the_server_needs_for_one_holds_up_all(server, headers):
    first, second = runs_on(server, None, 1) + runs_on(server, None, 1)
    server.fault(Fault(status=429, headers=headers), path=first["id"], times=1)
    begun = time.time()
    gather(follow(first), follow(second))
    refused = next(request for request in server.requests if request.status == 429)
    later = [request.at for request in server.requests if request.at > refused.at + 0.05]
    assert min(later) - refused.at > 0.9
    assert time.time() - begun < 10


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
    monkeypatch.setattr(lookup, "FRESH", 0.2)
    found = []

    async def once():
        if found:
            raise RunsConfigError("gone")
        found.append(await look_up())
        return found[0]

    (end,) = gather(follow(*runs_on(server, None, 1), find=once))
    assert end.status == "completed"


def test_a_server_that_hangs_holds_no_wait_beyond_its_deadline(server, connect):
    connect(timeout=30, max_retries=0)
    server.fault(Fault(delay=20), times=None)
    runs = [server.create_run(script=LONG) for _ in range(40)]
    begun = time.time()
    ends = gather(*(follow(run, timeout=1.0) for run in runs))
    assert {type(end) for end in ends} == {RunTimeout}
    assert time.time() - begun < 8


def test_a_cancel_goes_through_the_poller_too(server):
    runs = runs_on(server, server.create_thread(), 10, runs_for=float("inf"))
    ends = gather(*(follow(run, cancel=True) for run in runs))
    assert {end.status for end in ends} == {"cancelled"}
    assert server.accepted_cancels() == 10


@pytest.mark.parametrize("together", [1, 3])
def test_the_event_loop_keeps_ticking(server, together):
    server.fault(Fault(delay=0.5), times=None)
    thread = server.create_thread()
    runs = runs_on(server, thread, together, runs_for=1)
    gaps = []

    async def beat():
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.01)
            gaps.append(time.perf_counter() - before)

    async def both():
        heart = asyncio.create_task(beat())
        await asyncio.gather(*(follow(run) for run in runs))
        heart.cancel()

    asyncio.run(both())
    assert len(gaps) > 30
    assert max(gaps) < 0.4


def test_a_deadline_that_has_passed_leaves_one_look(server):
    done, going = (*runs_on(server, None, 1, runs_for=0), server.create_run(script=LONG))
    ends = gather(follow(done, timeout=-60), follow(going, timeout=-60))
    assert ends[0].status == "completed"
    assert isinstance(ends[1], RunTimeout)


def on_threads(server, count, **changes):
    return [run for _ in range(count) for run in runs_on(server, None, 1, **changes)]


def test_workers_that_all_hang_hold_up_nobody_else(server):
    """Even where nothing else happens that could bring more of them."""
    hung, healthy = on_threads(server, WORKERS), on_threads(server, 2, runs_for=0)
    for run in hung:
        server.fault(Fault(delay=8), path=run["id"], times=None)

    async def later(run):
        await asyncio.sleep(0.5)
        return await follow(run, timeout=5)

    waits = [follow(run, timeout=6) for run in hung] + [later(run) for run in healthy]
    ends = gather(*waits)
    assert [end.status for end in ends[WORKERS:]] == ["completed"] * 2


def test_the_last_look_does_not_wait_for_those_that_the_server_wants_to_wait(server):
    patient = on_threads(server, 40, runs_for=3)
    (urgent,) = on_threads(server, 1, runs_for=1)
    server.fault(Fault(status=429, headers={"retry-after": "6"}), path=patient[0]["id"])

    async def later():
        await asyncio.sleep(0.5)
        return await follow(urgent, timeout=2)

    begun = time.time()
    ends = gather(*(follow(run) for run in patient), later())
    assert [end.status for end in ends] == ["completed"] * 41
    assert time.time() - begun > 6


def test_a_connection_that_is_edited_ends_no_wait(server, connect, monkeypatch):
    """What is under way on the old client is lost, and asked again on the new one."""
    monkeypatch.setattr(lookup, "FRESH", 0.3)
    (run,) = on_threads(server, 1, runs_for=3)
    server.fault(Fault(delay=0.8), path=run["id"], times=3)

    async def edit():
        await asyncio.sleep(0.6)
        connect(host=server.url, verify=False)

    end, _ = gather(follow(run), edit())
    assert end.status == "completed"
