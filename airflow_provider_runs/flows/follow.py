"""Waiting until a run is final: the one flow that operator, sensor, trigger and hook use."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_runs.backends import Backend
from airflow_provider_runs.errors import RunNotFound, RunsAuthError, RunsError
from airflow_provider_runs.flows.calls import ask_to_cancel, settle_run
from airflow_provider_runs.flows.endings import waits_for_nothing
from airflow_provider_runs.flows.progress import Progress
from airflow_provider_runs.flows.steps import LAST_LOOK, Look, Refresh
from airflow_provider_runs.models import Glimpse, Run

if TYPE_CHECKING:
    from airflow_provider_runs.flows.steps import Flow, Log
    from airflow_provider_runs.flows.wait import Wait

__all__ = ["look_once", "wait_for"]

#: Seconds that one look of `look_once` may take, retries included.
FIRST_LOOK = 10.0


def wait_for(backend: Backend, wait: Wait, log: Log) -> Flow[Run]:
    """Wait until the run is final, or until the wait is over for another reason.

    :param wait: what to wait for, and how.
    :param log: gets a line when the run's status changes and when polling begins to fail.
    :return: the run that ends the wait.
    :raises RunTimeout: when the wait times out.
    :raises CancelRefused: when it times out because the server kept refusing the cancel, or when
        the server has no cancel call.
    :raises RunFailed: when the run waits for a person, and will never go on.
    :raises RunsError: when it is proven that it is no use to keep waiting: the server has no such
        run, it refuses the key, or it has not answered for a quarter of an hour.
    """
    progress = Progress(backend, _with_cancel_action(backend, wait), log)
    while True:
        run = yield from _look(progress, wait.deadline)
        if run and wait.is_over(run):
            return (yield from _end(progress, run))
        del run  # else its body would stay in memory during the pause
        yield progress.pause()


def look_once(
    backend: Backend, wait: Wait, log: Log, *, settle: bool = False
) -> Flow[tuple[Run | None, Wait]]:
    """Poll once, as the first step of a wait.

    It takes a few seconds at most, because the task is about to leave its worker.

    :param wait: what to wait for, and how.
    :param log: gets a line with the run's status or with the failure.
    :param settle: poll on while an answer is in doubt: nobody else can gather the evidence.
    :return: the run, or ``None`` after a failure that proves nothing; and what remains of the wait.
    :raises RunTimeout: when the wait times out.
    :raises RunsError: when it is no use to keep waiting.
    """
    progress = Progress(backend, _with_cancel_action(backend, wait), log)
    while True:
        run = yield from _look(progress, min(wait.deadline, time.time() + FIRST_LOOK))
        if run and wait.is_over(run):
            return (yield from _end(progress, run)), progress.remaining()
        pause = progress.pause()
        if not (settle and progress.in_doubt):
            return _full_run(run) if run else None, progress.remaining()
        yield pause


def _with_cancel_action(backend: Backend, wait: Wait) -> Wait:
    """Return the wait with the connection's cancel action, if it needs one and has none."""
    if not wait.cancel:
        return wait
    return replace(wait, cancel_action=backend.cancel_action(wait.cancel_action))


def _look(progress: Progress, until: float) -> Flow[Run | Glimpse | None]:
    """Look at the run, after a request to cancel it if one is due.

    :param until: when to stop trying, in epoch seconds.
    :return: the run; ``None`` if it could not be seen.
    :raises RunsError: if it is no use to keep waiting.
    """
    run: Run | Glimpse | None = None
    if progress.wait.cancel and progress.asks.due(progress.status):
        run = yield from _ask(progress, until)
    if run is None:
        run = yield from _see(progress, until)
        if run is None:
            progress.asks.unseen()
    asks = progress.asks
    if (
        run
        and progress.wait.cancel
        and not asks.count
        and not run.is_final
        and asks.due(run.status)
    ):
        # A rollback, which had to wait for the first look.
        return (yield from _look(progress, until))
    return run


def _ask(progress: Progress, until: float) -> Flow[Run | None]:
    asks, ref = progress.asks, progress.wait.ref
    asks.begin()
    try:
        run = yield from ask_to_cancel(progress.backend, ref, progress.wait.cancel_action, until)
    except RunsError as error:
        progress.cancel_failed(error)
        if isinstance(error, RunsAuthError) and (yield from _is_renewed(progress)):
            asks.renewed()
        return None
    asks.accepted()
    if run:
        progress.saw(run)
    return run


def _see(progress: Progress, until: float) -> Flow[Run | Glimpse | None]:
    run: Run | Glimpse | None
    try:
        seen = yield Look(progress.backend, progress.wait.ref, until)
        assert isinstance(seen, Glimpse)  # noqa: S101 - what a driver sends back for a Look
        run = seen
    except RunNotFound as error:
        run = progress.missed(error)
    except RunsAuthError as error:
        if (yield from _is_renewed(progress)):
            return None
        progress.failed(error)
        return None
    except RunsError as error:
        progress.failed(error)
        return None
    if run:
        progress.saw(run)
    return run


def _is_renewed(progress: Progress) -> Flow[bool]:
    """Look the connection up again; return whether it has changed since the key was refused."""
    backend = yield Refresh()
    if not isinstance(backend, Backend) or backend.settings == progress.backend.settings:
        return False
    progress.renewed(backend)
    return True


def _end(progress: Progress, run: Run | Glimpse) -> Flow[Run]:
    """Return the run that ends the wait, with what only its end allows to ask.

    :raises RunFailed: if it has stopped for a person, and the wait does not end there.
    """
    wait = progress.wait
    settled = yield from settle_run(
        progress.backend,
        wait.ref,
        _full_run(run),
        asked=wait.cancel,
        deadline=max(wait.deadline, time.time() + LAST_LOOK),
    )
    if not wait.is_over(settled):
        raise waits_for_nothing(wait, progress.backend.settings.conn_id, settled)
    return settled


def _full_run(run: Run | Glimpse) -> Run:
    return run if isinstance(run, Run) else run.read()
