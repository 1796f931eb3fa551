"""What the runs of a LangGraph thread leave in it: its messages, as those of a chat add up.

A real server writes a state for each step of a graph; here each run writes one, once it has put
something out (shapes seen with api 0.16.7).
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from airflow_provider_runs.testing.dialects.langgraph_json import assistant_uuid, iso

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_runs.testing.json_types import JsonObject
    from airflow_provider_runs.testing.views import RunView, ThreadView

__all__ = ["state_json", "states_json", "values_json"]

#: The state of a thread in which no run has put anything out.
_NO_STATE: JsonObject = {
    "values": {},
    "next": [],
    "tasks": [],
    "metadata": None,
    "created_at": None,
    "checkpoint": None,
    "parent_checkpoint": None,
    "interrupts": [],
    "checkpoint_id": None,
    "parent_checkpoint_id": None,
}
#: What LangGraph calls those who speak, where clients may call them otherwise.
_SPEAKERS = {"user": "human", "assistant": "ai"}


def values_json(thread: ThreadView) -> JsonObject:
    """Return the values of a thread; none if no run has put anything out."""
    values: JsonObject = state_json(thread)["values"]
    return values


def state_json(thread: ThreadView) -> JsonObject:
    """Return the newest state of a thread; one with nothing in it if no run has written any."""
    states = states_json(thread)
    return states[0] if states else _NO_STATE


def states_json(thread: ThreadView) -> list[JsonObject]:
    """Return all states of a thread, the newest first."""
    messages: list[JsonObject] = []
    states: list[JsonObject] = []
    for run in thread.runs:
        if run.answer is not None:
            messages = [*messages, *_messages(run, run.answer)]
            states.insert(0, _state(run, messages))
    return states


def _state(run: RunView, messages: Sequence[JsonObject]) -> JsonObject:
    checkpoint_id = _id(run, "checkpoint")
    return {
        **_NO_STATE,
        "values": {"messages": messages},
        "metadata": {
            **run.fields["metadata"],
            "assistant_id": assistant_uuid(run.fields["assistant_id"]),
            "run_id": run.id,
            "thread_id": run.thread_id,
            "source": "loop",
            "parents": {},
        },
        "created_at": iso(run.updated_at),
        "checkpoint": {
            "checkpoint_id": checkpoint_id,
            "thread_id": run.thread_id,
            "checkpoint_ns": "",
        },
        "checkpoint_id": checkpoint_id,
    }


def _messages(run: RunView, answer: str) -> list[JsonObject]:
    """Return what a run adds to the messages of its thread: what it was told, and its answer."""
    told = run.fields["kwargs"].get("input")
    given = (told.get("messages") if isinstance(told, dict) else None) or []
    said = [*(given if isinstance(given, list) else [given]), {"type": "ai", "content": answer}]
    return [_message(each, _id(run, f"message {number}")) for number, each in enumerate(said)]


def _message(given: Any, message_id: str) -> JsonObject:
    """Return a message; a client may have given an object, or just its text."""
    fields = given if isinstance(given, dict) else {"content": given}
    speaker = str(fields.get("type") or fields.get("role") or "human")
    message: JsonObject = {
        "content": fields.get("content"),
        "additional_kwargs": {},
        "response_metadata": {},
        "type": _SPEAKERS.get(speaker, speaker),
        "name": fields.get("name"),
        "id": fields.get("id") or message_id,
    }
    if message["type"] == "ai":
        message |= {"tool_calls": [], "invalid_tool_calls": [], "usage_metadata": None}
    return message


def _id(run: RunView, name: str) -> str:
    return str(uuid.uuid5(uuid.UUID(run.id), name))
