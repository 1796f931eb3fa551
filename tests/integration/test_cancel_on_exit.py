"""cancel_on_exit: exceptions in this process, signals in one of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading

import pytest

from airflow_provider_runs.airflow_errors import (
    AirflowRescheduleException,
    AirflowTaskTimeout,
    TaskDeferred,
)
from airflow_provider_runs.errors import RunsConfigError
from airflow_provider_runs.hooks import RunsHook
from airflow_provider_runs.testing import Fault
from tests.moments import until


@pytest.fixture
def run(server):
    return server.create_run()


@pytest.fixture(params=["sync", "async"])
def leave(request):
    """Return a function that leaves the guarded block by raising something, or by itself."""

    def leave(run, error=None):
        ids = (run["id"], run["thread_id"])
        if request.param == "sync":
            with RunsHook().cancel_on_exit(*ids):
                if error:
                    raise error
            return

        async def guarded():
            async with RunsHook().acancel_on_exit(*ids):
                if error:
                    raise error

        asyncio.run(guarded())

    return leave


def test_a_block_that_ends_by_itself_leaves_the_run_alone(server, run, leave):
    leave(run)
    assert server.accepted_cancels() == 0


@pytest.mark.parametrize(
    "error", [ValueError("x"), AirflowTaskTimeout("x"), SystemExit(1), KeyboardInterrupt()]
)
def test_a_block_left_by_an_exception_cancels_and_lets_it_pass(server, run, leave, error):
    with pytest.raises(type(error)):
        leave(run, error)
    assert server.run(run["id"])["status"] in {"cancelling", "cancelled"}
    assert server.accepted_cancels() == 1


@pytest.mark.parametrize(
    "error",
    [TaskDeferred(trigger=None, method_name="x"), AirflowRescheduleException(None)],
    ids=["deferred", "rescheduled"],
)
def test_a_task_that_will_come_back_leaves_the_run_alone(server, run, leave, error):
    with pytest.raises(type(error)):
        leave(run, error)
    assert server.accepted_cancels() == 0


def test_a_cancel_that_fails_is_logged_and_hides_nothing(server, run, leave, capfd):
    server.fault(Fault(status=403), times=None)
    with pytest.raises(ValueError, match="the real failure"):
        leave(run, ValueError("the real failure"))
    assert "it may still be running" in "".join(capfd.readouterr())


def test_a_bad_id_shows_before_the_block(server, leave):
    with pytest.raises(RunsConfigError):
        leave({"id": "", "thread_id": server.create_thread()})


def test_a_task_that_is_cancelled_cancels_the_run(server, run):
    async def guarded(entered):
        async with RunsHook().acancel_on_exit(run["id"], run["thread_id"]):
            entered.set()
            await asyncio.Event().wait()

    async def main():
        entered = asyncio.Event()
        task = asyncio.create_task(guarded(entered))
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert server.accepted_cancels() == 1


def test_another_thread_may_guard_too(server, run, leave):
    caught = []

    def guarded():
        try:
            leave(run, ValueError("x"))
        except ValueError as error:
            caught.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    thread.join()
    assert caught
    assert server.accepted_cancels() == 1


def test_a_signal_in_this_process_cancels_and_then_calls_who_was_to_be_called(server, run):
    called = []
    before = signal.signal(signal.SIGTERM, lambda *_: called.append("handler"))
    try:
        with RunsHook().cancel_on_exit(run["id"], run["thread_id"]):
            signal.raise_signal(signal.SIGTERM)
            assert called == ["handler"]
        assert server.accepted_cancels() == 1
        signal.raise_signal(signal.SIGTERM)
        assert called == ["handler", "handler"]
    finally:
        signal.signal(signal.SIGTERM, before)


def double(number):
    return 2 * number


def test_the_end_of_a_forked_child_is_not_the_end_of_the_task(server, run):
    with (
        RunsHook().cancel_on_exit(run["id"], run["thread_id"]),
        multiprocessing.get_context("fork").Pool(2) as pool,  # ends its workers by SIGTERM
    ):
        assert pool.map(double, [1, 2]) == [2, 4]
    assert server.accepted_cancels() == 0


def test_a_forked_child_has_the_handler_of_before_and_leaves_it_when_it_leaves_the_block(run):
    """A handler of Python's keeps SIGTERM from a child that is about to wait for a lock in C."""
    before = signal.getsignal(signal.SIGTERM)
    guards = contextlib.ExitStack()
    for _ in range(2):
        guards.enter_context(RunsHook().cancel_on_exit(run["id"], run["thread_id"]))
    with guards:
        inside = signal.getsignal(signal.SIGTERM)
        child = os.fork()
        if not child:
            inherited = signal.getsignal(signal.SIGTERM)
            guards.close()
            os._exit(0 if inherited == before == signal.getsignal(signal.SIGTERM) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert signal.getsignal(signal.SIGTERM) == inside != before
    assert signal.getsignal(signal.SIGTERM) == before


#: Stays in the block until it is killed, or until its input ends.
SCRIPT = """
import os, signal, sys
from airflow_provider_runs.hooks import RunsHook

handled = sys.argv[1] == "handled"
if handled:
    # Not `print`, which must not be called anew while the one below still flushes.
    signal.signal(signal.SIGTERM, lambda *_: os.write(1, b"handler called\\n"))
elif sys.argv[1] == "ignored":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with RunsHook().cancel_on_exit(*sys.argv[2:]):
    print("guarding", flush=True)
    sys.stdin.readline()
print("left", flush=True)
"""


@pytest.mark.parametrize(
    ("before", "code", "words"),
    [
        ("default", -signal.SIGTERM, "guarding\n"),
        ("handled", 0, "guarding\nhandler called\nleft\n"),
        ("ignored", 0, "guarding\nleft\n"),
    ],
)
def test_a_killed_process_cancels_first(server, run, before, code, words):
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, before, run["id"], run["thread_id"]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"},
    ) as child:
        said = child.stdout.readline()
        child.send_signal(signal.SIGTERM)
        until(server.accepted_cancels)
        child.stdin.close()
        said += child.stdout.read()
    assert child.returncode == code
    assert said == words
    assert server.accepted_cancels() == 1
    assert json.loads(json.dumps(server.run(run["id"])["status"])) in {"cancelling", "cancelled"}
