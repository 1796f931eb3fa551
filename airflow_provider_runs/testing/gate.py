"""What stands between the sockets and the endpoints: recording requests, applying faults."""

from __future__ import annotations

import asyncio
import json
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from starlette.datastructures import MutableHeaders
from uvicorn.protocols.http.h11_impl import H11Protocol

from airflow_provider_runs.testing.endpoints import EFFECTS
from airflow_provider_runs.testing.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from airflow_provider_runs.testing.faults import Fault, FaultPlan
    from airflow_provider_runs.testing.paths import Paths
    from airflow_provider_runs.testing.traffic import Traffic

TRANSPORT = "transport"


class GateProtocol(H11Protocol):
    """HTTP/1.1 that shows the application its transport.

    ASGI has no way to hang up in the middle of an answer, which is just what a fault must do.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Put the transport where each of the connection's requests finds it."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, TRANSPORT: transport}
        # Per protocol, because uvicorn's own option for it empties a logger of the process.
        self.access_log = False


@dataclass
class _Answer:
    status: int
    headers: MutableHeaders
    body: bytes


class Gate:
    """The ASGI application that the server runs, around the one with the endpoints.

    :param paths: what is to be made of a request's path
    :param refusal: makes an answer of an error, for faults that give no body
    :param clock: returns the present time in epoch seconds
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        paths: Paths,
        refusal: Callable[[ApiError], Response],
        faults: FaultPlan,
        traffic: Traffic,
        clock: Callable[[], float],
    ) -> None:
        self._app = app
        self._paths = paths
        self._refusal = refusal
        self._faults = faults
        self._traffic = traffic
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
        number = self._traffic.arrived(scope, body, self._clock())
        path = scope["path"]
        fault = self._faults.take(scope["method"], path, self._paths.without_prefix(path))
        await asyncio.sleep(fault.delay)
        answer = None
        if fault.after_effect or not fault.replaces:
            answer = await _ask(self._app, scope, body)
        effects = scope["state"].get(EFFECTS, {})
        transport = cast("asyncio.Transport", scope["state"][TRANSPORT])
        if fault.drop:
            self._traffic.answered(number, None, effects)
            transport.abort()
            # Returns once uvicorn knows of it; before, it would log that the answer is missing.
            await receive()
            return
        answer = self._faulty(fault, answer)
        self._traffic.answered(number, answer.status, effects)
        await send(
            {"type": "http.response.start", "status": answer.status, "headers": answer.headers.raw}
        )
        if fault.cut:
            half = answer.body[: len(answer.body) // 2]
            await send({"type": "http.response.body", "body": half, "more_body": True})
            # Not abort(), which may throw away the half that was just written.
            transport.close()
            await receive()
        else:
            await send({"type": "http.response.body", "body": answer.body})

    def _faulty(self, fault: Fault, normal: _Answer | None) -> _Answer:
        """Return what the client gets: the normal answer, or the fault's own."""
        answer = normal or _Answer(200, MutableHeaders({"content-type": "application/json"}), b"")
        if fault.replaces:
            status = fault.status or answer.status
            if fault.body is None and status >= 400:
                refusal = self._refusal(ApiError.of_status(status))
                answer = _Answer(status, refusal.headers, bytes(refusal.body))
            else:
                answer = _Answer(status, answer.headers, _encoded(fault.body))
        answer.headers["content-length"] = str(len(answer.body))
        answer.headers["x-request-id"] = f"req_{uuid.uuid4().hex}"
        answer.headers.update(fault.headers)
        return answer


async def _read(receive: Receive) -> bytes | None:
    """Return the request's body; None if the client hangs up before its end."""
    chunks: list[bytes] = []
    while (message := await receive())["type"] == "http.request":
        chunks.append(message["body"])
        if not message["more_body"]:
            return b"".join(chunks)
    return None


async def _ask(app: ASGIApp, scope: Scope, body: bytes) -> _Answer:
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, send)
    start, *rest = messages
    content = b"".join(message.get("body", b"") for message in rest)
    return _Answer(start["status"], MutableHeaders(raw=list(start["headers"])), content)


def _encoded(body: bytes | dict[str, Any] | None) -> bytes:
    if body is None:
        return b""
    return body if isinstance(body, bytes) else json.dumps(body).encode()
