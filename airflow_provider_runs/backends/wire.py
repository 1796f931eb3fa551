"""What crosses the wire: a call, its answer, a page of a list, and what an answer says against."""

from __future__ import annotations

import json
import math
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import quote

from pydantic_core import from_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

    from airflow_provider_runs.status import RunRef

__all__ = [
    "CANCEL_REFUSED",
    "PAGE_SIZE",
    "ROLLBACK",
    "Answer",
    "Call",
    "Exchange",
    "Page",
    "Refusal",
    "segment",
]

#: Runs, or threads, that a page holds at most.
PAGE_SIZE = 100
#: The cancel action that deletes the run: then its absence is the end that was asked for.
ROLLBACK = "rollback"
#: Statuses of a refused cancel that say nothing yet: the run may have ended, or be cancelling.
CANCEL_REFUSED = frozenset({400, 404, 409})


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP call to make.

    :param what: what it does, for people: "get run 'run_1'".
    :param method: the HTTP method.
    :param path: appended to the base URL; its parts are percent-encoded already.
    :param ref: the run it is about, if it is about one.
    :param params: its query.
    :param json: its body, if it has one.
    :param has_ids: whether it names a thread or a run, so that a 404 may mean that it is missing.
    :param judged: error statuses that are an answer to be judged, not sent again: a cancel that is
        answered 409 may mean that the run has ended.
    :param repeatable: whether it may be sent again when its answer was lost: a start may have
        started a run.
    """

    what: str
    method: str
    path: str
    ref: RunRef | None = None
    params: Mapping[str, str | int] = field(default_factory=dict)
    json: Mapping[str, object] | None = None
    has_ids: bool = True
    judged: frozenset[int] = frozenset()
    repeatable: bool = True


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
            return from_json(self.content)  # faster, but refuses lone surrogates
        try:
            return json.loads(self.content)
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error

    def number(self, header: str) -> float | None:
        """Return the number in a header, 0 or more; ``None`` if there is none."""
        try:
            number = float(self.headers[header])
        except (KeyError, ValueError):
            return None
        return max(0.0, number) if math.isfinite(number) else None


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an answer says against its call.

    :param status: the HTTP status that it amounts to.
    :param words: the server's own words for it; empty if there are none.
    :param code: the server's own code for it; empty if there is none.
    :param is_ours: whether this API says so, and not a server that has no such path: else a wrong
        base URL would look like a run that does not exist.
    """

    status: int
    words: str = ""
    code: str = ""
    is_ours: bool = True


T = TypeVar("T")

#: Some calls that belong together: it yields each, is sent the answer and returns what they say.
Exchange = Generator[Call, Answer, T]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list; ``cursor`` asks for the next one, ``None`` after the last."""

    items: list[T]
    cursor: str | None


def segment(name: str, value: object) -> str:
    """Return an id, percent-encoded to be one segment of a path.

    :param name: what the id is, for the error: ``run_id``.
    :param value: the id.
    :raises ValueError: if it is empty, is no text, or could reach another path than it names.
    """
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} is empty ({value!r}): check the task that should have given it")
    if value == "None":
        raise ValueError(f"{name} is 'None', a template's nothing: check the task that gives it")
    bad = sorted({c for c in value if c in "/\\?#" or not c.isprintable()})
    if bad:
        raise ValueError(f"{name} {value!r} cannot be an id: it holds {', '.join(map(repr, bad))}")
    if value == "." or ".." in value:
        raise ValueError(f"{name} {value!r} cannot be an id: it is a step to another path")
    return quote(value, safe="")
