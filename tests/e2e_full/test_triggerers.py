"""A triggerer that goes away is no reason to cancel: another one goes on with the wait.

The last of the tests, since they kill triggerers. Each leaves one healthy triggerer behind.
"""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dev.local_airflow import LocalAirflow
    from tests.e2e_full.conftest import Case, StartCase

# Seconds: the threshold in conftest.py, and what else it takes until a peer takes over.
TAKEN_OVER = 120.0
# Seconds in which a triggerer that has seen through a false alarm might do what it must not.
SECOND_THOUGHTS = 5.0


@pytest.fixture
def watched(begin: Callable[..., Case]) -> Case:
    """Start a deferred wait while there is but one triggerer, so that this one has it."""
    case = begin("triggerer")
    case.until_watched("deferred")
    return case


@pytest.fixture
def started(begin_start: Callable[..., StartCase]) -> StartCase:
    """Start a task that waits for a run of its own, while there is but one triggerer."""
    case = begin_start("start_waits_deferred")
    case.until_started()
    case.until_watched("deferred")
    return case


@pytest.fixture
def first(airflow: LocalAirflow, watched: Case) -> Iterator[int]:
    """Start a peer of the triggerer that has the wait, and tell the number of the latter."""
    airflow.start("triggerer-peer")
    airflow.wait_until_healthy()
    number = triggerer_of(watched)
    assert number is not None
    yield number
    for name in ("triggerer", "triggerer-peer"):
        if name in airflow._running:
            airflow.kill(name)
    airflow.start("triggerer")
    airflow.wait_until_healthy()


def triggerer_of(case: Case) -> int | None:
    job = case.task()["triggerer_job"]
    return job and int(job["id"])


def until_taken_over(case: Case, first: int) -> None:
    case.until(lambda: triggerer_of(case) not in {None, first}, "another triggerer", TAKEN_OVER)
    case.until_watched("deferred")


def assert_goes_on_and_ends(case: Case, tries: int = 1) -> None:
    """Assert that the wait has outlived it all, and that it sees the run's own end."""
    assert case.outcome() == ("deferred", "in_progress", 0)
    case.server.end(case.run_id)
    assert case.until_over() == "success", case.log(try_number=tries)
    assert case.outcome() == ("success", "completed", 0)
    assert case.task()["try_number"] == tries


def test_a_triggerer_that_is_stopped_does_not_cancel(
    airflow: LocalAirflow, watched: Case, first: int
) -> None:
    airflow.kill("triggerer", signal.SIGTERM).wait(60)

    until_taken_over(watched, first)
    assert_goes_on_and_ends(watched)


def test_a_triggerer_that_is_killed_neither_cancels_nor_has_a_run_started_again(
    airflow: LocalAirflow, watched: Case, started: StartCase, first: int
) -> None:
    airflow.kill("triggerer", signal.SIGKILL).wait(60)

    for case in (watched, started):
        until_taken_over(case, first)
        assert_goes_on_and_ends(case)
    assert started.runs() == [started.run_id]


def test_a_clear_that_is_heard_of_late_does_not_cancel_what_the_new_try_waits_for(
    airflow: LocalAirflow, watched: Case
) -> None:
    """The task was cleared alone, so the new try waits for the same run, and does so already."""
    airflow.kill("triggerer", signal.SIGSTOP)
    airflow.clear_task(watched.dag_id, watched.dag_run, "wait")
    watched.until(
        lambda: (watched.task()["try_number"], watched.state()) == (2, "deferred"), "a new try"
    )

    airflow.kill("triggerer", signal.SIGCONT)

    watched.until(lambda: "its task still waits for it" in watched.log(), "the kill", 60)
    assert_goes_on_and_ends(watched, tries=2)


def test_a_triggerer_that_stalls_and_wakes_up_does_not_cancel(
    airflow: LocalAirflow, watched: Case, first: int
) -> None:
    """Airflow calls the trigger's ``on_kill`` then, wrongly: the peer has the wait by now."""
    airflow.kill("triggerer", signal.SIGSTOP)
    until_taken_over(watched, first)

    airflow.kill("triggerer", signal.SIGCONT)

    watched.until(lambda: "its task still waits for it" in watched.log(), "the false alarm", 60)
    time.sleep(SECOND_THOUGHTS)
    assert "invoking on_kill" in watched.log()
    assert_goes_on_and_ends(watched)
