"""Those who follow a run: where each wait is, and which of them look together."""

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

#: The part of its pause that a wait may forgo to share a list call. With more than a half, all the
#: waits of a thread soon look together: of two crowds one is always early enough for the other.
EARLY = 0.6


class Follower:
    """One wait, and where its flow is.

    :param wait: the wait.
    :param flow: what waits.
    """

    __slots__ = ("context", "due", "end", "flow", "looking", "pause", "wait", "wants")

    def __init__(self, wait: Wait, flow: Flow[Run]) -> None:
        # Where a line is logged from tells the triggerer whose log it belongs in.
        self.context = copy_context()
        self.wait = wait
        self.flow = flow
        self.end: asyncio.Future[Run] = asyncio.get_running_loop().create_future()
        self.wants = False  # whether it is to be shown its run now
        self.pause = 0.0  # seconds
        self.due = math.inf  # end of the pause, in the event loop's time
        self.looking = False  # whether its step after the pause is a look

    @property
    def group(self) -> str:
        """What it may share a list call with; without threads, only its own run."""
        return self.wait.ref.thread_id or self.wait.ref.run_id

    def may_look(self, now: float) -> bool:
        """Whether it is pausing, but not for much longer.

        :param now: in the event loop's time.
        """
        return self.looking and self.due - now < EARLY * self.pause

    def advance(self, reply: Reply | Exception = None) -> Step | None:
        """Hand the flow what came of its last step; return its next one, ``None`` at its end."""
        self.due, self.wants = math.inf, False
        if self.end.done():
            return None
        try:
            return self.context.run(advance, self.flow, reply)
        except StopIteration as end:
            self.end.set_result(end.value)
        except Exception as error:  # noqa: BLE001 - it is the wait's own
            self.end.set_exception(error)
        return None


class Group:
    """Those who follow the runs of one thread, and the batch of them that is in the queue."""

    __slots__ = ("batch", "followers")

    def __init__(self) -> None:
        self.followers: set[Follower] = set()
        self.batch: Batch | None = None


class Batch:
    """Followers that want to look.

    :param since: since when they do, in the event loop's time.
    :param followers: they.
    :param group: theirs; ``None`` to fetch each run on its own.
    """

    __slots__ = ("followers", "group", "since")

    def __init__(self, since: float, followers: list[Follower], group: Group | None = None) -> None:
        self.since = since
        self.followers = followers
        self.group = group


class Followers:
    """All followers of a poller, by their group."""

    def __init__(self) -> None:
        self._groups: dict[str, Group] = {}

    def add(self, follower: Follower) -> None:
        """Let a follower in."""
        self._groups.setdefault(follower.group, Group()).followers.add(follower)

    def discard(self, follower: Follower) -> None:
        """Let a follower out."""
        if group := self._groups.get(follower.group):
            group.followers.discard(follower)
            if not group.followers:
                del self._groups[follower.group]

    def group_of(self, follower: Follower) -> Group | None:
        """Return a follower's group; ``None`` once all of it are out."""
        return self._groups.get(follower.group)
