"""Every way a task can end, in every way a sensor can wait: what becomes of the run.

Each test asserts how the task ended, how the run ended and how many cancels the server accepted.
"""

from __future__ import annotations

import math
import os
import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import psutil
import pytest

from airflow_provider_runs.testing import Fault, RunScript

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_runs.testing import RunServer
    from tests.e2e_full.conftest import Case

    Begin = Callable[..., Case]
    Cases = dict[str, Case]

MODES = ("poke", "reschedule", "deferred")
TWO_MODES = ("poke", "deferred")
OUTAGE = 30.0  # seconds
#: Runs until somebody cancels it, and takes its time to end then.
STUBBORN = RunScript(queued_for=0, runs_for=math.inf, cancelling_for=8)

every_mode = pytest.mark.parametrize("mode", MODES)
both_modes = pytest.mark.parametrize("mode", TWO_MODES)


@pytest.fixture(scope="module")
def by_themselves(begin: Begin) -> Cases:
    """Start all rows at once in which nobody needs to do anything."""
    slow = {
        f"{row}_{mode}": begin(f"{row}_{mode}")
        for row, modes in (("dagrun_timeout", MODES), ("deadline", TWO_MODES))
        for mode in modes
    }
    ending = RunScript(queued_for=0, runs_for=45)
    return {
        **slow,
        **{f"ends_{mode}": begin(f"ends_{mode}", script=ending) for mode in MODES},
        **{
            f"{row}_{mode}": begin(f"{row}_{mode}")
            for row in ("timeout", "execution_timeout")
            for mode in MODES
        },
        "execution_timeout_kills": begin("execution_timeout_kills", script=STUBBORN),
        **{f"teardown_{m}": begin(f"teardown_{m}", starts_run=True) for m in TWO_MODES},
    }


@every_mode
def test_a_run_that_ends_by_itself_is_not_cancelled(by_themselves: Cases, mode: str) -> None:
    case = by_themselves[f"ends_{mode}"]

    assert case.until_over() == "success", case.log()

    assert case.outcome() == ("success", "completed", 0)
    assert case.was_deferred() == (mode == "deferred")


@every_mode
def test_the_sensor_timeout_cancels(by_themselves: Cases, mode: str) -> None:
    case = by_themselves[f"timeout_{mode}"]

    assert case.until_over() == "failed", case.log()

    assert case.outcome() == ("failed", "cancelled", 1)
    assert "It was cancelled and ended 'cancelled'" in case.log()
    assert case.was_deferred() == (mode == "deferred")


@every_mode
def test_the_execution_timeout_cancels(by_themselves: Cases, mode: str) -> None:
    case = by_themselves[f"execution_timeout_{mode}"]

    assert case.until_over() == "failed", case.log()

    assert case.outcome() == ("failed", "cancelled", 1)
    assert "It was cancelled and ended 'cancelled'" in case.log()
    assert case.was_deferred() == (mode == "deferred")


def test_the_execution_timeout_and_the_kill_it_brings_cancel_once(by_themselves: Cases) -> None:
    """A task in a worker is killed by its ``execution_timeout``, and then goes on for a while."""
    case = by_themselves["execution_timeout_kills"]

    assert case.until_over() == "failed", case.log()

    case.until_cancelled()
    assert case.outcome() == ("failed", "cancelled", 1)
    assert not case.was_deferred()


@both_modes
def test_a_teardown_cancels_after_an_upstream_failure(by_themselves: Cases, mode: str) -> None:
    case = by_themselves[f"teardown_{mode}"]

    assert case.until_over() == "failed", case.log("stop")  # the real failure is not hidden

    case.take_started_run()
    assert case.outcome("stop") == ("success", "cancelled", 1)
    assert case.state("work") == "failed"
    assert case.state() == "upstream_failed"
    assert case.was_deferred("stop") == (mode == "deferred")


