"""A backend of each kind, from the smallest connection that it takes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

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

#: The characters that everybody takes: no lone surrogates, and no NUL.
WHOLE = st.characters(codec="utf-8", exclude_characters="\0")


def can_be_logged(payload: dict[str, Any]) -> bool:
    """Return whether the id and the status of a run are as they are shown."""
    return all(payload[name].isprintable() for name in ("id", "status"))


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
