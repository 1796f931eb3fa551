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
from airflow_provider_runs.flows.evidence import NEW_RUN, ROLLED_BACK, Evidence, Proof
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
#: The first pause while a server denies the run, in seconds; each is twice as long as the last.
_FIRST_PAUSE = 1.0


def cancel_run(
    backend: Backend,
    ref: RunRef,
    *,
    action: str | None = None,
    deadline: float | None = None,
    missing_grace: float = 0.0,
    hurried: bool = False,
) -> Flow[Run]:
    """Ask the server to cancel a run, without waiting for its end.

    Idempotent. Servers differ in how they refuse to cancel a run that has already finished or is
    already cancelling, and a gateway's error says nothing of what the server did. So no failure is
    interpreted: the run is fetched, and its status decides. While it is active, a request that
    failed in a transient way is repeated, as often as the connection's retries allow.

    :param action: how to cancel, where the API has several ways; by default the connection's.
    :param deadline: when to stop trying, in epoch seconds; by default after the call's own budget.
    :param missing_grace: seconds, ten at most, for which the server must deny the run, which may
        just have been started; 0 believes its first answer.
    :param hurried: do not rest when the server asks its clients to wait: nobody will ask again.
    :return: the run as it is after the request, often still ``cancelling``.
    :raises CancelRefused: if the server refused and the run is still active.
    :raises RunsError: if there is no usable answer.
    """
    action = backend.cancel_action(action)
    until = time.time() + backend.settings.call_budget if deadline is None else deadline
    proof = NEW_RUN.over(min(missing_grace, NEW_RUN.seconds))
    seen = None
    if action == ROLLBACK:
        # A rollback deletes the run: once it has been seen, its absence means that it worked.
        seen = yield from get_run(backend, ref, deadline=until, hurried=hurried)
        if seen.is_final:
            return seen
        proof = ROLLED_BACK
    try:
        return (yield from _Canceller(backend, ref, action, until, proof, hurried=hurried).run())
    except RunNotFound:
        if seen is None:
            raise
        return rolled_back(seen)
    except RunsError as error:
        if seen is None or error.run:
            raise
        raise error.replacing(run=seen.to_json()) from None


class _Canceller:
    """One cancel without a wait: its requests, and what was seen between them."""

    def __init__(
        self,
        backend: Backend,
        ref: RunRef,
        action: str | None,
        until: float,
        proof: Proof,
        *,
        hurried: bool,
    ) -> None:
        self.backend, self.ref, self.action, self.until = backend, ref, action, until
        self.hurried = hurried
        self.proof = proof  # that the run is missing
        self.missing = Evidence()
        self.accepted = False
        self.failure: RunsError | None = None
        self.denied: RunNotFound | None = None
        self.uncertain = False  # whether an earlier request may have been accepted

    def run(self) -> Flow[Run]:
        """Ask, look, and ask again; return the run."""
        asked, pause = 0, _FIRST_PAUSE
        while True:
            asked += not self.accepted
            run = yield from self._ask_and_look()
            if run:
                return run
            if self.failure and not self.missing:
                delay = backoff(self.failure, asked - 1, hurried=self.hurried)
            else:
                delay, pause = pause, 2 * pause
            self._check_time(delay, asked)
            yield Sleep(delay)

    def _check_time(self, delay: float, asked: int) -> None:
        """Raise the error if there is no time, or no retry, for another request.

        :raises RunsError: what went wrong last.
        """
        failure = self.failure
        late = time.time() + delay >= self.until
        if failure and (late or (not self.missing and self._was_last(failure, asked))):
            raise failure.adding(f"The cancel was requested {times(asked)} and never accepted.")
        if late and self.denied:
            raise self.denied

    def _was_last(self, failure: RunsError, asked: int) -> bool:
        return asked > self.backend.options.max_retries or failure.should_retry is False

    def _ask_and_look(self) -> Flow[Run | None]:
        """Ask once, unless a request was accepted, and look at the run if it is not shown.

        :return: the run, if nothing more is to be asked; else ``None``.
        :raises RunsError: if no later request can succeed.
        """
        backend, ref, until = self.backend, self.ref, self.until
        if not self.accepted:
            try:
                run = yield from ask_to_cancel(
                    backend, ref, self.action, until, hurried=self.hurried
                )
            except (CancelRefused, RunsConfigError, RunsServiceGone):
                raise
            except RunsError as error:
                self.failure = error
            else:
                metrics.count("cancels.accepted")
                self.accepted, self.failure = True, None
                if run:
                    return run
        try:
            run = yield from get_run(
                backend, ref, deadline=until, once=not self.accepted, hurried=self.hurried
            )
        except RunNotFound as error:
            self.denied = error
            if self.missing.add(self.proof):
                raise
            return None
        except RunsError as error:
            if self.accepted or not error.transient:
                raise
            run = None
        self.missing.clear()
        return self._judged(run)

    def _judged(self, run: Run | None) -> Run | None:
        if self.failure is None:
            return run
        if run and is_settled(run):
            metrics.count("cancels.accepted")
            return run
        if run and not self.uncertain:
            _check_refusal(self.failure, run)
        self.uncertain = self.uncertain or not is_refusal(self.failure)
        return None


def _check_refusal(failure: RunsError, run: Run) -> None:
    """Raise the error for a cancel that was refused for good while the run is active.

    :raises CancelRefused: if the API or a router refuses.
    :raises RunsError: if no quota is left.
    """
    if not isinstance(failure, RunsAPIError):
        return
    if isinstance(failure, RunsAuthError):
        return  # the key may read the run, so the refusal may pass
    if is_refusal(failure):
        metrics.count("cancels.refused")
        if lacks_cancel_call(failure):
            raise failures.no_cancel_call(failure, run.to_json())
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
