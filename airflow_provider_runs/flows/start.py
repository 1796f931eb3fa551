"""Starting a run: once, whatever becomes of the answer.

The start is the one call that must not be repeated blindly: a lost answer, or a 5xx, may have
started a run. So after one the run is searched for by its marks, and only a server that cannot
start a second one is asked again.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_runs.backends.starts import FINGERPRINT, KEY, NUMBER, TRY
from airflow_provider_runs.errors import (
    RunNotFound,
    RunsAPIError,
    RunsAuthError,
    RunsError,
    RunsResponseError,
    RunsServiceGone,
    RunsTransportError,
    StartLost,
)
from airflow_provider_runs.flows.calls import backoff, explain_404, perform, until_of
from airflow_provider_runs.flows.steps import Sleep
from airflow_provider_runs.plain_json import plain_json
from airflow_provider_runs.run_ref import RunRef
from airflow_provider_runs.status import RunStatus

if TYPE_CHECKING:
    from airflow_provider_runs.backends import Backend
    from airflow_provider_runs.backends.starts import Start
    from airflow_provider_runs.flows.steps import Flow, Log
    from airflow_provider_runs.models import Run

__all__ = [
    "SEARCH_GRACE",
    "Found",
    "PlaceTakenError",
    "find_started",
    "get_output",
    "place",
    "search_once",
    "send",
    "start_run",
]

#: Seconds after a start for which its run is searched that is not found: servers with several
#: stores show a new run late, and a gateway that gave up may still hand the start on.
SEARCH_GRACE = 30.0
#: Searches that must find nothing, and the pauses between them, in seconds.
_SEARCHES, _FIRST_PAUSE, _LONGEST_PAUSE = 2, 1.0, 5.0
#: How often a refusal that has started nothing, and may pass, is followed by another request, and
#: after how many seconds.
_REFUSALS, _REFUSAL_PAUSE = 2, 2.0
#: What is said of a run that may have been started, and does not show.
_NOT_FOUND = " It was searched for, and not found."
#: The HTTP statuses of a thread or an id that another run has, and of a request that took too long.
_TAKEN, _TIMED_OUT = frozenset({400, 409}), 408


class Found(NamedTuple):
    """A run that was found by its marks.

    :param run: the run.
    :param number: which of its key's runs it is.
    :param attempt: the try of the task that started it; ``None`` if it is not known.
    :param fingerprint: what was asked for, as a fingerprint; empty if it is not known.
    """

    run: Run
    number: int
    attempt: int | None
    fingerprint: str


class PlaceTakenError(RunsAPIError):
    """The thread or the id that was meant for a run is another one's, of the same key."""

    #: The other run. It does not leave the process.
    found: Found | None = None


def start_run(
    backend: Backend, start: Start, log: Log, *, search: bool, deadline: float | None = None
) -> Flow[Run]:
    """Start a run, or return the one that the same key has already.

    :param start: what to start.
    :param log: gets a line if a run is found, or its start is in doubt.
    :param search: whether to search for a run of the key first, where the API can be asked. One
        that is active or completed is returned; one that has failed is followed by another.
    :param deadline: when to stop trying, in epoch seconds; by default after the call's own budget.
    :return: the run.
    :raises StartLost: if it is not known whether a run was started.
    :raises RunsError: if none was.
    """
    wanted = backend.prepared(start)
    if search and backend.finds(wanted):
        found = yield from search_once(backend, replace(wanted, number=None))
        if found:
            run = yield from _settled(backend, found.run, deadline)
            if not run.is_final or run.status is RunStatus.COMPLETED:
                log.info("Run %r has been started before, with the key %r", run.id, start.key)
                return run
            wanted = backend.prepared(replace(wanted, number=found.number + 1))
    placed = yield from place(backend, wanted, deadline=deadline)
    return (yield from send(backend, placed, log, deadline=deadline))


