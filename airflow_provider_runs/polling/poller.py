"""One poller for all the waits of an event loop that use the same connection.

A triggerer runs a thousand waits in one event loop. Each is a flow of its own, but they share what
costs most: the connection's lookup and HTTP client (``lookup``), the wake-ups (``clock``) and, for
runs on one thread, the answer to one list call (``looks``). An error or a cancellation of one wait
does not affect the others.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from contextvars import Context
from typing import TYPE_CHECKING

from airflow_provider_runs import metrics
from airflow_provider_runs.backends.wire import Answer
from airflow_provider_runs.errors import RunsTransportError, located
from airflow_provider_runs.flows.follow import wait_for
from airflow_provider_runs.flows.steps import LAST_LOOK, Look, Refresh, Send, Sleep
from airflow_provider_runs.polling.clock import Clock
from airflow_provider_runs.polling.followers import Follower, Followers
from airflow_provider_runs.polling.looks import WORKERS, Looks
from airflow_provider_runs.polling.lookup import Lookup
from airflow_provider_runs.transport.exchanges import send
from airflow_provider_runs.transport.leases import Leases

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    from airflow_provider_runs.backends import Backend
    from airflow_provider_runs.flows.steps import Log, Reply, Step
    from airflow_provider_runs.flows.wait import Wait
    from airflow_provider_runs.models import Run

__all__ = ["Poller", "shared_poller"]

#: How many polls a tick takes at least; more for a sweep, whose requests are bounded anyway and
#: whose runs should end soon.
LOOKS_PER_TICK, LOOKS_PER_TICK_OF_A_SWEEP = 8, 100
#: Seconds between two lookups of a connection whose key is refused.
REFUSED = 5.0
#: Seconds after its deadline at which a wait ends even without a last poll.
OVERRUN = 2 * LAST_LOOK


class Poller:
    """Polls runs for many waits.

    :param look_up: looks the connection up.
    :param slots: in a sweep, bounds the number of concurrent requests.
    """

    def __init__(
        self, look_up: Callable[[], Awaitable[Backend]], slots: asyncio.Semaphore | None = None
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._context = context = Context()  # an empty one: shared work belongs in no task's log
        self._tasks: set[asyncio.Task[None]] = set()
        self._sends = slots or asyncio.Semaphore(WORKERS)
        self._followers = Followers()
        self._lookup = Lookup(look_up, context)
        self._looks = Looks(
            self._followers, self._lookup, slots, context, self._spawn, self._carry_out
        )
        room = LOOKS_PER_TICK_OF_A_SWEEP if slots else LOOKS_PER_TICK
        self._clock = Clock(room, context, self._go, self._looks.start_workers)

    async def backend(self) -> Backend:
        """Return the backend of the connection.

        :raises RunsConfigError: if the connection cannot be used.
        """
        return await self._lookup.backend()

    async def follow(self, wait: Wait, log: Log) -> Run:
        """Wait until the run is final, or until the wait is over for another reason.

        :param wait: what to wait for, and how.
        :param log: as for ``flows.follow.wait_for``.
        :return: the run that ends the wait.
        :raises RunsError: as ``flows.follow.wait_for`` does.
        """
        return await self._follow(await self.backend(), wait, log)

    async def aclose(self) -> None:
        """Cancel whatever is under way, and release the HTTP client."""
        self._clock.close()
        self._looks.close()
        self._lookup.cancel()
        for task in self._tasks:
            task.cancel()
        try:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        finally:
            await self._lookup.aclose()

    async def _follow(self, backend: Backend, wait: Wait, log: Log) -> Run:
        follower = Follower(wait, wait_for(backend, wait, log))
        self._followers.add(follower)
        self._clock.size += 1
        self._clock.pause(follower, 0.0)
        left = max(0.0, wait.deadline - time.time())
        last = self._loop.call_later(left, self._looks.hurry, follower, context=self._context)
        overrun = self._loop.call_later(left + OVERRUN, self._end_unseen, follower, backend)
        try:
            return await follower.end
        finally:
            last.cancel()
            overrun.cancel()
            self._clock.size -= 1
            self._followers.discard(follower)

    def _end_unseen(self, follower: Follower, backend: Backend) -> None:
        """End a wait whose last poll does not come: the server hangs, and so does the queue."""
        if follower.is_reading:  # it has just come
            self._loop.call_later(LAST_LOOK, self._end_unseen, follower, backend)
            return
        conn_id = backend.settings.conn_id
        error = RunsTransportError(
            located(
                "The last poll of the run timed out in the queue: the server leaves too many "
                "requests unanswered.",
                follower.wait.ref,
                conn_id,
            ),
            conn_id=conn_id,
            transient=True,
        )
        self._go(follower, error)

    def _go(self, follower: Follower, reply: Reply | Exception = None) -> None:
        """Send a follower the reply to its last step, and carry out its next one."""
        self._carry_out(follower, follower.advance(reply))

    def _carry_out(self, follower: Follower, step: Step | None) -> None:
        if isinstance(step, Sleep):
            self._clock.pause(follower, step.seconds)
        elif isinstance(step, Send):
            follower.looking = False
            self._spawn(self._send(follower, step))
        elif isinstance(step, Look):
            follower.looking = follower.wants = True
            self._looks.want(follower)
        elif isinstance(step, Refresh):
            follower.looking = False
            self._spawn(self._refresh(follower))

    async def _send(self, follower: Follower, step: Send) -> None:
        """Send one of a wait's own requests, such as the cancel of its run."""
        reply: Answer | Exception
        try:
            reply = await send(step, self._lookup.client, self._sends)
        except Exception as error:  # noqa: BLE001 - it goes to the wait
            reply = error
        # Not within the block: what the wait raises then would hold this error.
        if isinstance(reply, Answer) and reply.is_heavy:
            self._carry_out(follower, await follower.advance_in_thread(reply))
        else:
            self._go(follower, reply)
        self._looks.start_workers()

    async def _refresh(self, follower: Follower) -> None:
        """Look the connection up again for a wait whose key is refused."""
        try:
            backend = await self._lookup.backend(REFUSED)
        except Exception:  # noqa: BLE001 - whatever it is, the refusal says more
            self._go(follower)
        else:
            self._go(follower, backend)
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
    """Lend the poller that this event loop has for a connection; its last user closes it.

    :param conn_id: the connection.
    :param look_up: looks the connection up.
    """
    async with _pollers.lend(conn_id, lambda: Poller(look_up)) as poller:
        metrics.watched(1)
        try:
            yield poller
        finally:
            metrics.watched(-1)
