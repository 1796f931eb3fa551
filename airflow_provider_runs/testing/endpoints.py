"""What a dialect's endpoints are: the requests they get and the replies they give."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from starlette.responses import Response

from airflow_provider_runs.testing.json_types import JsonObject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from airflow_provider_runs.testing.store import Store

__all__ = ["EFFECTS", "Effects", "Endpoint", "Handler", "Reply", "ServedRequest"]

#: Key of the ASGI state under which an endpoint leaves its ``Effects``, for the request log.
EFFECTS = "effects"


class Effects(TypedDict, total=False):
    """What a request did, where it did something.

    :param run_id: the run that it started.
    :param started: whether it started that run.
    :param cancelled: the runs that it cancelled.
    """

    run_id: str
    started: bool
    cancelled: tuple[str, ...]


class ServedRequest:
    """One request, as an endpoint gets it; ``request["run_id"]`` is a parameter of its path.

    :param request: the request.
    :param content: its body.
    :param store: what the server remembers.
    """

    def __init__(self, request: Request, content: bytes, store: Store) -> None:
        self.headers: Mapping[str, str] = request.headers
        self.query: Mapping[str, str] = request.query_params
        self.content = content
        self.store = store
        self._parameters: Mapping[str, str] = request.path_params
        self._effects: Effects = request.scope["state"].setdefault(EFFECTS, {})

    def __getitem__(self, name: str) -> str:
        return self._parameters[name]

    def json(self) -> object:
        """Return the decoded body; an empty object without one.

        :raises ValueError: if the body is no JSON.
        """
        return json.loads(self.content or b"{}")

    def record_creation(self, run_id: str) -> None:
        """Have it recorded that the request started a run."""
        self._effects["run_id"], self._effects["started"] = run_id, True

    def record_cancel(self, run_id: str) -> None:
        """Have it recorded that the request cancelled a run, maybe one of several."""
        self._effects["cancelled"] = (*self._effects.get("cancelled", ()), run_id)


#: What an endpoint returns: a whole response, or what to send as JSON with a 200.
Reply = Response | JsonObject | list[JsonObject]

#: What answers the requests to an endpoint.
Handler = Callable[[ServedRequest], Awaitable[Reply]]


class Endpoint(NamedTuple):
    """One method of one path.

    :param method: the HTTP method.
    :param path: template of the path, without the dialect's prefix.
    :param handler: what answers its requests.
    :param is_open: whether it asks for no key.
    """

    method: str
    path: str
    handler: Handler
    is_open: bool = False
