"""The harness itself: a whole Airflow that works, and that is gone when it is stopped."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from dev.foreign_environment import ForeignAirflow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dev.local_airflow import LocalAirflow

ROOT = Path(__file__).resolve().parents[2]


def test_all_components_are_healthy(airflow: LocalAirflow) -> None:
    assert airflow.health() == {
        "metadatabase": "healthy",
        "scheduler": "healthy",
        "triggerer": "healthy",
        "dag_processor": "healthy",
    }


def test_a_task_defers_resumes_and_returns(airflow: LocalAirflow) -> None:
    run_id = airflow.trigger("harness", {"answer": 42})

    state = airflow.wait_for_dag_run("harness", run_id)

    assert state == "success", airflow.log("harness", run_id, "defer_once")
    seen = airflow.states_seen("harness", run_id, "defer_once")
    assert "deferred" in seen
    assert seen[-1] == "success"
    assert airflow.was_deferred("harness", run_id, "defer_once")
    assert airflow.xcom("harness", run_id, "defer_once") == {"conf": {"answer": 42}}
    assert airflow.xcom("harness", run_id, "defer_once", key="text") == "12"


def test_every_dag_can_be_imported(airflow: LocalAirflow) -> None:
    airflow.wait_for_dag("harness")

    assert airflow.import_errors() == {}


def test_a_deferred_task_can_be_failed_and_cleared(airflow: LocalAirflow) -> None:
    run_id = airflow.trigger("harness")
    airflow.wait_for_task("harness", run_id, "defer_once", {"deferred"})

    airflow.set_task_state("harness", run_id, "defer_once", "failed")

    assert airflow.wait_for_dag_run("harness", run_id) == "failed"
    airflow.clear_task("harness", run_id, "defer_once")
    assert airflow.wait_for_dag_run("harness", run_id) == "success"


def test_a_killed_triggerer_is_replaced(airflow: LocalAirflow) -> None:
    run_id = airflow.trigger("harness")
    airflow.wait_for_task("harness", run_id, "defer_once", {"deferred"})

    killed = airflow.kill("triggerer")
    killed.wait(60)
    airflow.start("triggerer")
    airflow.wait_until_healthy()

    assert killed.pids() == []
    assert airflow.wait_for_dag_run("harness", run_id) == "success"


@pytest.fixture
def foreign(tmp_path_factory: pytest.TempPathFactory) -> ForeignAirflow:
    """Another Airflow, which the environment of `make airflow` names."""
    return ForeignAirflow(tmp_path_factory.mktemp("theirs"))


@pytest.fixture
def make_airflow(tmp_path: Path, foreign: ForeignAirflow) -> Iterator[subprocess.Popen[str]]:
    """Start what `make airflow` runs, in a home of its own."""
    options = ["--home", str(tmp_path), "--port", "0"]
    with subprocess.Popen(
        [sys.executable, "-E", "-m", "dev.run_airflow", *options],
        cwd=ROOT,
        env=foreign.environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.terminate()  # not SIGKILL, which would leave Airflow behind


def _ready(process: subprocess.Popen[str], _home: Path) -> bool:
    assert process.stdout is not None
    return any("Ctrl-C stops everything" in line for line in process.stdout)


def _starting(_process: subprocess.Popen[str], home: Path) -> bool:
    return (home / "logs-components" / "scheduler.log").exists()


@pytest.mark.parametrize(
    ("moment", "signal_number"),
    [
        pytest.param(_ready, signal.SIGINT, id="ctrl-c-when-ready"),
        pytest.param(_starting, signal.SIGTERM, id="sigterm-during-the-start"),
    ],
)
def test_stopping_leaves_no_process_and_the_callers_airflow_as_it_was(
    make_airflow: subprocess.Popen[str],
    foreign: ForeignAirflow,
    tmp_path: Path,
    moment: Callable[[subprocess.Popen[str], Path], bool],
    signal_number: int,
) -> None:
    while not moment(make_airflow, tmp_path):
        assert make_airflow.poll() is None
        time.sleep(0.1)
    # Both views, since a process may hide its environment by changing its title, and one that
    # starts later is not among the children yet.
    children = psutil.Process(make_airflow.pid).children(recursive=True)
    assert children

    make_airflow.send_signal(signal_number)

    assert make_airflow.wait(120) == 0
    assert [child for child in children if _lives(child)] == []
    assert [other for other in psutil.process_iter() if _has_home(other, tmp_path)] == []
    assert (tmp_path / "airflow.db").exists()
    assert foreign.touched() == []


def _lives(process: psutil.Process) -> bool:
    # A zombie is dead: it only waits for init, which inherited it.
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _has_home(process: psutil.Process, home: Path) -> bool:
    try:
        return _lives(process) and process.environ().get("AIRFLOW_HOME") == str(home)
    except psutil.Error:
        return False
