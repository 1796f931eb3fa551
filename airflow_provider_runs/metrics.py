"""What the provider counts and times; the hooks hand it on to Airflow's ``Stats``.

======================== ======= ================================================================
name                     kind    what
======================== ======= ================================================================
runs.polls               counter requests that looked at runs, one by one or in a list
runs.poll_seconds        timer   how long such a request took, retries included
runs.watched             gauge   waits that go on in this triggerer
runs.cancels.accepted    counter cancels that the server took, or that were not needed any more
runs.cancels.refused     counter cancels that the server refused while the run was active
runs.cancels.STATUS      counter ends of the runs that were cancelled and waited for
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
    """The part of Airflow's ``Stats`` that is used."""

    def incr(self, stat: str, /) -> Any: ...  # noqa: D102
    def timing(self, stat: str, dt: timedelta, /) -> Any: ...  # noqa: D102
    def gauge(self, stat: str, value: float, /) -> Any: ...  # noqa: D102


_sinks: list[Sink] = []
_watched = 0


def report_to(sink: Sink) -> None:
    """Hand all on to a sink from now on, instead of the one before."""
    _sinks[:] = [sink]


def count(name: str) -> None:
    """Count one."""
    for sink in _sinks:
        sink.incr(f"runs.{name}")


def took(name: str, seconds: float) -> None:
    """Note how long something took."""
    for sink in _sinks:
        sink.timing(f"runs.{name}", timedelta(seconds=seconds))


def watched(change: int) -> None:
    """Note that so many runs more, or less, are waited for."""
    global _watched  # noqa: PLW0603 - one number for the process
    _watched += change
    for sink in _sinks:
        sink.gauge("runs.watched", _watched)


def cancelled(status: RunStatus, seconds: float) -> None:
    """Note the end of a run that was cancelled and waited for.

    :param seconds: since the server accepted the cancel.
    """
    count(f"cancels.{status.value if status.is_known else 'unknown'}")
    took("cancel_seconds", seconds)
