"""What stands between the sockets and the endpoints: it records requests and injects faults."""

from __future__ import annotations

import asyncio
import json
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from starlette.responses import Response

from airflow_provider_runs.testing.endpoints import EFFECTS
from airflow_provider_runs.testing.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Receive, Scope, Send

    from airflow_provider_runs.testing.endpoints import Effects
    from airflow_provider_runs.testing.faults import Fault, FaultPlan
    from airflow_provider_runs.testing.forwarding import Forwarder
    from airflow_provider_runs.testing.json_types import JsonObject
    from airflow_provider_runs.testing.paths import Paths
    from airflow_provider_runs.testing.request_log import RequestLog

__all__ = ["TRANSPORT", "FaultMiddleware"]

#: Key of the ASGI state under which a request finds the transport that it came by.
TRANSPORT = "transport"


class FaultMiddleware:
    """Records the requests to an ASGI application, and spoils those that a fault is planned for.

    :param forwarder: asks the application that has the endpoints.
    :param paths: tells a path without its prefix.
    :param refusal: makes a response of an error, for faults that give no body.
    :param faults: says what goes wrong.
    :param request_log: keeps every request, and what was answered.
    :param clock: returns the present time, in epoch seconds.
    """

    def __init__(
        self,
        forwarder: Forwarder,
        *,
        paths: Paths,
        refusal: Callable[[ApiError], Response],
        faults: FaultPlan,
        request_log: RequestLog,
        clock: Callable[[], float],
    ) -> None:
        self._forwarder = forwarder
        self._paths = paths
        self._refusal = refusal
        self._faults = faults
        self._request_log = request_log
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        # Cancelled is a request that the server's stop overtakes; uvicorn would log a crash.
        with suppress(asyncio.CancelledError):
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read(receive)
        if body is None:
            return
        number = self._request_log.add(scope, body, self._clock())
        path = scope["path"]
        fault = self._faults.take(scope["method"], path, self._paths.without_prefix(path))
        if not fault.after_effect:
            await asyncio.sleep(fault.delay)
        normal = None
        if fault.after_effect or not fault.replaces:
            normal = await self._forwarder.ask(scope, body)
        effects: Effects = scope["state"].get(EFFECTS, {})
        if fault.after_effect:
            self._request_log.note(number, effects)
            await asyncio.sleep(fault.delay)
        transport = cast("asyncio.Transport", scope["state"][TRANSPORT])
        if fault.drop:
            self._request_log.complete(number, None, effects)
            transport.abort()
            # Returns once uvicorn knows of it; before, it would log that the answer is missing.
            await receive()
            return
        response = self._spoiled(fault, normal)
        self._request_log.complete(number, response.status_code, effects)
        await send(
            {
                "type": "http.response.start",
                "status": response.status_code,
                "headers": response.raw_headers,
            }
        )
        if fault.cut:
            half = response.body[: len(response.body) // 2]
            await send({"type": "http.response.body", "body": half, "more_body": True})
            # Not abort(), which may throw away the half that was just written.
            transport.close()
            await receive()
        else:
            await send({"type": "http.response.body", "body": response.body})

    def _spoiled(self, fault: Fault, normal: Response | None) -> Response:
        """Return what the client gets: the normal response, or the fault's own."""
        response = normal or Response(media_type="application/json")
        if fault.replaces:
            response.status_code = fault.status or response.status_code
            if fault.body is None and response.status_code >= 400:
                response = self._refusal(ApiError.of_status(response.status_code))
            else:
                response.body = _encoded(fault.body)
        response.headers["content-length"] = str(len(response.body))
        response.headers["x-request-id"] = f"req_{uuid.uuid4().hex}"
        response.headers.update(fault.headers)
        return response


async def _read(receive: Receive) -> bytes | None:
    """Return the request's body; ``None`` if the client hangs up before its end."""
    chunks: list[bytes] = []
    while (message := await receive())["type"] == "http.request":
        chunks.append(message["body"])
        if not message["more_body"]:
            return b"".join(chunks)
    return None


def _encoded(body: bytes | JsonObject | None) -> bytes:
    if body is None:
        return b""
    return body if isinstance(body, bytes) else json.dumps(body).encode()
