"""The Assistants v2 endpoints, as a Starlette application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Route

from airflow_provider_runs.testing.errors import ApiError
from airflow_provider_runs.testing.pages import list_page
from airflow_provider_runs.testing.runs import new_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from airflow_provider_runs.testing.store import Store

    Handler = Callable[[Request], Awaitable[dict[str, Any]]]

EFFECTS = "effects"
"""Key of the ASGI state under which an endpoint leaves what it did, for the record."""


class Api:
    """The endpoints of one store.

    :param api_key: the key to ask for; None accepts any
    """

    def __init__(self, store: Store, api_key: str | None) -> None:
        self._store = store
        self._api_key = api_key

    def app(self) -> Starlette:
        """Return the application, with every route at ``/`` and at ``/v1``."""
        run = "/threads/{thread_id}/runs/{run_id}"
        handlers: list[tuple[str, str, Handler]] = [
            ("GET", "/assistants", self.list_assistants),
            ("POST", "/threads", self.create_thread),
            ("GET", "/threads/{thread_id}", self.get_thread),
            ("DELETE", "/threads/{thread_id}", self.delete_thread),
            ("POST", "/threads/{thread_id}/messages", self.create_message),
            ("POST", "/threads/{thread_id}/runs", self.create_run),
            ("GET", "/threads/{thread_id}/runs", self.list_runs),
            ("GET", run, self.get_run),
            ("POST", f"{run}/cancel", self.cancel_run),
            ("POST", f"{run}/submit_tool_outputs", self.submit_tool_outputs),
        ]
        routes = [
            Route(prefix + path, self._endpoint(handler), methods=[method])
            for prefix in ("", "/v1")
            for method, path, handler in handlers
        ]
        on_error: dict[Any, Any] = {ApiError: _refuse, HTTPException: _refuse_route}
        app = Starlette(routes=routes, exception_handlers=on_error)
        app.router.redirect_slashes = False
        return app

    async def list_assistants(self, request: Request) -> dict[str, Any]:
        """Return an empty list: enough to try a key on."""
        return list_page([], request.query_params)

    async def create_thread(self, request: Request) -> dict[str, Any]:
        """Add a thread."""
        return self._store.create_thread(await _body(request))

    async def get_thread(self, request: Request) -> dict[str, Any]:
        """Return a thread."""
        return self._store.thread(**request.path_params)

    async def delete_thread(self, request: Request) -> dict[str, Any]:
        """Forget a thread and its runs."""
        self._store.delete_thread(**request.path_params)
        thread_id = request.path_params["thread_id"]
        return {"id": thread_id, "object": "thread.deleted", "deleted": True}

    async def create_message(self, request: Request) -> dict[str, Any]:
        """Return a message; it is not kept, as nothing reads it."""
        thread_id = request.path_params["thread_id"]
        self._store.check_unlocked(
            thread_id, "Can't add messages to {thread} while a run {run} is active."
        )
        body = await _body(request)
        text = {"value": _text(body, "content"), "annotations": []}
        return {
            "id": new_id("msg"),
            "object": "thread.message",
            "created_at": self._store.now(),
            "thread_id": thread_id,
            "role": _text(body, "role"),
            "content": [{"type": "text", "text": text}],
            "assistant_id": None,
            "run_id": None,
            "attachments": [],
            "metadata": body.get("metadata") or {},
        }

    async def create_run(self, request: Request) -> dict[str, Any]:
        """Add a run."""
        thread_id = request.path_params["thread_id"]
        self._store.thread(thread_id)
        body = await _body(request)
        _text(body, "assistant_id")
        run = self._store.create_run(thread_id, body)
        _effects(request, run_id=run["id"])
        return run

    async def list_runs(self, request: Request) -> dict[str, Any]:
        """Return a page of a thread's runs."""
        return self._store.list_runs(request.path_params["thread_id"], request.query_params)

    async def get_run(self, request: Request) -> dict[str, Any]:
        """Return a run."""
        return self._store.run(**request.path_params)

    async def cancel_run(self, request: Request) -> dict[str, Any]:
        """Cancel a run."""
        run = self._store.cancel_run(**request.path_params)
        _effects(request, accepted_cancel=True)
        return run

    async def submit_tool_outputs(self, request: Request) -> dict[str, Any]:
        """Let a run go on that waits for tool outputs."""
        self._store.run(**request.path_params)
        outputs = (await _body(request)).get("tool_outputs")
        if not isinstance(outputs, list) or not all(isinstance(each, dict) for each in outputs):
            message = "Invalid type for 'tool_outputs': expected an array of objects."
            raise ApiError(400, message, param="tool_outputs", code="invalid_type")
        return self._store.submit(**request.path_params, outputs=outputs)

    def _endpoint(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            self._check_key(request)
            return JSONResponse(await handler(request))

        return endpoint

    def _check_key(self, request: Request) -> None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            key = request.headers.get("api-key", "")
        if not key.strip():
            message = "You didn't provide an API key."
            raise ApiError(401, message, code="invalid_api_key")
        if self._api_key not in {None, key.strip()}:
            raise ApiError.of_status(401)


async def _refuse(_request: Request, error: ApiError) -> Response:
    return JSONResponse(error.envelope(), error.status_code)


async def _refuse_route(request: Request, error: HTTPException) -> Response:
    call = f"{request.method} {request.url.path}"
    if error.status_code == 405:
        refusal = ApiError(405, f"Not allowed: {call}", code="method_not_supported")
    else:
        refusal = ApiError(404, f"Invalid URL ({call})")
    return JSONResponse(refusal.envelope(), refusal.status_code, headers=error.headers)


async def _body(request: Request) -> dict[str, Any]:
    if not await request.body():
        return {}
    try:
        body = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise ApiError(400, "We could not parse the JSON body of your request.")
    return body


def _text(body: dict[str, Any], name: str) -> str:
    if name not in body:
        message = f"Missing required parameter: '{name}'."
        raise ApiError(400, message, param=name, code="missing_required_parameter")
    value = body[name]
    if not isinstance(value, str):
        message = f"Invalid type for '{name}': expected a string."
        raise ApiError(400, message, param=name, code="invalid_type")
    return value


def _effects(request: Request, **effects: object) -> None:
    request.scope["state"][EFFECTS] = effects
