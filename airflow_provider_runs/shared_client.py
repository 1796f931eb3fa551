"""The asyncio HTTP client that all users of a connection share."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import httpx

from airflow_provider_runs.flows.calls import retry_after
from airflow_provider_runs.flows.steps import LAST_LOOK

if TYPE_CHECKING:
    from airflow_provider_runs.flows.steps import Answer

__all__ = ["SharedClient"]


#: Seconds for which a server that was asked too much is left alone where it names none.
TOO_MANY = 1.0


class SharedClient(httpx.AsyncClient):
    """A client that remembers for all its users how long its server wants to be left alone.

    :param direct: the transport of all requests; by default as the environment's proxies say.
    :param options: of the client.
    """

    quiet_until = 0.0  # epoch seconds

    def __init__(self, direct: httpx.AsyncBaseTransport | None = None, **options: Any) -> None:
        super().__init__(transport=direct, **options)
        self._direct = direct

    async def begin(self, request: httpx.Request, auth: httpx.Auth | None) -> httpx.Response:
        """Send a request and return its answer, whose body may still be coming.

        :raises httpx.RequestError: if no answer begins.
        """
        if self.is_closed:
            raise httpx.ConnectError("the connection was changed meanwhile")
        if auth or self._direct is None:
            return await self.send(request, stream=True, follow_redirects=False, auth=auth)
        # A third of the time of `send` goes into what these requests have no use for: cookies.
        return await self._direct.handle_async_request(request)

    async def rest(self, until: float) -> None:
        """Sleep until the server may be asked again, but let a request be sent by ``until``."""
        pause = min(self.quiet_until, until - LAST_LOOK) - time.time()
        if pause > 0:
            await asyncio.sleep(pause)

    def heed(self, answer: Answer) -> None:
        """Take in what an answer says of the server's load."""
        if answer.status_code not in {429, 503}:
            return
        seconds = retry_after(answer.headers)
        if seconds is None and answer.status_code == 429:
            seconds = TOO_MANY
        self.quiet_until = max(self.quiet_until, time.time() + (seconds or 0.0))
