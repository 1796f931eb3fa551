"""The idempotent cancel, without a wait for its effect."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from airflow_provider_runs import metrics
from airflow_provider_runs.backends.wire import ROLLBACK
from airflow_provider_runs.errors import (
    CancelRefused,
    RunNotFound,
    RunsAPIError,
    RunsAuthError,
    RunsConfigError,
    RunsError,
    RunsServiceGone,
)
from airflow_provider_runs.flows import failures
from airflow_provider_runs.flows.calls import ask_to_cancel, backoff, get_run
from airflow_provider_runs.flows.steps import Sleep
from airflow_provider_runs.models import Run, RunStatus

if TYPE_CHECKING:
    from airflow_provider_runs.backends import Backend
    from airflow_provider_runs.flows.steps import Flow
    from airflow_provider_runs.models import RunRef

__all__ = [
    "cancel_run",
    "is_refusal",
    "is_settled",
    "lacks_cancel_call",
    "rolled_back",
    "times",
]

#: The HTTP statuses with which a router answers a path, or a method, that it does not have; and
#: those of a request that may succeed a little later.
_NO_CANCEL_CALL = frozenset({404, 405})
_PASSING = frozenset({408, 425, 429})


def cancel_run(
    backend: Backend, ref: RunRef, *, action: str | None = None, deadline: float | None = None
) -> Flow[Run]:
    """Ask the server to cancel a run, without waiting for its end.

    Idempotent. Servers differ in how they refuse to cancel a run that has already finished or is
    already cancelling, and a gateway's error says nothing of what the server did. So no failure is
    interpreted: the run is fetched, and its status decides. While it is active, a request that
    failed in a transient way is repeated, as often as the connection's retries allow.

    :param action: how to cancel, where the API has several ways; by default the connection's.
    :param deadline: when to stop trying, in epoch seconds; by default after the call's own budget.
    :return: the run as it is after the request, often still ``cancelling``.
    :raises CancelRefused: if the server refused and the run is still active.
    :raises RunsError: if there is no usable answer.
    """
    action = backend.cancel_action(action)
    until = time.time() + backend.settings.call_budget if deadline is None else deadline
    seen = None
    if action == ROLLBACK:
        # A rollback deletes the run: once it has been seen, its absence means that it worked.
        seen = yield from get_run(backend, ref, deadline=until)
        if seen.is_final:
            return seen
    try:
        return (yield from _cancel(backend, ref, action, until))
    except RunNotFound:
        if seen is None:
            raise
        return rolled_back(seen)
    except RunsError as error:
        if seen is None or error.run:
            raise
        raise error.replacing(run=seen.to_json()) from None


def _cancel(backend: Backend, ref: RunRef, action: str | None, until: float) -> Flow[Run]:
    uncertain = False  # whether an earlier request may have been accepted
    for attempt in range(backend.options.max_retries + 1):
        try:
            run = yield from ask_to_cancel(backend, ref, action, until)
        except (CancelRefused, RunsConfigError, RunsServiceGone):
            raise
        except RunsError as error:
            failure = error
        else:
            metrics.count("cancels.accepted")
            return run or (yield from get_run(backend, ref, deadline=until))
        run = yield from _look_after(backend, ref, until)
        if run and is_settled(run):
            metrics.count("cancels.accepted")
            return run
        if run and not uncertain:
            _check_refusal(failure, run)
        uncertain = uncertain or not is_refusal(failure)
        delay = backoff(failure, attempt)
        last = attempt == backend.options.max_retries or failure.should_retry is False
        if last or time.time() + delay >= until:
            break
        yield Sleep(delay)
    raise failure.adding(f"The cancel was requested {times(attempt + 1)} and never accepted.")


def _look_after(backend: Backend, ref: RunRef, until: float) -> Flow[Run | None]:
    """Fetch the run after a request that failed; return ``None`` if it cannot be seen now."""
    try:
        return (yield from get_run(backend, ref, deadline=until, once=True))
    except RunsError as error:
        if not error.transient:
            raise
        return None


def _check_refusal(failure: RunsError, run: Run) -> None:
    """Raise the error for a cancel that was refused for good while the run is active.

    :raises CancelRefused: if the API or a router refuses.
    :raises RunsError: if the key is refused, or no quota is left.
    """
    if not isinstance(failure, RunsAPIError):
        return
    if is_refusal(failure):
        metrics.count("cancels.refused")
        if lacks_cancel_call(failure):
            raise failures.no_cancel_call(failure, run.to_json())
        if not isinstance(failure, RunsAuthError):
            raise failures.explain_refusal(failure, run)
    if not failure.transient:
        raise failure.replacing(run=run.to_json())


def is_refusal(failure: RunsError) -> bool:
    """Return whether a cancel that failed was refused, not just disturbed.

    :param failure: the answer to it.
    """
    status = failure.status_code if isinstance(failure, RunsAPIError) else None
    return status is not None and 400 <= status < 500 and status not in _PASSING


def lacks_cancel_call(failure: RunsError) -> bool:
    """Return whether a router or gateway refused a cancel since it has no such path.

    It proves nothing alone: the same answer may mean a wrong base URL.

    :param failure: the answer to it.
    """
    return failure.is_routers and failure.status_code in _NO_CANCEL_CALL


def is_settled(run: Run) -> bool:
    """Return whether nobody needs to ask again to cancel a run: it has ended, or is cancelling.

    :param run: the run as it was seen last.
    """
    return run.is_final or run.status is RunStatus.CANCELLING


def rolled_back(seen: Run) -> Run:
    """Return a run that a rollback has deleted, as cancelled.

    :param seen: the run as it was last seen.
    """
    return seen.model_copy(update={"status": RunStatus.CANCELLED, "raw_status": "rolled back"})


def times(count: int) -> str:
    """Return a number of times in words.

    :param count: the number.
    """
    return "once" if count == 1 else f"{count} times"
