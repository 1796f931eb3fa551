"""Objects that an event loop's coroutines share: made for the first user, closed by the last."""

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


class _Shared(Generic[T]):
    """An object, and how many use it."""

    __slots__ = ("thing", "users")

    def __init__(self, thing: T) -> None:
        self.thing = thing
        self.users = 0


class Leases(Generic[T]):
    """Shared objects, by event loop and name.

    :param close: closes an object that nobody uses any more.
    """

    def __init__(self, close: Callable[[T], Awaitable[None]]) -> None:
        self._close = close
        self._loops: WeakKeyDictionary[AbstractEventLoop, dict[Hashable, _Shared[T]]] = (
            WeakKeyDictionary()
        )

    def lend(self, name: Hashable, make: Callable[[], T]) -> AbstractAsyncContextManager[T]:
        """Lend the object of this name for a block; its last user closes it.

        :param name: what distinguishes it from the others of this event loop.
        :param make: makes it, if nobody uses it yet.
        """
        shared = self._loops.setdefault(asyncio.get_running_loop(), {})
        return _Lease(shared, name, make, self._close)

    def lent(self) -> list[T]:
        """Return the objects that are in use on this event loop."""
        shared = self._loops.get(asyncio.get_running_loop(), {})
        return [each.thing for each in shared.values()]


class _Lease(Generic[T]):
    """The use of an object in a block. Thousands last for hours, so it is not a generator."""

    __slots__ = ("_close", "_make", "_name", "_shared")

    def __init__(
        self,
        shared: dict[Hashable, _Shared[T]],
        name: Hashable,
        make: Callable[[], T],
        close: Callable[[T], Awaitable[None]],
    ) -> None:
        self._shared = shared
        self._name = name
        self._make = make
        self._close = close

    async def __aenter__(self) -> T:
        used = self._shared.get(self._name)
        if used is None:
            used = self._shared[self._name] = _Shared(self._make())
        used.users += 1
        return used.thing

    async def __aexit__(self, *_: object) -> None:
        used = self._shared[self._name]
        used.users -= 1
        if not used.users:
            del self._shared[self._name]
            await self._close(used.thing)
