"""The steps of a flow: what it yields, and what it is sent back.

A flow is a generator that does no I/O. It yields steps, and a driver carries them out: the blocking
one or the one for asyncio in ``transport.drivers``, or ``polling.poller``. So its logic exists only
once for all of them.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from airflow_provider_runs.backends import Backend
from airflow_provider_runs.backends.wire import Answer
from airflow_provider_runs.models import Glimpse

if TYPE_CHECKING:
    import httpx

    from airflow_provider_runs.backends.credentials import EntraID
    from airflow_provider_runs.models import RunRef

__all__ = [
    "LAST_LOOK",
    "Flow",
    "Log",
    "Look",
    "Refresh",
    "Reply",
    "Send",
    "Sleep",
    "Step",
    "advance",
]

T = TypeVar("T")

#: Seconds that each request may take at least, even right at the deadline: a wait polls once more
#: when its time is up, and that poll must be able to succeed.
LAST_LOOK = 2.0


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request; an ``Answer`` comes back, or an ``httpx.RequestError`` is thrown.

    :param request: the request; its timeouts are in its extensions.
    :param until: when the complete answer must be there, in epoch seconds.
    :param credential: the credential whose token it carries, if any.
    :param most: the longest body that is accepted, in bytes.
    :param hurried: whether it is sent even while the server asks its clients to wait.
    :param glance: whether long texts in the answer, such as a result, are of no interest.
    """

    request: httpx.Request
    until: float
    credential: EntraID | None
    most: int
    hurried: bool = False
    glance: bool = False


@dataclass(frozen=True, slots=True)
class Sleep:
    """Sleep; nothing comes back.

    :param seconds: for how long, in seconds.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class Look:
    """Poll a run; a ``Glimpse`` comes back, or a ``RunsError`` is thrown.

    A driver does what ``calls.glimpse_run`` does. A poller may let several waits share one request.

    :param backend: of the run's connection.
    :param ref: the run.
    :param deadline: when to stop trying, in epoch seconds.
    """

    backend: Backend
    ref: RunRef
    deadline: float


@dataclass(frozen=True, slots=True)
class Refresh:
    """Look the connection up again; its ``Backend`` comes back, or ``None`` if it stays as it was.

    The key was refused, and somebody may have put a new one into the connection.
    """


Step = Send | Sleep | Look | Refresh
Reply = Answer | Glimpse | Backend | None
Flow = Generator[Step, Reply, T]


def advance(flow: Flow[T], reply: Reply | Exception) -> Step:
    """Send a flow the reply to its last step, and return its next step.

    :param reply: the reply; ``None`` to start the flow. An exception is thrown into it.
    :raises StopIteration: when the flow has ended; it holds what the flow returned.
    """
    return flow.throw(reply) if isinstance(reply, Exception) else flow.send(reply)


class Log(Protocol):
    """The part of a logger that is used here; the standard library's and Airflow's both have it."""

    def info(self, event: str, /, *args: object) -> object: ...  # noqa: D102
    def warning(self, event: str, /, *args: object) -> object: ...  # noqa: D102
