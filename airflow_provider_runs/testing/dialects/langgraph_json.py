"""The words of LangGraph, its runs and its assistants."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_runs.testing.scripts import GONE

if TYPE_CHECKING:
    from airflow_provider_runs.testing.json_types import JsonObject
    from airflow_provider_runs.testing.views import RunView

__all__ = ["assistant_json", "assistant_uuid", "iso", "run_json", "word_of"]

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
        "created_at": iso(run.created_at),
        "updated_at": iso(run.updated_at),
        "status": word_of(run),
        **run.fields,
        "assistant_id": assistant_uuid(run.fields["assistant_id"]),
    }


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
        "created_at": iso(now),
        "updated_at": iso(now),
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


def iso(at: float) -> str:
    """Return a time in epoch seconds as LangGraph writes it."""
    return datetime.fromtimestamp(at, UTC).isoformat()
