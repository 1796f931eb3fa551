"""The connection of a poller: looked up once for all its waits, and refreshed now and then."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from airflow_provider_runs.errors import RunsConfigError
from airflow_provider_runs.transport.clients import shared_client

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextvars import Context

    from airflow_provider_runs.backends import Backend
    from airflow_provider_runs.transport.clients import SharedClient

__all__ = ["Lookup"]

#: Seconds after which a connection is looked up again.
FRESH = 300.0


class Lookup:
    """The backend of a connection, and a lease on its HTTP client.

    :param look_up: looks the connection up.
    :param context: the context that the lookup runs in.
    """

    def __init__(self, look_up: Callable[[], Awaitable[Backend]], context: Context) -> None:
        self._look_up = look_up
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._backend: Backend | None = None
        self._client: SharedClient | None = None
        self._lease = AsyncExitStack()
        self._at = 0.0  # of the last lookup, in the event loop's time
        self._task: asyncio.Task[None] | None = None

    async def backend(self, age: float | None = None) -> Backend:
        """Return the backend; concurrent callers share one lookup.

        :param age: how old the last lookup may be, in seconds. By default the connection is looked
            up again in the background, and the old backend is used until then.
        :raises RunsConfigError: if the connection cannot be used.
        """
        if self._backend is None or self._loop.time() - self._at > (FRESH if age is None else age):
            if self._task is None or self._task.done():
                self._task = self._loop.create_task(self._refresh(), context=self._context)
                self._task.add_done_callback(_take_error)
            if self._backend is None or age is not None:
                await asyncio.shield(self._task)
        assert self._backend is not None  # noqa: S101 - else there was an error
        return self._backend

    @property
    def client(self) -> SharedClient:
        """The HTTP client; only after ``backend`` has returned."""
        assert self._client is not None  # noqa: S101 - the backend came with it
        return self._client

    def cancel(self) -> None:
        """End a lookup that is under way; ``aclose`` waits for its end."""
        if self._task:
            self._task.cancel()

    async def aclose(self) -> None:
        """End a lookup that is under way, and let go of the HTTP client."""
        self.cancel()
        try:
            if self._task:
                await asyncio.gather(self._task, return_exceptions=True)
        finally:
            await self._lease.aclose()

    async def _refresh(self) -> None:
        try:
            backend = await self._look_up()
        except RunsConfigError:
            if self._backend is None:
                raise
            backend = self._backend  # it worked before, so whatever stores it has a problem
        if self._backend is None or backend.settings != self._backend.settings:
            lease = AsyncExitStack()
            self._client = await lease.enter_async_context(shared_client(backend.settings))
            self._backend = backend
            self._lease, old = lease, self._lease
            await old.aclose()
        self._at = self._loop.time()


def _take_error(task: asyncio.Task[None]) -> None:
    """Retrieve the error of a task that nobody waits for any more; else asyncio would log it."""
    if not task.cancelled():
        task.exception()
