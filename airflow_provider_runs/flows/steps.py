"""The steps of a flow: what it yields, and what it is sent back.

A flow is a generator that does no I/O. It yields steps and is driven by ``transport.drivers``,
blocking or for asyncio, or by ``polling.poller``, so what it says exists once for all of them.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pydantic_core import from_json

if TYPE_CHECKING:
    import httpx

    from airflow_provider_runs.backends.credentials import EntraID

__all__ = ["LAST_LOOK", "Answer", "Flow", "Log", "Send", "Sleep"]

T = TypeVar("T")

#: Seconds that a request may take at least, also right at the deadline: a wait looks once more
#: when its time is up, and that look must be able to succeed.
LAST_LOOK = 2.0


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request.

    :param request: the request; its timeouts are in its extensions.
    :param until: when the whole answer must be there, in epoch seconds.
    :param credential: whose token it carries, if it carries one.
    """

    request: httpx.Request
    until: float
    credential: EntraID | None = None


@dataclass(frozen=True, slots=True)
class Sleep:
    """Sleep for a number of seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, whatever its status."""

    status_code: int
    headers: httpx.Headers
    content: bytes

    def body(self) -> Any:
        """Return the decoded JSON.

        :raises ValueError: if the content is no JSON.
        """
        with suppress(ValueError):
            return from_json(self.content)  # faster, but refuses halves of characters
        try:
            return json.loads(self.content)
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error


Flow = Generator[Send | Sleep, Answer | None, T]


class Log(Protocol):
    """The part of a logger that is used here; the standard library's and Airflow's both fit."""

    def info(self, event: str, /, *args: Any) -> Any: ...  # noqa: D102
    def warning(self, event: str, /, *args: Any) -> Any: ...  # noqa: D102
