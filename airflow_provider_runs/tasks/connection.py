"""Looking up the connection of a task, with retries.

Airflow reports a connection that does not exist and a store that fails in the same way. So a
connection that is not found is looked up again for a while before the task fails.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from airflow_provider_runs.errors import RunsConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airflow_provider_runs.backends import Backend
    from airflow_provider_runs.hooks import RunsHook

__all__ = ["LOOKUP_TIMEOUT", "alook_up", "look_up"]

log = logging.getLogger(__name__)

#: Seconds for which a lookup is retried, and seconds between two attempts.
LOOKUP_TIMEOUT, LOOKUP_PAUSE = 60.0, 3.0


def look_up(hook: RunsHook, deadline: float) -> Backend:
    """Return a hook's backend, and retry for a while if its connection is not found.

    :param hook: the hook.
    :param deadline: when to stop trying at the latest, in epoch seconds.
    :raises RunsConfigError: if it is still not found after that, or cannot be used.
    """
    attempts = _Attempts(deadline)
    while True:
        try:
            return hook.backend()
        except RunsConfigError as error:
            attempts.failed(error)
        time.sleep(LOOKUP_PAUSE)


async def alook_up(find: Callable[[], Awaitable[Backend]], deadline: float) -> Backend:
    """Do what ``look_up`` does, for asyncio.

    :param find: looks the connection up once.
    :param deadline: when to stop trying at the latest, in epoch seconds.
    :raises RunsConfigError: if it is still not found after that, or cannot be used.
    """
    attempts = _Attempts(deadline)
    while True:
        try:
            return await find()
        except RunsConfigError as error:
            attempts.failed(error)
        await asyncio.sleep(LOOKUP_PAUSE)


class _Attempts:
    """Says after each attempt whether to try again."""

    def __init__(self, deadline: float) -> None:
        self._give_up = min(time.time() + LOOKUP_TIMEOUT, deadline)
        self._said = False

    def failed(self, error: RunsConfigError) -> None:
        """Record a failed attempt, and log the first one.

        :raises RunsConfigError: the error, if another attempt is of no use or too late.
        """
        if not error.transient or time.time() >= self._give_up:
            raise error
        if not self._said:
            log.warning("The connection is looked up again for a while. %s", error.message)
            self._said = True
