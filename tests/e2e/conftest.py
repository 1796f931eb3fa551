"""A real Airflow and an embedded run server, one of each for all end-to-end tests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from airflow_provider_runs.testing import RunScript, RunServer
from dev.local_airflow import LocalAirflow
from tests.e2e.statsd import Statsd

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


@pytest.fixture(scope="session")
def run_server() -> Iterator[RunServer]:
    """Serve runs from this process; a cancel takes some seconds, so that tasks really defer."""
    with RunServer(script=RunScript(cancelling_for=8), thread_lock=False) as server:
        yield server


@pytest.fixture(scope="session")
def statsd() -> Iterator[Statsd]:
    """Listen to Airflow's metrics."""
    with Statsd() as running:
        yield running


@pytest.fixture(scope="session")
def airflow(
    run_server: RunServer, statsd: Statsd, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalAirflow]:
    """Run a full Airflow that knows the server, the example DAGs and the tests' DAGs."""
    folders = [folder for folder in (ROOT / "example_dags", HERE / "dags") if folder.is_dir()]
    connection = run_server.connection(console_url="https://console.test/{thread_id}/{run_id}")
    env = {
        **statsd.settings,
        "AIRFLOW_CONN_RUNS_DEFAULT": connection,
        # Airflow's own default, with which a trigger that fires too soon fails its task.
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "5",
    }
    with LocalAirflow(tmp_path_factory.mktemp("airflow"), folders, env) as running:
        # The first call of a worker has the server build that API: on a busy machine for so long
        # that the worker gives up, and its task fails before it begins.
        httpx.get(f"{running.base_url}/execution/health", timeout=120, trust_env=False)
        yield running
