"""Work that nobody can interrupt, given up on in time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["in_time"]

T = TypeVar("T")


def in_time(work: Callable[[], T], seconds: float | None) -> T:
    """Do work in a thread of its own, and give up on it when its time is over.

    The thread goes on, but keeps no process alive.

    :param work: the work.
    :param seconds: how long to wait for it, in seconds; ``None`` for any time.
    :return: what it returns.
    :raises TimeoutError: if it takes longer.
    :raises Exception: what it raises.
    """
    end: list[tuple[T | None, BaseException | None]] = []

    def run() -> None:
        try:
            end.append((work(), None))
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            end.append((None, error))

    thread = threading.Thread(target=run, daemon=True, name="airflow-provider-runs")
    thread.start()
    thread.join(seconds)
    if not end:
        raise TimeoutError(f"it took longer than {seconds} s")
    ((result, error),) = end
    if error is not None:
        raise error
    return result  # type: ignore[return-value]  # there was no error
