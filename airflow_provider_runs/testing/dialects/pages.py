"""OpenAI's cursor pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_runs.testing.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_runs.testing.json_types import JsonObject


__all__ = ["list_page"]


def list_page(oldest_first: Sequence[JsonObject], query: Mapping[str, str]) -> JsonObject:
    """Return one page of a list, as a list object.

    :param oldest_first: everything there is to list, each with an ``id``.
    :param query: the request's ``limit`` (1 to 100, default 20), ``order`` (``asc`` or ``desc``,
        the default, by age), ``after`` and ``before`` (ids).
    :raises ApiError: with 400, if one of them makes no sense.
    """
    limit = _limit(query.get("limit", "20"))
    order = query.get("order", "desc")
    if order not in {"asc", "desc"}:
        raise _invalid(param="order", value=order, hint="Supported values are: 'asc' and 'desc'.")
    items = list(oldest_first if order == "asc" else reversed(oldest_first))
    if "before" in query:
        items = items[: _position(items, "before", query["before"])]
    if "after" in query:
        items = items[_position(items, "after", query["after"]) + 1 :]
    # `before` alone pages backwards: the page wanted is the one next to the cursor.
    backwards = "before" in query and "after" not in query
    data = items[-limit:] if backwards else items[:limit]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": len(items) > len(data),
    }


def _limit(text: str) -> int:
    limit = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= limit <= 100:
        raise _invalid(param="limit", value=text, hint="Expected an integer from 1 to 100.")
    return limit


def _position(items: Sequence[JsonObject], name: str, item_id: str) -> int:
    for position, item in enumerate(items):
        if item["id"] == item_id:
            return position
    raise _invalid(param=name, value=item_id, hint="There is no such object in the list.")


def _invalid(*, param: str, value: str, hint: str) -> ApiError:
    return ApiError(400, f"Invalid '{param}': '{value}'. {hint}", param=param, code="invalid_value")
