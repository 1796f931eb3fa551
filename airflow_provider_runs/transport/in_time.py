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

    The thread keeps no process alive.

    :param work: the work.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._end: tuple[T | None, BaseException | None] | None = None
        # Not the thread's `join`: before Python 3.13, an exception in it marks the thread as ended.
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="airflow-provider-runs")

    @property
    def has_begun(self) -> bool:
        """Whether the work has begun."""
        return self._thread.ident is not None

    def begin(self) -> Job[T]:
        """Begin with the work."""
        self._thread.start()
        return self

    def wait(self, seconds: float | None = None) -> T:
        """Wait for the end of the work.

        :param seconds: how long, in seconds; ``None`` for any time.
        :return: what it returns.
        :raises TimeoutError: if it takes longer.
        :raises Exception: what it raises.
        """
        self._has_ended.wait(seconds)
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
        self._has_ended.set()


def in_time(work: Callable[[], T], seconds: float | None) -> T:
    """Do work in a thread of its own, and give up on it when its time is over.

    :param work: the work.
    :param seconds: how long to wait for it, in seconds; ``None`` for any time.
    :return: what it returns.
    :raises TimeoutError: if it takes longer.
    :raises Exception: what it raises.
    """
    return Job(work).begin().wait(seconds)
