"""Everything that the browser was told by the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import Error

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Request


class Watch:
    """Keeps the body of each response to a browser.

    :param context: the browser's.
    """

    def __init__(self, context: BrowserContext) -> None:
        self.bodies: list[tuple[str, bytes]] = []
        #: Responses that came but whose page was closed before they could be read.
        self.lost: list[str] = []
        context.on("requestfinished", self._finished)

    def _finished(self, request: Request) -> None:
        try:
            response = request.response()
            if response is not None and response.status not in {204, 301, 302, 303, 304, 307, 308}:
                self.bodies.append((request.url, response.body()))
        except Error:
            self.lost.append(request.url)

    def urls_with(self, text: str) -> list[str]:
        """Return where a text came from."""
        return [url for url, body in self.bodies if text.encode() in body]
