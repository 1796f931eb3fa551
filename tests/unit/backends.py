"""A backend of each kind, from the smallest connection that it takes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow_provider_runs.connections.settings import Settings

if TYPE_CHECKING:
    from airflow_provider_runs.backends import Backend

#: The base URL and the extra of a connection, by its type.
CONNECTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "runs_assistants": ("https://gateway.test/v1", {}),
    "runs_foundry": ("https://gateway.test/api/projects/p", {"credential": "api_key"}),
    "runs_langgraph": ("https://gateway.test", {}),
    "runs_responses": ("https://gateway.test/v1", {}),
}


def backend_of(
    kind: type[Backend], host: str | None = None, key: str = "sk-key", **extra: Any
) -> Any:
    """Return a backend.

    :param host: the connection's host; by default one that suits.
    :param key: its key.
    :param extra: its extra.
    """
    base_url, needed = CONNECTIONS[kind.form.conn_type]
    conn = SimpleNamespace(
        conn_id="c",
        conn_type="",
        host=host or base_url,
        port=None,
        schema=None,
        password=key,
        extra="",
    )
    return kind(Settings.from_connection(conn, {**needed, **extra}, kind.form))
