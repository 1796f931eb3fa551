"""Waiting until a run is final: the one flow that operator, sensor, trigger and hook use."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_runs.errors import (
    RunNotFound,
    RunsError,
)
from airflow_provider_runs.flows.calls import cancel_run
from airflow_provider_runs.flows.progress import Progress
from airflow_provider_runs.flows.steps import Look
from airflow_provider_runs.models import Glimpse, Run

if TYPE_CHECKING:
    from airflow_provider_runs.backends import Backend
    from airflow_provider_runs.flows.steps import Flow, Log
    from airflow_provider_runs.flows.wait import Wait

__all__ = ["look_once", "wait_for"]

#: Seconds that `look_once` may take, retries included.
FIRST_LOOK = 10.0


def wait_for(backend: Backend, wait: Wait, log: Log) -> Flow[Run]:
    """Wait until the run is final, or until the wait is over for another reason.

    :param wait: what to wait for, and how.
    :param log: gets a line when the run's status changes and when polling begins to fail.
    :return: the run that ends the wait.
    :raises RunTimeout: when the wait times out.
    :raises CancelRefused: when it times out because the server kept refusing the cancel.
    :raises RunsError: when it is no use to keep waiting: the server has no such run, it refuses the
        key, or it has not answered for a quarter of an hour.
    """
    wait = _with_cancel_action(backend, wait)
    progress = Progress(backend, wait, log)
    while True:
        run = yield from _look(backend, progress)
        if run and wait.is_over(run):
            return _full_run(run)
        del run  # else its body would stay in memory during the pause
        yield progress.pause()


def look_once(backend: Backend, wait: Wait, log: Log) -> Flow[tuple[Run | None, Wait]]:
    """Poll once, as the first step of a wait.

    It takes a few seconds at most, because the task is about to leave its worker.

    :param wait: what to wait for, and how.
    :param log: gets a line with the run's status or with the failure.
    :return: the run, or ``None`` after a transient failure; and what remains of the wait.
    :raises RunTimeout: when the wait times out.
    :raises RunsError: when it is no use to keep waiting.
    """
    wait = _with_cancel_action(backend, wait)
    progress = Progress(backend, wait, log)
    until = min(wait.deadline, time.time() + FIRST_LOOK)
    run = yield from _look(backend, progress, until)
    if not (run and wait.is_over(run)):
        progress.pause()
    return _full_run(run) if run else None, progress.remaining()


def _with_cancel_action(backend: Backend, wait: Wait) -> Wait:
    """Return the wait with the connection's cancel action, if it needs one and has none."""
    if not wait.cancel:
        return wait
    return replace(wait, cancel_action=backend.cancel_action(wait.cancel_action))


def _look(
    backend: Backend, progress: Progress, until: float | None = None
) -> Flow[Run | Glimpse | None]:
    wait, ref = progress.wait, progress.wait.ref
    until = until or wait.deadline
    run: Run | Glimpse
    try:
        if progress.asking:
            run = yield from cancel_run(backend, ref, action=wait.cancel_action, deadline=until)
            progress.asked_at = time.time()
        else:
            seen = yield Look(backend, ref, until)
            assert isinstance(seen, Glimpse)  # noqa: S101 - what a driver sends back for a Look
            run = seen
    except RunNotFound as error:
        run = progress.missed(error)
    except RunsError as error:
        progress.failed(error)
        return None
    progress.saw(run)
    return run


def _full_run(run: Run | Glimpse) -> Run:
    return run if isinstance(run, Run) else run.read()
