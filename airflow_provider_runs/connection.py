"""From an Airflow connection to a backend, and whether it works."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_runs.backends import BACKENDS, Backend, backend_for
from airflow_provider_runs.connections.settings import Settings
from airflow_provider_runs.errors import RunsConfigError, RunsError
from airflow_provider_runs.flows import calls as client
from airflow_provider_runs.transport import drive, make_client

if TYPE_CHECKING:
    from airflow.sdk import Connection

__all__ = ["probe_in_time", "read_connection", "unknown"]

#: Seconds that the Test button of the connection form may take: it blocks a web server's thread.
TEST_BUDGET = 5.0


def probe_in_time(backend: Backend) -> tuple[bool, str]:
    """Make the cheap call that needs the key, in a few seconds.

    :return: whether it succeeded, and words that say what to do if not.
    """
    settings = backend.settings
    hurried = type(backend)(
        replace(settings, timeout=min(settings.timeout, TEST_BUDGET), max_retries=0)
    )
    # Of a web server's thread that waits here. A server whose answer drips in can hold up a
    # blocking client for longer than any timeout says; then the answer is not waited for.
    end: list[tuple[bool, str]] = []
    thread = threading.Thread(target=lambda: end.append(_probe(hurried)), daemon=True)
    thread.start()
    thread.join(TEST_BUDGET + 2)
    late = f"{settings.base_url} has not answered in {TEST_BUDGET + 2:.0f} s. Check that it is up."
    return end[0] if end else (False, late)


def _probe(backend: Backend) -> tuple[bool, str]:
    try:
        with make_client(backend) as http:
            drive(client.probe(backend), http)
    except RunsError as error:
        return False, error.message
    return True, f"Connected to {backend.settings.base_url}, and the key is good."


def unknown(conn_id: str) -> RunsConfigError:
    """Return the error for a connection that Airflow does not find."""
    return RunsConfigError(
        f"There is no connection {conn_id!r} that Airflow can read. Add one of type "
        f"{_conn_types()} in the Airflow UI (Admin, Connections) or as "
        f"AIRFLOW_CONN_{conn_id.upper()}.",
        conn_id=conn_id,
    )


def read_connection(conn: Connection, extra: Any) -> Backend:
    """Return the backend that a connection's type names, with its settings.

    :param extra: the connection's ``extra``, decoded.
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
            f"Connection {conn.conn_id!r} has an extra that is no JSON object; "
            f"correct it, or leave it empty.",
            conn_id=conn.conn_id,
        )
    return kind(Settings.from_connection(conn, extra, kind.form))


#: Airflow reads an extra that is not JSON as an empty one; these are really empty.
_NO_EXTRA = frozenset({"", "{}", "null"})


def _conn_types() -> str:
    return " or ".join(repr(backend.form.conn_type) for backend in BACKENDS)
