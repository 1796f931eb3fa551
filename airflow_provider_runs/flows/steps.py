"""The steps of a flow: what it yields, and what it is sent back.

A flow is a generator that does no I/O. It yields steps and is driven by ``transport.drivers``,
blocking or for asyncio, or by ``polling.poller``, so what it says exists once for all of them.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from airflow_provider_runs.backends.wire import Answer
from airflow_provider_runs.models import Glimpse

if TYPE_CHECKING:
    import httpx

    from airflow_provider_runs.backends import Backend
    from airflow_provider_runs.backends.credentials import EntraID
    from airflow_provider_runs.models import RunRef

__all__ = ["LAST_LOOK", "Flow", "Log", "Look", "Reply", "Send", "Sleep", "Step", "advance"]

T = TypeVar("T")

#: Seconds that a request may take at least, also right at the deadline: a wait looks once more
#: when its time is up, and that look must be able to succeed.
LAST_LOOK = 2.0


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request; an ``Answer`` comes back, or an ``httpx.RequestError`` is thrown.

    :param request: the request; its timeouts are in its extensions.
    :param until: when the whole answer must be there, in epoch seconds.
    :param credential: whose token it carries, if it carries one.
    """

    request: httpx.Request
    until: float
    credential: EntraID | None = None


@dataclass(frozen=True, slots=True)
class Sleep:
    """Sleep for a number of seconds; nothing comes back."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Look:
    """Look at a run; a ``Glimpse`` comes back, or a ``RunsError`` is thrown.

    By itself it is ``calls.glimpse_run``. A poller may let several waits share one.

    :param backend: whose run it is.
    :param ref: the run.
    :param deadline: when to stop trying, in epoch seconds.
    """

    backend: Backend
    ref: RunRef
    deadline: float


Step = Send | Sleep | Look
Reply = Answer | Glimpse | None
Flow = Generator[Step, Reply, T]


def advance(flow: Flow[T], reply: Reply | Exception) -> Step:
    """Hand a flow what came of its last step, and return its next one.

    :param reply: ``None`` also to start it; an exception is thrown into it.
    :raises StopIteration: when it has ended, with what it returns.
    """
    return flow.throw(reply) if isinstance(reply, Exception) else flow.send(reply)


class Log(Protocol):
    """The part of a logger that is used here; the standard library's and Airflow's both fit."""

    def info(self, event: str, /, *args: object) -> object: ...  # noqa: D102
    def warning(self, event: str, /, *args: object) -> object: ...  # noqa: D102
