"""Every way a task can end, in every way a sensor can wait: what becomes of the run.

Each test asserts how the task ended, how the run ended and how many cancels the server accepted.
"""

from __future__ import annotations

import json
import math
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from airflow_provider_runs.testing import Fault, RunScript

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_runs.testing import RunServer
    from airflow_provider_runs.testing.json_types import JsonObject
    from tests.e2e_full.conftest import Case

    Begin = Callable[..., Case]
    Cases = dict[str, Case]
    Outage = tuple[Cases, float]

MODES = ("poke", "reschedule", "deferred")
TWO_MODES = ("poke", "deferred")
#: What a task is while it waits without `cancel_on_kill`, with which none is rescheduled.
UNBOUND = {"poke": "running", "reschedule": "up_for_reschedule", "deferred": "deferred"}
#: The rows in which the process of a task is killed, with and without retries.
KILLED = ("worker_killed", "killed_for_good")
OUTAGE = 30.0  # seconds at the least
#: Runs until somebody cancels it, and takes its time to end then.
STUBBORN = RunScript(queued_for=0, runs_for=math.inf, cancelling_for=8)

every_mode = pytest.mark.parametrize("mode", MODES)
both_modes = pytest.mark.parametrize("mode", TWO_MODES)


@pytest.fixture(scope="module", autouse=True)
def ahead(request: pytest.FixtureRequest) -> None:
    """Start first what takes time and needs nobody; the tests of it come last.

    What fails to start is raised again where a test asks for it.
    """
    needed = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    for name in ("disturbed", "by_themselves", "dead_worker", "outage"):
        if name in needed:
            with suppress(Exception):
                request.getfixturevalue(name)


@pytest.fixture(scope="module")
def by_themselves(begin: Begin) -> Cases:
    """Start all rows at once in which nobody needs to do anything."""
    slow = {
        f"{row}_{mode}": begin(f"{row}_{mode}")
        for row, modes in (("dagrun_timeout", MODES), ("deadline", TWO_MODES))
        for mode in modes
    }
    ending = RunScript(queued_for=0, runs_for=100)  # its task waits by then, on any machine
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
        **{f"never_started_{n}": begin(f"never_started_{n}") for n in ("setup", "no_setup")},
    }


#: Two looks that a gateway disturbs, after one that shows the run: what it answers.
DISTURBANCES: dict[str, JsonObject | bytes] = {
    "404": {"error": {"message": "No run found with id 'RUN_ID'."}},
    "404 of a router": {"message": "no Route matched with those values"},
    "401": {"error": {"message": "Incorrect API key provided."}},
    "200 with a web page": b"<!doctype html><title>Sign in</title>",
}


def status_of(disturbance: str) -> int:
    return int(disturbance.split(maxsplit=1)[0])


@pytest.fixture(scope="module")
def disturbed(begin: Begin, run_server: RunServer, lossy_server: RunServer) -> Cases:
    """Start the rows in which a gateway gives answers that are not the truth."""
    cases = {f"lost_{mode}": begin(f"lost_cancel_{mode}", server=lossy_server) for mode in MODES}
    for mode in MODES:
        for name, shape in DISTURBANCES.items():
            run = run_server.create_run(script=RunScript(queued_for=0, runs_for=90))
            body = shape
            if isinstance(shape, dict):
                body = json.loads(json.dumps(shape).replace("RUN_ID", run["id"]))
            fault = Fault(status=status_of(name), body=body)
            for each in (Fault(), fault, fault):  # the first one lets a look through
                run_server.fault(each, method="GET", path=run["id"])
            cases[f"{name}, {mode}"] = begin(f"ends_{mode}", run=run)
    return cases


