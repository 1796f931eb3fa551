"""What crosses the wire: a call, its answer, a refusal in an answer, and a page of a list."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import quote

from airflow_provider_runs.backends.json_bodies import is_heavy, read_json
from airflow_provider_runs.run_ref import id_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

    from airflow_provider_runs.run_ref import RunRef


__all__ = [
    "CANCEL_REFUSED",
    "MAX_ID",
    "MAX_PAGES",
    "NO_SUCH",
    "PAGE_SIZE",
    "ROLLBACK",
    "Answer",
    "Call",
    "Exchange",
    "Page",
    "Refusal",
    "segment",
]

#: What a body is that has not been read yet.
_UNREAD = object()
#: Runs, or threads, that a page holds at most.
PAGE_SIZE = 100
#: Pages of a list that are read at most.
MAX_PAGES = 200
#: Characters of the longest id.
MAX_ID = 1000
#: The cancel action that deletes the run: if it is then missing, the cancel has succeeded.
ROLLBACK = "rollback"
#: HTTP statuses of a refused cancel that decide nothing: the run may have ended, or be cancelling.
CANCEL_REFUSED = frozenset({400, 404, 409})
#: The HTTP status of a refused start that the server's own words explain: no such model or agent.
NO_SUCH = frozenset({404})


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP call to make.

    :param what: what it does, for error messages: "get run 'run_1'".
    :param method: the HTTP method.
    :param path: appended to the base URL; its parts are already percent-encoded.
    :param ref: the run that it is about, if any.
    :param params: its query parameters.
    :param json: its body, if it has one.
    :param headers: what it has besides the headers of every call.
    :param thread_id: the thread that it is about, if it is about no run.
    :param has_ids: whether it names a thread or a run, so that a 404 may mean that it is missing.
    :param judged: error statuses after which it is not retried, because the caller interprets them:
        a 409 to a cancel may mean that the run has already finished.
    :param repeatable: whether it is idempotent, so that it may be sent again after its answer was
        lost. A start is not: it may have started a run.
    :param holds_result: whether its answer may hold what the run has made, and so be a long one.
    """

    what: str
    method: str
    path: str
    ref: RunRef | None = None
    params: Mapping[str, str | int] = field(default_factory=dict)
    json: Mapping[str, object] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    thread_id: str | None = None
    has_ids: bool = True
    judged: frozenset[int] = frozenset()
    repeatable: bool = True
    holds_result: bool = False


class Answer:
    """A complete answer, whatever its status.

    :param status_code: the HTTP status.
    :param headers: its headers.
    :param content: its body.
    """

    __slots__ = ("_body", "content", "headers", "status_code")

    def __init__(
        self, status_code: int, headers: httpx.Headers, content: bytes | bytearray
    ) -> None:
        self.status_code = status_code
        self.headers = headers
        self.content = content
        self._body: Any = _UNREAD

    @property
    def is_heavy(self) -> bool:
        """Whether reading it takes too long for an event loop."""
        return is_heavy(self.content)

    def body(self) -> Any:
        """Return the body as decoded JSON, which is read once; nobody may change it.

        :raises ValueError: if the body is not JSON, or more of it than is accepted.
        """
        if self._body is _UNREAD:
            self._body = read_json(self.content)
        return self._body

    def number(self, header: str) -> float | None:
        """Return the number in a header, at least 0; ``None`` if there is none.

        :param header: the header's name.
        """
        try:
            number = float(self.headers[header])
        except (KeyError, ValueError):
            return None
        return max(0.0, number) if math.isfinite(number) else None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an answer refuses its call.

    :param status: the HTTP status, or the one that the refusal amounts to.
    :param words: the server's message; empty if there is none.
    :param code: the server's error code; empty if there is none.
    :param codes: all the codes and types that it gives.
    :param is_ours: whether the answer comes from this API, not from a router, gateway or framework
        that has no such path.
    :param names_run: whether it says itself that this run, or its thread, does not exist; otherwise
        a wrong base URL would look like a run that does not exist.
    """

    status: int
    words: str = ""
    code: str = ""
    codes: frozenset[str] = frozenset()
    is_ours: bool = True
    names_run: bool = False


T = TypeVar("T")

#: Calls that belong together: it yields each call, is sent its answer, and returns the result.
Exchange = Generator[Call, Answer, T]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list.

    :param items: what is on it.
    :param cursor: what asks for the next page; ``None`` on the last one.
    """

    items: list[T]
    cursor: str | None


def segment(name: str, value: object) -> str:
    """Return an id, percent-encoded as one segment of a path.

    :param name: which id it is, for the error: ``run_id``.
    :param value: the id.
    :raises ValueError: if it is empty, is of another type than text, a whole number or a UUID, or
        would lead to another path.
    """
    value = id_text(value)
    if value is not None and not isinstance(value, str):
        # The value itself may be a whole run, which is nothing for a log.
        kind = type(value).__name__
        raise ValueError(f"{name} is a {kind}, not an id: check the task that should provide it")
    if value is None or not value.strip():
        raise ValueError(f"{name} is empty ({value!r}): check the task that should provide it")
    if value == "None":
        raise ValueError(
            f"{name} is 'None', as a template renders a missing value: check the task that should "
            "provide it"
        )
    if len(value) > MAX_ID:
        raise ValueError(f"{name} {value[:40]!r}… cannot be an id: it is too long")
    bad = sorted({c for c in value if c in "/\\?#" or not c.isprintable()})
    if bad:
        raise ValueError(
            f"{name} {value!r} cannot be an id: it contains {', '.join(map(repr, bad))}"
        )
    if value == "." or ".." in value:
        raise ValueError(f"{name} {value!r} cannot be an id: it would lead to another path")
    return quote(value, safe="")
