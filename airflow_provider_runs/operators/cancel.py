"""The operator that cancels a run and waits until it is final."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import BaseOperator

from airflow_provider_runs.airflow_errors import (
    AirflowSkipException,
    TaskDeferralError,
    TaskDeferralTimeout,
)
from airflow_provider_runs.errors import RunNotFound, RunTimeout, located
from airflow_provider_runs.links import LinksToRun, RunLink
from airflow_provider_runs.run_ref import RunRef
from airflow_provider_runs.status import NO_ID, RunStatus
from airflow_provider_runs.tasks import lazy
from airflow_provider_runs.tasks.connection import look_up
from airflow_provider_runs.tasks.deferral import deadline, defer
from airflow_provider_runs.tasks.errors import UnwantedStatus, about, without_frames
from airflow_provider_runs.tasks.last_seen import last_status, remember
from airflow_provider_runs.tasks.parameters import (
    default_deferrable,
    one_of,
    optional_seconds,
    seconds,
)
from airflow_provider_runs.tasks.result import XCOM_CHOICES, ReturnsRun

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from airflow.sdk import Context

    from airflow_provider_runs.flows.wait import Wait
    from airflow_provider_runs.models import Run
    from airflow_provider_runs.plain_json import JsonObject

__all__ = ["CancelRunOperator"]

_CHOICES = ("succeed", "skip", "fail")
Choice = Literal["succeed", "skip", "fail"]


class CancelRunOperator(ReturnsRun, LinksToRun, BaseOperator):
    """Cancels a run and waits until it is final.

    Cancelling is idempotent: a run that is already ``cancelled`` or ``cancelling`` is a success, so
    a retried task does no harm. A run that ended in another status before the cancel took effect
    no longer runs, so by default it is a success too; ``on_already_final`` decides.

    Returns the final run as plain JSON, without what it was started with (``xcom``). Without
    waiting, returns the run as it is after the cancel. For a missing run, returns nothing if
    ``on_missing`` is ``succeed``. If the server says how many tokens a run that has ended used, an
    XCom of its own, ``usage``, holds their numbers, also if the task fails then.

    :param run_id: the run (templated).
    :param thread_id: its thread (templated); ``None`` where the API has no threads.
    :param conn_id: the Airflow connection (templated).
    :param wait_for_termination: wait until the run is final, or only request the cancel.
    :param poll_interval: longest pause between two polls, in seconds; the first are shorter.
    :param first_poll_interval: the first pause, in seconds; each pause is half as long again as the
        one before, up to ``poll_interval``. By default one second. If it equals ``poll_interval``,
        all pauses have that length.
    :param timeout: how long to wait at most, in seconds; ``execution_timeout`` also bounds the
        wait.
    :param deferrable: wait in the triggerer, without a worker slot; by default as
        ``[operators] default_deferrable`` says.
    :param cancel_action: on LangGraph, ``interrupt`` or ``rollback``, which also deletes the run
        (it is returned as ``cancelled``); by default the connection's.
    :param on_already_final: what to do when the run had already ended in another status than
        ``cancelled``: ``succeed``, ``skip`` or ``fail`` (without retries, as a final run never
        changes).
    :param on_missing: what to do when the server has no such run: ``fail``, ``skip`` or
        ``succeed``.
    :param missing_grace: for how many seconds, and in at least three polls, the server must deny a
        run that was seen before it counts as missing; 0 believes the first answer. A run that was
        never seen, since it may just have been started, gets ten seconds of it at most.
    :param xcom: what is returned: ``run``, the run without its instructions, tools and inputs, or
        ``summary``, only its ids, status, times, error and usage: nothing that people or the model
        wrote.
    :raises RunTimeout: when the run is not final in time, for example because it is stuck in
        ``cancelling``, or when Airflow ends the deferral early.
    :raises CancelRefused: when the server refuses to cancel the run and it is still active.
    :raises RunFailed: when the run had already ended and ``on_already_final`` is ``fail``.
    :raises RunNotFound: when the server has no such run and ``on_missing`` is ``fail``.
    :raises AirflowSkipException: in either of these cases, when the parameter is ``skip``.
    :raises RunsError: when there is no usable answer.
    """

    template_fields: Sequence[str] = ("run_id", "thread_id", "conn_id")
    ui_color = "#f6d5d5"

    def __init__(
        self,
        *,
        run_id: str,
        thread_id: str | None = None,
        conn_id: str = "runs_default",
        wait_for_termination: bool = True,
        poll_interval: float | timedelta = 5.0,
        first_poll_interval: float | timedelta | None = None,
        timeout: float | timedelta = 600.0,
        deferrable: bool = default_deferrable(),
        cancel_action: Literal["interrupt", "rollback"] | None = None,
        on_already_final: Choice = "succeed",
        on_missing: Choice = "fail",
        missing_grace: float | timedelta = 30.0,
        xcom: Literal["run", "summary"] = "run",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.run_id = run_id
        self.thread_id = thread_id
        self.conn_id = conn_id
        self.wait_for_termination = wait_for_termination
        self.poll_interval = seconds("poll_interval", poll_interval)
        self.first_poll_interval = optional_seconds("first_poll_interval", first_poll_interval)
        self.timeout = seconds("timeout", timeout)
        self.deferrable = deferrable
        self.cancel_action = cancel_action
        self.on_already_final = one_of("on_already_final", on_already_final, _CHOICES)
        self.on_missing = one_of("on_missing", on_missing, _CHOICES)
        self.missing_grace = seconds("missing_grace", missing_grace, or_none=True)
        self.xcom = one_of("xcom", xcom, XCOM_CHOICES)

    def execute(self, context: Context) -> JsonObject | None:
        """Cancel the run and wait, here or in the triggerer."""
        with without_frames():
            return self._execute(context)

    def _execute(self, context: Context) -> JsonObject | None:
        wait = replace(self._wait(), seen=last_status(context, self.run_id))
        if self.run_id in NO_ID and self.on_missing != "fail":
            # This may be a teardown whose setup failed before it had started a run.
            words = (
                f"There is no run to cancel: the task that should give run_id gave {self.run_id!r}."
            )
            self._missing(RunNotFound(located(words, "", self.conn_id), conn_id=self.conn_id))
            return None
        ids = self.run_id, self.thread_id
        with lazy.RunsHook(self.conn_id) as hook:
            RunLink().publish(context, look_up(hook, wait.deadline), wait.ref)
            try:
                if not self.wait_for_termination:
                    asked = hook.cancel_run(
                        *ids,
                        cancel_action=self.cancel_action,
                        deadline=wait.deadline,
                        missing_grace=self.missing_grace,
                    )
                    self.log.info("Requested the cancel: %s is %s", wait.ref, asked.status.shown)
                    return self._conclude(asked, context)
                if not self.deferrable:
                    return self._conclude(hook.follow(wait), context)
                run, rest = hook.look_once(wait)
                remember(context, wait, rest)
            except RunNotFound as error:
                self._missing(error)
                return None
        if run and run.is_final:
            return self._conclude(run, context)
        from airflow_provider_runs.triggers import RunStatusTrigger

        return defer(self, RunStatusTrigger.of(rest, self.conn_id), rest.deadline)

    def execute_complete(self, context: Context, event: Any) -> JsonObject | None:
        """Finish the task with the trigger's event.

        :param context: of the task.
        :param event: the event, see ``tasks.events.RunEvent``.
        :return: as ``execute`` does.
        """
        with without_frames():
            try:
                seen = lazy.RunEvent.read(event, self.run_id)
                return self._conclude(self._fetch_again(seen), context)
            except RunNotFound as error:
                self._missing(error)
                return None

    def resume_execution(
        self, next_method: str, next_kwargs: JsonObject | None, context: Context
    ) -> Any:
        """Resume after the deferral; if Airflow ended the deferral, poll once more."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except (TaskDeferralError, TaskDeferralTimeout) as error:
            with without_frames():
                return self._poll_once_more(error, context)

    def _poll_once_more(self, error: Exception, context: Context) -> JsonObject | None:
        with lazy.RunsHook(self.conn_id) as hook:
            wait = self._wait()
            look_up(hook, wait.deadline)
            try:
                run, _ = hook.look_once(wait, settle=True)
            except RunNotFound as missing:
                self._missing(missing)
                return None
        if run and run.is_final:
            return self._conclude(run, context)
        state = f"The run is {run.status.value!r} now." if run else "Its status now is unknown."
        words = (
            "The run was not seen final: Airflow ended the deferral that waited for it "
            f"({type(error).__name__}: {error}). Check that a triggerer is up. {state}"
        )
        raise about(self, RunTimeout, words, run) from error

    def _wait(self) -> Wait:
        now = time.time()
        return lazy.Wait(
            lazy.RunRef(self.run_id, self.thread_id),
            started_at=now,
            deadline=deadline(now, self.timeout, self.execution_timeout),
            poll_interval=self.poll_interval,
            first_interval=self.first_poll_interval,
            cancel=True,
            cancel_action=self.cancel_action,
            missing_grace=self.missing_grace,
        )

    def _conclude(self, run: Run, context: Context) -> JsonObject:
        self._report_usage(context, run)
        if not run.is_final or run.status is RunStatus.CANCELLED:
            return self._result(run)
        ended = f"it ended {run.status.value!r} before the cancel took effect"
        words = f"The run was not cancelled: {ended}."
        if self.on_already_final == "skip":
            raise AirflowSkipException(located(words, RunRef(self.run_id), self.conn_id))
        if self.on_already_final == "fail":
            advice = "Set on_already_final to 'succeed' or 'skip' to accept that."
            raise about(self, UnwantedStatus, f"{words} {advice}", run)
        self.log.info(words)
        return self._result(run)

    def _missing(self, error: RunNotFound) -> None:
        if self.on_missing == "fail":
            raise error
        if self.on_missing == "skip":
            raise AirflowSkipException(error.message) from error
        self.log.info("%s Nothing to cancel, which on_missing='succeed' allows.", error.message)
