"""The log of what clients asked, and of what they were answered."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.datastructures import Headers

if TYPE_CHECKING:
    from starlette.types import Scope

    from airflow_provider_runs.testing.endpoints import Effects
    from airflow_provider_runs.testing.paths import Paths

__all__ = ["RecordedRequest", "RequestLog"]

_logger = logging.getLogger("airflow_provider_runs.testing")

#: Headers, in lower case, whose values are not kept.
_SECRET = {"authorization", "proxy-authorization", "api-key", "x-api-key", "cookie"}


@dataclass(frozen=True)
class RecordedRequest:
    """One request that reached the server.

    :param method: the HTTP method, in capitals.
    :param path: the path without the dialect's prefix, such as ``/v1`` or ``/api/projects/demo``.
    :param query: the query's parameters.
    :param headers: the headers, by lower-case name; those with credentials read ``***``.
    :param body: the decoded JSON body; ``None`` without one, or if it is no JSON.
    :param status: the HTTP status that was answered; ``None`` as long as nothing was, or if the
        connection was dropped.
    :param at: when it arrived, in epoch seconds by the server's clock.
    :param run_id: the run that it names, or the one that it started.
    :param started: whether it started that run, whether or not that was answered.
    :param cancelled: the runs that it cancelled, whether or not that was answered.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    status: int | None
    at: float
    run_id: str | None
    started: bool
    cancelled: tuple[str, ...]

    @property
    def accepted_cancel(self) -> bool:
        """Whether it cancelled a run, whether or not that was answered."""
        return bool(self.cancelled)


class RequestLog:
    """Keeps all requests, in order of arrival; its methods may be called from any thread.

    :param paths: tells which run a path names.
    """

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._requests: list[RecordedRequest] = []
        self._lock = threading.Lock()

    def add(self, scope: Scope, body: bytes, at: float) -> int:
        """Record a request, and return its number, for ``complete``.

        :param scope: the request, as ASGI gives it.
        :param body: its body.
        :param at: when it arrived, in epoch seconds.
        """
        headers = {
            name: "***" if name in _SECRET else value
            for name, value in Headers(scope=scope).items()
        }
        path = self._paths.without_prefix(scope["path"])
        request = RecordedRequest(
            method=scope["method"],
            path=path,
            query=dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True)),
            headers=headers,
            body=_json_or_none(body),
            status=None,
            at=at,
            run_id=self._paths.run_id(path),
            started=False,
            cancelled=(),
        )
        with self._lock:
            self._requests.append(request)
            return len(self._requests) - 1

    def note(self, number: int, effects: Effects) -> None:
        """Note what a request did that is not answered yet.

        :param number: of the request, from ``add``.
        :param effects: what it did.
        """
        with self._lock:
            self._requests[number] = replace(self._requests[number], **effects)

    def complete(self, number: int, status: int | None, effects: Effects) -> None:
        """Complete the record of a request, and log it.

        :param number: of the request, from ``add``.
        :param status: the HTTP status that was answered; ``None`` if the connection was dropped.
        :param effects: what the request did.
        """
        with self._lock:
            request = replace(self._requests[number], status=status, **effects)
            self._requests[number] = request
        _logger.info("%s %s -> %s", request.method, request.path, status or "dropped")

    def requests(self) -> list[RecordedRequest]:
        """Return the requests so far."""
        with self._lock:
            return list(self._requests)


def _json_or_none(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return None
