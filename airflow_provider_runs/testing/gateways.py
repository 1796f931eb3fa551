"""What stands between clients and a run API: gateways, replicas, servers with their own ways."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_runs.testing.json_types import JsonObject

__all__ = ["GARBAGE", "NOT_FOUND", "Gateway", "no_such_path"]

#: What routers, clouds and frameworks answer for a path that they do not have, by their names; the
#: path stands for ``{path}`` and the HTTP method for ``{method}``. None says anything about a run.
NOT_FOUND: Mapping[str, JsonObject | str] = {
    "api management": {"statusCode": 404, "message": "Resource not found"},
    "azure": {"error": {"code": "404", "message": "Resource not found"}},
    "databricks": {
        "error_code": "ENDPOINT_NOT_FOUND",
        "message": "No API found for '{method} {path}'",
    },
    "envoy": "",
    "express": "<!DOCTYPE html><pre>Cannot {method} {path}</pre>",
    "fastapi": {"detail": "Not Found"},
    "fastify": {
        "message": "Route {method}:{path} not found",
        "error": "Not Found",
        "statusCode": 404,
    },
    "foundry": {"error": {"code": "404", "message": "Project not found"}},
    "grpc": {"code": 5, "message": "Not Found", "details": []},
    "kong": {"message": "no Route matched with those values"},
    "laravel": {"message": "The route {path} could not be found."},
    "nestjs": {"message": "Cannot {method} {path}", "error": "Not Found", "statusCode": 404},
    "nginx": "<html><head><title>404 Not Found</title></head></html>",
    "openai": {
        "error": {
            "message": "Invalid URL ({method} {path})",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }
    },
    "spring": {
        "timestamp": "2026-01-01T00:00:00Z",
        "status": 404,
        "error": "Not Found",
        "path": "{path}",
    },
    "traefik": "404 page not found\n",
    "vercel": {"error": {"code": "404", "message": "The page could not be found"}},
}

#: Bodies that no API answers, by their names; ``page`` is what a login in front of one shows.
GARBAGE: Mapping[str, bytes] = {
    "page": b"<!DOCTYPE html><title>Sign in</title>",
    "cut": b'{"id": "run_1", "object": "thr',
    "list": b"[]",
    "object": b'{"object": "health", "ok": true}',
    "nothing": b"",
}


#: What fields of a ``Gateway`` may say that may also say nothing.
_CHOICES = {
    "missing_as": tuple(NOT_FOUND),
    "cancel_body": tuple(GARBAGE),
    "look_body": tuple(GARBAGE),
    "error_code": ("number", "text", "none"),
}


@dataclass(frozen=True)
class Gateway:
    """How real servers and gateways differ from what an API's documents say.

    Give it to a ``RunServer``, or change it at any time: ``server.gateway = Gateway(…)``. What it
    counts, it counts from then on. By default nothing differs.

    :param not_found: in whose words a router refuses; one of ``NOT_FOUND``.
    :param forwards: whether it forwards anything; otherwise every path is missing.
    :param login_page: whether it answers every request 200 with a web page, and forwards none.
    :param cancel_route: whether the server has the call that cancels a run.
    :param probe_route: whether it has the list of models or assistants that tests of a connection
        ask for.
    :param missing_for: seconds after a run's creation in which the server does not know it, as
        replicas with stores of their own do.
    :param misses_every: every so many requests about a run the server does not know it; 0 for
        never.
    :param missing_as: in whose words it says of these two that it does not know the run, one of
        ``NOT_FOUND``; by default in the dialect's.
    :param refuses_every: every so many requests the key is refused; 0 for never.
    :param loses_cancels: how many cancels of each run are accepted and lost, out of those that
        name it in their path and would have had an effect.
    :param cancel_status: the HTTP status with which every cancel is answered, whatever its effect.
    :param cancel_body: what every cancel is answered with, whatever its effect; one of ``GARBAGE``.
    :param look_body: what every GET of a run is answered with; one of ``GARBAGE``.
    :param other_ids: whether each answer gives a run another id, as proxies that protect ids do.
    :param odd_records: whether lists of runs and threads hold records that cannot be read.
    :param status_words: words in place of the dialect's: ``{"cancelled": "canceled"}``.
    :param flat_errors: whether errors are ``{"object": "error", "message", "type", "code": 404}``.
    :param error_code: what the ``code`` of errors is: ``number``, the HTTP status; ``text``, the
        same as text; ``none``, null, so that only ``type`` tells; by default the dialect's own.
    :param fields: fields that all runs have: ``{"created_at": 2**64}``.
    :raises ValueError: if there is no answer of that name, or a number is negative.
    """

    not_found: str = "kong"
    forwards: bool = True
    login_page: bool = False
    cancel_route: bool = True
    probe_route: bool = True
    missing_for: float = 0.0
    misses_every: int = 0
    missing_as: str | None = None
    refuses_every: int = 0
    loses_cancels: int = 0
    cancel_status: int | None = None
    cancel_body: str | None = None
    look_body: str | None = None
    other_ids: bool = False
    odd_records: bool = False
    status_words: Mapping[str, str] = field(default_factory=dict)
    flat_errors: bool = False
    error_code: str | None = None
    fields: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.not_found not in NOT_FOUND:
            raise ValueError(f"not_found must be one of {', '.join(NOT_FOUND)}")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in {None, *choices}:
                raise ValueError(f"{name} must be one of {', '.join(choices)}")
        for name in ("missing_for", "misses_every", "refuses_every", "loses_cancels"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, not {getattr(self, name)}")


def no_such_path(name: str, method: str, path: str) -> JsonObject | str:
    """Return what a router answers for a path that it does not have.

    :param name: whose words it uses; one of ``NOT_FOUND``.
    :param method: the HTTP method.
    :param path: the path.
    """
    filled: JsonObject | str = _filled(NOT_FOUND[name], method, path)
    return filled


def _filled(value: Any, method: str, path: str) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, method, path) for key, item in value.items()}
    if isinstance(value, str):
        return value.replace("{method}", method).replace("{path}", path)
    return value
