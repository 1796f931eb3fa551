"""What the bodies of requests have to say in a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_runs.testing.dialects.assistants_json import text_part
from airflow_provider_runs.testing.dialects.openai import new_id
from airflow_provider_runs.testing.views import Message

if TYPE_CHECKING:
    from airflow_provider_runs.testing.dialects.openai import OpenAI
    from airflow_provider_runs.testing.json_types import JsonMapping, JsonObject

__all__ = ["message_of", "messages_of"]


def message_of(dialect: OpenAI, body: JsonMapping, now: float) -> Message:
    """Return the message that a body is.

    :param dialect: refuses what makes no sense.
    :param body: has a ``role`` and a ``content``.
    :param now: the present time, in epoch seconds.
    :raises ApiError: if one of them is missing or makes no sense.
    """
    content, role = _content(dialect, body), dialect.text(body, "role")
    return Message(new_id("msg"), role, content, body.get("metadata") or {}, now)


def messages_of(dialect: OpenAI, body: JsonMapping, name: str, now: float) -> list[Message]:
    """Return the messages in a body; none without them.

    :param dialect: refuses what makes no sense.
    :param name: what they are called there.
    :param now: the present time, in epoch seconds.
    :raises ApiError: if they are no list of messages.
    """
    given = _objects(dialect, name, body.get(name) or [])
    return [message_of(dialect, each, now) for each in given]


def _content(dialect: OpenAI, body: JsonMapping) -> list[JsonObject]:
    if not isinstance(body.get("content"), list):
        return [text_part(dialect.text(body, "content"))]
    # A text that is sent as a part is shown as an object; other parts stay as they are.
    parts = _objects(dialect, "content", body["content"])
    return [
        text_part(part["text"]) if isinstance(part.get("text"), str) else part for part in parts
    ]


def _objects(dialect: OpenAI, name: str, value: Any) -> list[JsonObject]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        message = f"Invalid type for '{name}': expected an array of objects."
        raise dialect.invalid(name, message, "invalid_type")
    return value
