"""What the coroutines of one event loop share: made for the first user, closed after the last."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import AsyncIterator, Awaitable, Callable, Hashable

__all__ = ["Leases"]

T = TypeVar("T")


class _Lease(Generic[T]):
    """A thing, and how many use it."""

    def __init__(self, thing: T) -> None:
        self.thing = thing
        self.users = 0


class Leases(Generic[T]):
    """Things that are lent, by event loop and name.

    :param close: closes a thing that nobody uses any more.
    """

    def __init__(self, close: Callable[[T], Awaitable[None]]) -> None:
        self._close = close
        self._lent: WeakKeyDictionary[AbstractEventLoop, dict[Hashable, _Lease[T]]] = (
            WeakKeyDictionary()
        )

    @asynccontextmanager
    async def lend(self, name: Hashable, make: Callable[[], T]) -> AsyncIterator[T]:
        """Lend the thing of a name.

        :param name: what tells it from the others of this event loop.
        :param make: makes it, if nobody uses it yet.
        """
        leases = self._lent.setdefault(asyncio.get_running_loop(), {})
        lease = leases.get(name)
        if lease is None:
            lease = leases[name] = _Lease(make())
        lease.users += 1
        try:
            yield lease.thing
        finally:
            lease.users -= 1
            if not lease.users:
                del leases[name]
                await self._close(lease.thing)

    def lent(self) -> list[T]:
        """Return what is lent on this event loop now."""
        leases = self._lent.get(asyncio.get_running_loop(), {})
        return [lease.thing for lease in leases.values()]
