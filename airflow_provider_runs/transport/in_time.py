"""Work that nobody can interrupt, given up on in time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Job", "in_time"]

T = TypeVar("T")


class Job(Generic[T]):
    """Work in a thread of its own: it goes on whatever interrupts those who wait for its end.

    The thread keeps no process alive. Its end is awaited by a lock, and not by its ``join()``: up
    to Python 3.12 that takes the thread for dead once an exception has interrupted it, such as that
    of a task's timeout (python/cpython#90882).

    :param work: the work.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._end: tuple[T | None, BaseException | None] | None = None
        self._going_on = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True, name="airflow-provider-runs")

    @property
    def has_begun(self) -> bool:
        """Whether the work has begun."""
        return self._thread.ident is not None

    def begin(self) -> Job[T]:
        """Begin with the work."""
        self._going_on.acquire()
        self._thread.start()
        return self

    def wait(self, seconds: float | None = None) -> T:
        """Wait for the end of the work.

        :param seconds: how long, in seconds; ``None`` for any time.
        :return: what it returns.
        :raises TimeoutError: if it takes longer, or was not begun.
        :raises Exception: what it raises.
        """
        if not self.has_begun:
            raise TimeoutError("it was not begun")
        limit = -1 if seconds is None else min(max(0.0, seconds), threading.TIMEOUT_MAX)
        # What a signal handler interrupts here may hold the lock, but not before there is an end.
        if self._end is None and self._going_on.acquire(timeout=limit):
            self._going_on.release()
        if self._end is None:
            raise TimeoutError(f"it took longer than {seconds} s")
        result, error = self._end
        if error is not None:
            raise error
        return result  # type: ignore[return-value]  # there was no error

    def _run(self) -> None:
        try:
            self._end = self._work(), None
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            self._end = None, error
        finally:
            self._going_on.release()


def in_time(work: Callable[[], T], seconds: float | None) -> T:
    """Do work in a thread of its own, and give up on it when its time is over.

    :param work: the work.
    :param seconds: how long to wait for it, in seconds; ``None`` for any time.
    :return: what it returns.
    :raises TimeoutError: if it takes longer.
    :raises Exception: what it raises.
    """
    return Job(work).begin().wait(seconds)
