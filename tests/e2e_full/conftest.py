"""A real Airflow on PostgreSQL and run servers that count, one of each for the whole table."""

from __future__ import annotations

import math
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from airflow_provider_runs.backends.starts import KEY, marks_of
from airflow_provider_runs.testing import Gateway, RunScript, RunServer
from dev.local_airflow import LocalAirflow
from dev.postgres import Postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_runs.testing import RecordedRequest

HERE = Path(__file__).resolve().parent
#: Seconds for what comes by itself in a few: the machine may be busy.
PATIENCE = 180.0
#: Runs until somebody cancels or ends it.
FOREVER = RunScript(queued_for=0, runs_for=math.inf, cancelling_for=3)


@dataclass
class Case:
    """One DAG run of the table, and the run that it is about."""

    airflow: LocalAirflow
    server: RunServer
    dag_id: str
    dag_run: str
    run_id: str = ""

    def task(self, task_id: str = "wait") -> dict[str, Any]:
        return self.airflow.task_instances(self.dag_id, self.dag_run)[task_id]

    def state(self, task_id: str = "wait") -> str | None:
        state: str | None = self.task(task_id)["state"]
        return state

    def log(self, task_id: str = "wait", try_number: int = 1) -> str:
        return self.airflow.log(self.dag_id, self.dag_run, task_id, try_number)

    def was_deferred(self, task_id: str = "wait", try_number: int = 1) -> bool:
        return self.airflow.was_deferred(self.dag_id, self.dag_run, task_id, try_number)

    def seen(self, task_id: str = "wait") -> tuple[str, ...]:
        return self.airflow.states_seen(self.dag_id, self.dag_run, task_id)

    def looks(self) -> int:
        """Return how often the run was asked for."""
        requests = self.server.requests
        return sum(r.method == "GET" and r.run_id == self.run_id for r in requests)

    def is_being_looked_at(self) -> bool:
        """Whether an answer about the run is on its way."""
        return any(r.run_id == self.run_id and r.status is None for r in self.server.requests)

    def status(self) -> str:
        return str(self.server.run(self.run_id)["status"])

    def cancels(self) -> int:
        return self.server.accepted_cancels(self.run_id)

    def take_started_run(self) -> None:
        """Make the case be about the run that its task ``start`` has started."""
        self.run_id = self.airflow.xcom(self.dag_id, self.dag_run, "start")["run_id"]

    def outcome(self, task_id: str = "wait") -> tuple[str | None, str, int]:
        """Return what each row asserts: the task's state, the run's status, accepted cancels."""
        return self.state(task_id), self.status(), self.cancels()

    def until(self, check: Callable[[], bool], words: str, timeout: float = PATIENCE) -> None:
        self.airflow.wait_until(
            check,
            timeout=timeout,
            waiting_for=lambda: f"{words}: {self.dag_id}, {self.seen()}, {self.run_id}",
        )

    def until_watched(self, *states: str, more_looks: int = 3) -> None:
        """Wait until the task is in one of the states, and the run is asked for time and again."""
        enough = self.looks() + more_looks
        self.airflow.wait_for_task(self.dag_id, self.dag_run, "wait", states, timeout=PATIENCE)
        self.until(lambda: self.looks() >= enough, "more looks")
        self.airflow.wait_for_task(self.dag_id, self.dag_run, "wait", states, timeout=PATIENCE)

    def until_over(self) -> str:
        """Wait for the end of the DAG run and return its state."""
        return self.airflow.wait_for_dag_run(self.dag_id, self.dag_run, PATIENCE)

    def until_cancelled(self) -> None:
        """Wait for the end of a cancel that nobody waits for."""
        self.until(lambda: self.status() == "cancelled", "the run to be cancelled")

    def kill_process(self, *, with_supervisor: bool = False) -> None:
        """Kill the process of the running task, the way the kernel does when memory is short."""
        instance = self.task()
        process = psutil.Process(instance["pid"])
        assert process.pid in self.airflow.pids()
        assert instance["id"] in " ".join(process.cmdline())
        if with_supervisor:
            os.kill(process.ppid(), signal.SIGKILL)
        os.kill(process.pid, signal.SIGKILL)


