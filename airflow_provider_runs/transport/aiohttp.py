"""A transport on aiohttp, which takes a fraction of the CPU time: the optional extra ``fast``.

Source: https://github.com/karpetrosyan/httpx-aiohttp.
"""

from __future__ import annotations

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

__all__ = ["FastTransport"]


class FastTransport(AiohttpTransport):
    """Sends through aiohttp, and gives all of its errors the names that httpx has for them."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request.

        :raises httpx.TransportError: if no answer begins.
        """
        try:
            return await super().handle_async_request(request)
        except httpx.ConnectTimeout as error:  # it takes all trouble with a connection for one
            if isinstance(error.__cause__, TimeoutError):
                raise
            if isinstance(error.__cause__, aiohttp.ClientConnectorError):
                raise httpx.ConnectError(str(error)) from error
            raise httpx.ReadError(str(error)) from error
        except aiohttp.ClientError as error:
            raise httpx.RemoteProtocolError(str(error)) from error
