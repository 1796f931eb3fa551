"""The objects of the Assistants API."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_runs.testing.json_types import JsonObject
    from airflow_provider_runs.testing.views import RunView, ThreadView

__all__ = ["message_json", "run_json", "thread_json"]

#: The tokens that every run takes.
_USAGE = {"prompt_tokens": 123, "completion_tokens": 456, "total_tokens": 579}


def thread_json(thread: ThreadView) -> JsonObject:
    """Return a Thread object."""
    return {
        "id": thread.id,
        "object": "thread",
        "created_at": int(thread.created_at),
        "metadata": thread.metadata,
        "tool_resources": {},
    }


def message_json(
    message_id: str, thread_id: str, role: str, content: str, metadata: object, now: float
) -> JsonObject:
    """Return a Message object.

    :param now: the present time, in epoch seconds.
    """
    text = {"value": content, "annotations": []}
    return {
        "id": message_id,
        "object": "thread.message",
        "created_at": int(now),
        "thread_id": thread_id,
        "role": role,
        "content": [{"type": "text", "text": text}],
        "assistant_id": None,
        "run_id": None,
        "attachments": [],
        "metadata": metadata,
    }


def run_json(run: RunView) -> JsonObject:
    """Return the Run object with its 27 fields."""
    status, at = run.status, int(run.updated_at)
    done = status in {"completed", "incomplete"}
    waiting = {
        "type": "submit_tool_outputs",
        "submit_tool_outputs": {"tool_calls": run.tool_calls},
    }
    return {
        "id": run.id,
        "object": "thread.run",
        "created_at": int(run.created_at),
        "thread_id": run.thread_id,
        "status": status,
        "required_action": waiting if status == "requires_action" else None,
        "last_error": run.last_error,
        "expires_at": None if done else run.expires_at,
        "started_at": None if run.started_at is None else int(run.started_at),
        "cancelled_at": at if status == "cancelled" else None,
        "failed_at": at if status == "failed" else None,
        "completed_at": at if done else None,
        "incomplete_details": (
            {"reason": "max_completion_tokens"} if status == "incomplete" else None
        ),
        "usage": None if run.is_active else _USAGE,
        **run.fields,
    }
