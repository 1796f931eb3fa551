"""How a sensor ends a wait early: if asked to, it cancels the run first and says how that went."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_provider_runs.airflow_errors import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    TaskDeferralError,
    TaskDeferralTimeout,
)
from airflow_provider_runs.errors import (
    CancelRefused,
    RunFailed,
    RunNotFound,
    RunsError,
    RunTimeout,
)
from airflow_provider_runs.tasks import lazy
from airflow_provider_runs.tasks.errors import about

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_runs.flows.wait import Wait
    from airflow_provider_runs.models import Run

__all__ = ["CancelsOnTimeout", "SensorRunTimeout"]


class SensorRunTimeout(RunTimeout, AirflowSensorTimeout):  # type: ignore[misc]  # Airflow's status_code is the 500 of its own API
    """The sensor timed out. Airflow does not retry a sensor after that."""


class CancelsOnTimeout:
    """The part of a sensor that ends a wait early."""

    run_id: str
    thread_id: str | None
    conn_id: str
    on_timeout: str
    cancel_timeout: float
    soft_fail: bool
    never_fail: bool

    @contextmanager
    def _cancelling_on_timeout(self) -> Iterator[None]:
        """Cancel the run if the wait ends while it may be active; add the result to the error."""
        try:
            yield
        except (RunFailed, RunNotFound):
            raise  # it has ended
        except (RunTimeout, TaskDeferralTimeout) as error:
            raise self._timeout(error) from error
        except AirflowTaskTimeout as error:
            raise AirflowTaskTimeout(f"{error}. {self._cancel()}") from error
        except TaskDeferralError as error:
            words = (
                f"The trigger that waited for run {self.run_id!r} (connection {self.conn_id!r}) "
                f"failed: {error}. See the triggerer's log. {self._cancel()}"
            )
            raise about(self, RunsError, words.rstrip()) from error
        except RunsError as error:
            raise error.adding(self._cancel()) from error

    def _timeout(self, error: RunTimeout | TaskDeferralTimeout) -> SensorRunTimeout:
        if isinstance(error, RunTimeout):
            return SensorRunTimeout(**error.adding(self._cancel()).fields())
        words = (
            f"Airflow ended the deferral that waited for run {self.run_id!r} (connection "
            f"{self.conn_id!r}) before its trigger fired. Is the triggerer up? {self._cancel()}"
        )
        return about(self, SensorRunTimeout, words.rstrip())

    def _cancel(self) -> str:
        """Cancel the run if asked to; return a sentence on how that went, else an empty text."""
        if self.on_timeout != "cancel":
            return ""
        now = time.time()
        wait = lazy.Wait(
            lazy.RunRef(self.run_id, self.thread_id),
            started_at=now,
            deadline=now + self.cancel_timeout,
            poll_interval=5.0,
            cancel=True,
        )
        try:
            try:
                run = self._follow(wait)
            except AirflowTaskTimeout:
                # execution_timeout has expired during the cancel, and does so only once. The user
                # asked for the cancel, which has a timeout of its own, so it is tried again.
                run = self._follow(wait)
        except CancelRefused as error:
            return f"The server refused to cancel it. {error.message}"
        except RunTimeout as error:
            return f"The cancel was requested, but is not confirmed. {error.message}"
        except RunsError as error:
            return f"Whether it was cancelled is unknown. {error.message}"
        return f"It was cancelled and ended {run.status.value!r}."

    def _follow(self, wait: Wait) -> Run:
        with lazy.RunsHook(self.conn_id) as hook:
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
