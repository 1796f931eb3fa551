"""The wire dialects: one file each, and one line each in ``BACKENDS``."""

from __future__ import annotations

from airflow_provider_runs.backends.assistants import AssistantsBackend
from airflow_provider_runs.backends.base import Backend
from airflow_provider_runs.backends.foundry import FoundryBackend
from airflow_provider_runs.backends.langgraph import LangGraphBackend
from airflow_provider_runs.backends.responses import ResponsesBackend

__all__ = [
    "BACKENDS",
    "AssistantsBackend",
    "Backend",
    "FoundryBackend",
    "LangGraphBackend",
    "ResponsesBackend",
    "backend_for",
]

BACKENDS: tuple[type[Backend], ...] = (
    AssistantsBackend,
    FoundryBackend,
    LangGraphBackend,
    ResponsesBackend,
)


def backend_for(conn_type: str) -> type[Backend] | None:
    """Return the backend of a connection type; ``None`` if it is not a type of this provider."""
    return next((backend for backend in BACKENDS if backend.form.conn_type == conn_type), None)
