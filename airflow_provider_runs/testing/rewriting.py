"""The answers of the endpoints, put into the words of the gateway before them."""

from __future__ import annotations

import json
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.responses import Response

    from airflow_provider_runs.testing.gateways import Gateway
    from airflow_provider_runs.testing.json_types import JsonObject

__all__ = ["rewrite"]

#: What OpenAI's APIs call the type of a run; LangGraph's runs have a ``run_id`` instead.
_RUN_TYPES = frozenset({"thread.run", "response"})


def rewrite(response: Response, gateway: Gateway, *, names_run: bool) -> None:
    """Change the runs or the error in a response as the gateway shows them.

    :param response: the response; one whose body is no JSON stays as it is.
    :param gateway: says how.
    :param names_run: whether the request named a run in its path.
    """
    with suppress(ValueError):
        body = json.loads(bytes(response.body))
        if response.status_code >= 400:
            shown = _error(body, response.status_code, gateway)
        else:
            shown = _good(body, gateway, names_run=names_run)
        if shown != body:
            response.body = json.dumps(shown).encode()


def _error(body: Any, status: int, gateway: Gateway) -> Any:
    if not isinstance(body, dict):
        return body
    nested = body.get("error")
    if gateway.flat_errors:
        error = nested if isinstance(nested, dict) else {}
        message = error.get("message") or body.get("message") or body.get("detail")
        flat = {"object": "error", "message": message, "type": error.get("type"), "param": None}
        return {**flat, "code": _code(status, gateway.error_code or "number")}
    if gateway.error_code and isinstance(nested, dict):
        return {**body, "error": {**nested, "code": _code(status, gateway.error_code)}}
    return body


def _code(status: int, kind: str) -> int | str | None:
    if kind == "none":
        return None
    return status if kind == "number" else str(status)


def _good(body: Any, gateway: Gateway, *, names_run: bool) -> Any:
    if isinstance(body, dict) and isinstance(body.get("data"), list):
        return {**body, "data": _records(body["data"], gateway)}
    if isinstance(body, list):
        return _records(body, gateway)
    if gateway.other_ids and names_run and _is_run(body):
        name = "run_id" if "run_id" in body else "id"
        body = {**body, name: f"{body[name].split('_')[0]}_{secrets.token_hex(24)}"}
    return _shown(body, gateway)


def _records(items: list[Any], gateway: Gateway) -> list[Any]:
    shown = [_shown(item, gateway) for item in items]
    # Lists of models and assistants stay as they are: their items have no status to be odd in.
    if gateway.odd_records and shown and "status" in shown[0]:
        without: JsonObject = {key: shown[0][key] for key in shown[0] if key != "status"}
        shown[1:1] = [without, {**shown[0], "status": None}, {**shown[0], "status": ["x"]}, None]
    return shown


def _shown(item: Any, gateway: Gateway) -> Any:
    if not _is_run(item):
        return item
    word = gateway.status_words.get(item["status"], item["status"])
    return {**item, "status": word, **gateway.fields}


def _is_run(item: Any) -> bool:
    # A thread of LangGraph's has a status too, but in other words.
    return (
        isinstance(item, dict)
        and isinstance(item.get("status"), str)
        and ("run_id" in item or item.get("object") in _RUN_TYPES)
    )