@dataclass
class StartCase(Case):
    """One DAG run whose task starts runs itself; it is about the newest of them."""

    def starts(self, map_index: int | None = None) -> list[RecordedRequest]:
        """Return the requests to start a run for this task instance."""
        index = "" if map_index is None else f"[{map_index}]"
        key = f"{self.dag_id}/{self.dag_run}/wait{index}"
        posts = (r for r in self.server.requests if r.method == "POST" and r.path.endswith("/runs"))
        return [post for post in posts if marks_of(post.body).get(KEY) == key]

    def runs(self, map_index: int | None = None) -> list[str]:
        """Return the runs that were started for this task instance, the oldest first."""
        return [str(start.run_id) for start in self.starts(map_index) if start.run_id]

    def until_started(self, count: int = 1) -> None:
        """Wait until so many runs were started, and make the case be about the last one."""
        self.until(lambda: len(self.runs()) >= count, f"run {count}")
        self.run_id = self.runs()[-1]

    def ends(self, map_index: int | None = None) -> tuple[tuple[str, int], ...]:
        """Return how each run has ended, and how many cancels of it were accepted."""
        server = self.server
        return tuple(
            (server.status(run_id), server.accepted_cancels(run_id))
            for run_id in self.runs(map_index)
        )

    def total(self) -> tuple[str | None, tuple[tuple[str, int], ...]]:
        """Return what each row asserts: the task's state, and the ends of its runs."""
        return self.state(), self.ends()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres() as running:
        yield running


@pytest.fixture(scope="session")
def run_server() -> Iterator[RunServer]:
    with RunServer(script=FOREVER, thread_lock=False) as server:
        yield server


@pytest.fixture(scope="session")
def outage_server() -> Iterator[RunServer]:
    """Serve the connection ``runs_outage``: this one goes down."""
    with RunServer(script=FOREVER, thread_lock=False) as server:
        yield server


@pytest.fixture(scope="session")
def lossy_server() -> Iterator[RunServer]:
    """Serve the connection ``runs_lossy``: the first cancel of each run is accepted and lost."""
    gateway = Gateway(loses_cancels=1)
    with RunServer(script=FOREVER, thread_lock=False, gateway=gateway) as server:
        yield server


@pytest.fixture(scope="session")
def airflow(
    postgres: Postgres,
    run_server: RunServer,
    outage_server: RunServer,
    lossy_server: RunServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[LocalAirflow]:
    env = {
        "AIRFLOW_CONN_RUNS_DEFAULT": run_server.connection(),
        "AIRFLOW_CONN_RUNS_OUTAGE": outage_server.connection(),
        "AIRFLOW_CONN_RUNS_LOSSY": lossy_server.connection(),
        # Most rows go on at once, and those in poke mode take a slot each.
        "AIRFLOW__CORE__PARALLELISM": "32",
        # No asyncio engine, for which asyncpg would have to be installed.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": "",
        # A worker is given up after a fifth of the usual time.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        # A triggerer is given up after half of the usual time.
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
    }
    home = tmp_path_factory.mktemp("airflow")
    with LocalAirflow(home, [HERE / "dags"], env, sql_alchemy_conn=postgres.url) as running:
        running.wait_for_dag("sweep")
        assert running.import_errors() == {}
        yield running


@pytest.fixture(scope="session")
def begin(airflow: LocalAirflow, run_server: RunServer) -> Callable[..., Case]:
    """Give a function that starts a DAG: on a fresh run, a given one, or one it starts itself."""

    def begin(
        dag_id: str,
        *,
        run: dict[str, Any] | None = None,
        script: RunScript = FOREVER,
        server: RunServer = run_server,
        starts_run: bool = False,
    ) -> Case:
        if starts_run:
            return Case(airflow, server, dag_id, airflow.trigger(dag_id))
        run = run or server.create_run(script=script)
        conf = {"run_id": run["id"], "thread_id": run["thread_id"]}
        return Case(airflow, server, dag_id, airflow.trigger(dag_id, conf), run["id"])

    return begin


@pytest.fixture(scope="session")
def begin_start(airflow: LocalAirflow, run_server: RunServer) -> Callable[..., StartCase]:
    """Give a function that starts a DAG whose task starts its run."""

    def begin_start(dag_id: str, server: RunServer = run_server) -> StartCase:
        return StartCase(airflow, server, dag_id, airflow.trigger(dag_id))

    return begin_start
