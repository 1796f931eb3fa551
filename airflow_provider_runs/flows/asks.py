"""The requests of one wait to cancel its run: when the next one is due, and what was answered."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_runs import metrics
from airflow_provider_runs.backends.wire import ROLLBACK
from airflow_provider_runs.errors import (
    RunsAuthError,
    RunsConfigError,
    RunsError,
    RunsServiceGone,
)
from airflow_provider_runs.flows import failures
from airflow_provider_runs.flows.cancel import is_refusal, lacks_cancel_call, times
from airflow_provider_runs.flows.evidence import PROOF, Evidence, Proof
from airflow_provider_runs.models import RunStatus

if TYPE_CHECKING:
    from airflow_provider_runs.flows.wait import Wait
    from airflow_provider_runs.plain_json import JsonObject

__all__ = ["Asks"]

#: The longest pause between two requests of which none was accepted, in seconds. The first one ends
#: with the wait's first pause, whose jitter it must undercut; each is twice as long as the last.
LONGEST_PAUSE, SHORTER = 60.0, 0.8
#: Seconds after which a request that was accepted is repeated if the run is still active: servers
#: lose some. Twice as long each time, up to the longest.
REPEAT_AFTER, LONGEST_REPEAT = 30.0, 300.0
#: A router's refusal is believed if it comes again after a look that shows the run.
NO_CANCEL_CALL = Proof(looks=2, seconds=0.0)


class Asks:
    """The requests of a wait to cancel its run.

    :param wait: what to wait for, and how.
    """

    __slots__ = (
        *("_due_at", "_first_at", "_key_refused", "_no_call", "_pause", "_repeat_after"),
        *("_unjudged", "_wait", "accepted_at", "count", "failure"),
    )

    def __init__(self, wait: Wait) -> None:
        self._wait = wait
        self.count = wait.asks
        self.accepted_at = wait.asked_at
        #: The last answer, if it did not accept.
        self.failure: RunsError | None = None
        self._first_at = wait.asked_at
        self._due_at = wait.asked_at + REPEAT_AFTER if wait.asked_at else 0.0
        self._pause = SHORTER * next(wait.pauses())
        self._repeat_after = REPEAT_AFTER
        self._unjudged = False
        self._key_refused = Evidence()
        self._no_call = Evidence()

    def due(self, status: RunStatus | None) -> bool:
        """Return whether the run is to be asked for now.

        A rollback deletes its run, so the run must have been seen before.

        :param status: the run's status as last seen; ``None`` if it was not.
        """
        if not self._wait.cancel or status is RunStatus.CANCELLING:
            return False
        if status is None and self._wait.cancel_action == ROLLBACK:
            return False
        return time.time() >= self._due_at

    def begin(self) -> None:
        """Record that a request is sent."""
        self.count += 1
        self._first_at = self._first_at or time.time()

    def accepted(self) -> None:
        """Record that the server accepted, or that the run is seen ``cancelling``."""
        metrics.count("cancels.accepted")
        now = time.time()
        self.accepted_at, self.failure = self.accepted_at or now, None
        self._due_at = now + self._repeat_after
        self._repeat_after = min(2 * self._repeat_after, LONGEST_REPEAT)
        self._key_refused.clear()
        self._no_call.clear()

    def failed(self, failure: RunsError) -> None:
        """Record that the server did not accept.

        :param failure: its answer, or why there is none.
        :raises RunsError: if no later request can succeed.
        """
        if isinstance(failure, (RunsConfigError, RunsServiceGone)):
            raise failure
        self.failure, self._unjudged = failure, True
        if is_refusal(failure):
            # It speaks against what other answers have said.
            if not lacks_cancel_call(failure):
                self._no_call.clear()
            if not isinstance(failure, RunsAuthError):
                self._key_refused.clear()
        self._due_at = time.time() + max(self._pause, failure.retry_after or 0.0)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def renewed(self) -> None:
        """Record that the connection has been changed: its key may work, so ask at once."""
        self._key_refused.clear()
        self._due_at = 0.0

    def unseen(self) -> None:
        """Record that the run could not be seen right after a request: its answer proves nothing.

        Whatever spoiled the look may have spoiled the answer too.
        """
        self._unjudged = False

    def judge(self, run: JsonObject) -> None:
        """Judge the last answer now that the run has been seen active after it.

        :param run: the run, as plain JSON.
        :raises CancelRefused: if the server has no cancel call.
        :raises RunsAuthError: if the key may read the run, but is refused for the cancel.
        """
        failure = self.failure
        if failure is None or not self._unjudged:
            return
        self._unjudged = False
        if is_refusal(failure):
            metrics.count("cancels.refused")
        if lacks_cancel_call(failure) and self._no_call.add(NO_CANCEL_CALL):
            raise failures.no_cancel_call(failure, run)
        if isinstance(failure, RunsAuthError) and self._key_refused.add(PROOF):
            words = "The key may read the run, but not cancel it: the run is still active."
            raise failure.adding(words).replacing(run=run)

    def history(self) -> str:
        """Return when and how often the cancel was asked for and what was answered, in words."""
        if not self.count or self._first_at is None:
            return ""
        at = datetime.fromtimestamp(self._first_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        since = f"since {at}" if self.count > 1 else f"at {at}"
        said = f"The cancel was requested {times(self.count)} {since}"
        if self.failure:
            never = "" if self.accepted_at else "; none was accepted"
            return f"{said}{never}. It was last answered: {self.failure.said}"
        return f"{said} and accepted. Check the run on the server."
