"""The demo, run as `make demo` runs it: always in the environment of another Airflow.

That it shows all, and fails if it does not, is seen by `make demo` and `make test-environment`.
"""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_runs.testing import Fault, RunServer
from dev.demo import migrate
from dev.demo_stage import Stage, assistants
from dev.demo_start import start_runs
from dev.foreign_environment import ForeignAirflow
from dev.own_environment import own_environment

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def foreign(tmp_path: Path) -> ForeignAirflow:
    return ForeignAirflow(tmp_path)


def demo(
    foreign: ForeignAirflow, *options: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-E", "-m", "dev.demo", *options],
        cwd=ROOT,
        env={**foreign.environment(), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def cancelled(said: str) -> int:
    return len([line for line in said.splitlines() if line.endswith("is cancelled")])


def test_on_a_server_that_is_not_its_own_it_only_cancels(foreign: ForeignAirflow) -> None:
    with RunServer() as server:
        done = demo(foreign, "--url", server.url, API_KEY="any")
        runs = server.started_runs()

    assert done.returncode == 0, done.stdout
    assert (cancelled(done.stdout), len(runs)) == (2, 2)
    assert "Starting a whole Airflow" not in done.stdout


def test_starts_that_fail_make_it_fail_and_say_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with RunServer(api_key="right-key") as server, assistants(None) as ours:
        locked = server.connection().replace("right-key", "wrong-key")
        stage: Stage = dataclasses.replace(ours, connection=locked)
        assert start_runs(stage, tmp_path) == 1
    said = capsys.readouterr().out
    _, _, why = said.partition(
        "demo_takes_too_long.ask should have ended with state: failed, tries: 1, runs: 1, "
        "status: cancelled, cancels: 1. Airflow's log says:"
    )
    assert "RunsAuthError: 401, the key was refused" in why
    assert len(why.splitlines()) < 30
    assert "-key" not in said


def test_a_server_that_refuses_makes_it_fail_and_say_why(foreign: ForeignAirflow) -> None:
    with RunServer(api_key="right-key") as server:
        done = demo(foreign, "--url", server.url, API_KEY="wrong-key")

    assert done.returncode == 1
    _, _, end = done.stdout.partition("The DAG failed. Airflow's log says:")
    assert "RunsAuthError: 401, the key was refused" in end
    assert len(end.splitlines()) < 20
    assert "wrong-key" not in done.stdout
    assert foreign.touched() == []


def test_a_server_that_cancels_nothing_makes_it_fail_and_say_why(foreign: ForeignAirflow) -> None:
    with RunServer() as server:
        server.fault(Fault(status=403), method="POST", path="/cancel", times=None)
        done = demo(foreign, "--url", server.url, API_KEY="any")

    assert done.returncode == 1
    begin, _, end = done.stdout.partition("The DAG failed. Airflow's log says:")
    assert len(re.findall("Started run", begin)) == 2
    assert re.search(r"RunsAuthError: 403, the key was refused: .*refused with status 403", end)


def test_a_database_that_cannot_be_made_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = f"sqlite:///{tmp_path}/none/airflow.db"
    assert not migrate(own_environment(tmp_path, database=nowhere))
    said = capsys.readouterr().out
    assert "`airflow db migrate` failed" in said
    assert "unable to open database file" in said
