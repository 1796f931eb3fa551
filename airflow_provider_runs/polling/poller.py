"""One poller for all the waits of an event loop that use the same connection.

A triggerer runs a thousand waits in one event loop. Each is a flow of its own, but what they need
of the world they share: the connection's lookup and HTTP client (``lookup``), the wake-ups
(``clock``) and, for runs on one thread, the answer to one list call (``looks``). An error of one
wait, or its cancellation, touches no other.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from contextvars import Context
from typing import TYPE_CHECKING

from airflow_provider_runs import metrics
from airflow_provider_runs.errors import RunsAuthError, RunsTransportError
from airflow_provider_runs.flows.follow import wait_for
from airflow_provider_runs.flows.steps import LAST_LOOK, Look, Send, Sleep
from airflow_provider_runs.polling.clock import Clock
from airflow_provider_runs.polling.followers import Follower, Followers
from airflow_provider_runs.polling.looks import WORKERS, Looks
from airflow_provider_runs.polling.lookup import Lookup
from airflow_provider_runs.transport.drivers import send
from airflow_provider_runs.transport.leases import Leases

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    from airflow_provider_runs.backends import Backend
    from airflow_provider_runs.flows.steps import Log, Reply
    from airflow_provider_runs.flows.wait import Wait
    from airflow_provider_runs.models import Run

__all__ = ["Poller", "shared_poller"]

#: Looks for which a tick has room at least; and for a sweep, whose requests are bounded anyway and
#: whose runs are to end soon.
LOOKS_PER_TICK, LOOKS_PER_TICK_OF_A_SWEEP = 8, 100
#: Seconds for which a connection is not looked up again after a refused key.
REFUSED = 5.0
#: Seconds after its deadline at which a wait is ended without a last look.
OVERRUN = 2 * LAST_LOOK


class Poller:
    """Looks at runs for many waits.

    :param look_up: looks the connection up.
    :param slots: of a sweep: bound how many requests are on their way at once.
    """

    def __init__(
        self, look_up: Callable[[], Awaitable[Backend]], slots: asyncio.Semaphore | None = None
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._context = context = Context()  # nobody's: what is shared belongs in no task's log
        self._tasks: set[asyncio.Task[None]] = set()
        self._sends = slots or asyncio.Semaphore(WORKERS)
        self._followers = Followers()
        self._lookup = Lookup(look_up, context)
        self._looks = Looks(self._followers, self._lookup, slots, context, self._spawn, self._go)
        room = LOOKS_PER_TICK_OF_A_SWEEP if slots else LOOKS_PER_TICK
        self._clock = Clock(room, context, self._go, self._looks.start_workers)

    async def backend(self) -> Backend:
        """Return the backend of the connection.

        :raises RunsConfigError: if it cannot be used.
        """
        return await self._lookup.backend()

    async def follow(self, wait: Wait, log: Log) -> Run:
        """Wait until the run is final, or what else the wait ends with.

        :raises RunsError: as ``flows.follow.wait_for`` does.
        """
        while True:
            backend = await self.backend()
            try:
                return await self._follow(backend, wait, log)
            except RunsAuthError:
                # Somebody may have put a new key into the connection meanwhile.
                if (await self._lookup.backend(REFUSED)).settings == backend.settings:
                    raise

    async def aclose(self) -> None:
        """End whatever is under way and let go of the HTTP client."""
        self._clock.close()
        self._looks.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._lookup.aclose()

    async def _follow(self, backend: Backend, wait: Wait, log: Log) -> Run:
        follower = Follower(wait, wait_for(backend, wait, log))
        self._followers.add(follower)
        self._clock.size += 1
        self._clock.pause(follower, 0.0)
        left = max(0.0, wait.deadline - time.time())
        overrun = self._loop.call_later(left + OVERRUN, self._end_unseen, follower, backend)
        try:
            return await follower.end
        finally:
            overrun.cancel()
            self._clock.size -= 1
            self._followers.discard(follower)

    def _end_unseen(self, follower: Follower, backend: Backend) -> None:
        """End a wait whose last look does not come: the server hangs, and so does the queue."""
        conn_id = backend.settings.conn_id
        error = RunsTransportError(
            f"No look was possible in time (connection {conn_id!r}): "
            "the server leaves too many requests unanswered.",
            conn_id=conn_id,
            transient=True,
        )
        self._go(follower, error)

    def _go(self, follower: Follower, reply: Reply | Exception = None) -> None:
        """Hand a follower what came of its last step, and take its next one."""
        step = follower.advance(reply)
        if isinstance(step, Sleep):
            self._clock.pause(follower, step.seconds)
        elif isinstance(step, Send):
            follower.looking = False
            self._spawn(self._send(follower, step))
        elif isinstance(step, Look):
            follower.looking = follower.wants = True
            self._looks.want(follower)

    async def _send(self, follower: Follower, step: Send) -> None:
        """Send one of a wait's own requests, such as the cancel of its run."""
        try:
            answer = await send(step, self._lookup.client, self._sends)
        except Exception as error:  # noqa: BLE001 - it is the wait's own
            self._go(follower, error)
        else:
            self._go(follower, answer)
        self._looks.start_workers()

    def _spawn(self, work: Coroutine[object, None, None]) -> None:
        task = self._loop.create_task(work, context=self._context)
        self._tasks.add(task)  # the loop itself holds tasks only weakly
        task.add_done_callback(self._tasks.discard)


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
