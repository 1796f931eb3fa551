"""The operator that starts a run once, and waits until it has ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.sdk import BaseOperator

from airflow_provider_runs.errors import RunFailed, RunsError, RunTimeout, located
from airflow_provider_runs.links import LinksToRun, RunLink
from airflow_provider_runs.run_ref import RunRef
from airflow_provider_runs.status import FINAL, RunStatus
from airflow_provider_runs.tasks import lazy
from airflow_provider_runs.tasks.connection import look_up
from airflow_provider_runs.tasks.deferral import deadline
from airflow_provider_runs.tasks.errors import UnwantedEnd
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
    from collections.abc import Collection, Mapping, Sequence
    from datetime import timedelta

    from airflow.sdk import Context

    from airflow_provider_runs.backends.starts import Start
    from airflow_provider_runs.flows.wait import Wait
    from airflow_provider_runs.models import Run
    from airflow_provider_runs.plain_json import JsonObject
    from airflow_provider_runs.transport.in_time import Job

__all__ = ["StartRunOperator"]


class StartRunOperator(WaitsForRun, LinksToRun, BaseOperator):
    """Starts a run, waits until it has ended, and returns it with what it has made.

    One task instance has one run at a time, whatever dies when: a retry finds the run that an
    earlier try has started, and goes on with it if it is active or completed. A run that has
    failed, or was cancelled, is followed by another one. Whatever ends the task also ends the run.

    Returns the final run as plain JSON, without what it was started with (``xcom``), and with
    ``output``. XComs of their own, ``run_id`` and ``thread_id``, are there as soon as they are
    known; ``usage`` holds the tokens that the run used, also if the task fails.

    :param body: the body of the API's own call that starts a run (templated at any depth), such as
        ``{"assistant_id": "agent", "input": {…}}``. What a run needs to go on by itself is added.
    :param thread_id: the thread to start it on (templated); by default, where the API has threads,
        one is made.
    :param conn_id: the Airflow connection (templated).
    :param wait_for_termination: wait until the run is final, or return it as it was started.
    :param expected_statuses: final statuses that are a success.
    :param on_requires_action: what to do when the run waits for its caller: ``wait`` keeps waiting,
        ``succeed`` returns the run as it is, ``fail`` fails the task.
    :param timeout: how long to wait at most, in seconds; ``execution_timeout`` also bounds the
        wait.
    :param poll_interval: longest pause between two polls, in seconds; the first are shorter.
    :param first_poll_interval: the first pause, in seconds; each pause is half as long again as the
        one before, up to ``poll_interval``. By default one second. If it equals ``poll_interval``,
        all pauses have that length.
    :param deferrable: wait in the triggerer, without a worker slot; by default as
        ``[operators] default_deferrable`` says.
    :param on_timeout: what to do when the wait times out, or the task fails in another way while
        the run is active: ``cancel`` the run and say how it ended, or ``fail`` and leave it alone.
    :param cancel_timeout: how long that cancel may take until the run is final, in seconds.
    :param cancel_action: how the run is cancelled: on LangGraph, ``interrupt`` or ``rollback``,
        which also deletes the run; by default the connection's.
    :param cancel_on_kill: cancel the run when the task is killed: marked failed, cleared, stopped.
        For deferred tasks this needs Airflow 3.3; earlier versions do not tell triggers.
    :param reattach: go on with the run of an earlier try. If not, that run is cancelled where it is
        known, and another one is started.
    :param on_changed_body: what to do when the run of an earlier try was started with another body,
        thread or connection: ``fail`` without retries, or ``cancel`` it and start another one.
    :param on_lost_start: what a retry does where an earlier try may have started a run that cannot
        be found, since the API can neither be searched nor takes an id from here (OpenAI
        Responses): ``fail``, since another run costs money again, or ``start_again``.
    :param output: whether the result has ``output``, what the run has made as the API gives it.
    :param missing_grace: for how many seconds, and in at least three polls, the server must deny
        the run before it counts as missing; 0 believes the first answer.
    :param xcom: what is returned: ``run``, the run without its instructions, tools and inputs, or
        ``summary``, only its ids, status, times, error and usage; ``output`` comes with either.
    :raises RunsConfigError: when the body cannot start such a run; nothing was sent.
    :raises StartLost: when it is not known whether a run was started.
    :raises RunFailed: when the run ended in another status than expected; a retry starts another.
    :raises RunTimeout: when the wait times out.
    :raises RunsError: when there is no usable answer.
    """

    template_fields: Sequence[str] = ("body", "thread_id", "conn_id")
    template_fields_renderers: ClassVar[dict[str, str]] = {"body": "json"}
    ui_color = "#d5e8d4"

    unwanted = UnwantedEnd
    timed_out = RunTimeout
    failures = (BaseException,)

    def __init__(
        self,
        *,
        body: Mapping[str, Any],
        thread_id: str | None = None,
        conn_id: str = "runs_default",
        wait_for_termination: bool = True,
        expected_statuses: Collection[str] = ("completed",),
        on_requires_action: Literal["wait", "fail", "succeed"] = "wait",
        timeout: float | timedelta = 3600.0,
        poll_interval: float | timedelta = 5.0,
        first_poll_interval: float | timedelta | None = None,
        deferrable: bool = default_deferrable(),
        on_timeout: Literal["cancel", "fail"] = "cancel",
        cancel_timeout: float | timedelta = 60.0,
        cancel_action: Literal["interrupt", "rollback"] | None = None,
        cancel_on_kill: bool = True,
        reattach: bool = True,
        on_changed_body: Literal["fail", "cancel"] = "fail",
        on_lost_start: Literal["fail", "start_again"] = "fail",
        output: bool = True,
        missing_grace: float | timedelta = 30.0,
        xcom: Literal["run", "summary"] = "run",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.body = body
        self.thread_id = thread_id
        self.conn_id = conn_id
        self.wait_for_termination = wait_for_termination
        self.expected_statuses = some_of("expected_statuses", expected_statuses, FINAL)
        self.on_requires_action = one_of(
            "on_requires_action", on_requires_action, ("wait", "fail", "succeed")
        )
        self.timeout = seconds("timeout", timeout)
        self.poll_interval = seconds("poll_interval", poll_interval)
        self.first_poll_interval = optional_seconds("first_poll_interval", first_poll_interval)
        self.deferrable = deferrable
        self.on_timeout = one_of("on_timeout", on_timeout, ("cancel", "fail"))
        self.cancel_timeout = seconds("cancel_timeout", cancel_timeout)
        self.cancel_action = cancel_action
        self.cancel_on_kill = cancel_on_kill
        self.reattach = reattach
        self.on_changed_body = one_of("on_changed_body", on_changed_body, ("fail", "cancel"))
        self.on_lost_start = one_of("on_lost_start", on_lost_start, ("fail", "start_again"))
        self.returns_output = output  # `output` is Airflow's, for the task's XCom
        self.missing_grace = seconds("missing_grace", missing_grace, or_none=True)
        self.xcom = one_of("xcom", xcom, XCOM_CHOICES)
        self.run_id = ""
        self._worked = True  # the run was seen, as its start was answered
        self._ended = False
        self._cancel_requested = False
        self._starting: tuple[Job[Run], Start] | None = None

    def execute(self, context: Context) -> JsonObject | None:
        """Start the run, or find it again; wait for it, here or in the triggerer."""
        return self._finish(lambda: self._execute(context), context)

    def _execute(self, context: Context) -> JsonObject | None:
        begun = time.time()
        until = deadline(begun, self.timeout, self.execution_timeout)
        with lazy.RunsHook(self.conn_id) as hook:
            self._watching = look_up(hook, until)
            self._watching.cancel_action(self.cancel_action)  # raises if the API does not have it
            starter = lazy.Starter(self, hook, context)
            run = starter.find_or_start()
            if not self.wait_for_termination:
                return self._run_alone(run)
            wait = self._wait(run, begun, until)
            if not self.deferrable:
                return self._conclude(hook.follow(wait), context)
            if not starter.is_new or wait.is_over(run):
                seen, wait = hook.look_once(wait)
                if seen and wait.is_over(seen):
                    return self._conclude(seen, context)
            starter.note_deferral()
        self._check_alive()
        from airflow_provider_runs.triggers import RunStatusTrigger

        trigger = RunStatusTrigger.of(wait, self.conn_id, cancel_on_kill=self.cancel_on_kill)
        return self._defer(trigger, wait, context, run_id=self.run_id, thread_id=self.thread_id)

    def execute_complete(
        self,
        context: Context,
        event: Any,
        run_id: str | None = None,
        thread_id: str | None = None,
    ) -> JsonObject | None:
        """Finish the task with the trigger's event.

        :param context: of the task.
        :param event: the event, see ``tasks.events.RunEvent``.
        :param run_id: the run; by default the one that ``resume_execution`` has found.
        :param thread_id: its thread.
        :return: as ``execute`` does.
        """
        if run_id:
            self.run_id, self.thread_id = run_id, thread_id
        return super().execute_complete(context, event)

    def resume_execution(
        self, next_method: str, next_kwargs: JsonObject | None, context: Context
    ) -> Any:
        """Resume after the deferral; if Airflow ended the deferral, that counts as a timeout."""
        if not (next_kwargs or {}).get("run_id"):
            # Airflow gives only its own reason then, and `dag.test()` only the event. This try's
            # XComs are still there.
            ti: Any = context["ti"]

            def stored(key: str) -> Any:
                return ti.xcom_pull(task_ids=ti.task_id, key=key, map_indexes=ti.map_index)

            self.run_id, self.thread_id = stored("run_id") or "", stored("thread_id")
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except BaseException:
            lazy.Notes(context, self.conn_id).end_deferral(lazy.Who.of(context).key)
            raise

    def on_kill(self) -> None:
        """Cancel the run, if asked to, also if its start is under way."""
        if not self.cancel_on_kill:
            return
        self._killed = True
        if not self._watching:
            return  # it is not at work on a run
        if self.run_id:
            self._cancel_requested = self._cancel_at_once()
        elif self._starting:
            job, start = self._starting
            self._cancel_requested = lazy.cancel_started(
                self._watching, job, self.log, self.cancel_action, start=start
            )

    # -- for the starter -------------------------------------------------------------------------

    def wait_for_start(self, job: Job[Run], start: Start) -> Run:
        """Start a run, and wait for the answer, which is awaited also when the task is ended.

        :param job: starts the run.
        :param start: what it sends.
        :return: the run, which is this task's from now on.
        :raises RunsError: as the job does.
        """
        self._check_alive()
        self._starting = job, start
        try:
            run = self._own(job.begin().wait())
        except BaseException:
            # Whatever interrupts the wait must not lose the run: it would not be cancelled.
            try:
                self._own(job.wait(self.cancel_timeout))
            except TimeoutError:
                words = "The start has no answer: a run with 'airflow_key' %r may be out there"
                self.log.warning(words, start.key)
            except Exception as error:  # noqa: BLE001 - what has ended the wait is raised
                self.log.debug("No run was started: %s", type(error).__name__)
            raise
        self._heed_kill(run)
        return run

    def push_thread(self, thread_id: str | None, context: Context) -> None:
        """Store the thread's id, for a teardown to know it even if the run's never comes.

        :param thread_id: the thread; ``None`` where the API has none.
        :param context: of the task.
        """
        if thread_id is not None:
            context["ti"].xcom_push(key="thread_id", value=thread_id)

    def take(self, run: Run, context: Context) -> None:
        """Take a run as this task's, and store its ids and its link.

        :param run: the run.
        :param context: of the task.
        """
        self._own(run)
        self._ended = run.is_final
        self._heed_kill(run)
        context["ti"].xcom_push(key="run_id", value=run.id)
        self.push_thread(run.thread_id, context)
        if self._watching:
            RunLink().publish(context, self._watching, RunRef(run.id, run.thread_id))

    def _own(self, run: Run) -> Run:
        self.run_id, self.thread_id = run.id, run.thread_id
        return run

    def _heed_kill(self, run: Run) -> None:
        """Cancel the run of a task that was killed before it knew the run.

        :raises RunsError: if the task was killed.
        """
        if self._killed and self._watching and not (self._cancel_requested or run.is_final):
            ref = RunRef(run.id, run.thread_id)
            self._cancel_requested = lazy.cancel_before_exit(
                self._watching, ref, self.log, self.cancel_action
            )
        self._check_alive()

    def _check_alive(self) -> None:
        if not self._killed:
            return
        has_cancelled = self.run_id or self._cancel_requested  # perhaps the run of an earlier try
        done = "a cancel of its run was requested" if has_cancelled else "no run was started"
        words = f"The task was killed before it could wait for its run: {done}."
        raise RunsError(located(words, "", self.conn_id), conn_id=self.conn_id)

    # -- the end ---------------------------------------------------------------------------------

    def _wait(self, run: Run, begun: float, until: float) -> Wait:
        return lazy.Wait(
            RunRef(self.run_id, self.thread_id),
            started_at=begun,
            deadline=until,
            poll_interval=self.poll_interval,
            first_interval=self.first_poll_interval,
            stop_on_requires_action=self.on_requires_action != "wait",
            cancel_action=self.cancel_action,
            seen=run.status.value,
            worked=True,
            missing_grace=self.missing_grace,
        )

    def _conclude(self, run: Run, context: Context) -> JsonObject:
        self._ended = run.is_final
        return super()._conclude(run, context)

    def _result(self, run: Run) -> JsonObject:
        """Return the run, with what it has made."""
        result = self._run_alone(run)
        if self.returns_output and run.is_final:
            result["output"] = self._output_of(run)
        return result

    def _run_alone(self, run: Run) -> JsonObject:
        result = super()._result(run)
        result.pop("output", None)
        return result

    def _output_of(self, run: Run) -> Any:
        try:
            with lazy.RunsHook(self.conn_id) as hook:
                look_up(hook, time.time() + self.cancel_timeout)
                return hook.get_output(run)
        except RunsError as error:
            if run.status is RunStatus.COMPLETED:
                raise
            self.log.info("The run has ended %s, without output. %s", run.status.shown, error)
            return None

    def _may_be_active(self, error: BaseException) -> bool:
        """Return whether the run may go on although the task has failed with this error."""
        if not self.run_id or self._ended or self._cancel_requested:
            return False
        return super()._may_be_active(error) if isinstance(error, RunFailed) else True
