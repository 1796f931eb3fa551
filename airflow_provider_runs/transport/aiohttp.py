"""A transport based on aiohttp, which takes much less CPU time: the optional extra ``fast``.

Source: https://github.com/karpetrosyan/httpx-aiohttp.
"""

from __future__ import annotations

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

__all__ = ["FastTransport"]


class FastTransport(AiohttpTransport):
    """Sends requests through aiohttp, and maps all of its errors to those of httpx."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request.

        :return: the response, whose body may still be arriving.
        :raises httpx.TransportError: if no answer begins to arrive.
        """
        try:
            return await super().handle_async_request(request)
        except httpx.ConnectTimeout as error:  # httpx-aiohttp raises it for all connection errors
            if isinstance(error.__cause__, TimeoutError):
                raise
            if isinstance(error.__cause__, aiohttp.ClientConnectorError):
                raise httpx.ConnectError(str(error)) from error
            raise httpx.ReadError(str(error)) from error
        except aiohttp.ClientError as error:
            raise httpx.RemoteProtocolError(str(error)) from error
