"""The objects of the Assistants API."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

from airflow_provider_runs.testing.views import Message

if TYPE_CHECKING:
    from airflow_provider_runs.testing.json_types import JsonObject
    from airflow_provider_runs.testing.views import RunView, ThreadView

__all__ = ["message_json", "messages_json", "run_json", "text_part", "thread_json"]

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


def text_part(text: str) -> JsonObject:
    """Return a text as a part of a message's content."""
    return {"type": "text", "text": {"value": text, "annotations": []}}


def message_json(message: Message, thread_id: str) -> JsonObject:
    """Return the Message object of what a client has said."""
    return {
        "id": message.id,
        "object": "thread.message",
        "created_at": int(message.created_at),
        "thread_id": thread_id,
        "role": message.role,
        "content": message.content,
        "assistant_id": None,
        "run_id": None,
        "attachments": [],
        "metadata": message.metadata,
    }


def messages_json(thread: ThreadView) -> list[JsonObject]:
    """Return all Message objects of a thread, the oldest first: what clients and runs have said."""
    said = [
        (message.created_at, message.after_runs, message_json(message, thread.id))
        for message in thread.messages
    ]
    said += [
        (run.updated_at, number, _answer(run, run.answer, thread.id))
        for number, run in enumerate(thread.runs)
        if run.answer is not None
    ]
    # Of what was said at one moment, a message comes after the answers of the runs before it.
    return [message for *_, message in sorted(said, key=itemgetter(0, 1))]


def _answer(run: RunView, text: str, thread_id: str) -> JsonObject:
    message_id = f"msg_{run.id.removeprefix('run_')}"
    message = Message(message_id, "assistant", [text_part(text)], {}, run.updated_at)
    return {
        **message_json(message, thread_id),
        "assistant_id": run.fields["assistant_id"],
        "run_id": run.id,
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
