"""Objects that the users of an event loop share: made for the first one, closed by the last."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Awaitable, Callable, Hashable
    from contextlib import AbstractAsyncContextManager

__all__ = ["Leases"]

T = TypeVar("T")


class _Lease(Generic[T]):
    """A shared object, and how many use it."""

    def __init__(self, thing: T) -> None:
        self.thing = thing
        self.users = 0


class Leases(Generic[T]):
    """Shared objects, by event loop and name.

    :param close: closes an object that nobody uses any more.
    """

    def __init__(self, close: Callable[[T], Awaitable[None]]) -> None:
        self._close = close
        self._lent: WeakKeyDictionary[AbstractEventLoop, dict[Hashable, _Lease[T]]] = (
            WeakKeyDictionary()
        )

    def lend(self, name: Hashable, make: Callable[[], T]) -> AbstractAsyncContextManager[T]:
        """Lend the object of this name for a block; its last user closes it.

        :param name: what distinguishes it from the others of this event loop.
        :param make: makes it, if nobody uses it yet.
        """
        return _Loan(self, name, make)

    def lent(self) -> list[T]:
        """Return the objects that are in use on this event loop."""
        return [lease.thing for lease in self.leases().values()]

    def leases(self) -> dict[Hashable, _Lease[T]]:
        """Return the leases of this event loop by name."""
        return self._lent.setdefault(asyncio.get_running_loop(), {})

    async def close(self, thing: T) -> None:
        """Close an object that nobody uses any more."""
        await self._close(thing)


class _Loan(Generic[T]):
    """The use of an object in a block. Thousands last for hours, so it is not a generator."""

    __slots__ = ("_lease", "_leases", "_make", "_name")

    def __init__(self, leases: Leases[T], name: Hashable, make: Callable[[], T]) -> None:
        self._leases = leases
        self._name = name
        self._make = make
        self._lease: _Lease[T] | None = None

    async def __aenter__(self) -> T:
        leases = self._leases.leases()
        self._lease = lease = leases.get(self._name) or _Lease(self._make())
        leases[self._name] = lease
        lease.users += 1
        return lease.thing

    async def __aexit__(self, *_: object) -> None:
        lease = self._lease
        assert lease is not None  # noqa: S101 - it was entered
        lease.users -= 1
        if not lease.users:
            del self._leases.leases()[self._name]
            await self._leases.close(lease.thing)
