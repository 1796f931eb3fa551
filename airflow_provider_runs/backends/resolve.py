"""From an Airflow connection to the backend of its type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_runs.backends import BACKENDS, Backend, backend_for
from airflow_provider_runs.connections.settings import Settings
from airflow_provider_runs.errors import RunsConfigError

if TYPE_CHECKING:
    from airflow_provider_runs.connections.settings import ConnectionLike

__all__ = ["read_connection", "unknown"]


def unknown(conn_id: str) -> RunsConfigError:
    """Return the error for a connection that Airflow does not find.

    It is transient: Airflow says the same if whatever stores its connections has a failure.
    """
    return RunsConfigError(
        f"Airflow has no connection {conn_id!r}, or cannot read it. Add one of type "
        f"{_conn_types()} in the Airflow UI (Admin, Connections) or as "
        f"AIRFLOW_CONN_{conn_id.upper()}.",
        conn_id=conn_id,
        transient=True,
    )


def read_connection(conn: ConnectionLike, extra: object) -> Backend:
    """Return the backend of a connection's type, with the connection's settings.

    :param conn: an Airflow connection.
    :param extra: its ``extra``, decoded.
    :raises RunsConfigError: if the connection cannot be used.
    """
    kind = backend_for(conn.conn_type or "")
    if kind is None:
        raise RunsConfigError(
            f"Connection {conn.conn_id!r} is of type {conn.conn_type!r}; "
            f"change it to {_conn_types()}.",
            conn_id=conn.conn_id,
        )
    if not isinstance(extra, dict) or (not extra and (conn.extra or "").strip() not in _NO_EXTRA):
        raise RunsConfigError(
            f"Connection {conn.conn_id!r} has an extra that is not a JSON object; "
            f"correct it, or leave it empty.",
            conn_id=conn.conn_id,
        )
    return kind(Settings.from_connection(conn, extra, kind.form))


#: Airflow reads an extra that is not JSON as an empty one. Only these are really empty.
_NO_EXTRA = frozenset({"", "{}", "null"})


def _conn_types() -> str:
    return " or ".join(repr(backend.form.conn_type) for backend in BACKENDS)
