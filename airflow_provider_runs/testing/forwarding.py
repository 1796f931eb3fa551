"""Forwarding requests to the endpoints, as the gateway before them does."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from airflow_provider_runs.testing.errors import ApiError
from airflow_provider_runs.testing.gateways import GARBAGE, Gateway, no_such_path
from airflow_provider_runs.testing.rewriting import rewrite

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Scope

    from airflow_provider_runs.testing.dialects.base import Dialect
    from airflow_provider_runs.testing.paths import Paths
    from airflow_provider_runs.testing.store import Store

__all__ = ["Forwarder"]

#: The paths that tests of a connection ask for.
_PROBES = frozenset({"/models", "/assistants", "/assistants/search"})


@dataclass(frozen=True)
class _Played:
    """A gateway, and what it has done since it was set."""

    gateway: Gateway
    requests: Counter[str] = field(default_factory=Counter)
    looks: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Asked:
    """What a request asks for: its path without prefix, the run in it, and whether to cancel."""

    method: str
    path: str
    run_id: str | None

    @property
    def cancels(self) -> bool:
        return self.method == "POST" and self.path.endswith("/cancel")


class Forwarder:
    """Asks the application that has the endpoints, and answers as the gateway does.

    :param app: the application.
    :param dialect: whose endpoints it has.
    :param store: where the runs are.
    :param paths: tells what a path names.
    """

    def __init__(self, app: ASGIApp, dialect: Dialect, store: Store, paths: Paths) -> None:
        self._played = _Played(Gateway())
        self._app = app
        self._dialect = dialect
        self._store = store
        self._paths = paths

    @property
    def gateway(self) -> Gateway:
        """The gateway; to set one begins its counts anew, from any thread."""
        return self._played.gateway

    @gateway.setter
    def gateway(self, gateway: Gateway) -> None:
        self._played = _Played(gateway)

    async def ask(self, scope: Scope, body: bytes) -> Response:
        """Return the response to a request.

        :param scope: of the request, as ASGI has it.
        :param body: its body.
        """
        played = self._played  # another one may be set meanwhile
        gateway, path = played.gateway, self._paths.without_prefix(scope["path"])
        asked = _Asked(scope["method"], path, self._paths.run_id(path))
        if gateway.login_page:
            return _garbage("page")
        if not _has_route(gateway, asked):
            return _no_such_path(gateway.not_found, scope)
        refused = self._refused(played, asked, scope)
        if refused is not None:
            return refused
        response = await self._lost(played, asked, scope) or await _ask(self._app, scope, body)
        if asked.cancels and gateway.cancel_status:
            return self._refusal(ApiError.of_status(gateway.cancel_status), gateway)
        garbage = asked.run_id and _garbage_for(gateway, asked)
        if garbage:
            return _garbage(garbage)
        rewrite(response, gateway, names_run=asked.run_id is not None)
        return response

    def _refused(self, played: _Played, asked: _Asked, scope: Scope) -> Response | None:
        """Return the response to a request that goes no further; ``None`` if it does."""
        gateway, run_id = played.gateway, asked.run_id
        if _is_due(played.requests, "all", gateway.refuses_every):
            return self._refusal(ApiError.of_status(401), gateway)
        if run_id is None or not self._is_missing(played, run_id):
            return None
        if gateway.missing_as is not None:
            return _no_such_path(gateway.missing_as, scope)
        return self._refusal(self._dialect.missing("run", run_id), gateway)

    def _refusal(self, error: ApiError, gateway: Gateway) -> Response:
        response = self._dialect.refusal(error)
        rewrite(response, gateway, names_run=False)
        return response

    def _is_missing(self, played: _Played, run_id: str) -> bool:
        if _is_due(played.looks, run_id, played.gateway.misses_every):
            return True
        with suppress(ApiError):
            age = self._store.now() - self._store.run(run_id).created_at
            return age < played.gateway.missing_for
        return False

    async def _lost(self, played: _Played, asked: _Asked, scope: Scope) -> Response | None:
        """Return the response to a cancel that is accepted and lost; ``None`` for any other."""
        run_id = asked.run_id
        if not run_id or not asked.cancels or played.lost[run_id] >= played.gateway.loses_cancels:
            return None
        look = {**scope, "method": "GET", "path": scope["path"].removesuffix("/cancel")}
        if (await _ask(self._app, look, b"")).status_code >= 400:
            return None  # a wrong key, or no such run: the cancel is answered so as well
        with suppress(ApiError):
            run = self._store.run(run_id)
            if run.is_active and run.status != "cancelling":
                played.lost[run_id] += 1
                reply = self._dialect.cancelled(run)
                return reply if isinstance(reply, Response) else JSONResponse(reply)
        return None


def _has_route(gateway: Gateway, asked: _Asked) -> bool:
    if asked.cancels and not gateway.cancel_route:
        return False
    return gateway.forwards and (gateway.probe_route or asked.path not in _PROBES)


def _is_due(counts: Counter[str], name: str, every: int) -> bool:
    """Count one more, and return whether it is one of those that come every so many."""
    counts[name] += 1
    return every > 0 and counts[name] % every == 0


def _no_such_path(name: str, scope: Scope) -> Response:
    body = no_such_path(name, scope["method"], scope["path"])
    if not isinstance(body, str):
        return JSONResponse(body, 404)
    return Response(body, 404, media_type="text/html" if body.startswith("<") else "text/plain")


def _garbage_for(gateway: Gateway, asked: _Asked) -> str | None:
    if asked.cancels:
        return gateway.cancel_body
    return gateway.look_body if asked.method == "GET" else None


def _garbage(name: str) -> Response:
    return Response(GARBAGE[name], media_type="text/html" if name == "page" else "application/json")


async def _ask(app: ASGIApp, scope: Scope, body: bytes) -> Response:
    """Return an application's response to a request, as a whole."""
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, send)
    start, *rest = messages
    response = Response(b"".join(message.get("body", b"") for message in rest), start["status"])
    response.raw_headers = list(start["headers"])
    return response
