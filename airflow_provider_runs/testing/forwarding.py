"""Forwarding requests to the endpoints, as the gateway before them does."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, JSONResponse, Response

from airflow_provider_runs.testing.errors import ApiError
from airflow_provider_runs.testing.gateways import GARBAGE, Gateway, no_such_path

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Scope

    from airflow_provider_runs.testing.dialects.base import Dialect
    from airflow_provider_runs.testing.paths import Paths
    from airflow_provider_runs.testing.store import Store

__all__ = ["Forwarder"]

#: The paths that tests of a connection ask for.
_PROBES = frozenset({"/models", "/assistants", "/assistants/search"})


class Forwarder:
    """Asks the application that has the endpoints, and answers as the gateway does.

    :param app: the application.
    :param dialect: whose endpoints it has.
    :param store: where the runs are.
    :param paths: tells what a path names.
    """

    def __init__(self, app: ASGIApp, dialect: Dialect, store: Store, paths: Paths) -> None:
        self.gateway = Gateway()
        self._app = app
        self._dialect = dialect
        self._store = store
        self._paths = paths
        self._requests = 0
        self._looks: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()

    async def ask(self, scope: Scope, body: bytes) -> Response:
        """Return the response to a request.

        :param scope: of the request, as ASGI has it.
        :param body: its body.
        """
        gateway, method = self.gateway, scope["method"]
        path = self._paths.without_prefix(scope["path"])
        run_id = self._paths.run_id(path)
        cancels = method == "POST" and path.endswith("/cancel")
        if not gateway.forwards or (
            (cancels and not gateway.cancel_route) or (path in _PROBES and not gateway.probe_route)
        ):
            return self._no_route(method, scope["path"])
        self._requests += 1
        if _is_due(self._requests, gateway.refuses_every):
            return self._dialect.refusal(ApiError.of_status(401))
        if run_id and self._is_missing(run_id):
            return self._dialect.refusal(self._dialect.missing("run", run_id))
        if run_id and cancels and self._lost[run_id] < gateway.loses_cancels:
            self._lost[run_id] += 1
            look = {**scope, "method": "GET", "path": scope["path"].removesuffix("/cancel")}
            return self._rewritten(await _ask(self._app, look, b""), run_id)
        response = self._rewritten(await _ask(self._app, scope, body), run_id)
        garbage = gateway.cancel_body if cancels else gateway.look_body
        if run_id and garbage is not None and (cancels or method == "GET"):
            response = HTMLResponse(GARBAGE[garbage])
        if cancels and gateway.cancel_status:
            response = self._dialect.refusal(ApiError.of_status(gateway.cancel_status))
        return response

    def _no_route(self, method: str, path: str) -> Response:
        body = no_such_path(self.gateway.not_found, method, path)
        return HTMLResponse(body, 404) if isinstance(body, str) else JSONResponse(body, 404)

    def _is_missing(self, run_id: str) -> bool:
        self._looks[run_id] += 1
        if _is_due(self._looks[run_id], self.gateway.misses_every):
            return True
        with suppress(ApiError):
            age = self._store.now() - self._store.run(run_id).created_at
            return age < self.gateway.missing_for
        return False

    def _rewritten(self, response: Response, run_id: str | None) -> Response:
        """Return a response with the runs and errors in it as the gateway shows them."""
        gateway, body = self.gateway, None
        with suppress(ValueError):
            body = json.loads(bytes(response.body))
        if response.status_code >= 400 and gateway.flat_errors and isinstance(body, dict):
            said = body.get("error") or {"message": body.get("detail")}
            error = {"message": said.get("message"), "type": said.get("type")}
            return JSONResponse(
                {"object": "error", **error, "code": response.status_code}, response.status_code
            )
        if response.status_code >= 300 or body is None:
            return response
        if isinstance(body, dict) and isinstance(body.get("data"), list):
            body = {**body, "data": self._records(body["data"])}
        elif isinstance(body, list):
            body = self._records(body)
        elif run_id:
            body = self._shown(body)
            if gateway.other_ids:
                name = "run_id" if "run_id" in body else "id"
                body = {**body, name: f"{body[name].split('_')[0]}_{secrets.token_hex(24)}"}
        return JSONResponse(body, response.status_code)

    def _records(self, items: list[Any]) -> list[Any]:
        shown = [self._shown(item) for item in items]
        if self.gateway.odd_records and shown:
            without = {key: value for key, value in shown[0].items() if key != "status"}
            odd = [without, {**shown[0], "status": None}, {**shown[0], "status": ["x"]}, None]
            shown[1:1] = odd
        return shown

    def _shown(self, item: Any) -> Any:
        if not isinstance(item, dict) or not isinstance(item.get("status"), str):
            return item
        word = self.gateway.status_words.get(item["status"], item["status"])
        return {**item, "status": word, **self.gateway.fields}


def _is_due(number: int, every: int) -> bool:
    return every > 0 and number % every == 0


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
