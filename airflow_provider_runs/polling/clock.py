"""The clock of a poller: it wakes waits in ticks, a few in each, spread evenly.

A wake-up costs as much as a request, so the waits of a tick share one. The number of waits per tick
is limited, so that waits that begin together are soon spread.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from airflow_provider_runs.polling.followers import Follower

__all__ = ["TICK", "Clock"]

#: Shortest time between two wake-ups, in seconds.
TICK = 0.1
#: How many times as many followers a tick takes as it would if all were spread evenly.
ROOM = 2.0


class Clock:
    """Wakes followers when their pauses are over.

    :param room: how many followers a tick takes at least.
    :param context: the context that the timer runs in.
    :param wake: wakes one follower.
    :param after: is called after each tick.
    """

    def __init__(
        self,
        room: int,
        context: Context,
        wake: Callable[[Follower], None],
        after: Callable[[], None],
    ) -> None:
        self._room = room
        self._context = context
        self._wake = wake
        self._after = after
        self._loop = asyncio.get_running_loop()
        self._wheel: dict[int, list[Follower]] = {}
        self._timer: asyncio.TimerHandle | None = None
        #: How many followers there are, pausing or not.
        self.size = 0

    def pause(self, follower: Follower, seconds: float) -> None:
        """Let a follower pause; wake it in the first tick after that which has room.

        :param follower: the follower.
        :param seconds: how long it pauses, in seconds.
        """
        now = self._loop.time()
        follower.pause, follower.due = seconds, now + seconds
        left = follower.wait.deadline - time.time()
        room = max(self._room, ROOM * self.size * TICK / follower.wait.poll_interval)
        tick = math.ceil(follower.due / TICK)
        last = math.floor((now + left) / TICK)
        while tick < last and len(self._wheel.get(tick, ())) >= room:
            tick += 1
        self._wheel.setdefault(tick, []).append(follower)
        self._set_timer(tick)

    def close(self) -> None:
        """Stop the timer: nobody is woken any more."""
        if self._timer:
            self._timer.cancel()

    def _set_timer(self, tick: int) -> None:
        at = tick * TICK
        if self._timer is None or at < self._timer.when():
            if self._timer:
                self._timer.cancel()
            self._timer = self._loop.call_at(at, self._wake_due, context=self._context)

    def _wake_due(self) -> None:
        self._timer = None
        now = self._loop.time()
        for tick in sorted(tick for tick in self._wheel if tick * TICK <= now + 0.001):
            for follower in self._wheel.pop(tick):
                if follower.due <= now + 0.001:  # else it has polled already and pauses again
                    self._wake(follower)
        if self._wheel:
            self._set_timer(min(self._wheel))
        self._after()
