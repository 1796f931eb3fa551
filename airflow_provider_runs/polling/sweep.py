"""Sweeping threads: cancelling every active run that matches, several at once, with a report.

One bad run, or one bad thread, never stops the rest.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_runs.errors import (
    CancelRefused,
    RunNotFound,
    RunsError,
    RunTimeout,
)
from airflow_provider_runs.flows.cancel import cancel_run
from airflow_provider_runs.flows.lists import Skipped, busy_threads, list_runs
from airflow_provider_runs.flows.wait import MISSING_GRACE, Wait
from airflow_provider_runs.models import RunRef
from airflow_provider_runs.polling.poller import Poller
from airflow_provider_runs.polling.report import Result, Swept
from airflow_provider_runs.run_ref import canonical, id_text
from airflow_provider_runs.status import ACTIVE, RunStatus
from airflow_provider_runs.transport.clients import shared_client
from airflow_provider_runs.transport.drivers import adrive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_runs.backends import Backend
    from airflow_provider_runs.flows.steps import Log
    from airflow_provider_runs.models import Run
    from airflow_provider_runs.plain_json import JsonObject
    from airflow_provider_runs.transport.clients import SharedClient

__all__ = ["Sweep", "cancel_one", "sweep"]

#: Seconds that a sweep may take which waits for no run to end.
NO_WAIT = 600.0


@dataclass(frozen=True, slots=True)
class Sweep:
    """What to sweep, and how.

    :param thread_ids: the threads; ``None`` for all that have active runs.
    :param statuses: only runs in these statuses.
    :param metadata: only runs with at least these entries in their metadata.
    :param older_than: only runs that were created at least that many seconds ago.
    :param max_concurrency: how many requests may be under way at once.
    :param deadline: when all runs must be final, in epoch seconds; ``None`` to wait for none.
    :param poll_interval: longest pause between two polls of a run, in seconds.
    :param dry_run: find the runs, and cancel none.
    :param missing_grace: seconds for which the server must deny a run before it counts as deleted.
    """

    thread_ids: Sequence[str] | None
    statuses: Sequence[str] = ACTIVE
    metadata: JsonObject | None = None
    older_than: float = 0.0
    max_concurrency: int = 8
    deadline: float | None = None
    poll_interval: float = 5.0
    dry_run: bool = False
    missing_grace: float = MISSING_GRACE

    def __post_init__(self) -> None:
        if self.thread_ids is not None:
            # In two spellings a thread is still one, and each of its runs is cancelled once.
            names: dict[str, str] = {}
            for name in self.thread_ids:
                names.setdefault(_key(name), id_text(name))
            object.__setattr__(self, "thread_ids", list(names.values()))

    def to_json(self) -> JsonObject:
        """Return the sweep as plain JSON: the keyword arguments of ``Sweep``."""
        return asdict(self)

    def matches(self, run: Run) -> bool:
        """Return whether a run is one to cancel, apart from its age."""
        own = run.metadata if isinstance(run.metadata, dict) else {}
        wanted = self.metadata or {}
        return run.status.value in self.statuses and all(
            name in own and str(own[name]) == str(value) for name, value in wanted.items()
        )


async def sweep(backend: Backend, todo: Sweep, log: Log) -> list[Swept]:
    """Cancel every matching run of some threads, and wait until they are final.

    :param backend: of the threads' connection.
    :param todo: what to sweep, and how.
    :param log: gets a line for each run that is cancelled and for each failure.
    :return: a line for each run that matched and for each thread that could not be listed.
    :raises RunsConfigError: if the connection cannot be used.
    :raises RunsError: if all threads are to be swept and cannot be listed.
    """
    slots = asyncio.Semaphore(todo.max_concurrency)

    async def look_up() -> Backend:
        return backend

    poller = Poller(look_up, slots)
    async with aclosing(poller), shared_client(backend.settings) as http:
        until = todo.deadline or time.time() + NO_WAIT
        sweeper = _Sweeper(backend, todo, log, http, slots, poller, until)
        names, lines = todo.thread_ids, list[Swept]()
        if names is None:
            names, lines = await sweeper.busy()
        threads = await asyncio.gather(*(sweeper.thread(name) for name in names))
    return [*(line for swept in threads for line in swept), *lines]


async def cancel_one(backend: Backend, run_id: str, thread_id: str | None, log: Log) -> Run:
    """Ask the server to cancel one run, without waiting for its end.

    :param backend: of the run's connection.
    :param run_id: the run.
    :param thread_id: its thread; ``None`` where the API has no threads.
    :param log: gets a line.
    :return: the run as it is after the request.
    :raises RunsError: as ``flows.calls.cancel_run`` does.
    """
    ref = RunRef(run_id, thread_id)
    async with shared_client(backend.settings) as http:
        run = await adrive(cancel_run(backend, ref, missing_grace=MISSING_GRACE), http)
    log.info("Requested the cancel: %s is %s", ref, run.status.shown)
    return run


@dataclass(frozen=True, slots=True)
class _Sweeper:
    backend: Backend
    todo: Sweep
    log: Log
    http: SharedClient
    slots: asyncio.Semaphore
    poller: Poller
    until: float  # epoch seconds

    async def busy(self) -> tuple[list[str], list[Swept]]:
        """Return the threads that have active runs, and a line if not all of them can be listed.

        :raises RunsError: if none can be listed.
        """
        names: dict[str, None] = {}
        lines: list[Swept] = []

        def skipped(record: Skipped) -> None:
            lines.append(_unlisted("(unknown thread)", _unreadable(record)))

        pages = busy_threads(self.backend, deadline=self.until, skipped=skipped)
        for page in pages:
            try:
                names.update(dict.fromkeys(await adrive(page, self.http, self.slots)))
            except RunsError as error:
                if not names:
                    raise
                self.log.warning("Could not list all busy threads. %s", error.message)
                lines.append(_unlisted("(further threads)", error.message))
                break
        self.log.info("%d threads have active runs", len(names))
        return list(names), lines

    async def thread(self, thread_id: str) -> list[Swept]:
        """Sweep one thread; whatever cannot be listed or read is reported, and spoils nothing."""
        runs: list[Run] = []
        lines: list[Swept] = []

        def skipped(record: Skipped) -> None:
            line = _unlisted(thread_id, _unreadable(record))
            lines.append(replace(line, run_id=record.id))

        pages = list_runs(self.backend, thread_id, deadline=self.until, skipped=skipped)
        try:
            for page in pages:
                found = await adrive(page, self.http, self.slots)
                runs += [run for run in found if self.todo.matches(run)]
        except Exception as error:  # noqa: BLE001 - whatever it is, it is about one thread
            all_or_some, words = "all " if runs else "", self.words(error)
            self.log.warning(
                "Could not list %sthe runs of thread %r. %s",
                *(all_or_some, _shown(thread_id), words),
            )
            lines.append(_unlisted(thread_id, words))
        swept = await asyncio.gather(*(self.run(thread_id, run) for run in runs))
        return [line for line in (*swept, *lines) if line]

    async def run(self, thread_id: str, run: Run) -> Swept | None:
        """Cancel one run; ``None`` if it is too young."""
        # It is in the future if the server's clock is ahead, and for LangGraph's delayed runs.
        created = run.created_at
        age = max(0.0, time.time() - created) if isinstance(created, int) else None
        if age is not None and age < self.todo.older_than:
            return None
        found = Swept(thread_id, run.id, run.status.value, run.status.value, age, Result.ERROR)
        if age is None and self.todo.older_than > 0:
            return replace(found, result=Result.UNKNOWN_AGE)
        if self.todo.dry_run:
            return replace(found, result=Result.WOULD_CANCEL)
        try:
            after = await self.cancel(run, RunRef(run.id, thread_id))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is about one run
            line = replace(found, result=_failure(error), error=self.words(error))
            if isinstance(error, RunsError) and error.run:
                line = replace(line, after=error.run["status"])
            self.log.warning("%s", line.error)
        else:
            line = replace(found, after=after.status.value, result=_success(after))
        self.log.info("Run %r on thread %r: %s", line.run_id, thread_id, line.result.value)
        return line

    def words(self, error: Exception) -> str:
        """Return what an error says; of one that is not this provider's, as it may be shown."""
        if isinstance(error, RunsError):
            return error.message
        return self.backend.settings.shown(f"{type(error).__name__}: {error}")

    async def cancel(self, found: Run, ref: RunRef) -> Run:
        """Cancel a run; if the sweep has a deadline, wait until the run is final."""
        until = self.todo.deadline
        if until is None:
            flow = cancel_run(
                self.backend, ref, deadline=self.until, missing_grace=self.todo.missing_grace
            )
            return await adrive(flow, self.http, self.slots)
        pause = self.todo.poll_interval
        wait = Wait(
            ref,
            time.time(),
            until,
            pause,
            cancel=True,
            seen=found.status.value,
            missing_grace=self.todo.missing_grace,
        )
        return await self.poller.follow(wait, _Silent())


