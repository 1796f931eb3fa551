"""What a task returns of its run, and what it reports of the tokens that the run used."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from airflow_provider_runs import metrics
from airflow_provider_runs.airflow_errors import AirflowTaskTimeout
from airflow_provider_runs.plain_json import plain_json, short_json
from airflow_provider_runs.summary import SUMMARY, summary_of
from airflow_provider_runs.tasks import lazy

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_runs.models import Run
    from airflow_provider_runs.plain_json import JsonObject

__all__ = ["USAGE", "XCOM_CHOICES", "ReturnsRun"]

log = logging.getLogger(__name__)

#: What may be returned: the run without what it was started with, or its summary.
XCOM_CHOICES = ("run", "summary")
#: The key of the XCom in which a task stores how many tokens its run used.
USAGE = "usage"
#: What a run was started with, in the words of the APIs and of their compatible servers: system
#: prompts, inputs, and tools with their schemas and keys. The caller knows them already, XComs are
#: for everybody to read, and tools alone may be larger than some XCom backends take.
_INPUTS = frozenset(
    {
        # Assistants and Foundry, whose gateways may repeat the whole request
        *("instructions", "tools", "additional_instructions", "additional_messages"),
        # Responses: also the template of a stored prompt, with its variables
        *("input", "prompt"),
        # LangGraph and Aegra: also what a graph is configured and resumed with
        *("kwargs", "config", "context", "command"),
    }
)
#: Seconds for one more look at a run that waits for its caller.
_ONE_LOOK = 10.0


class ReturnsRun:
    """The part of a task that returns its run; in the bases it comes before Airflow's class."""

    run_id: str
    thread_id: str | None
    conn_id: str
    xcom: str
    do_xcom_push: bool
    _usage_reported = False

    def _result(self, run: Run) -> JsonObject:
        """Return what the task returns of its run, as ``xcom`` says."""
        whole = plain_json(run.to_json())
        if self.xcom == "summary":
            return summary_of(whole)
        return {name: value for name, value in whole.items() if name not in _INPUTS}

    def _fetch_again(self, seen: Run) -> Run:
        """Return the run of an event as a whole, for the XCom: the event holds only its summary.

        How the wait ended is no longer in question. If the run cannot be fetched, or is not as the
        event says, the event's run is returned.

        :param seen: the run as the event says.
        """
        if self.xcom == "summary":
            return seen
        try:
            run = self._fetch(seen)
        except (Exception, AirflowTaskTimeout) as error:  # noqa: BLE001 - whatever it is, the run has ended
            why = f"it cannot be fetched once more. {error}"
        else:
            if run and (run.id, run.status) == (seen.id, seen.status):
                return _with_facts(run, seen)
            why = f"it is {run.status.value!r} now." if run else "it cannot be fetched once more."
        log.info(
            "Run %r is returned as its trigger saw it, %r: %s", seen.id, seen.status.value, why
        )
        return seen

    def _fetch(self, seen: Run) -> Run | None:
        with lazy.RunsHook(self.conn_id) as hook:
            if seen.is_final:
                return hook.get_run(self.run_id, self.thread_id)
            # It waits for its caller. Where only the thread knows for what, a wait asks it.
            now = time.time()
            wait = lazy.Wait(
                lazy.RunRef(self.run_id, self.thread_id),
                started_at=now,
                deadline=now + _ONE_LOOK,
                poll_interval=_ONE_LOOK,
                stop_on_requires_action=True,
                seen=seen.status.value,
                missing_grace=0.0,
            )
            run, _ = hook.look_once(wait)
            return run

    def _report_usage(self, context: Context, run: Run) -> None:
        """Store and count the tokens that the run used, once in a task; an error is only logged.

        :param context: of the task.
        :param run: the run; nothing is reported before it has ended.
        """
        usage = short_json(_counts(run.summary().to_json()["usage"]))
        if self._usage_reported or not run.is_final or not usage:
            return
        self._usage_reported = True
        try:
            lazy.RunsHook(self.conn_id)  # the first one has the metrics reported to Airflow
            metrics.used(self.conn_id, usage)
            if self.do_xcom_push:
                context["ti"].xcom_push(key=USAGE, value=usage)
        except Exception:  # no task may fail because of this
            log.warning("Could not report the tokens of run %r", run.id, exc_info=True)


def _with_facts(run: Run, seen: Run) -> Run:
    """Return a run with what only an event says of it: a wait may have asked others, too."""
    told = {name: getattr(seen, name) for name in SUMMARY}
    missing = {name: value for name, value in told.items() if getattr(run, name) is None}
    return run.model_copy(update=missing)


def _counts(usage: Any) -> JsonObject:
    """Return the numbers of tokens in a usage, also those in its parts; nothing else is kept."""
    if not isinstance(usage, dict):
        return {}
    parts = {name: _counts(value) for name, value in usage.items() if isinstance(value, dict)}
    numbers = {name: value for name, value in usage.items() if type(value) is int}
    return {**numbers, **{name: part for name, part in parts.items() if part}}
