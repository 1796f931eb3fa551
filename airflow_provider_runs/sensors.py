"""The sensor that waits until a run has ended."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from airflow.sdk import BaseSensorOperator, PokeReturnValue

from airflow_provider_runs.airflow_errors import AirflowRescheduleException
from airflow_provider_runs.links import LinksToRun, RunLink
from airflow_provider_runs.status import FINAL
from airflow_provider_runs.tasks import lazy
from airflow_provider_runs.tasks.connection import look_up
from airflow_provider_runs.tasks.deferral import deadline, settling_time
from airflow_provider_runs.tasks.last_seen import last_status, remember
from airflow_provider_runs.tasks.parameters import (
    default_deferrable,
    one_of,
    optional_seconds,
    seconds,
    some_of,
)
from airflow_provider_runs.tasks.result import XCOM_CHOICES
from airflow_provider_runs.tasks.waiting import WaitsForRun

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import timedelta

    from airflow.sdk import Context

    from airflow_provider_runs.flows.wait import Wait
    from airflow_provider_runs.plain_json import JsonObject

__all__ = ["RunStatusSensor"]


#: Shortest pause between two polls, in seconds: Airflow allows a poke_interval of 0.
_SHORTEST_PAUSE = 0.1


class RunStatusSensor(WaitsForRun, LinksToRun, BaseSensorOperator):
    """Waits until a run has ended, in one of the expected statuses.

    Another final status fails the task at once and without retries, as a final run never changes;
    the message holds the run's ``last_error``. Returns the final run as plain JSON, without what it
    was started with (``xcom``). If the server says how many tokens a run that has ended used, an
    XCom of its own, ``usage``, holds their numbers, also if the task fails then.

    It also takes the parameters of ``BaseSensorOperator``. ``poke_interval`` is the longest pause
    between two polls, in seconds; the first pauses are shorter. In ``reschedule`` mode no pause is
    shorter than Airflow needs between two starts of a task, by default seven seconds. ``timeout``
    is the time for the whole wait, in seconds. ``execution_timeout`` also bounds the whole wait, in
    every mode. ``silent_fail`` has no effect: the sensor keeps waiting after a transient failure
    anyway.

    :param run_id: the run (templated).
    :param thread_id: its thread (templated); ``None`` where the API has no threads.
    :param conn_id: the Airflow connection (templated).
    :param expected_statuses: final statuses that are a success.
    :param on_requires_action: what to do when the run waits for its caller: ``wait`` keeps waiting,
        ``succeed`` returns the run as it is, ``fail`` fails the task.
    :param first_poll_interval: the first pause, in seconds; each pause is half as long again as the
        one before, up to ``poke_interval``. By default one second. If it equals ``poke_interval``,
        all pauses have that length.
    :param on_timeout: what to do when the sensor times out, or fails for good, for example because
        the key is refused: ``fail``, or ``cancel``, which cancels the run first and says how it
        ended.
    :param cancel_timeout: how long that cancel may take until the run is final, in seconds.
    :param cancel_action: how the sensor cancels: on LangGraph, ``interrupt`` or ``rollback``, which
        also deletes the run; by default the connection's.
    :param cancel_on_kill: cancel the run when the task is killed: marked failed, cleared, stopped.
        For deferred tasks this needs Airflow 3.3; earlier versions do not tell triggers. In
        ``reschedule`` mode the sensor then waits in the triggerer, the only place that is told.
    :param missing_grace: for how many seconds, and in at least three polls, the server must deny a
        run that was seen before it counts as missing; 0 believes the first answer. A run that was
        never seen, since it may just have been started, gets ten seconds of it at most.
    :param xcom: what is returned: ``run``, the run without its instructions, tools and inputs, or
        ``summary``, only its ids, status, times, error and usage: nothing that people or the model
        wrote.
    :param deferrable: wait in the triggerer, without a worker slot; by default as
        ``[operators] default_deferrable`` says.
    :raises RunFailed: when the run ended in another status than expected.
    :raises RunTimeout: when the sensor times out. It is also an ``AirflowSensorTimeout``.
    :raises RunNotFound: when the server has no such run.
    :raises RunsError: when it is no use to keep waiting.
    """

    template_fields: Sequence[str] = ("run_id", "thread_id", "conn_id")

    def __init__(
        self,
        *,
        run_id: str,
        thread_id: str | None = None,
        conn_id: str = "runs_default",
        expected_statuses: Collection[str] = ("completed",),
        on_requires_action: Literal["wait", "fail", "succeed"] = "wait",
        first_poll_interval: float | timedelta | None = None,
        on_timeout: Literal["fail", "cancel"] = "fail",
        cancel_timeout: float | timedelta = 60.0,
        cancel_action: Literal["interrupt", "rollback"] | None = None,
        cancel_on_kill: bool = False,
        missing_grace: float | timedelta = 30.0,
        xcom: Literal["run", "summary"] = "run",
        deferrable: bool = default_deferrable(),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.run_id = run_id
        self.thread_id = thread_id
        self.conn_id = conn_id
        self.expected_statuses = some_of("expected_statuses", expected_statuses, FINAL)
        self.on_requires_action = one_of(
            "on_requires_action", on_requires_action, ("wait", "fail", "succeed")
        )
        self.first_poll_interval = optional_seconds("first_poll_interval", first_poll_interval)
        self.on_timeout = one_of("on_timeout", on_timeout, ("fail", "cancel"))
        self.cancel_timeout = seconds("cancel_timeout", cancel_timeout)
        self.cancel_action = cancel_action
        self.cancel_on_kill = cancel_on_kill
        self.missing_grace = seconds("missing_grace", missing_grace, or_none=True)
        self.xcom = one_of("xcom", xcom, XCOM_CHOICES)
        self.deferrable = deferrable

    def execute(self, context: Context) -> JsonObject | None:
        """Wait: in this process, in the triggerer, or with one poll each time it is rescheduled."""
        return self._finish(lambda: self._execute(context), context)

    def _execute(self, context: Context) -> JsonObject | None:
        wait = self._begun(context)
        with lazy.RunsHook(self.conn_id) as hook:
            self._watching = look_up(hook, wait.deadline)
            self._watching.cancel_action(self.cancel_action)  # raises if the API does not have it
            RunLink().publish(context, self._watching, wait.ref)
            if not self.deferrable and not self.reschedule:
                return self._conclude(hook.follow(wait), context)
            # A task that is rescheduled forgets: it must gather all evidence at once.
            run, rest = hook.look_once(wait, settle=self.reschedule and not self.deferrable)
            remember(context, wait, rest)
            if run and wait.is_over(run):
                return self._conclude(run, context)
            if self.deferrable or self._must_hear_of_kills():
                return self._leave(rest, context)
            if wait.deadline - time.time() <= settling_time():
                return self._conclude(hook.follow(wait), context)  # too late to leave and come back
            raise AirflowRescheduleException(self._next_look(wait))

    def poke(self, context: Context) -> PokeReturnValue:
        """Poll the run once.

        :param context: of the task.
        :return: whether the run has ended, and the run as plain JSON if it has.
        :raises RunFailed: when it ended in another status than expected.
        :raises RunsError: when there is no usable answer.
        """
        with lazy.RunsHook(self.conn_id) as hook:
            run = hook.get_run(self.run_id, self.thread_id)
        if not self._wait(time.time()).is_over(run):
            return PokeReturnValue(is_done=False)
        return PokeReturnValue(is_done=True, xcom_value=self._conclude(run, context))

    def _leave(self, wait: Wait, context: Context) -> NoReturn:
        from airflow_provider_runs.triggers import RunStatusTrigger

        trigger = RunStatusTrigger.of(wait, self.conn_id, cancel_on_kill=self.cancel_on_kill)
        self._defer(trigger, wait, context)

    def _must_hear_of_kills(self) -> bool:
        """Return whether to wait in the triggerer although the mode is ``reschedule``.

        When a person ends a task between two polls, Airflow tells nobody. It does tell a trigger,
        which takes no worker slot either.
        """
        if not (self.reschedule and self.cancel_on_kill):
            return False
        from airflow.triggers.base import BaseTrigger

        return hasattr(BaseTrigger, "on_kill")

    def _begun(self, context: Context) -> Wait:
        """Return the wait as far as it is: all rescheduled polls are one wait."""
        first = context["ti"].get_first_reschedule_date(context) if self.reschedule else None
        seen = last_status(context, self.run_id)
        # Without Airflow 3.3 nobody knows what an earlier poll saw; but it did not fail.
        self._worked = first is not None or seen is not None
        wait = self._wait(first.timestamp() if first else time.time())
        return replace(wait, seen=seen, worked=self._worked)

    def _wait(self, started_at: float) -> Wait:
        pause = max(self.poke_interval, _SHORTEST_PAUSE)
        longest = pause
        if self.exponential_backoff:
            longest = self.max_wait.total_seconds() if self.max_wait else self.timeout
        return lazy.Wait(
            lazy.RunRef(self.run_id, self.thread_id),
            started_at=started_at,
            deadline=deadline(started_at, self.timeout, self.execution_timeout),
            poll_interval=max(longest, pause),
            first_interval=self.first_poll_interval
            or (pause if self.exponential_backoff else None),
            stop_on_requires_action=self.on_requires_action != "wait",
            cancel_action=self.cancel_action,
            missing_grace=self.missing_grace,
        )

    def _next_look(self, wait: Wait) -> datetime:
        now = time.time()
        started = datetime.fromtimestamp(wait.started_at, UTC)
        pause = self._get_next_poke_interval(started, lambda: now - wait.started_at, 1)
        next_look = min(now + max(pause, settling_time()), wait.deadline)
        return datetime.fromtimestamp(next_look, UTC)
