"""The words and objects of LangGraph."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_runs.testing.scripts import GONE

if TYPE_CHECKING:
    from airflow_provider_runs.testing.json_types import JsonObject
    from airflow_provider_runs.testing.views import RunView, ThreadView

__all__ = ["assistant_json", "assistant_uuid", "run_json", "thread_json", "word_of"]

#: What LangGraph calls the statuses of scripts. It has no word for a cancel under way. A run that
#: waits for a person has ended; its thread is what waits.
_WORDS = {
    "queued": "pending",
    "in_progress": "running",
    "requires_action": "interrupted",
    "cancelling": "running",
    "completed": "success",
    "failed": "error",
    "incomplete": "error",
    "expired": "timeout",
    "cancelled": "interrupted",
    GONE: "interrupted",
}


def word_of(run: RunView) -> str:
    """Return what LangGraph calls a run's status; a word of no status goes out as it is."""
    return _WORDS.get(run.status, run.status)


def run_json(run: RunView) -> JsonObject:
    """Return a run."""
    return {
        "run_id": run.id,
        "thread_id": run.thread_id,
        "created_at": _iso(run.created_at),
        "updated_at": _iso(run.updated_at),
        "status": word_of(run),
        **run.fields,
        "assistant_id": assistant_uuid(run.fields["assistant_id"]),
    }


def thread_json(thread: ThreadView) -> JsonObject:
    """Return a thread, with the status that its runs give it."""
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
        "created_at": _iso(thread.created_at),
        "updated_at": _iso(thread.updated_at),
        "metadata": thread.metadata,
        "status": status,
        "config": {},
        "values": {},
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


def assistant_json(graph: str, now: float) -> JsonObject:
    """Return the assistant that a server makes of a graph.

    :param graph: the graph's name.
    :param now: the present time, in epoch seconds.
    """
    return {
        "assistant_id": assistant_uuid(graph),
        "graph_id": graph,
        "name": graph,
        "description": None,
        "created_at": _iso(now),
        "updated_at": _iso(now),
        "config": {},
        "context": {},
        "metadata": {"created_by": "system"},
        "version": 1,
    }


def assistant_uuid(name: str) -> str:
    """Return an assistant's id.

    :param name: the id, or the name of a graph.
    """
    try:
        return str(uuid.UUID(name))
    except ValueError:
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