@pytest.fixture(scope="module")
def left_waiting(begin: Begin) -> Cases:
    """Start all rows at once in which a person comes along."""
    return {
        **{f"failed_{mode}": begin(f"failed_{mode}") for mode in MODES},
        **{f"cleared_alone_{mode}": begin(f"failed_{mode}") for mode in MODES},
        **{f"cleared_unbound_{mode}": begin(f"worker_killed_{mode}") for mode in MODES},
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
def test_a_task_cleared_alone_finds_its_run_cancelled(left_waiting: Cases, mode: str) -> None:
    """The new try has the same run. Who kills the first stops it, and the new one says so.

    Looks are held up, so that the new try cannot defer before the trigger of the old one hears of
    its end. The other order is among the tests of the triggerers.
    """
    case = left_waiting[f"cleared_alone_{mode}"]
    case.until_watched("running" if mode == "poke" else "deferred")
    case.server.fault(Fault(delay=8), method="GET", path=case.run_id, times=None)

    case.airflow.clear_task(case.dag_id, case.dag_run, "wait")

    case.until_cancelled()
    case.server.clear_faults()
    assert case.until_over() == "failed", case.log()
    assert case.outcome() == ("failed", "cancelled", 1)
    assert case.task()["try_number"] == 2
    assert "is 'cancelled', expected 'completed'" in case.log(try_number=2)


@every_mode
def test_a_task_cleared_alone_goes_on_with_its_run_without_cancel_on_kill(
    left_waiting: Cases, mode: str
) -> None:
    case = left_waiting[f"cleared_unbound_{mode}"]
    case.until_watched(UNBOUND[mode])

    case.airflow.clear_task(case.dag_id, case.dag_run, "wait")

    assert_next_try_goes_on(case, mode)


@pytest.fixture(scope="module")
def dead_worker(begin: Begin) -> Case:
    """Kill the process of a task, and the one that supervises it, as when a machine fails."""
    case = begin("worker_killed_poke")
    case.until_watched("running")
    case.kill_process(with_supervisor=True)
    return case


@pytest.fixture(scope="module")
def killed(begin: Begin, run_server: RunServer) -> Cases:
    """Kill the process of each task while it looks at its run.

    A task that does not poke is in a worker for moments only, so it is held up there: at its first
    look if it defers then, else at a later one.
    """
    held_up = Fault(delay=25)
    cases = {
        "killed_with_teardown": begin("killed_with_teardown", starts_run=True),
        **{f"{row}_{m}": begin(f"{row}_{m}") for row in KILLED for m in ("poke", "reschedule")},
    }
    for row in KILLED:
        run = run_server.create_run()
        run_server.fault(held_up, path=run["id"])
        case = cases[f"{row}_deferred"] = begin(f"{row}_deferred", run=run)
        kill_during_a_look(case)
    torn_down = cases["killed_with_teardown"]
    torn_down.airflow.wait_for_task(torn_down.dag_id, torn_down.dag_run, "start", {"success"}, 180)
    torn_down.take_started_run()
    for case in (torn_down, *(cases[f"{row}_poke"] for row in KILLED)):
        case.until_watched("running")
        case.kill_process()
    for row in KILLED:
        case = cases[f"{row}_reschedule"]
        case.until_watched("up_for_reschedule", more_looks=2)
        run_server.fault(held_up, path=case.run_id)
        kill_during_a_look(case)
    return cases


@every_mode
def test_a_retry_after_a_killed_worker_goes_on_with_the_same_run(killed: Cases, mode: str) -> None:
    assert_next_try_goes_on(killed[f"worker_killed_{mode}"], mode)


@every_mode
def test_a_killed_worker_without_retries_leaves_the_run_to_a_sweep(
    killed: Cases, begin: Begin, run_server: RunServer, mode: str
) -> None:
    """Airflow gives no chance here: no code of the task runs any more.

    The run goes on. What covers it is a sweep, as here, or a teardown task, as in the next test.
    """
    case = killed[f"killed_for_good_{mode}"]

    assert case.until_over() == "failed"
    assert case.outcome() == ("failed", "in_progress", 0)
    assert not case.was_deferred()

    sweep = begin("sweep", run=run_server.run(case.run_id))
    assert sweep.until_over() == "success", sweep.log("sweep")
    assert sweep.outcome("sweep") == ("success", "cancelled", 1)


def test_a_killed_worker_without_retries_leaves_the_run_to_a_teardown(killed: Cases) -> None:
    case = killed["killed_with_teardown"]

    assert case.until_over() == "failed"
    assert case.state() == "failed"
    assert case.outcome("stop") == ("success", "cancelled", 1)


def test_a_retry_after_the_death_of_a_whole_worker_goes_on_with_the_same_run(
    dead_worker: Case,
) -> None:
    """Only the missing heartbeats tell Airflow of that: it takes a minute."""
    assert_next_try_goes_on(dead_worker, "poke")


@pytest.fixture(scope="module")
def outage(begin: Begin, outage_server: RunServer) -> Outage:
    """Take the run server down while three tasks wait."""
    cases = {mode: begin(f"server_down_{mode}", server=outage_server) for mode in MODES}
    for mode, waiting in UNBOUND.items():
        cases[mode].until_watched(waiting, more_looks=2)
    outage_server.stop()
    return cases, time.monotonic()


@pytest.fixture(scope="module")
def through_an_outage(outage: Outage, outage_server: RunServer) -> Cases:
    """Bring the run server back, and let the runs end after that."""
    cases, since = outage
    time.sleep(max(0.0, since + OUTAGE - time.monotonic()))
    states = {mode: case.state() for mode, case in cases.items()}
    assert not {"failed", "success", "skipped"} & set(states.values()), states
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
    assert "it was then cancelled and ended 'cancelled'" in case.log()
    assert case.was_deferred() == (mode == "deferred")


@every_mode
def test_the_execution_timeout_cancels(by_themselves: Cases, mode: str) -> None:
    case = by_themselves[f"execution_timeout_{mode}"]

    assert case.until_over() == "failed", case.log()

    assert case.outcome() == ("failed", "cancelled", 1)
    assert "it was then cancelled and ended 'cancelled'" in case.log()
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


@pytest.mark.parametrize(
    ("setups", "stopped"), [("no_setup", "success"), ("setup", "upstream_failed")]
)
def test_a_teardown_after_a_start_that_has_failed_hides_nothing(
    by_themselves: Cases, setups: str, stopped: str
) -> None:
    """Airflow does not run a teardown whose only setup has failed, and runs one without setups."""
    case = by_themselves[f"never_started_{setups}"]

    assert case.until_over() == "failed", case.log("start")

    assert (case.state("start"), case.state()) == ("failed", "upstream_failed")
    assert case.outcome("stop") == (stopped, "in_progress", 0)  # the one run there is
    assert "None" not in {request.run_id for request in case.server.requests}
    if stopped == "success":
        assert "Nothing to cancel" in case.log("stop")


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


def assert_next_try_goes_on(case: Case, mode: str) -> None:
    """Assert that the second try waits for the same run, and sees the run's own end."""
    case.until(lambda: case.task()["try_number"] == 2, "another try")
    case.until_watched(UNBOUND[mode], more_looks=2)
    case.server.end(case.run_id)
    assert case.until_over() == "success", case.log(try_number=2)
    assert case.outcome() == ("success", "completed", 0)
    assert case.task()["try_number"] == 2
    assert case.was_deferred(try_number=2) == (mode == "deferred")


def kill_during_a_look(case: Case) -> None:
    case.until(case.is_being_looked_at, "a look that takes long")
    case.kill_process()


@every_mode
@pytest.mark.parametrize("disturbance", DISTURBANCES)
def test_an_answer_that_passes_ends_no_wait_and_cancels_nothing(
    disturbed: Cases, mode: str, disturbance: str
) -> None:
    """Each sensor has ``on_timeout="cancel"``, so a wrong verdict would cancel the run."""
    case = disturbed[f"{disturbance}, {mode}"]

    assert case.until_over() == "success", case.log()

    assert case.outcome() == ("success", "completed", 0)
    seen = [r.status for r in case.server.requests if r.run_id == case.run_id]
    assert seen[1:3] == [status_of(disturbance)] * 2
    assert case.was_deferred() == (mode == "deferred")


@every_mode
def test_a_cancel_that_was_accepted_and_lost_is_sent_again(disturbed: Cases, mode: str) -> None:
    case = disturbed[f"lost_{mode}"]

    assert case.until_over() == "failed", case.log()

    assert case.outcome() == ("failed", "cancelled", 1)
    sent = [r for r in case.server.requests if (r.method, r.run_id) == ("POST", case.run_id)]
    assert len(sent) == 2
    assert sent[1].at - sent[0].at >= 30
    assert "it was then cancelled and ended 'cancelled'" in case.log()
