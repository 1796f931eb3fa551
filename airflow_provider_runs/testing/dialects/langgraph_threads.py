"""The threads of LangGraph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_runs.testing.dialects.langgraph_json import iso, word_of
from airflow_provider_runs.testing.dialects.langgraph_state import values_json

if TYPE_CHECKING:
    from airflow_provider_runs.testing.json_types import JsonObject
    from airflow_provider_runs.testing.views import RunView, ThreadView

__all__ = ["thread_json"]


def thread_json(thread: ThreadView) -> JsonObject:
    """Return a thread, with the status and the values that its runs give it."""
    newest = thread.runs[-1] if thread.runs else None
    asks = _asking(thread)
    if thread.active_run is not None:
        status = "busy"
    elif asks is not None:
        status = "interrupted"
    elif newest and word_of(newest) in {"error", "timeout"}:
        status = "error"
    else:
        status = "idle"
    return {
        "thread_id": thread.id,
        "created_at": iso(thread.created_at),
        "updated_at": iso(thread.updated_at),
        "metadata": thread.metadata,
        "status": status,
        "config": {},
        "values": values_json(thread),
        "interrupts": {"task": [_interrupt(asks)]} if asks else {},
        "error": _reason(newest) if newest else None,
    }


def _asking(thread: ThreadView) -> RunView | None:
    """Return the run whose question to a person is still open.

    One that is to resume it, and is under way or was cancelled, has not answered it.
    """
    resumes = {"queued", "in_progress", "cancelling", "cancelled"}
    last = next((run for run in reversed(thread.runs) if run.status not in resumes), None)
    return last if last and last.status == "requires_action" else None


def _interrupt(run: RunView) -> JsonObject:
    return {"id": run.id, "value": list(run.tool_calls)}


def _reason(run: RunView) -> JsonObject | None:
    """Return why a run did not succeed, as its thread says it: the run itself does not."""
    if run.status == "cancelled":
        return {"error": "UserInterrupt", "message": "interrupt requested"}
    if word_of(run) != "error":
        return None
    error = run.last_error or {}
    return {"error": error.get("code"), "message": error.get("message")}
