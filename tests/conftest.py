"""Where Airflow may write, for all tests; set before anything imports it."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

os.environ.setdefault("AIRFLOW_HOME", str(ROOT / ".airflow" / "tests"))
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(ROOT / "example_dags")
# The time that a task must stay away from its worker; see `task.settling_time`.
os.environ["AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL"] = "0"
# A proxy of this machine's would stand between the tests and their own servers.
os.environ["NO_PROXY"] = "*"


@pytest.fixture
def anyio_backend() -> str:
    """Run the asyncio tests on asyncio only: it is what the triggerer has."""
    return "asyncio"