def place(backend: Backend, start: Start, *, deadline: float | None = None) -> Flow[Start]:
    """Return a start with the thread that its run will be on; make one where there is none.

    :param start: what ``Backend.prepared`` returned.
    :param deadline: when to stop trying, in epoch seconds; by default after the call's own budget.
    :raises RunsError: if no thread could be made.
    """
    return (yield from perform(backend, lambda: backend.place(start), deadline))


def send(backend: Backend, start: Start, log: Log, *, deadline: float | None = None) -> Flow[Run]:
    """Send a start. A lost answer is followed by a search, and by another start where that is safe.

    :param start: what ``place`` returned.
    :param log: gets a line if the start is in doubt.
    :param deadline: when to stop trying, in epoch seconds; by default after the call's own budget.
    :return: the run.
    :raises StartLost: if it is not known whether a run was started.
    :raises RunsError: if none was.
    """
    until = until_of(backend, deadline)
    attempt = refusals = 0
    in_doubt = False
    while True:
        begun = time.time()
        try:
            return (yield from perform(backend, lambda: backend.start(start), until, once=True))
        except RunsError as error:
            failure = error
        if failure.status_code in _TAKEN and backend.finds(start):
            # Perhaps by the run of this very start, which somebody else has sent, too.
            if found := (yield from search_once(backend, start)):
                return _own(found, start, failure)
            # After a start whose answer was lost, it is that one's run which has taken the place.
            raise _lost(failure, start, _NOT_FOUND) if in_doubt else failure
        if may_have_started(failure):
            in_doubt = True
            found = yield from _find_lost(backend, start, failure, log, begun)
            if found:
                return found.run
            delay = backoff(failure, attempt)
            attempt += 1
        elif _may_pass(failure):
            delay = _REFUSAL_PAUSE
            refusals += 1
        elif failure.transient and failure.should_retry is not False:
            delay = backoff(failure, attempt)
            attempt += 1
        else:
            raise failure
        is_last = attempt > backend.options.max_retries or refusals > _REFUSALS
        if is_last or time.time() + delay >= until:
            raise _lost(failure, start) if may_have_started(failure) else failure
        log.info("The start is sent again in %.1f s. %s", delay, failure.message)
        yield Sleep(delay)


def find_started(backend: Backend, start: Start, *, since: float) -> Flow[Found | None]:
    """Search for the run that a start has brought about, until it is found or certainly not there.

    It takes up to ``SEARCH_GRACE`` seconds from the start, and each search its call's own budget.

    :param start: what was started, prepared. Without a number, the newest run of its key is
        searched for.
    :param since: when the start may have been sent last, in epoch seconds.
    :return: what was found; ``None`` if there is no such run.
    :raises RunsError: if the search fails: then nothing may be started.
    """
    pause, searches = _FIRST_PAUSE, 0
    while True:
        if found := (yield from search_once(backend, start)):
            return found
        searches += 1
        if searches >= _SEARCHES and time.time() >= since + SEARCH_GRACE:
            return None
        yield Sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def get_output(
    backend: Backend, ref: RunRef, run: Run, *, deadline: float | None = None
) -> Flow[Any]:
    """Fetch what a run has made.

    :param ref: the run.
    :param run: the run as it was seen last.
    :param deadline: when to stop trying, in epoch seconds; by default after the call's own budget.
    :return: what the API gives, as plain JSON.
    :raises RunsError: if there is no usable answer.
    """
    until = until_of(backend, deadline)
    flow = perform(backend, lambda: backend.output(ref, run), until)
    return plain_json((yield from explain_404(backend, flow, until)))


def may_have_started(error: RunsError) -> bool:
    """Return whether a run may have been started although its start has failed so.

    :param error: how it failed.
    """
    if error.unsent:
        return False
    if isinstance(error, (RunsTransportError, RunsResponseError, StartLost)):
        return True
    status = error.status_code or 0
    return status >= 500 or status == _TIMED_OUT


