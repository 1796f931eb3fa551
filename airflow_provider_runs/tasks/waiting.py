"""How a task waits for a run, here or in the triggerer, and what it makes of the run's end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.sdk import BaseOperator

from airflow_provider_runs.airflow_errors import TaskDeferralError, TaskDeferralTimeout
from airflow_provider_runs.errors import RunsError
from airflow_provider_runs.plain_json import quoted
from airflow_provider_runs.status import RunStatus
from airflow_provider_runs.tasks import lazy
from airflow_provider_runs.tasks.cancel_on_timeout import CancelsOnTimeout
from airflow_provider_runs.tasks.deferral import defer
from airflow_provider_runs.tasks.errors import UnwantedEnd, UnwantedStatus, about
from airflow_provider_runs.tasks.last_seen import WATCHED_RUN

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.triggers.base import BaseTrigger

    from airflow_provider_runs.backends import Backend
    from airflow_provider_runs.flows.wait import Wait
    from airflow_provider_runs.models import Run
    from airflow_provider_runs.plain_json import JsonObject

__all__ = ["WaitsForRun"]

#: Characters of a server's reason that an error shows.
_REASON = 1000


class WaitsForRun(CancelsOnTimeout):
    """The part of a task that waits for a run; in the bases it comes before Airflow's class."""

    log: Any  # Airflow's, for the task
    on_requires_action: str
    cancel_on_kill: bool
    #: The error for a run that has ended in another status than expected.
    unwanted: ClassVar[type[UnwantedEnd]] = UnwantedStatus
    #: The backend of the run's connection, while this process works on the run.
    _watching: Backend | None = None
    _killed = False

    def execute_complete(self, context: Context, event: Any) -> JsonObject | None:
        """Finish the task with the trigger's event.

        :param context: of the task.
        :param event: the event, see ``tasks.events.RunEvent``.
        :return: as ``execute`` does.
        """

        def conclude() -> JsonObject:
            seen = lazy.RunEvent.read(event, self.run_id)
            return self._conclude(self._fetch_again(seen), context)

        return self._finish(conclude, context)

    def resume_execution(
        self, next_method: str, next_kwargs: JsonObject | None, context: Context
    ) -> Any:
        """Resume after the deferral; if Airflow ended the deferral, that counts as a timeout."""
        try:
            return BaseOperator.resume_execution(self, next_method, next_kwargs, context)  # type: ignore[arg-type]  # the class that follows is one
        except (TaskDeferralError, TaskDeferralTimeout) as error:
            ended = error  # Python forgets it after this block

        def give_up() -> NoReturn:
            raise ended

        return self._finish(give_up, context)

    def on_kill(self) -> None:
        """Cancel the run, if asked to, within the seconds that Airflow leaves for it."""
        if self.cancel_on_kill and self._watching:
            self._killed = True
            self._cancel_at_once()

    def _cancel_at_once(self) -> bool:
        """Cancel the run before the process ends; return whether the server has accepted that."""
        assert self._watching  # noqa: S101 - this process is at work on the run
        ref = lazy.RunRef(self.run_id, self.thread_id)
        return lazy.cancel_before_exit(self._watching, ref, self.log, self.cancel_action)

    def _defer(self, trigger: BaseTrigger, wait: Wait, context: Context, **kwargs: Any) -> NoReturn:
        """Leave the worker.

        :param trigger: waits in the triggerer, as ``wait`` says.
        :param wait: what is left of the wait.
        :param context: of the task.
        :param kwargs: what else ``execute_complete`` gets.
        """
        if self.cancel_on_kill:
            context["ti"].xcom_push(key=WATCHED_RUN, value=str(self.run_id))
        defer(self, trigger, wait.deadline, **kwargs)

    def _conclude(self, run: Run, context: Context) -> JsonObject:
        self._report_usage(context, run)
        if self._killed:
            # Airflow lets the task run for a while, but this is not the end it waited for.
            words = (
                "The task was killed, so a cancel of its run was requested: the run was "
                f"{run.status.value!r} then."
            )
            raise about(self, RunsError, words, run)
        wanted = run.status.value in self.expected_statuses
        if wanted or (not run.is_final and self.on_requires_action == "succeed"):
            return self._result(run)
        expected = " or ".join(map(repr, self.expected_statuses))
        words = f"The run is {run.status.value!r}, expected {expected}{_reason(run)}"
        if run.status is RunStatus.CANCELLED:
            allowed = (*self.expected_statuses, "cancelled")
            words += f" To accept a cancelled run, set expected_statuses={allowed}."
        raise about(self, self.unwanted, words, run)


def _reason(run: Run) -> str:
    """Return the server's reason for the run's status, as the end of a sentence."""
    error, details = run.last_error, run.incomplete_details
    reason = ""
    if error:
        known = [getattr(error, "code", None), getattr(error, "message", None)]
        reason = ": ".join(str(word) for word in known if word) or str(error)
    elif details:
        reason = str(getattr(details, "reason", None) or details)
    return f": {quoted(reason, _REASON)}." if reason else "."
