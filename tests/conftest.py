"""Where Airflow may write, for all tests; set before anything imports it."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from dev.own_environment import use_own_environment

ROOT = Path(__file__).resolve().parents[1]

# One home for each virtual environment, since each may have another Airflow.
use_own_environment(ROOT / ".airflow" / "tests" / Path(sys.prefix).name)
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(ROOT / "example_dags")
# The time that a task must stay away from its worker; see `tasks.deferral.settling_time`.
os.environ["AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL"] = "0"

# How long an example takes tells how busy the machine is.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


@pytest.fixture
def anyio_backend() -> str:
    """Run the asyncio tests on asyncio only: it is what the triggerer has."""
    return "asyncio"