def _may_pass(error: RunsError) -> bool:
    """Return whether a refusal is one that servers take back: the key, the path, or the thread."""
    if isinstance(error, RunsServiceGone) or error.should_retry is False:
        return False
    return isinstance(error, (RunsAuthError, RunNotFound)) or (
        isinstance(error, RunsAPIError) and error.is_routers and error.status_code == 404
    )


def _find_lost(
    backend: Backend, start: Start, failure: RunsError, log: Log, begun: float
) -> Flow[Found | None]:
    """Search for the run of a start whose answer was lost.

    :return: what was found; ``None`` if nothing was, and the start may be sent again.
    :raises StartLost: if nothing was found, and it may not be sent again.
    """
    if not backend.finds(start):
        raise _lost(failure, start)
    log.warning("The run is searched for, as it may have been started. %s", failure.message)
    try:
        found = yield from find_started(backend, start, since=begun)
    except RunsError as error:
        raise _lost(failure, start, f" The search for it failed: {error.said}") from None
    if not found and not backend.may_start_again(start):
        raise _lost(failure, start, _NOT_FOUND)
    return found


def search_once(backend: Backend, start: Start) -> Flow[Found | None]:
    """Search once for the run that a start has brought about.

    :param start: what was started, prepared. Without a number, the newest run of its key is
        searched for.
    :return: what was found; ``None`` if nothing was, which is no proof yet.
    :raises RunsError: if the search fails.
    """
    if start.number is not None or not backend.has_own_place(start):
        return (yield from _search_one(backend, start))
    # No try starts more than one run, and the record of an older one may be gone.
    found, number, tries = None, 1, int(start.marks.get(TRY) or 1)
    while True:
        numbered = backend.prepared(replace(start, number=number))
        one = yield from _search_one(backend, numbered)
        if one is None and number >= tries:
            return found
        found, number = one or found, number + 1


def _search_one(backend: Backend, start: Start) -> Flow[Found | None]:
    until = until_of(backend, None)
    flow = perform(backend, lambda: backend.find_started(start), until)
    try:
        run = yield from explain_404(backend, flow, until)
    except RunNotFound:  # there is not even its thread
        return None
    return _found(run, start) if run else None


def _settled(backend: Backend, run: Run, deadline: float | None) -> Flow[Run]:
    """Return a run of a list with what only another call can tell: it may wait for a person.

    :raises RunsError: if the call fails: then no other run may be started.
    """
    if not run.is_final or run.status is RunStatus.FAILED:
        return run
    ref = RunRef(run.id, run.thread_id)
    settling = perform(backend, lambda: backend.settle(ref, run, asked=False), deadline)
    return (yield from settling)


def _found(run: Run, start: Start) -> Found:
    marks = run.metadata if isinstance(run.metadata, dict) else {}
    attempt = str(marks.get(TRY) or "")
    number = str(marks.get(NUMBER) or start.number or 1)
    return Found(
        run,
        int(number) if number.isdecimal() else 1,
        int(attempt) if attempt.isdecimal() else None,
        str(marks.get(FINGERPRINT) or ""),
    )


def _own(found: Found, start: Start, refusal: RunsError) -> Run:
    """Return the run that has the place of a start, if it is that start's.

    :raises PlaceTakenError: if it was started with another body.
    """
    if found.fingerprint in {"", start.marks.get(FINGERPRINT, found.fingerprint)}:
        return found.run
    taken = PlaceTakenError(**refusal.fields())
    taken.found = found
    raise taken


def _lost(failure: RunsError, start: Start, more: str = "") -> StartLost:
    """Return the error for a start of which nobody knows whether it has started a run."""
    words = (
        f"It is not known whether a run was started: {failure.said}{more} A run may be out there, "
        f"with {KEY!r} {start.key!r} in its metadata: look for it in the service."
    )
    return StartLost(**failure.instead(words).replacing(transient=False).fields())
