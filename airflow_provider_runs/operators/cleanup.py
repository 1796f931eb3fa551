"""The operator that sweeps threads: it cancels every active run that matches."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import BaseOperator

from airflow_provider_runs.errors import CancelRefused, RunTimeout
from airflow_provider_runs.run_ref import id_text
from airflow_provider_runs.status import ACTIVE
from airflow_provider_runs.tasks import lazy
from airflow_provider_runs.tasks.connection import look_up
from airflow_provider_runs.tasks.deferral import deadline, defer
from airflow_provider_runs.tasks.parameters import default_deferrable, one_of, seconds, some_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import timedelta

    from airflow.sdk import Context

    from airflow_provider_runs.plain_json import JsonObject
    from airflow_provider_runs.polling.report import Swept
    from airflow_provider_runs.polling.sweep import Sweep

__all__ = ["CleanupRunsOperator"]


class CleanupRunsOperator(BaseOperator):
    """Cancels every matching run of some threads and waits until all are final.

    One bad run never stops the rest: the task goes through all of them, and fails at its end if
    any could not be confirmed as ended. Returns the report as plain JSON: for each run its thread,
    its status before and after, its age in seconds and the result (``polling.report.Swept``).

    :param thread_ids: the threads (templated).
    :param all_threads: sweep every thread that has active runs and that the key may see, instead of
        ``thread_ids``; only where the API can list threads (LangGraph).
    :param conn_id: the Airflow connection (templated).
    :param older_than: only runs that were created at least this long ago, as a timedelta or in
        seconds; by default runs of any age. If this is given, a run is not cancelled when the
        server does not say when it was created.
    :param statuses: only runs in these statuses; by default all active ones.
    :param metadata: only runs with at least these entries in their metadata (templated).
    :param max_concurrency: how many requests may be under way at once.
    :param dry_run: find the runs, and cancel none.
    :param timeout: how long to wait at most, in seconds; ``execution_timeout`` also bounds the
        wait.
    :param poll_interval: longest pause between two polls of a run, in seconds.
    :param on_error: what to do when a run could not be confirmed as ended: ``fail`` or ``warn``.
    :param missing_grace: for how many seconds, and in at least three polls, the server must deny a
        run that was listed before it counts as deleted; 0 believes the first answer.
    :param deferrable: sweep in the triggerer, without a worker slot; by default as
        ``[operators] default_deferrable`` says.
    :raises CancelRefused: with ``on_error="fail"``, if the server refused a cancel.
    :raises RunTimeout: with ``on_error="fail"``, if for any other reason a run was not confirmed as
        ended or a thread could not be listed.
    :raises RunsError: if the connection cannot be used.
    """

    template_fields: Sequence[str] = ("thread_ids", "conn_id", "metadata")
    ui_color = "#f6e7d5"

    def __init__(
        self,
        *,
        thread_ids: Collection[str] | str | None = None,
        all_threads: bool = False,
        conn_id: str = "runs_default",
        older_than: timedelta | float | None = None,
        statuses: Collection[str] = ACTIVE,
        metadata: JsonObject | None = None,
        max_concurrency: int = 8,
        dry_run: bool = False,
        timeout: float | timedelta = 600.0,
        poll_interval: float | timedelta = 5.0,
        on_error: Literal["fail", "warn"] = "fail",
        missing_grace: float | timedelta = 30.0,
        deferrable: bool = default_deferrable(),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (thread_ids is None) != all_threads:
            raise ValueError("give either thread_ids, or all_threads=True to sweep every thread")
        self.thread_ids = thread_ids
        self.all_threads = all_threads
        self.conn_id = conn_id
        self.older_than = seconds("older_than", older_than) if older_than else 0.0
        self.statuses = some_of("statuses", statuses, ACTIVE)
        self.metadata = metadata
        if max_concurrency < 1:
            raise ValueError(f"max_concurrency must be 1 or more, not {max_concurrency!r}")
        self.max_concurrency = max_concurrency
        self._dry_run = dry_run  # every operator has a method of the name without underscore
        self.timeout = seconds("timeout", timeout)
        self.poll_interval = seconds("poll_interval", poll_interval)
        self.on_error = one_of("on_error", on_error, ("fail", "warn"))
        self.missing_grace = seconds("missing_grace", missing_grace, or_none=True)
        self.deferrable = deferrable

    def execute(self, context: Context) -> list[JsonObject]:
        """Sweep, here or in the triggerer."""
        todo = self._todo()
        backend = look_up(lazy.RunsHook(self.conn_id), todo.deadline or 0.0)
        if not self.deferrable:
            return self._conclude(asyncio.run(lazy.sweep(backend, todo, self.log)))
        from airflow_provider_runs.triggers import SweepTrigger

        trigger = SweepTrigger.of(todo, self.conn_id)
        return defer(self, trigger, todo.deadline or time.time())

    def execute_complete(self, context: Context, event: Any) -> list[JsonObject]:
        """Finish the task with the trigger's event.

        :param context: not needed.
        :param event: the event, see ``tasks.events.SweepEvent``.
        :return: as ``execute`` does.
        """
        return self._conclude(lazy.SweepEvent.read(event))

    def _todo(self) -> Sweep:
        threads: Any = id_text(self.thread_ids)
        if threads is None and not self.all_threads:
            raise ValueError("thread_ids is None: check the task that should provide it")
        if isinstance(threads, (bool, float, dict)):
            raise ValueError(  # noqa: TRY004 - as the other parameters do
                f"thread_ids is a {type(threads).__name__}, not a list of ids: check the task that "
                "should provide it"
            )
        if isinstance(threads, str):
            threads = [threads]
        return lazy.Sweep(
            None if threads is None else list(threads),
            statuses=self.statuses,
            metadata=self.metadata,
            older_than=self.older_than,
            max_concurrency=self.max_concurrency,
            deadline=deadline(time.time(), self.timeout, self.execution_timeout),
            poll_interval=self.poll_interval,
            dry_run=self._dry_run,
            missing_grace=self.missing_grace,
        )

    def _conclude(self, report: Sequence[Swept]) -> list[JsonObject]:
        self.log.info("%d runs matched\n%s", len(report), lazy.table(report))
        bad = [line for line in report if line.result.is_failure]
        if bad:
            words = (
                f"{len(bad)} of {len(report)} runs could not be confirmed as ended (connection "
                f"{self.conn_id!r}); they may still be running. The first: {bad[0].error}"
            )
            if self.on_error == "fail":
                refused = any(line.result is lazy.Result.REFUSED for line in bad)
                kind = CancelRefused if refused else RunTimeout
                raise kind(words, conn_id=self.conn_id, run_id=bad[0].run_id)
            self.log.warning("%s", words)
        return [line.to_json() for line in report]
