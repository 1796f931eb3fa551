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
runs.tokens.prompt       counter tokens that the runs of tasks were given, once they ended
runs.tokens.completion   counter tokens that these runs wrote
runs.tokens.total        counter both together, as the server counts them
======================== ======= ================================================================

The tokens have a tag ``conn_id``, the connection. StatsD has no tags unless Airflow's
``[metrics] statsd_influxdb_enabled`` puts them into the names: there, without it, the counters hold
the tokens of all connections together. A run that two tasks wait for is counted by both.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_runs.status import RunStatus

__all__ = ["Sink", "cancelled", "count", "report_to", "took", "used", "watched"]


class Sink(Protocol):
    """The part of Airflow's ``Stats`` that is used here."""

    def incr(self, stat: str, count: int = 1, *, tags: dict[str, str] | None = None) -> Any: ...  # noqa: D102
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


def used(conn_id: str, usage: Mapping[str, Any]) -> None:
    """Count the tokens of a run that has ended.

    :param conn_id: the run's connection.
    :param usage: numbers of tokens by their names in ``models.Usage``; other entries are ignored.
    """
    tags = {"conn_id": _NOT_IN_TAGS.sub("_", conn_id)}
    for kind in ("prompt", "completion", "total"):
        number = usage.get(f"{kind}_tokens")
        if type(number) is int and number > 0:  # OpenTelemetry takes no negative counts
            for sink in _sinks:
                sink.incr(f"runs.tokens.{kind}", number, tags=tags)


#: Characters of a connection's id with which StatsD's lines, or Airflow's own checks, break.
_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9_.-]")
