"""The notifier: cancels runs from Airflow's callbacks and deadline alerts."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from inspect import signature
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

from airflow_provider_runs.status import ACTIVE, NO_ID
from airflow_provider_runs.tasks import lazy
from airflow_provider_runs.tasks.connection import LOOKUP_TIMEOUT, alook_up, look_up
from airflow_provider_runs.tasks.parameters import some_of

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Sequence

    from airflow.sdk import Context

    from airflow_provider_runs.backends import Backend

__all__ = ["CancelRunNotifier"]


class CancelRunNotifier(BaseNotifier):
    """Cancels a run, or the matching active runs of a thread, when Airflow calls back.

    Use it as ``on_failure_callback``, ``on_skipped_callback`` or ``on_retry_callback``, or in the
    ``AsyncCallback`` of a ``DeadlineAlert``. The context of a deadline holds ``dag_run`` and
    ``deadline`` but no XComs: there, take the ids from ``dag_run.conf``, or give only the thread.
    It requests the cancel without waiting for its effect, logs a line for each run, and raises
    nothing.

    :param run_id: the run (templated); ``None`` for all runs of the thread that match.
    :param thread_id: the thread (templated); ``None`` where the API has no threads.
    :param conn_id: the Airflow connection (templated).
    :param statuses: without ``run_id``, only runs in these statuses; by default all active ones.
    :param metadata: without ``run_id``, only runs with at least these entries in their metadata
        (templated).
    :param max_concurrency: how many requests may be under way at once.
    :param context: of the callback, if it is known already; Airflow passes it to a deadline's.
    :raises ValueError: if ``statuses`` holds one that is not active.
    :raises TypeError: if there is an argument of another name. Airflow itself passes none but
        ``context``. What a ``DeadlineAlert`` passes is seen only when the deadline is missed.
    """

    template_fields: Sequence[str] = ("run_id", "thread_id", "conn_id", "metadata")

    def __init__(
        self,
        *,
        run_id: str | None = None,
        thread_id: str | None = None,
        conn_id: str = "runs_default",
        statuses: Collection[str] = ACTIVE,
        metadata: dict[str, Any] | None = None,
        max_concurrency: int = 8,
        context: Context | None = None,
        **unknown: Any,
    ) -> None:
        if unknown:
            raise TypeError(_no_such_arguments(unknown))
        super().__init__(context)
        self.run_id = run_id
        self.thread_id = thread_id
        self.conn_id = conn_id
        self.statuses = some_of("statuses", statuses, ACTIVE)
        self.metadata = metadata
        self.max_concurrency = max_concurrency

    def __call__(self, *args: Any) -> None:
        """Cancel, from a callback of Airflow; an error is only logged."""
        try:
            super().__call__(*args)
        except Exception:
            self.log.exception("Cancelling from a callback failed")

    def notify(self, context: Context) -> None:
        """Cancel, blocking; Airflow calls it after it has rendered the templates.

        :param context: of the callback; only the templates use it.
        :raises RunsConfigError: if the connection cannot be used.
        """
        backend = look_up(lazy.RunsHook(self.conn_id), time.time() + LOOKUP_TIMEOUT)
        # In a thread of its own, as this one may already run an event loop.
        with ThreadPoolExecutor(1) as threads:
            threads.submit(lambda: asyncio.run(self._cancel(backend))).result()

    async def async_notify(self, context: Context) -> None:
        """Cancel, for asyncio: in the triggerer, for a ``DeadlineAlert``; an error is only logged.

        :param context: of the callback; only the templates use it.
        """
        try:
            find = lazy.RunsHook(self.conn_id).abackend
            await self._cancel(await alook_up(find, time.time() + LOOKUP_TIMEOUT))
        except Exception:
            self.log.exception("Cancelling from a callback failed")

    def __await__(self) -> Generator[Any, None, None]:
        """Render the templates and cancel; an error is only logged."""
        return self._render_and_cancel().__await__()

    async def _render_and_cancel(self) -> None:
        try:
            self._update_context(self.context)
            self.render_template_fields(self.context)
        except Exception:
            self.log.exception("Cancelling from a callback failed")
        else:
            await self.async_notify(self.context)

    async def _cancel(self, backend: Backend) -> None:
        if self.run_id in NO_ID and self.thread_id in NO_ID:
            self.log.warning("Neither run_id nor thread_id is given: nothing to cancel")
            return
        if self.run_id not in NO_ID:
            try:
                await lazy.cancel_one(backend, self.run_id, self.thread_id, self.log)
            except lazy.RunsError as error:
                self.log.warning("%s", error.message)
            return
        thread_id: Any = self.thread_id  # whatever a template gave
        todo = lazy.Sweep(
            [thread_id],
            statuses=self.statuses,
            metadata=self.metadata,
            max_concurrency=self.max_concurrency,
        )
        if not await lazy.sweep(backend, todo, self.log):
            self.log.info("No run on thread %r matches: nothing to cancel", self.thread_id)


def _no_such_arguments(unknown: dict[str, Any]) -> str:
    """Say which arguments a notifier does not take, and which it does.

    :param unknown: those that it does not take, by name.
    """
    taken = [
        name
        for name, parameter in signature(CancelRunNotifier).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    ]
    return (
        f"CancelRunNotifier takes no argument {' or '.join(map(repr, unknown))}. "
        f"It takes {', '.join(taken)}."
    )
