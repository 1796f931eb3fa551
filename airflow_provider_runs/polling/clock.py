"""The clock of a poller: it wakes waits in ticks, a few at a time, spread evenly.

A wake-up costs as much as a request, so the waits of a tick share one. A tick takes only so many,
so that waits that begin together are soon spread.
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

#: Seconds between two wake-ups at the least.
TICK = 0.1
#: Room of a tick beyond what an even spread takes.
ROOM = 2.0


class Clock:
    """Wakes followers when their pauses are over.

    :param room: how many of them a tick takes at least.
    :param context: what the timer runs in.
    :param wake: wakes one.
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
        self._alarm: asyncio.TimerHandle | None = None
        #: How many followers there are, pausing or not.
        self.size = 0

    def pause(self, follower: Follower, seconds: float) -> None:
        """Let a follower go on after a pause, in the first tick from there that has room."""
        now = self._loop.time()
        follower.pause, follower.due = seconds, now + seconds
        left = follower.wait.deadline - time.time()
        room = max(self._room, ROOM * self.size * TICK / follower.wait.poll_interval)
        tick = math.ceil(follower.due / TICK)
        last = math.floor((now + left) / TICK)
        while tick < last and len(self._wheel.get(tick, ())) >= room:
            tick += 1
        self._wheel.setdefault(tick, []).append(follower)
        self._set_alarm(tick)

    def close(self) -> None:
        """Wake nobody any more."""
        if self._alarm:
            self._alarm.cancel()

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
                    self._wake(follower)
        if self._wheel:
            self._set_alarm(min(self._wheel))
        self._after()
