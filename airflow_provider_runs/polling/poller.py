"""One poller for all the waits of an event loop that use the same connection.

A triggerer runs a thousand waits in one event loop. Each is a flow of its own (``wait.wait_for``),
but what they need of the world they share: the connection's lookup, the HTTP client and its pauses,
the wake-ups, and, for runs on one thread, the answer to one list call.

- Looks are taken in ticks, a few requests at a time: a wake-up costs as much as a request.
- A tick takes only so many, so that waits that begin together are soon spread evenly.
- Nothing but the run itself, alone or in a list, tells that it has ended. An Agent Server could
  be asked for its busy threads, but shows some as busy whose runs are long gone (measured; see
  ``tests/agent_server/test_busy.py``).
- An error of one wait, or its cancellation, touches no other.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import Context
from typing import TYPE_CHECKING

from airflow_provider_runs import metrics
from airflow_provider_runs.errors import (
    RunNotFound,
    RunsAuthError,
    RunsConfigError,
    RunsError,
    RunsResponseError,
    RunsTransportError,
)
from airflow_provider_runs.flows.calls import glimpse_run, glimpse_runs
from airflow_provider_runs.flows.follow import wait_for
from airflow_provider_runs.flows.steps import LAST_LOOK, Look, Send, Sleep, advance
from airflow_provider_runs.polling.followers import Batch, Follower, Group
from airflow_provider_runs.transport.clients import shared_client
from airflow_provider_runs.transport.drivers import adrive, send
from airflow_provider_runs.transport.leases import Leases

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    from airflow_provider_runs.backends import Backend
    from airflow_provider_runs.flows.steps import Log, Reply, Step
    from airflow_provider_runs.flows.wait import Wait
    from airflow_provider_runs.models import Glimpse, Run
    from airflow_provider_runs.transport.clients import SharedClient

__all__ = ["Poller", "shared_poller"]

#: Seconds between two wake-ups at the least.
TICK = 0.1
#: Looks for which a tick has room at least, and its room beyond what an even spread takes; and that
#: of a sweep, whose requests are bounded anyway and whose runs are to end soon.
LOOKS_PER_TICK, ROOM, SWEEP_ROOM = 8, 2.0, 100
#: Requests on their way at once, and in need: when looks have waited for that many seconds, as
#: they do where a part of the server hangs.
WORKERS, WORKERS_IN_NEED, NEED = 8, 32, 1.0
#: Seconds for which a connection is not looked up again, and after a refused key.
FRESH, REFUSED = 300.0, 5.0
#: Seconds after its deadline at which a wait is ended without a last look.
OVERRUN = 2 * LAST_LOOK
#: Pages of a thread's runs that are read at most, and seconds for which no list is asked for after
#: a server has refused one.
PAGES, NO_LISTS = 2, 300.0


class Poller:
    """Looks at runs for many waits.

    :param look_up: looks the connection up.
    :param gate: of a sweep: bounds how many requests are on their way at once.
    """

    def __init__(
        self, look_up: Callable[[], Awaitable[Backend]], gate: asyncio.Semaphore | None = None
    ) -> None:
        self._look_up = look_up
        self._gate = gate
        self._room = SWEEP_ROOM if gate else LOOKS_PER_TICK
        self._loop = asyncio.get_running_loop()
        self._context = Context()  # nobody's: what is shared belongs in no task's log
        self._groups: dict[str, Group] = {}
        self._size = 0
        self._wheel: dict[int, list[Follower]] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._call_for_help: asyncio.TimerHandle | None = None
        self._queue: deque[Batch] = deque()
        self._tasks: set[Task[None]] = set()
        self._workers = 0
        self._sends = gate or asyncio.Semaphore(WORKERS)
        self._lists_from = 0.0
        self._backend: Backend | None = None
        self._looked_up_at = 0.0
        self._lookup: Task[None] | None = None
        self._client: SharedClient | None = None
        self._lease = AsyncExitStack()

    async def follow(self, wait: Wait, log: Log) -> Run:
        """Wait until the run is final, or what else the wait ends with.

        :raises RunsError: as ``wait.wait_for`` does.
        """
        while True:
            backend = await self.backend()
            try:
                return await self._follow(backend, wait, log)
            except RunsAuthError:
                # Somebody may have put a new key into the connection meanwhile.
                if (await self.backend(REFUSED)).settings == backend.settings:
                    raise

    async def _follow(self, backend: Backend, wait: Wait, log: Log) -> Run:
        follower = Follower(wait, wait_for(backend, wait, log))
        group = self._groups.setdefault(follower.group, Group())
        group.followers.add(follower)
        self._size += 1
        self._pause(follower, 0.0)
        left = max(0.0, wait.deadline - time.time())
        overrun = self._loop.call_later(left + OVERRUN, self._give_up, follower, backend)
        try:
            return await follower.end
        finally:
            overrun.cancel()
            self._size -= 1
            group.followers.discard(follower)
            if not group.followers:
                self._groups.pop(follower.group, None)

    def _give_up(self, follower: Follower, backend: Backend) -> None:
        """End a wait whose last look does not come: the server hangs, and so does the queue."""
        words = "the server leaves too many requests unanswered"
        conn_id = backend.settings.conn_id
        error = RunsTransportError(
            f"No look was possible in time (connection {conn_id!r}): {words}.",
            conn_id=conn_id,
            transient=True,
        )
        self._go(follower, error)

    async def aclose(self) -> None:
        """End whatever is under way and let go of the HTTP client."""
        for timer in (self._alarm, self._call_for_help):
            if timer:
                timer.cancel()
        tasks = [*self._tasks, *([self._lookup] if self._lookup else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._lease.aclose()

    # -- the connection

    async def backend(self, age: float = FRESH) -> Backend:
        """Return the backend; all who ask at once wait for one lookup.

        :param age: seconds since the connection was looked up, at most.
        :raises RunsConfigError: if it cannot be used.
        """
        if self._backend is None or self._loop.time() - self._looked_up_at > age:
            if self._lookup is None or self._lookup.done():
                self._lookup = self._loop.create_task(self._refresh(), context=self._context)
                self._lookup.add_done_callback(_heed)
            if self._backend is None or age < FRESH:
                await asyncio.shield(self._lookup)
        assert self._backend is not None  # noqa: S101 - else there was an error
        return self._backend

    async def _refresh(self) -> None:
        try:
            backend = await self._look_up()
        except RunsConfigError:
            if self._backend is None:
                raise
            backend = self._backend  # it was good once, so what stores it has a problem
        if self._backend is None or backend.settings != self._backend.settings:
            lease = AsyncExitStack()
            self._client = await lease.enter_async_context(shared_client(backend.settings))
            self._backend = backend
            self._lease, old = lease, self._lease
            await old.aclose()
        self._looked_up_at = self._loop.time()

    # -- the clock

    def _pause(self, follower: Follower, seconds: float) -> None:
        """Let a wait go on after a pause, in the first tick from there that has room."""
        follower.pause, follower.due = seconds, self._loop.time() + seconds
        left = follower.wait.deadline - time.time()
        room = max(self._room, ROOM * self._size * TICK / follower.wait.poll_interval)
        tick = math.ceil(follower.due / TICK)
        last = math.floor((self._loop.time() + left) / TICK)
        while tick < last and len(self._wheel.get(tick, ())) >= room:
            tick += 1
        self._wheel.setdefault(tick, []).append(follower)
        self._set_alarm(tick)

    def _set_alarm(self, tick: int) -> None:
        at = tick * TICK
        if self._alarm is None or at < self._alarm.when():
            if self._alarm:
                self._alarm.cancel()
            self._alarm = self._loop.call_at(at, self._ring, context=self._context)

    def _ring(self) -> None:
        self._alarm = None
        now = self._loop.time()
        for tick in sorted(tick for tick in self._wheel if tick * TICK <= now + 0.001):
            for follower in self._wheel.pop(tick):
                if follower.due <= now + 0.001:  # else it has looked meanwhile and pauses anew
                    self._go(follower)
        if self._wheel:
            self._set_alarm(min(self._wheel))
        self._start_workers()

    # -- the flows

    def _go(self, follower: Follower, reply: Reply | Exception = None) -> None:
        """Move a wait on to its next step, and take that."""
        step = self._step(follower, reply)
        if isinstance(step, Sleep):
            self._pause(follower, step.seconds)
        elif isinstance(step, Send):
            follower.looking = False
            self._spawn(self._send(follower, step))
        elif isinstance(step, Look):
            follower.looking = follower.wants = True
            self._want(follower)

    def _step(self, follower: Follower, reply: Reply | Exception = None) -> Step | None:
        """Move a wait on and return its next step; ``None`` if it has ended."""
        follower.due, follower.wants = math.inf, False
        if follower.end.done():
            return None
        try:
            return follower.context.run(advance, follower.flow, reply)
        except StopIteration as end:
            follower.end.set_result(end.value)
        except Exception as error:  # noqa: BLE001 - it is the wait's own
            follower.end.set_exception(error)
        return None

    async def _send(self, follower: Follower, step: Send) -> None:
        """Send one of a wait's own requests, such as the cancel of its run."""
        try:
            answer = await send(step, self._http(), self._sends)
        except Exception as error:  # noqa: BLE001 - it is the wait's own
            self._go(follower, error)
        else:
            self._go(follower, answer)
        self._start_workers()

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
                self._step(follower)  # the end of its pause
                follower.wants = True
            if follower.wants:
                self._go(follower, run)

    # -- the looks

    def _want(self, follower: Follower) -> None:
        group = self._groups.get(follower.group)
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

    def _start_workers(self) -> None:
        """Start as many workers as the queue needs and the server bears."""
        if not self._queue:
            return
        need = self._loop.time() - self._queue[0].since > NEED
        most = WORKERS_IN_NEED if need else WORKERS
        for _ in range(min(len(self._queue), most - self._workers)):
            self._workers += 1
            self._spawn(self._work())
        if not need and self._call_for_help is None:
            # Should all the workers hang, nothing else may happen that brings more of them.
            self._call_for_help = self._loop.call_later(NEED, self._help, context=self._context)

    def _help(self) -> None:
        self._call_for_help = None
        self._start_workers()

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
            self._start_workers()

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
        backend, runs = await self.backend(), {}
        pages = glimpse_runs(backend, str(wanting[0].wait.ref.thread_id), limit, deadline=deadline)
        for _, page in zip(range(PAGES), pages, strict=False):
            runs.update({run.id: run for run in await adrive(page, self._http(), self._gate)})
            if ids <= runs.keys():
                break
        return runs

    async def _fetch(self, followers: list[Follower]) -> None:
        """Look at one run for all that wait for it."""
        wait = followers[0].wait
        deadline = min(follower.wait.deadline for follower in followers)
        flow = glimpse_run(await self.backend(), wait.ref, deadline=deadline)
        run = await adrive(flow, self._http(), self._gate)
        self._show_all(self._groups.get(followers[0].group), {run.id: run})

    def _fail(self, followers: list[Follower], error: Exception) -> None:
        for follower in followers:
            if follower.wants:
                own = error.adding("") if isinstance(error, RunsError) else error
                self._go(follower, own)

    # -- inside

    def _http(self) -> SharedClient:
        assert self._client is not None  # noqa: S101 - the backend came with it
        return self._client

    def _spawn(self, work: Coroutine[object, None, None]) -> None:
        task = self._loop.create_task(work, context=self._context)
        self._tasks.add(task)  # the loop itself holds tasks only weakly
        task.add_done_callback(self._tasks.discard)


def _heed(task: Task[None]) -> None:
    """Take in the error of a task whose callers have all gone; asyncio would log it."""
    if not task.cancelled():
        task.exception()


_pollers: Leases[Poller] = Leases(Poller.aclose)


@asynccontextmanager
async def shared_poller(
    conn_id: str, look_up: Callable[[], Awaitable[Backend]]
) -> AsyncIterator[Poller]:
    """Lend a wait the poller of this event loop and a connection; the last one out closes it.

    :param conn_id: the connection.
    :param look_up: looks it up.
    """
    async with _pollers.lend(conn_id, lambda: Poller(look_up)) as poller:
        metrics.watched(1)
        try:
            yield poller
        finally:
            metrics.watched(-1)