@both_modes
def test_a_missed_deadline_cancels(by_themselves: Cases, mode: str) -> None:
    case = by_themselves[f"deadline_{mode}"]

    assert case.until_over() == "failed", case.log()

    assert case.outcome() == ("failed", "cancelled", 1)
    assert "is 'cancelled', expected 'completed'" in case.log()
    assert case.was_deferred() == (mode == "deferred")


@every_mode
def test_the_dagrun_timeout_cancels(by_themselves: Cases, mode: str) -> None:
    """Airflow skips the task then, and kills it: the sensor needs ``cancel_on_kill``.

    In ``reschedule`` mode it waits in the triggerer for that, which alone is told.
    """
    case = by_themselves[f"dagrun_timeout_{mode}"]

    assert case.until_over() == "failed", case.log()

    case.until_cancelled()
    assert case.outcome() == ("skipped", "cancelled", 1)
    assert case.was_deferred() == (mode != "poke")


@pytest.fixture(scope="module")
def left_waiting(begin: Begin) -> Cases:
    """Start all rows at once in which a person comes along."""
    return {
        **{f"failed_{mode}": begin(f"failed_{mode}") for mode in MODES},
        **{f"cleared_{mode}": begin(f"cleared_{mode}", starts_run=True) for mode in MODES},
    }


@every_mode
def test_a_task_marked_failed_cancels(left_waiting: Cases, mode: str) -> None:
    """In ``reschedule`` mode the sensor waits in the triggerer, which alone is told."""
    case = left_waiting[f"failed_{mode}"]
    case.until_watched("running" if mode == "poke" else "deferred")

    case.airflow.set_task_state(case.dag_id, case.dag_run, "wait", "failed")

    assert case.until_over() == "failed", case.log()
    case.until_cancelled()
    assert case.outcome() == ("failed", "cancelled", 1)
    assert case.was_deferred() == (mode != "poke")


@every_mode
def test_a_cleared_task_cancels_its_run_and_not_that_of_the_new_try(
    left_waiting: Cases, mode: str
) -> None:
    """In ``reschedule`` mode the sensor waits in the triggerer, which alone is told."""
    waiting = "running" if mode == "poke" else "deferred"
    old = left_waiting[f"cleared_{mode}"]
    airflow = old.airflow
    airflow.wait_for_task(old.dag_id, old.dag_run, "start", {"success"}, timeout=180)
    old.take_started_run()
    old.until_watched(waiting)

    body = {
        "dry_run": False,
        "dag_run_id": old.dag_run,
        "task_ids": ["start", "wait"],
        "only_failed": False,
        "reset_dag_runs": True,
    }
    airflow.call("POST", f"/dags/{old.dag_id}/clearTaskInstances", body)

    new = replace(old, run_id="")
    new.until(
        lambda: (new.task("start")["try_number"], new.state("start")) == (2, "success"), "a new run"
    )
    new.take_started_run()
    assert new.run_id != old.run_id
    new.until_watched(waiting)
    old.until_cancelled()
    new.server.end(new.run_id)
    assert new.until_over() == "success", new.log(try_number=2)
    assert new.task()["try_number"] == 2
    assert (old.status(), old.cancels()) == ("cancelled", 1)
    assert new.outcome() == ("success", "completed", 0)


@every_mode
def test_a_retry_after_a_killed_worker_goes_on_with_the_same_run(
    begin: Begin, run_server: RunServer, mode: str
) -> None:
    """A deferred task is in a worker for a moment only, so it is held up there to be killed."""
    waiting = {"poke": "running", "reschedule": "up_for_reschedule", "deferred": "deferred"}[mode]
    run, held_up = run_server.create_run(), Fault(delay=25)
    if mode == "deferred":
        run_server.fault(held_up, path=run["id"])
    case = begin(f"worker_killed_{mode}", run=run)
    if mode != "deferred":
        case.until_watched(waiting, more_looks=2)
    if mode == "reschedule":
        run_server.fault(held_up, path=run["id"])
    if mode != "poke":
        case.until(case.is_being_looked_at, "a look that takes long")

    kill_process_of(case)

    case.until(lambda: case.task()["try_number"] == 2, "another try")
    case.until_watched(waiting, more_looks=2)
    case.server.end(case.run_id)
    assert case.until_over() == "success", case.log(try_number=2)
    assert case.outcome() == ("success", "completed", 0)
    assert case.task()["try_number"] == 2
    assert case.was_deferred(try_number=2) == (mode == "deferred")


