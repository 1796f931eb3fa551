"""How a sensor gives a wait up: it cancels the run first if asked to, and says what came of it."""

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
from airflow_provider_runs.status import RunRef
from airflow_provider_runs.tasks import lazy
from airflow_provider_runs.tasks.errors import about

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_runs.flows.wait import Wait
    from airflow_provider_runs.models import Run

__all__ = ["CancelsOnTimeout", "SensorRunTimeout"]


class SensorRunTimeout(RunTimeout, AirflowSensorTimeout):  # type: ignore[misc]  # Airflow's status_code is the 500 of its own API
    """The sensor's time is up. Airflow retries no sensor for that."""


class CancelsOnTimeout:
    """The part of a sensor that gives up."""

    run_id: str
    thread_id: str | None
    conn_id: str
    on_timeout: str
    cancel_timeout: float
    soft_fail: bool
    never_fail: bool

    @contextmanager
    def _cancelling_on_timeout(self) -> Iterator[None]:
        """Cancel the run before a wait is given up that leaves it active, and say how it ended."""
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
                f"failed: {error}; the triggerer's log says more. {self._cancel()}"
            )
            raise about(self, RunsError, words.rstrip()) from error
        except RunsError as error:
            raise error.adding(self._cancel()) from error

    def _timeout(self, error: RunTimeout | TaskDeferralTimeout) -> SensorRunTimeout:
        if isinstance(error, RunTimeout):
            return SensorRunTimeout(**error.adding(self._cancel()).fields())
        words = (
            f"Airflow ended the deferral that waited for run {self.run_id!r} (connection "
            f"{self.conn_id!r}) before its trigger did; is the triggerer up? {self._cancel()}"
        )
        return about(self, SensorRunTimeout, words.rstrip())

    def _cancel(self) -> str:
        """Cancel the run if asked to, and return words on what came of it, if anything."""
        if self.on_timeout != "cancel":
            return ""
        now = time.time()
        wait = lazy.Wait(
            RunRef(self.run_id, self.thread_id),
            started_at=now,
            deadline=now + self.cancel_timeout,
            poll_interval=5.0,
            cancel=True,
        )
        try:
            try:
                run = self._follow(wait)
            except AirflowTaskTimeout:
                # execution_timeout rings once. The cancel, asked for by the user, has its own time.
                run = self._follow(wait)
        except CancelRefused as error:
            return f"Cancelling it was refused. {error.message}"
        except RunTimeout as error:
            return f"It was asked to cancel, but that is not confirmed. {error.message}"
        except RunsError as error:
            return f"Whether it could be cancelled is unknown. {error.message}"
        return f"It was cancelled and ended {run.status.value!r}."

    def _follow(self, wait: Wait) -> Run:
        with lazy.RunsHook(self.conn_id) as hook:
            return hook.follow(wait)

    @contextmanager
    def _soft_failing(self) -> Iterator[None]:
        """Skip instead of failing, as ``BaseSensorOperator`` does for its own loop."""
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
