"""The fixtures, used as users do: in a pytest session of their own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

# Requested below by name, to run them in this process too.
from airflow_provider_runs.testing.fixtures import (  # noqa: F401
    run_server,
    run_server_dialect,
    runs_connection,
)

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_runs.testing import RunServer

USERS_TEST = """
import json, os
import httpx

def test_connection(run_server, runs_connection):
    assert runs_connection == "runs_default"
    connection = json.loads(os.environ["AIRFLOW_CONN_RUNS_DEFAULT"])
    assert connection["host"] == run_server.url
    headers = {"Authorization": "Bearer " + connection["password"]}
    assert httpx.get(run_server.url + "/assistants", headers=headers).status_code == 200

def test_afterwards(run_server):
    assert "AIRFLOW_CONN_RUNS_DEFAULT" not in os.environ
    assert run_server.requests == []
"""


USERS_TEST_OF_DIALECTS = """
import pytest
from airflow_provider_runs.testing import LangGraph

@pytest.fixture
def run_server_dialect():
    return LangGraph(errors="text")

def test_dialect(run_server, runs_connection):
    assert run_server.dialect == LangGraph(errors="text")
    assert run_server.create_run()["status"] == "pending"

@pytest.mark.parametrize("run_server_dialect", ["responses"])
def test_other_dialect(run_server):
    assert run_server.create_run()["object"] == "response"
"""


def test_fixtures_work_as_a_plugin(tmp_path: Path) -> None:
    plugins = 'pytest_plugins = ["airflow_provider_runs.testing.fixtures"]\n'
    (tmp_path / "conftest.py").write_text(plugins)
    (tmp_path / "test_dag.py").write_text(USERS_TEST)
    (tmp_path / "test_dialects.py").write_text(USERS_TEST_OF_DIALECTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout


def test_fixtures_work_here(run_server: RunServer, runs_connection: str) -> None:  # noqa: F811
    assert runs_connection == "runs_default"
    assert run_server.create_run()["status"] == "queued"
