"""A dialect's endpoints, as a Starlette application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from airflow_provider_runs.testing.endpoints import ServedRequest
from airflow_provider_runs.testing.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from airflow_provider_runs.testing.dialects.base import Dialect
    from airflow_provider_runs.testing.endpoints import Endpoint
    from airflow_provider_runs.testing.store import Store


__all__ = ["make_application"]


def make_application(dialect: Dialect, store: Store, api_key: str | None) -> Starlette:
    """Return an application with every endpoint of a dialect under each of its prefixes.

    :param dialect: whose endpoints to serve.
    :param store: what they read and change.
    :param api_key: the key to ask for; ``None`` accepts any.
    """

    def serve(endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        async def respond(request: Request) -> Response:
            served = ServedRequest(request, await request.body(), store)
            if not endpoint.is_open:
                dialect.check_request(served, api_key)
            reply = await endpoint.handler(served)
            return reply if isinstance(reply, Response) else JSONResponse(reply)

        return respond

    async def refuse(_request: Request, error: ApiError) -> Response:
        return dialect.refusal(error)

    async def refuse_route(request: Request, error: HTTPException) -> Response:
        refusal = dialect.no_route(error.status_code, request.method, request.url.path)
        response = dialect.refusal(refusal)
        response.headers.update(error.headers or {})
        return response

    # Starlette's type has each handler take every exception; it hands each only its own.
    handlers: dict[type[Exception], Any] = {ApiError: refuse, HTTPException: refuse_route}
    routes = [
        Route(prefix + endpoint.path, serve(endpoint), methods=[endpoint.method])
        for prefix in dialect.prefixes
        for endpoint in dialect.endpoints()
    ]
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return app
