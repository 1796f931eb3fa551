"""Pytest fixtures for users' tests of their own DAGs.

Put ``pytest_plugins = ["airflow_provider_runs.testing.fixtures"]`` into the ``conftest.py`` at the
root of the tests. The server speaks OpenAI Assistants v2; to have it speak something else, define
a fixture ``run_server_dialect`` of your own::

    @pytest.fixture
    def run_server_dialect():
        return "langgraph"
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_runs.testing.server import RunServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_runs.testing.dialects.base import Dialect


__all__ = ["run_server", "run_server_dialect", "runs_connection"]


@pytest.fixture
def run_server_dialect() -> str | Dialect:
    """Return what ``run_server`` speaks: a dialect or its name, as ``RunServer`` takes it."""
    return "assistants"


@pytest.fixture
def run_server(run_server_dialect: str | Dialect) -> Iterator[RunServer]:
    """Yield a started run server, with nothing in it."""
    with RunServer(dialect=run_server_dialect) as server:
        yield server


@pytest.fixture
def runs_connection(run_server: RunServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make the connection ``runs_default`` lead to ``run_server``, and return its id."""
    monkeypatch.setenv("AIRFLOW_CONN_RUNS_DEFAULT", run_server.connection())
    return "runs_default"
