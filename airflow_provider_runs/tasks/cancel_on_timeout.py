"""How a task ends a wait early: if asked to, it cancels the run first and says how that went."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from airflow_provider_runs.airflow_errors import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    TaskDeferralError,
    TaskDeferralTimeout,
    TaskDeferred,
)
from airflow_provider_runs.errors import (
    CancelRefused,
    RunFailed,
    RunNotFound,
    RunsAPIError,
    RunsConfigError,
    RunsError,
    RunsResponseError,
    RunTimeout,
)
from airflow_provider_runs.status import INTERRUPT, RunStatus
from airflow_provider_runs.tasks import lazy
from airflow_provider_runs.tasks.connection import look_up
from airflow_provider_runs.tasks.errors import UnwantedEnd, about, without_frames
from airflow_provider_runs.tasks.result import ReturnsRun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow.sdk import Context

    from airflow_provider_runs.flows.wait import Wait
    from airflow_provider_runs.models import Run
    from airflow_provider_runs.plain_json import JsonObject

__all__ = ["CancelsOnTimeout", "SensorRunTimeout"]

log = logging.getLogger(__name__)


class SensorRunTimeout(RunTimeout, AirflowSensorTimeout):  # type: ignore[misc]  # Airflow's status_code is the 500 of its own API
    """The sensor timed out. Airflow does not retry a sensor after that."""


class CancelsOnTimeout(ReturnsRun):
    """The part of a task that ends a wait early.

    The errors that end it are those of a sensor by default.
    """

    #: What ends the work while the run may be active.
    failures: ClassVar[tuple[type[BaseException], ...]] = (
        *(RunsError, AirflowTaskTimeout, TaskDeferralError, TaskDeferralTimeout),
    )
    #: The error for a wait that times out.
    timed_out: ClassVar[type[RunTimeout]] = SensorRunTimeout

    expected_statuses: tuple[str, ...]
    on_timeout: str
    cancel_timeout: float
    cancel_action: str | None
    missing_grace: float
    soft_fail = False
    never_fail = False
    #: Whether an earlier look of this wait has seen the run, or may have.
    _worked = False

    def _conclude(self, run: Run, context: Context) -> JsonObject:
        """Return the result for a run that ends the wait."""
        raise NotImplementedError

    def _finish(self, work: Callable[[], JsonObject | None], context: Context) -> JsonObject | None:
        """Do the work of the task; cancel the run if that fails while the run may be active.

        :param work: waits, and returns the task's result.
        :param context: of the task.
        :return: what the work returns, or the result for a run that the cancel found to have ended
            as expected.
        """
        with self._soft_failing(), without_frames():
            try:
                return work()
            except (AirflowSkipException, AirflowRescheduleException, TaskDeferred):
                raise
            except self.failures as error:
                failure: BaseException = error
            outcome = ""
            if self.on_timeout == "cancel" and self._may_be_active(failure):
                run, outcome = self._cancel()
                if run and self._has_finished(run):
                    log.info(
                        "Run %r has ended %r, as expected, while it was being cancelled: %s",
                        *(self.run_id, run.status.shown, failure),
                    )
                    return self._conclude(run, context)
                if run:
                    self._report_usage(context, run)
            raise self._failure(failure, outcome) from None

    def _has_finished(self, run: Run) -> bool:
        """Return whether a run has ended as expected, and not by the cancel of this task."""
        return run.status is not RunStatus.CANCELLED and run.status.value in self.expected_statuses

    def _may_be_active(self, error: BaseException) -> bool:
        """Return whether the run may go on although the wait has ended with this error.

        A connection that cannot be read, and what a server says that has never shown the run, say
        nothing about it: it may be healthy, and a retry may find it.
        """
        if isinstance(error, UnwantedEnd):
            run = error.run or {}
            return not RunStatus.of(run.get("status", "")).is_final and not _has_stopped(run)
        if isinstance(error, (RunFailed, RunsConfigError)):
            return False
        of_server = isinstance(error, RunsAPIError) or (
            # Without a status it is about the event of a trigger, which may have seen the run.
            isinstance(error, RunsResponseError) and error.status_code is not None
        )
        if of_server and isinstance(error, RunsError):
            return error.run is not None or self._worked
        return True

    def _failure(self, error: BaseException, outcome: str) -> BaseException:
        """Return the error that the task fails with.

        :param error: what has ended the wait.
        :param outcome: how the cancel went, as the end of a sentence; empty if there was none.
        """
        end = f"; {outcome}." if outcome else "."
        if isinstance(error, AirflowTaskTimeout):
            return AirflowTaskTimeout(f"{error}{end}")
        if isinstance(error, TaskDeferralTimeout):
            words = (
                "Airflow ended the deferral before its trigger fired: check that a triggerer is up"
            )
            return about(self, self.timed_out, f"{words}{end}")
        if isinstance(error, TaskDeferralError):
            words = f"The trigger failed: {str(error).rstrip('.')}. See the triggerer's log"
            return about(self, RunsError, f"{words}{end}")
        if not isinstance(error, RunsError):
            if outcome:
                log.warning("Run %r of this task, which fails: %s", self.run_id, outcome)
            return error
        if outcome:
            words = error.said.replace(f" {RunTimeout.ADVICE}", "")
            error = error.instead(f"{words.rstrip('.')}{end}")
        if isinstance(error, RunTimeout):
            return self.timed_out(**error.fields())
        return error

    def _cancel(self) -> tuple[Run | None, str]:
        """Cancel the run.

        :return: the run, if it has ended; and how that went, as the end of a sentence.
        """
        now = time.time()
        wait = lazy.Wait(
            lazy.RunRef(self.run_id, self.thread_id),
            started_at=now,
            deadline=now + self.cancel_timeout,
            poll_interval=5.0,
            cancel=True,
            cancel_action=self.cancel_action,
            worked=True,
            missing_grace=self.missing_grace,
        )
        log.warning(
            "The wait for run %r has ended: cancelling the run, which may take up to %.0f s",
            *(self.run_id, self.cancel_timeout),
        )
        try:
            try:
                run = self._follow(wait)
            except AirflowTaskTimeout:
                # execution_timeout has expired during the cancel, and does so only once. The user
                # asked for the cancel, which has a timeout of its own, so it is tried again.
                run = self._follow(wait)
        except CancelRefused as error:
            return None, f"the server then refused to cancel it: {_clause(error)}"
        except RunNotFound:
            return None, "there was nothing left to cancel, as the server denies the run"
        except RunTimeout as error:
            return None, f"a cancel was then requested, but is not confirmed: {_clause(error)}"
        except RunsError as error:
            return None, f"whether it was then cancelled is unknown: {_clause(error)}"
        return run, f"it was then cancelled and ended {run.status.value!r}"

    def _follow(self, wait: Wait) -> Run:
        with lazy.RunsHook(self.conn_id) as hook:
            look_up(hook, wait.deadline)
            return hook.follow(wait)

    @contextmanager
    def _soft_failing(self) -> Iterator[None]:
        """Skip instead of failing, as ``BaseSensorOperator`` does in its own loop."""
        try:
            yield
        except (AirflowSkipException, AirflowRescheduleException):
            raise
        except (AirflowSensorTimeout, AirflowTaskTimeout, AirflowFailException) as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(str(error)) from error
            raise
        except Exception as error:
            if self.never_fail:
                raise AirflowSkipException(str(error)) from error
            raise


def _has_stopped(run: JsonObject) -> bool:
    """Return whether a run waits for a person whose answer begins another run.

    A cancel would find it ended, perhaps ``completed``, as if it had not asked anything.
    """
    action = run.get("required_action")
    return isinstance(action, dict) and action.get("type") == INTERRUPT


def _clause(error: RunsError) -> str:
    """Return what an error says, as the end of a sentence."""
    return error.said.rstrip(".")
