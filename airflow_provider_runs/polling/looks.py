"""The looks of a poller: at one run, or at the runs of a thread in one list.

Nothing but the run itself, alone or in a list, tells that it has ended. An Agent Server could be
asked for its busy threads, but shows some as busy whose runs are long gone (measured; see
``tests/agent_server/test_busy.py``).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from typing import TYPE_CHECKING

from airflow_provider_runs.errors import RunNotFound, RunsError, RunsResponseError
from airflow_provider_runs.flows.calls import glimpse_run, glimpse_runs
from airflow_provider_runs.polling.clock import TICK
from airflow_provider_runs.polling.followers import Batch
from airflow_provider_runs.transport.drivers import adrive

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextvars import Context

    from airflow_provider_runs.flows.steps import Reply
    from airflow_provider_runs.models import Glimpse
    from airflow_provider_runs.polling.followers import Follower, Followers, Group
    from airflow_provider_runs.polling.lookup import Lookup

__all__ = ["WORKERS", "Looks"]

#: Requests on their way at once, and in need: when looks have waited for that many seconds, as
#: they do where a part of the server hangs.
WORKERS, WORKERS_IN_NEED, NEED = 8, 32, 1.0
#: Pages of a thread's runs that are read at most, and seconds for which no list is asked for after
#: a server has refused one.
PAGES, NO_LISTS = 2, 300.0


class Looks:
    """A queue of those who want to look, and the workers that look for them.

    :param followers: all of them.
    :param lookup: their connection.
    :param slots: of a sweep: bound how many requests are on their way at once.
    :param context: what the workers run in.
    :param spawn: starts one.
    :param go: hands a follower what came of its look, and takes its next step.
    """

    def __init__(
        self,
        followers: Followers,
        lookup: Lookup,
        slots: asyncio.Semaphore | None,
        context: Context,
        spawn: Callable[[Coroutine[object, None, None]], None],
        go: Callable[[Follower, Reply | Exception], None],
    ) -> None:
        self._followers = followers
        self._lookup = lookup
        self._slots = slots
        self._context = context
        self._spawn = spawn
        self._go = go
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Batch] = deque()
        self._workers = 0
        self._help: asyncio.TimerHandle | None = None
        self._lists_from = 0.0  # in the event loop's time

    def want(self, follower: Follower) -> None:
        """Let a follower look as soon as a worker has the time; ``start_workers`` comes after."""
        group = self._followers.group_of(follower)
        if group is None:
            return
        if follower.wait.deadline - time.time() < TICK:
            # Its last look does not queue behind those that have the time to.
            self._spawn(self._try(Batch(self._loop.time(), [follower])))
            return
        if group.batch is None:
            group.batch = Batch(self._loop.time(), [], group)
            self._queue.append(group.batch)
        group.batch.followers.append(follower)

    def start_workers(self) -> None:
        """Start as many workers as the queue needs and the server bears."""
        if not self._queue:
            return
        need = self._loop.time() - self._queue[0].since > NEED
        most = WORKERS_IN_NEED if need else WORKERS
        for _ in range(min(len(self._queue), most - self._workers)):
            self._workers += 1
            self._spawn(self._work())
        if not need and self._help is None:
            # Should all the workers hang, nothing else may happen that brings more of them.
            self._help = self._loop.call_later(NEED, self._start_more, context=self._context)

    def close(self) -> None:
        """Start no more workers."""
        if self._help:
            self._help.cancel()

    def _start_more(self) -> None:
        self._help = None
        self.start_workers()

    async def _work(self) -> None:
        try:
            while self._queue:
                await self._try(self._queue.popleft())
        finally:
            self._workers -= 1

    async def _try(self, batch: Batch) -> None:
        try:
            await self._see(batch)
        except Exception as error:  # noqa: BLE001 - each of them has failed
            self._fail(batch.followers, error)

    async def _see(self, batch: Batch) -> None:
        """Look at the runs of a batch: at all of them at once, where that pays."""
        if batch.group:
            try:
                await self._share(batch.group, batch.followers)
            finally:
                batch.group.batch = None  # until here, whoever wants to look joins this one
        alike: dict[str, list[Follower]] = {}
        for follower in batch.followers:
            if follower.wants:
                alike.setdefault(follower.wait.ref.run_id, []).append(follower)
        if len(alike) == 1:
            await self._fetch(*alike.values())
        else:
            self._queue.extend(Batch(batch.since, followers) for followers in alike.values())
            self.start_workers()

    async def _share(self, group: Group, followers: list[Follower]) -> None:
        """Show a group's waits their runs in a list; whoever still wants to look has to fetch.

        :raises RunsError: if a fetch would fail likewise.
        """
        now = self._loop.time()
        sharing = {
            *followers,
            *(follower for follower in group.followers if follower.may_look(now)),
        }
        if now < self._lists_from or len({follower.wait.ref.run_id for follower in sharing}) < 2:
            return
        try:
            runs = await self._list(followers, len(sharing))
        except RunsError as error:
            if error.transient and not isinstance(error, RunsResponseError):
                raise
            if not isinstance(error, RunNotFound):
                self._lists_from = self._loop.time() + NO_LISTS
            return
        self._show_all(group, runs)

    async def _list(self, wanting: list[Follower], count: int) -> dict[str, Glimpse]:
        """Return the newest runs of a thread by their ids, until all that are wanted are there."""
        ids = {follower.wait.ref.run_id for follower in wanting}
        deadline = min(follower.wait.deadline for follower in wanting)
        limit = min(100, max(20, 2 * count))
        backend, runs = await self._lookup.backend(), {}
        pages = glimpse_runs(backend, str(wanting[0].wait.ref.thread_id), limit, deadline=deadline)
        for _, page in zip(range(PAGES), pages, strict=False):
            runs.update(
                {run.id: run for run in await adrive(page, self._lookup.client, self._slots)}
            )
            if ids <= runs.keys():
                break
        return runs

    async def _fetch(self, followers: list[Follower]) -> None:
        """Look at one run for all that wait for it."""
        wait = followers[0].wait
        deadline = min(follower.wait.deadline for follower in followers)
        flow = glimpse_run(await self._lookup.backend(), wait.ref, deadline=deadline)
        run = await adrive(flow, self._lookup.client, self._slots)
        self._show_all(self._followers.group_of(followers[0]), {run.id: run})

    def _fail(self, followers: list[Follower], error: Exception) -> None:
        for follower in followers:
            if follower.wants:
                own = error.adding("") if isinstance(error, RunsError) else error
                self._go(follower, own)

    def _show_all(self, group: Group | None, runs: dict[str, Glimpse]) -> None:
        """Show its run to each wait of a group that wants to look, or will before long."""
        now = self._loop.time()
        for follower in list(group.followers) if group else ():
            run = runs.get(follower.wait.ref.run_id)
            if not run:
                continue
            if follower.may_look(now) or (
                follower.looking and run.is_final and follower.due < math.inf
            ):
                follower.advance()  # the end of its pause
                follower.wants = True
            if follower.wants:
                self._go(follower, run)
