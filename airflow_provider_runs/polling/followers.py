"""Those who follow a run: how far each wait is, and which of them poll together."""

from __future__ import annotations

import asyncio
import math
from contextvars import copy_context
from typing import TYPE_CHECKING

from airflow_provider_runs.flows.steps import advance

if TYPE_CHECKING:
    from airflow_provider_runs.flows.steps import Flow, Reply, Step
    from airflow_provider_runs.flows.wait import Wait
    from airflow_provider_runs.models import Run

__all__ = ["Batch", "Follower", "Followers", "Group"]

#: The part of its pause that a wait may skip to share a list call. As it is more than a half, all
#: waits of a thread soon poll together: of two groups, one can always join the other.
EARLY = 0.6


class Follower:
    """One wait, and how far its flow is.

    :param wait: the wait.
    :param flow: the flow that waits.
    """

    __slots__ = ("context", "due", "end", "flow", "is_reading", "looking", "pause", "wait", "wants")

    def __init__(self, wait: Wait, flow: Flow[Run]) -> None:
        # The triggerer tells from the context whose log a line belongs in.
        self.context = copy_context()
        self.wait = wait
        self.flow = flow
        self.end: asyncio.Future[Run] = asyncio.get_running_loop().create_future()
        self.wants = False  # whether it waits for the answer to a poll
        self.pause = 0.0  # seconds
        self.due = math.inf  # end of the pause, in the event loop's time
        self.looking = False  # whether its step after the pause is a poll
        self.is_reading = False  # whether a thread reads an answer for it

    @property
    def group(self) -> str:
        """The followers with the same group may share a list call: those of one thread or run."""
        return self.wait.ref.thread_id or self.wait.ref.run_id

    def may_look(self, now: float) -> bool:
        """Return whether it is pausing, but so near the end of its pause that it may poll already.

        :param now: the event loop's time.
        """
        return self.looking and self.due - now < EARLY * self.pause

    def advance(self, reply: Reply | Exception = None) -> Step | None:
        """Send the flow the reply to its last step.

        :param reply: the reply; ``None`` after a pause. An exception is thrown into the flow.
        :return: its next step; ``None`` if it has ended.
        """
        self.due, self.wants = math.inf, False
        return None if self.end.done() else self._settle(*self._compute(reply))

    async def advance_in_thread(self, reply: Reply) -> Step | None:
        """Do what ``advance`` does, with a reply that takes too long to read in an event loop."""
        self.due, self.wants = math.inf, False
        if self.end.done():
            return None
        self.is_reading = True
        try:
            outcome = await asyncio.to_thread(self._compute, reply)
        finally:
            self.is_reading = False
        return None if self.end.done() else self._settle(*outcome)

    def _compute(self, reply: Reply | Exception) -> tuple[Step | None, Run | Exception | None]:
        """Return the flow's next step, or how it has ended."""
        try:
            return self.context.run(advance, self.flow, reply), None
        except StopIteration as end:
            return None, end.value
        except Exception as error:  # noqa: BLE001 - it goes to whoever waits
            return None, error

    def _settle(self, step: Step | None, end: Run | Exception | None) -> Step | None:
        if isinstance(end, Exception):
            self.end.set_exception(end)
        elif end is not None:
            self.end.set_result(end)
        return step


class Group:
    """The followers of one thread's runs, and those of them that are queued to poll."""

    __slots__ = ("batch", "followers")

    def __init__(self) -> None:
        self.followers: set[Follower] = set()
        self.batch: Batch | None = None


class Batch:
    """Followers that want to poll.

    :param since: since when they have been queued, in the event loop's time.
    :param followers: the followers.
    :param group: their group; ``None`` to fetch each run on its own.
    """

    __slots__ = ("followers", "group", "since")

    def __init__(self, since: float, followers: list[Follower], group: Group | None = None) -> None:
        self.since = since
        self.followers = followers
        self.group = group


class Followers:
    """All followers of a poller, by group."""

    def __init__(self) -> None:
        self._groups: dict[str, Group] = {}

    def add(self, follower: Follower) -> None:
        """Add a follower."""
        self._groups.setdefault(follower.group, Group()).followers.add(follower)

    def discard(self, follower: Follower) -> None:
        """Remove a follower."""
        if group := self._groups.get(follower.group):
            group.followers.discard(follower)
            if not group.followers:
                del self._groups[follower.group]

    def group_of(self, follower: Follower) -> Group | None:
        """Return a follower's group; ``None`` if it has no followers any more."""
        return self._groups.get(follower.group)
