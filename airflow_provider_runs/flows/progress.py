"""What a wait has seen so far."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_runs import metrics
from airflow_provider_runs.backends.wire import ROLLBACK
from airflow_provider_runs.errors import CancelRefused, RunNotFound, RunsError, RunTimeout
from airflow_provider_runs.flows.calls import rolled_back
from airflow_provider_runs.flows.steps import Sleep
from airflow_provider_runs.models import Glimpse, Run, RunStatus

if TYPE_CHECKING:
    from airflow_provider_runs.backends import Backend
    from airflow_provider_runs.flows.steps import Log
    from airflow_provider_runs.flows.wait import Wait
    from airflow_provider_runs.plain_json import JsonObject

__all__ = ["Progress"]

#: Seconds without a single answer after which a wait fails, however far its deadline is.
OUTAGE_TOLERANCE = 900.0


class Progress:
    """What a wait has seen so far.

    :param backend: of the run's connection.
    :param wait: what to wait for, and how.
    :param log: gets a line when the run's status changes and when polling begins to fail.
    """

    def __init__(self, backend: Backend, wait: Wait, log: Log) -> None:
        self.backend = backend
        self.wait = wait
        self.log = log
        self.status = RunStatus.of(wait.seen) if wait.seen else None
        self.asked_at = wait.asked_at
        # The run as it was last read in full. Later polls only keep its status: the bodies of
        # thousands of runs would keep Python's garbage collector busy.
        self.run: Run | None = None
        self.raw_status: str | None = None
        self.poll_after = 0.0
        self.refused: JsonObject | None = None
        self.error: RunsError | None = None
        self.failures = 0
        self.silent_since: float | None = None
        self.pauses = wait.pauses()

    @property
    def asking(self) -> bool:
        """Whether the run is to be cancelled and the server has not accepted that yet."""
        return self.wait.cancel and self.asked_at is None

    def remaining(self) -> Wait:
        """Return what remains of the wait."""
        seen = self.status.value if self.status else None
        return replace(self.wait, asked_at=self.asked_at, seen=seen)

    def saw(self, run: Run | Glimpse) -> None:
        """Record the run as it is now, and log a change of its status.

        :param run: the answer to a poll or a cancel.
        """
        if run.is_final and self.asked_at is not None:
            metrics.cancelled(run.status, time.time() - self.asked_at)
        before, self.status = self.status, run.status
        self.raw_status, self.refused = run.raw_status, None
        if isinstance(run, Run):
            self.run, self.poll_after = run, 0.0
        else:
            self.poll_after = run.poll_after
        self.error, self.failures, self.silent_since = None, 0, None
        if run.status == before:
            return
        self.log.info(
            "%s is %s%s, %.1f s into the wait",
            _name(self.wait),
            run.status.value,
            f" (was {before.value})" if before else "",
            time.time() - self.wait.started_at,
        )
        if not run.status.is_known:
            self.log.warning(
                "This provider does not know the status %r. It counts as not final: still waiting",
                run.raw_status,
            )
        if run.status is RunStatus.CANCELLING:
            self.pauses = self.wait.pauses()  # it may end any moment: poll often again

    def missed(self, error: RunNotFound) -> Run:
        """Record that the server has no such run; return the run if a rollback explains that.

        :param error: the server's answer.
        :raises RunNotFound: if no rollback explains it.
        """
        if self.status is None:
            raise error
        if self.wait.cancel_action == ROLLBACK:
            return rolled_back(self._as_seen(self.status, self.status.value))
        words = f"It was {self.status.value!r} before, {self.backend.vanished}."
        raise error.adding(words).replacing(run=self.last_seen())

    def failed(self, error: RunsError) -> None:
        """Record that a poll or a cancel has failed, and log the first failure in a row.

        :param error: how it failed.
        :raises RunsError: the same error, if it is no use to keep waiting.
        """
        if isinstance(error, CancelRefused):
            # The server answers, and may accept later: some refuse while a run starts.
            self.failures, self.silent_since = 0, None
            self.refused = error.run
        else:
            self.failures += 1
            self.silent_since = self.silent_since or time.time()
            silent = time.time() - self.silent_since > OUTAGE_TOLERANCE and self.failures > 2
            if not error.transient or silent:
                raise error.replacing(run=error.run or self.last_seen()) from error.__cause__
        if error.run and not self.status:
            self.status = RunStatus.of(error.run["status"])
        if self.error is None:
            self.log.warning("%s Still waiting.", error.message)
        self.error = error

    def last_seen(self) -> JsonObject | None:
        """Return the run as it was last seen, as plain JSON; ``None`` if it never was."""
        if self.refused or self.status is None or self.raw_status is None:
            return self.refused
        return self._as_seen(self.status, self.raw_status).to_json()

    def _as_seen(self, status: RunStatus, raw_status: str) -> Run:
        """Return the run as it was last read in full, but with this status."""
        words = {"status": status, "raw_status": raw_status}
        if self.run:
            return self.run.model_copy(update=words)
        ids = {"id": self.wait.ref.run_id, "thread_id": self.wait.ref.thread_id}
        return Run.model_validate({**ids, **words})

    def pause(self) -> Sleep:
        """Return the pause until the next poll, which ends at the deadline at the latest.

        :raises RunTimeout: when the deadline has passed.
        :raises CancelRefused: when it has passed and the server's last answer was a refusal.
        """
        left = self.wait.deadline - time.time()
        if left <= 0:
            raise self._timeout()
        asked = max((self.error and self.error.retry_after) or 0.0, self.poll_after)
        return Sleep(min(max(next(self.pauses), asked), left))

    def _timeout(self) -> RunsError:
        if isinstance(self.error, CancelRefused):
            return self.error
        wait, run, conn_id = self.wait, self.last_seen(), self.backend.settings.conn_id
        waited = time.time() - wait.started_at
        last = f" Last failure: {self.error.message}" if self.error else ""
        return RunTimeout(
            f"{_name(wait)} was not final after {waited:.0f} s (connection {conn_id!r}): "
            f"{_state(run)}. {_advice(run)}{last}",
            conn_id=conn_id,
            run_id=wait.ref.run_id,
            thread_id=wait.ref.thread_id,
            run=run,
        )


def _name(wait: Wait) -> str:
    text = str(wait.ref)
    return text[:1].upper() + text[1:]


def _state(run: JsonObject | None) -> str:
    if run is None:
        return "its status was never seen"
    if RunStatus.of(run["status"]).is_known:
        return f"it is still {run['status']!r}"
    return f"its status is {run['raw_status']!r}, which this provider does not know"


def _advice(run: JsonObject | None) -> str:
    if run and run["status"] == RunStatus.CANCELLING:
        return "The cancel was accepted but has not taken effect: check the run on the server."
    return "It may keep running and cost money: cancel it, or set a longer timeout."
