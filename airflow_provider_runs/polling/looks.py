"""The requests of a poller: for one run, or for the runs of a thread in one list.

Only the run itself, alone or in a list, shows that it has ended. An Agent Server can be asked for
its busy threads, but it lists some as busy whose runs ended long ago (measured; see
``tests/agent_server/test_busy.py``).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from typing import TYPE_CHECKING

from airflow_provider_runs.errors import RunNotFound, RunsError, RunsResponseError
from airflow_provider_runs.flows.calls import glimpse_run
from airflow_provider_runs.flows.lists import glimpse_runs
from airflow_provider_runs.flows.steps import Look
from airflow_provider_runs.polling.clock import TICK
from airflow_provider_runs.polling.followers import Batch
from airflow_provider_runs.run_ref import canonical
from airflow_provider_runs.transport.drivers import adrive

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextvars import Context

    from airflow_provider_runs.flows.steps import Step
    from airflow_provider_runs.models import Glimpse
    from airflow_provider_runs.polling.followers import Follower, Followers, Group
    from airflow_provider_runs.polling.lookup import Lookup

__all__ = ["WORKERS", "Looks"]

#: Concurrent requests: normally, and when the queue has been waiting for that many seconds, as
#: happens when a part of the server hangs.
WORKERS, WORKERS_WHEN_LATE, LATE = 8, 32, 1.0
#: Pages of a thread's runs that are read at most, and seconds without list calls after a server has
#: refused one.
PAGES, NO_LISTS = 2, 300.0


class Looks:
    """A queue of followers that want to poll, and the workers that poll for them.

    :param followers: all followers of the poller.
    :param lookup: their connection.
    :param slots: in a sweep, bounds the number of concurrent requests.
    :param context: the context that the workers run in.
    :param spawn: starts a worker.
    :param carry_out: carries out the next step of a follower.
    """

    def __init__(
        self,
        followers: Followers,
        lookup: Lookup,
        slots: asyncio.Semaphore | None,
        context: Context,
        spawn: Callable[[Coroutine[object, None, None]], None],
        carry_out: Callable[[Follower, Step | None], None],
    ) -> None:
        self._followers = followers
        self._lookup = lookup
        self._slots = slots
        self._context = context
        self._spawn = spawn
        self._carry_out = carry_out
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Batch] = deque()
        self._workers = 0
        self._late_timer: asyncio.TimerHandle | None = None
        self._lists_from = 0.0  # in the event loop's time

    def want(self, follower: Follower) -> None:
        """Queue a follower to poll; call ``start_workers`` afterwards."""
        group = self._followers.group_of(follower)
        if group is None:
            return
        if follower.wait.deadline - time.time() < TICK:
            # There is no time to queue: this is its last poll.
            self._spawn(self._poll_batch(Batch(self._loop.time(), [follower])))
            return
        if group.batch is None:
            group.batch = Batch(self._loop.time(), [], group)
            self._queue.append(group.batch)
        group.batch.followers.append(follower)

    def hurry(self, follower: Follower) -> None:
        """Poll at once for a follower that is still queued: its time is up.

        It leaves its batch, and does not wait for a worker: all of them may hang.
        """
        for batch in self._queue:
            if follower in batch.followers:
                batch.followers.remove(follower)
                self._spawn(self._poll_batch(Batch(self._loop.time(), [follower])))
                return

    def start_workers(self) -> None:
        """Start as many workers as the queue needs, up to the limit."""
        if not self._queue:
            return
        late = self._loop.time() - self._queue[0].since > LATE
        most = WORKERS_WHEN_LATE if late else WORKERS
        for _ in range(min(len(self._queue), most - self._workers)):
            self._workers += 1
            self._spawn(self._work())
        if not late and self._late_timer is None:
            # If all workers hang, perhaps nothing else happens that would start more of them.
            self._late_timer = self._loop.call_later(LATE, self._start_more, context=self._context)

    def close(self) -> None:
        """Start no more workers."""
        if self._late_timer:
            self._late_timer.cancel()

    def _start_more(self) -> None:
        self._late_timer = None
        self.start_workers()

    async def _work(self) -> None:
        try:
            while self._queue:
                await self._poll_batch(self._queue.popleft())
        finally:
            self._workers -= 1

    async def _poll_batch(self, batch: Batch) -> None:
        try:
            await self._request(batch)
        except Exception as error:  # noqa: BLE001 - it goes to each follower
            self._fail(batch.followers, error)

    async def _request(self, batch: Batch) -> None:
        """Request the runs of a batch: all in one list where that pays, else one by one."""
        if batch.group and not batch.followers:
            batch.group.batch = None  # all of them were in a hurry
        elif batch.group:
            try:
                await self._request_list(batch.group, batch.followers)
            finally:
                batch.group.batch = None  # until here, other followers may join this batch
        alike: dict[str, list[Follower]] = {}
        for follower in batch.followers:
            if follower.wants:
                alike.setdefault(canonical(follower.wait.ref.run_id), []).append(follower)
        if not alike:
            return
        if len(alike) == 1:
            await self._fetch(*alike.values())
        else:
            self._queue.extend(Batch(batch.since, followers) for followers in alike.values())
            self.start_workers()

    async def _request_list(self, group: Group, followers: list[Follower]) -> None:
        """Poll the runs of a group with a list call; those that are not in it must be fetched.

        :raises RunsError: if the list call fails in a way that a fetch would fail too.
        """
        now = self._loop.time()
        sharing = {
            *followers,
            *(follower for follower in group.followers if follower.may_look(now)),
        }
        if (
            now < self._lists_from
            or len({canonical(follower.wait.ref.run_id) for follower in sharing}) < 2
        ):
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
        """Return the newest runs of a thread, by id, until all that are wanted are found."""
        ids = {canonical(follower.wait.ref.run_id) for follower in wanting}
        deadline = min(follower.wait.deadline for follower in wanting)
        limit = min(100, max(20, 2 * count))
        backend, runs = await self._lookup.backend(), {}
        pages = glimpse_runs(backend, str(wanting[0].wait.ref.thread_id), limit, deadline=deadline)
        for _, page in zip(range(PAGES), pages, strict=False):
            runs.update(
                {
                    canonical(run.id): run
                    for run in await adrive(page, self._lookup.client, self._slots)
                }
            )
            if ids <= runs.keys():
                break
        return runs

    async def _fetch(self, followers: list[Follower]) -> None:
        """Fetch one run for all that wait for it."""
        wait = followers[0].wait
        deadline = min(follower.wait.deadline for follower in followers)
        flow = glimpse_run(await self._lookup.backend(), wait.ref, deadline=deadline, glance=True)
        run = await adrive(flow, self._lookup.client, self._slots)
        self._show_all(self._followers.group_of(followers[0]), {canonical(run.id): run})

    def _fail(self, followers: list[Follower], error: Exception) -> None:
        for follower in followers:
            if follower.wants:
                own = error.replacing() if isinstance(error, RunsError) else error
                self._carry_out(follower, follower.advance(own))

    def _show_all(self, group: Group | None, runs: dict[str, Glimpse]) -> None:
        """Send its run to each follower of a group that wants to poll, now or soon."""
        now = self._loop.time()
        for follower in list(group.followers) if group else ():
            run = runs.get(canonical(follower.wait.ref.run_id))
            if not run:
                continue
            run = run.under(follower.wait.ref.run_id)
            if follower.may_look(now) or (
                follower.looking and run.is_final and follower.due < math.inf
            ):
                step = follower.advance()  # the end of its pause
                if not isinstance(step, Look):
                    self._carry_out(follower, step)  # it asks again before it looks
                    continue
                follower.wants = True
            if follower.wants:
                self._carry_out(follower, follower.advance(run))
