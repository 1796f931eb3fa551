"""What the provider counts and times; a hook connects it to Airflow's ``Stats``.

======================== ======= ================================================================
name                     kind    what
======================== ======= ================================================================
runs.polls               counter requests that polled runs, one by one or in a list
runs.poll_seconds        timer   how long such a request took, retries included
runs.watched             gauge   waits under way in this triggerer
runs.cancels.accepted    counter cancels that the server accepted, or that were no longer needed
runs.cancels.refused     counter cancels that the server refused while the run was active
runs.cancels.STATUS      counter final statuses of the runs that were cancelled and waited for
runs.cancel_seconds      timer   from an accepted cancel to the run's end
runs.rate_limited        counter answers with status 429
runs.errors.KIND         counter failed requests, by the class of their error
======================== ======= ================================================================
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from airflow_provider_runs.status import RunStatus

__all__ = ["Sink", "cancelled", "count", "report_to", "took", "watched"]


class Sink(Protocol):
    """The part of Airflow's ``Stats`` that is used here."""

    def incr(self, stat: str, /) -> Any: ...  # noqa: D102
    def timing(self, stat: str, dt: timedelta, /) -> Any: ...  # noqa: D102
    def gauge(self, stat: str, value: float, /) -> Any: ...  # noqa: D102


_sinks: list[Sink] = []
_watched = 0


def report_to(sink: Sink) -> None:
    """Send all metrics to this sink from now on, and to no other.

    :param sink: Airflow's ``Stats``, or anything like it.
    """
    _sinks[:] = [sink]


def count(name: str) -> None:
    """Add one to a counter.

    :param name: the metric's name, without ``runs.``.
    """
    for sink in _sinks:
        sink.incr(f"runs.{name}")


def took(name: str, seconds: float) -> None:
    """Record how long something took.

    :param name: the metric's name, without ``runs.``.
    :param seconds: how long it took, in seconds.
    """
    for sink in _sinks:
        sink.timing(f"runs.{name}", timedelta(seconds=seconds))


def watched(change: int) -> None:
    """Record that the number of waits under way has changed.

    :param change: by how many; negative when waits have ended.
    """
    global _watched  # noqa: PLW0603 - one number for the process
    _watched += change
    for sink in _sinks:
        sink.gauge("runs.watched", _watched)


def cancelled(status: RunStatus, seconds: float) -> None:
    """Record the end of a run that was cancelled and waited for.

    :param status: the final status of the run.
    :param seconds: seconds since the server accepted the cancel.
    """
    count(f"cancels.{status.value if status.is_known else 'unknown'}")
    took("cancel_seconds", seconds)
