"""What a wait has seen so far, and what that proves."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_runs import metrics
from airflow_provider_runs.backends.wire import ROLLBACK
from airflow_provider_runs.errors import (
    RunNotFound,
    RunsAuthError,
    RunsConfigError,
    RunsError,
    RunsResponseError,
    RunsServiceGone,
)
from airflow_provider_runs.flows import endings
from airflow_provider_runs.flows.asks import Asks
from airflow_provider_runs.flows.cancel import rolled_back
from airflow_provider_runs.flows.evidence import NEW_RUN, PROOF, ROLLED_BACK, Evidence, Proof
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
#: Seconds after which a wait without news says in the log that it is still there.
SIGN_OF_LIFE = 600.0
#: One answer is enough for a key that has never worked in a wait.
AT_ONCE = Proof(looks=1, seconds=0.0)


class Progress:
    """What a wait has seen so far.

    :param backend: of the run's connection.
    :param wait: what to wait for, and how.
    :param log: gets a line when the run's status changes and when polling begins to fail.
    """

    __slots__ = (  # there are thousands of them
        *("asks", "backend", "doubts", "error", "failures", "log", "pauses", "poll_after"),
        *("raw_status", "run", "said_at", "silent_since", "status", "wait"),
    )

    def __init__(self, backend: Backend, wait: Wait, log: Log) -> None:
        self.backend = backend
        self.wait = wait
        self.log = log
        self.asks = Asks(wait)
        self.status = RunStatus.of(wait.seen) if wait.seen else None
        # The run as it was last read in full. Later polls only keep its status: the bodies of
        # thousands of runs would keep Python's garbage collector busy.
        self.run: Run | None = None
        self.raw_status: str | None = wait.seen
        self.poll_after = 0.0
        self.error: RunsError | None = None
        self.doubts: defaultdict[object, Evidence] = defaultdict(Evidence)
        self.failures = 0
        self.silent_since: float | None = None
        self.pauses = wait.pauses()
        self.said_at = time.time()

    @property
    def worked(self) -> bool:
        """Whether the server has shown the run, or accepted its cancel, so that it is there."""
        known = self.status is not None or self.asks.accepted_at is not None
        return known or self.wait.worked

    @property
    def in_doubt(self) -> bool:
        """Whether the last answers may mean the end of the wait, but do not prove it yet."""
        return bool(self.doubts)

    def remaining(self) -> Wait:
        """Return what remains of the wait."""
        seen = self.status.value if self.status else None
        asks = self.asks
        return replace(self.wait, asked_at=asks.accepted_at, asks=asks.count, seen=seen)

    def saw(self, run: Run | Glimpse) -> None:
        """Record the run as it is now, and log a change of its status.

        :param run: the answer to a poll or a cancel.
        :raises RunsError: if an earlier answer to a cancel proves, now, that none will succeed.
        """
        before, self.status = self.status, run.status
        self.raw_status = run.raw_status
        if isinstance(run, Run):
            self.run, self.poll_after = run, 0.0
        else:
            self.poll_after = run.poll_after
        self.error, self.failures, self.silent_since = None, 0, None
        if self.doubts:
            self._trust()
        if run.status != before:
            self._tell_change(run, before)
        if self.asks.count:
            self._judge_cancel(run)

    def _trust(self) -> None:
        self.log.info("%s can be read again", endings.name(self.wait))
        self.pauses = self.wait.pauses()
        self.doubts.clear()

    def _tell_change(self, run: Run | Glimpse, before: RunStatus | None) -> None:
        self.said_at = time.time()
        self.log.info(
            "%s is %s%s, %.1f s into the wait",
            endings.name(self.wait),
            run.status.shown,
            f" (was {before.shown})" if before else "",
            self.said_at - self.wait.started_at,
        )
        if not run.status.is_known:
            self.log.warning(
                "This provider does not know the status %r. It counts as not final: still waiting. "
                "The connection's field final_statuses can say what it means",
                run.raw_status,
            )
        if run.status is RunStatus.CANCELLING:
            self.pauses = self.wait.pauses()  # it may end any moment: poll often again

    def _judge_cancel(self, run: Run | Glimpse) -> None:
        """Judge the last request to cancel the run by what the run is after it."""
        asks = self.asks
        if asks.accepted_at is None and (run.is_final or run.status is RunStatus.CANCELLING):
            asks.accepted()  # whatever was answered, it is as if it had been accepted
        if run.is_final and asks.accepted_at is not None:
            metrics.cancelled(run.status, time.time() - asks.accepted_at)
        elif asks.failure and not run.is_final and run.status is not RunStatus.CANCELLING:
            seen = self.last_seen()
            assert seen is not None  # noqa: S101 - it has just been seen
            asks.judge(seen)

    def cancel_failed(self, error: RunsError) -> None:
        """Record that a request to cancel the run was not accepted, and log it once.

        :param error: how it failed.
        :raises RunsError: if no later request can succeed.
        """
        if self.asks.failure is None:
            self.log.warning("The cancel was not accepted, so it will be sent again. %s", error)
        self.asks.failed(error)

    def missed(self, error: RunNotFound) -> Run | None:
        """Record that the server denies the run; return the run if a rollback explains that.

        :param error: the server's answer.
        :return: ``None`` if the answer does not prove that the run is missing.
        :raises RunNotFound: if it does, and no rollback explains it.
        """
        explained = self.wait.cancel_action == ROLLBACK and self.asks.count and self.status
        accepted = self.asks.accepted_at is not None and self.wait.missing_grace
        if not self._proves(error, ROLLED_BACK if explained and accepted else None):
            return None
        if explained:
            return rolled_back(self._as_seen())
        if not self.worked:
            raise error
        was = f"{self.status.value!r} before" if self.status else "there before"
        raise error.adding(f"It was {was}, {self.backend.vanished}.").replacing(
            run=self.last_seen()
        )

    def failed(self, error: RunsError) -> None:
        """Record that a poll has failed, and log the first failure in a row.

        :param error: how it failed.
        :raises RunsError: the same error, if it is no use to keep waiting.
        """
        if isinstance(error, (RunsConfigError, RunsServiceGone)):
            raise self._with_run(error)
        strange = isinstance(error, RunsResponseError) and not self.worked
        if not error.transient or strange:
            if self._proves(error):
                raise self._with_run(error)
            return
        self.failures += 1
        self.silent_since = self.silent_since or time.time()
        if time.time() - self.silent_since > OUTAGE_TOLERANCE and self.failures > 2:
            raise self._with_run(error)
        if self.error is None:
            self.log.warning("Still waiting. %s", error.message)
        self.error = error

    def renewed(self, backend: Backend) -> None:
        """Go on with a connection that has been changed: its key may work.

        :param backend: of the changed connection.
        """
        self.backend = backend
        self.doubts.clear()

    def _proves(self, error: RunsError, needed: Proof | None = None) -> bool:
        """Record a doubtful answer; return whether it proves, with those before it, what it says.

        The first one is logged.

        :param error: the answer.
        :param needed: what proves it; by default what such an answer needs.
        """
        first = not self.doubts
        doubt = self.doubts[type(error), error.status_code]
        if doubt.add(needed or self._needed(error)):
            return True
        if first:
            self.pauses = self.wait.pauses_in_doubt()
            self.log.warning("One answer proves nothing: still waiting. %s", error.message)
        self.error = error
        return False

    def _needed(self, error: RunsError) -> Proof:
        """Return what proves that an answer is the truth."""
        if error.status_code == 404:
            grace = self.wait.missing_grace
            return PROOF.over(grace) if self.worked else NEW_RUN.over(min(grace, NEW_RUN.seconds))
        if isinstance(error, RunsResponseError):
            return NEW_RUN
        if self.worked:
            return PROOF
        return AT_ONCE if isinstance(error, RunsAuthError) else NEW_RUN

    def _with_run(self, error: RunsError) -> RunsError:
        return error.replacing(run=error.run or self.last_seen())

    def last_seen(self) -> JsonObject | None:
        """Return the run as it was last seen, as plain JSON; ``None`` if it never was."""
        return self._as_seen().to_json() if self.status is not None else None

    def _as_seen(self) -> Run:
        """Return the run as it was last read in full, but with its last status."""
        words = {"status": self.status, "raw_status": self.raw_status or str(self.status)}
        if self.run:
            return self.run.model_copy(update=words)
        ids = {"id": self.wait.ref.run_id, "thread_id": self.wait.ref.thread_id}
        return Run.model_validate({**ids, **words})

    def pause(self) -> Sleep:
        """Return the pause until the next poll, which ends at the deadline at the latest.

        :raises RunTimeout: when the deadline has passed.
        :raises CancelRefused: when it has passed and the server's last answer was a refusal.
        """
        now = time.time()
        if now >= self.wait.deadline:
            conn_id = self.backend.settings.conn_id
            raise endings.timed_out(self.wait, conn_id, self.last_seen(), self.asks, self.error)
        if now - self.said_at >= SIGN_OF_LIFE:
            self.said_at = now
            state = f"was last seen {self.status.shown}" if self.status else "was never seen"
            waited = now - self.wait.started_at
            self.log.info("%s %s; the wait is %.0f s old", endings.name(self.wait), state, waited)
        asked = max((self.error and self.error.retry_after) or 0.0, self.poll_after)
        return Sleep(min(max(next(self.pauses), asked), self.wait.deadline - now))