def test_a_retry_after_the_death_of_a_whole_worker_goes_on_with_the_same_run(begin: Begin) -> None:
    """The task's process and the one that supervises it: only missing heartbeats tell of that."""
    case = begin("worker_killed_poke")
    case.until_watched("running")

    kill_process_of(case, with_supervisor=True)

    case.until(lambda: case.task()["try_number"] == 2, "another try")
    case.until_watched("running", more_looks=2)
    case.server.end(case.run_id)
    assert case.until_over() == "success", case.log(try_number=2)
    assert case.outcome() == ("success", "completed", 0)
    assert case.task()["try_number"] == 2


def test_a_killed_worker_without_retries_leaves_the_run_to_a_sweep(
    begin: Begin, run_server: RunServer
) -> None:
    """Airflow gives no chance here: no code of the task runs any more.

    The run goes on. What covers it is a sweep, as here, or a teardown task, as in the next test.
    """
    case = begin("killed_for_good")
    case.until_watched("running")

    kill_process_of(case)

    assert case.until_over() == "failed"
    assert case.outcome() == ("failed", "in_progress", 0)

    sweep = begin("sweep", run=run_server.run(case.run_id))
    assert sweep.until_over() == "success", sweep.log("sweep")
    assert sweep.outcome("sweep") == ("success", "cancelled", 1)


def test_a_killed_worker_without_retries_leaves_the_run_to_a_teardown(begin: Begin) -> None:
    case = begin("killed_with_teardown", starts_run=True)
    case.airflow.wait_for_task(case.dag_id, case.dag_run, "start", {"success"}, timeout=180)
    case.take_started_run()
    case.until_watched("running")

    kill_process_of(case)

    assert case.until_over() == "failed"
    assert case.state() == "failed"
    assert case.outcome("stop") == ("success", "cancelled", 1)


@pytest.fixture(scope="module")
def through_an_outage(begin: Begin, outage_server: RunServer) -> Cases:
    """Take the run server down while three tasks wait, and let the runs end after that."""
    cases = {mode: begin(f"server_down_{mode}", server=outage_server) for mode in MODES}
    for mode, waiting in zip(MODES, ("running", "up_for_reschedule", "deferred"), strict=True):
        cases[mode].until_watched(waiting, more_looks=2)
    outage_server.stop()
    try:
        time.sleep(OUTAGE)
        states = {mode: case.state() for mode, case in cases.items()}
        assert not {"failed", "success", "skipped"} & set(states.values()), states
    finally:
        outage_server.start()
    for case in cases.values():
        before = case.looks()
        case.until(lambda case=case, before=before: case.looks() > before, "a look after that")
        assert case.status() == "in_progress"
        outage_server.end(case.run_id)
    return cases


@every_mode
def test_a_wait_outlives_an_outage_of_the_run_server(through_an_outage: Cases, mode: str) -> None:
    case = through_an_outage[mode]

    assert case.until_over() == "success", case.log()

    assert case.outcome() == ("success", "completed", 0)
    assert case.task()["try_number"] == 1
    assert case.was_deferred() == (mode == "deferred")


def kill_process_of(case: Case, *, with_supervisor: bool = False) -> None:
    """Kill the process of a running task, the way the kernel does when memory is short."""
    instance = case.task()
    process = psutil.Process(instance["pid"])
    assert process.pid in case.airflow.pids()
    assert instance["id"] in " ".join(process.cmdline())
    if with_supervisor:
        os.kill(process.ppid(), signal.SIGKILL)
    os.kill(process.pid, signal.SIGKILL)