def _key(thread_id: object) -> str:
    """Return what is the same for all spellings of a thread's id."""
    name = id_text(thread_id)
    return canonical(name) if isinstance(name, str) else repr(name)


def _unlisted(thread_id: str, error: str) -> Swept:
    """Return the line for what could not be listed or read, and may be running."""
    return Swept(_shown(thread_id), None, None, None, None, Result.ERROR, error)


def _shown(thread_id: object) -> str:
    """Return a thread's id for a reader; of what is none, such as a whole thread, only the type."""
    if thread_id is None or isinstance(thread_id, str):
        return str(thread_id)
    return f"(a {type(thread_id).__name__})"


def _unreadable(record: Skipped) -> str:
    return f"A record of the list cannot be read: {record.why}."


class _Silent:
    """A log that drops the lines of a single wait: the report says the same."""

    def info(self, event: str, /, *args: Any) -> None:
        """Do nothing."""

    warning = info


def _success(run: Run) -> Result:
    if run.status is RunStatus.CANCELLED:
        return Result.CANCELLED
    return Result.ENDED if run.is_final else Result.ASKED


def _failure(error: Exception) -> Result:
    if isinstance(error, RunNotFound):
        return Result.ENDED  # the sweep had just found it, so it was deleted: it cannot be running
    if isinstance(error, CancelRefused):
        return Result.REFUSED
    return Result.UNCONFIRMED if isinstance(error, RunTimeout) else Result.ERROR
