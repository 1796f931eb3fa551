"""The link to a run: what it takes of Airflow, with the task run by Airflow's own task runner."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import structlog
from airflow import __version__ as airflow_version
from airflow.sdk import DAG, BaseOperatorLink
from airflow.sdk.api.datamodels._generated import DagRun, TIRunContext
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, TaskRescheduleStartDate, XComResult
from airflow.serialization.serialized_objects import BaseSerialization

from airflow_provider_runs.hooks import RunsHook
from airflow_provider_runs.operators import CancelRunOperator
from airflow_provider_runs.sensors import RunStatusSensor
from airflow_provider_runs.tasks.events import RunEvent
from airflow_provider_runs.testing import RunScript

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_runs.testing import RunServer

KEY = "run_link"
NOW = datetime.now(UTC)


class Supervisor:
    """Airflow's supervisor of a task: it keeps the XComs, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.xcoms: dict[str, Any] = {}
        self.asked: list[Any] = []

    def send(self, msg: Any) -> Any:
        self.asked.append(msg)
        match type(msg).__name__:
            case "SetXCom":
                self.xcoms[msg.key] = msg.value
            case "GetXCom":
                return XComResult(key=msg.key, value=self.xcoms.get(msg.key))
            case "DeleteXCom":
                del self.xcoms[msg.key]
            case "GetTaskRescheduleStartDate":
                return TaskRescheduleStartDate(start_date=NOW)
            case "GetTaskStateStore":
                return ErrorResponse()
        return None

    async def asend(self, msg: Any) -> Any:
        return self.send(msg)


class Ended(NamedTuple):
    """How a start of a task has ended, and the kinds of its requests that are about the link."""

    state: str
    requests: list[str]


class OwnLink(BaseOperatorLink):
    name = "Own"
    xcom_key = "own_link"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        return "https://own.test"


class WithOwnLink(CancelRunOperator):
    operator_extra_links = (*CancelRunOperator.operator_extra_links, OwnLink())


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    """Take the supervisor's place, and undo what the task runner does to its process."""
    supervisor = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    environment, handler = dict(os.environ), signal.getsignal(signal.SIGTERM)
    yield supervisor
    signal.signal(signal.SIGTERM, handler)
    os.environ.clear()
    os.environ.update(environment)


@pytest.fixture
def start(airflow: Supervisor) -> Callable[..., Ended]:
    """Return a function that starts a task and sees it off, as the process of a worker does."""

    def start(task: Any, map_index: int = -1, **from_server: Any) -> Ended:
        airflow.asked.clear()
        # Built without checks, as the fields differ between versions of Airflow.
        fields = dict.fromkeys(DagRun.model_fields) | {"run_id": "run", "consumed_asset_events": []}
        dag_run = DagRun.model_construct(**fields)
        ti = task_runner.RuntimeTaskInstance.model_construct(
            id=uuid.uuid4(),
            task_id=task.task_id,
            dag_id="dag",
            run_id="run",
            try_number=1,
            map_index=map_index,
            task=task,
            start_date=NOW,
            _ti_context_from_server=TIRunContext.model_construct(dag_run=dag_run, **from_server),
        )
        log, context = structlog.get_logger(), ti.get_template_context()
        state, _, error = task_runner.run(ti, context, log)
        task_runner.finalize(ti, state, context, log, error)
        about_link = [msg for msg in airflow.asked if getattr(msg, "key", None) == KEY]
        return Ended(state.value, [type(msg).__name__ for msg in about_link])

    return start


@pytest.fixture
def live(
    server: RunServer, airflow: Supervisor, start: Callable[..., Ended]
) -> Callable[..., list[Ended]]:
    """Return a function that starts a task as often as it takes; its run ends after the first."""

    def live(task: Any, run: dict[str, Any], map_index: int = -1) -> list[Ended]:
        starts = [start(task, map_index)]
        while (state := starts[-1].state) in {"deferred", "up_for_reschedule"}:
            server.end(run["id"], "cancelled")
            if state == "deferred":
                end = RunEvent.of(RunsHook().get_run(run["id"], run["thread_id"]))
                how = resume("execute_complete", event=end.to_json())
            else:
                how = {"task_reschedule_count": 1, "xcom_keys_to_clear": list(airflow.xcoms)}
            starts.append(start(task, map_index, **how))
        return starts

    return live


def resume(method: str, **kwargs: Any) -> dict[str, Any]:
    return {"next_method": method, "next_kwargs": BaseSerialization.serialize(kwargs)}


def ids(run: dict[str, Any]) -> dict[str, Any]:
    return {"run_id": run["id"], "thread_id": run["thread_id"]}


def cancel(run: dict[str, Any], **kwargs: Any) -> Any:
    with DAG("dag", schedule=None):
        return CancelRunOperator(task_id="task", **ids(run), **kwargs)


def cancel_mapped(run: dict[str, Any], **kwargs: Any) -> Any:
    with DAG("dag", schedule=None):
        partial = CancelRunOperator.partial(task_id="task", thread_id=run["thread_id"], **kwargs)
        return partial.expand(run_id=[run["id"]])


def wait(run: dict[str, Any], **kwargs: Any) -> Any:
    with DAG("dag", schedule=None):
        return RunStatusSensor(
            task_id="task",
            expected_statuses=("completed", "cancelled"),
            poke_interval=0.1,
            **ids(run),
            **kwargs,
        )


DEFERRED, RESCHEDULED = ["deferred", "success"], ["up_for_reschedule", "success"]
WAYS: dict[str, tuple[Callable[..., Any], dict[str, Any], list[str]]] = {
    "cancel": (cancel, {}, ["success"]),
    "cancel, deferred": (cancel, {"deferrable": True}, DEFERRED),
    "cancel, mapped": (cancel_mapped, {}, ["success"]),
    "cancel, mapped and deferred": (cancel_mapped, {"deferrable": True}, DEFERRED),
    "wait": (wait, {}, ["success"]),
    "wait, rescheduled": (wait, {"mode": "reschedule"}, RESCHEDULED),
    "wait, deferred": (wait, {"deferrable": True}, DEFERRED),
}


@pytest.fixture(params=WAYS)
def life(request: pytest.FixtureRequest, server: RunServer, live: Callable[..., Any]) -> Any:
    """Return a function that lets a task live to its end, in each of the ways there are."""
    make, kwargs, states = WAYS[request.param]

    def life() -> list[list[str]]:
        # Who leaves its worker must see the run go on first; `live` ends it then.
        runs_for = math.inf if kwargs else 0.5
        script = RunScript(queued_for=0, runs_for=runs_for, cancelling_for=0.2)
        run = server.create_run(script=script)
        task = make(run, **kwargs)
        starts = live(task, run, 0 if make is cancel_mapped else -1)
        assert [ended.state for ended in starts] == states
        assert [link.name for link in task.operator_extra_links] == ["Run"]  # in the DAG, always
        return [ended.requests for ended in starts]

    return life


def test_without_a_url_no_task_asks_airflow_for_a_link_or_stores_one(life, airflow):
    assert set(map(tuple, life())) == {()}
    assert KEY not in airflow.xcoms


def test_with_a_url_every_try_stores_it_once_and_never_asks_for_it(life, airflow, connect, request):
    connect(console_url="https://console.test/{run_id}")
    first, *later = life()
    assert first == ["SetXCom"]
    # Airflow clears the XComs of a task that it starts anew, a rescheduled one among them.
    anew = "rescheduled" in request.node.name
    assert later in ([], [["GetXCom", "DeleteXCom", "SetXCom"]] if anew else [[]])
    assert airflow.xcoms[KEY].startswith("https://console.test/run_")


@pytest.mark.parametrize("make", [cancel, wait])
def test_a_deferral_that_airflow_ended_asks_for_no_link_either(server, start, airflow, make):
    run = server.create_run()
    task = make(run, deferrable=True)
    assert start(task) == ("deferred", [])
    server.end(run["id"], "cancelled")
    states = {cancel: "success", wait: "failed"}
    assert start(task, **resume("__fail__", error="Trigger failure")) == (states[make], [])
    assert KEY not in airflow.xcoms


def test_another_link_of_a_subclass_is_stored_as_ever(server, start, airflow):
    with DAG("dag", schedule=None):
        task = WithOwnLink(task_id="task", poll_interval=0.1, **ids(server.create_run()))
    assert start(task) == ("success", [])
    assert airflow.xcoms["own_link"] == "https://own.test"


DAG_FILE = """
from airflow.sdk import DAG
from airflow_provider_runs import CancelRunOperator, RunStatusSensor

ids = {name: "{{ dag_run.conf['%s'] }}" % name for name in ("run_id", "thread_id")}
with DAG("links", schedule=None) as dag:
    cancel = CancelRunOperator(task_id="cancel", deferrable=True, **ids)
    cancel >> RunStatusSensor(task_id="wait", expected_statuses="cancelled", **ids)
"""
# Keeps every XCom in a file and its name in the database, as many a backend of users does.
XCOM_BACKEND = """
import os
from airflow.sdk.bases.xcom import BaseXCom

class Files(BaseXCom):
    @staticmethod
    def serialize_value(value, *, key, task_id, **_):
        name = os.path.join(os.environ["AIRFLOW_HOME"], f"{task_id}-{key}")
        with open(name, "w") as file:
            file.write(BaseXCom.serialize_value(value) if isinstance(value, str) else "")
        return name

    @staticmethod
    def deserialize_value(result):
        with open(result.value) as file:
            return file.read()
"""
# Runs the DAG, and prints the links that the UI would show.
CHILD = """
import json
import sys
from airflow.models.serialized_dag import SerializedDagModel
from links import dag

dag_run = dag.test(run_conf=json.loads(sys.argv[1]))
assert dag_run.state == "success"
stored = SerializedDagModel.get_dag("links")
for ti in dag_run.get_task_instances():
    print("LINK", ti.task_id, stored.get_task(ti.task_id).get_extra_links(ti, "Run"))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Return a function that runs Python in an Airflow of its own and returns what it prints."""
    home = tmp_path_factory.mktemp("airflow")
    (home / "links.py").write_text(DAG_FILE)
    (home / "xcom_backend.py").write_text(XCOM_BACKEND)
    environment = {name: os.environ[name] for name in os.environ if not name.startswith("AIRFLOW")}
    environment |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "0",
        "PYTHONPATH": str(home),
        "NO_COLOR": "1",
    }

    def python(*command: str, **changes: str) -> str:
        done = subprocess.run(
            [sys.executable, *command],
            env=environment | changes,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    python("-m", "airflow", "db", "migrate")
    if airflow_version.startswith("3.1."):  # later ones do it by themselves
        python("-m", "airflow", "dags", "reserialize")
    return python


@pytest.fixture
def dag_test(python: Callable[..., str]) -> Callable[..., set[str]]:
    """Return a function that runs the DAG for a run and returns the lines that are printed."""

    def dag_test(run: dict[str, Any], connection: str, **changes: str) -> set[str]:
        changes["AIRFLOW_CONN_RUNS_DEFAULT"] = connection
        return set(python("-c", CHILD, json.dumps(ids(run)), **changes).splitlines())

    return dag_test


def test_dag_test_logs_no_error_without_a_url(server, dag_test):
    lines = dag_test(server.create_run(), server.connection())
    assert {"LINK cancel ", "LINK wait "} <= lines
    assert [line for line in lines if "[error" in line or "XCom not found" in line] == []


def test_the_ui_finds_the_link_where_a_backend_of_the_users_keeps_the_xcoms(server, dag_test):
    run = server.create_run()
    connection = server.connection(console_url="https://console.test/{run_id}")
    lines = dag_test(run, connection, AIRFLOW__CORE__XCOM_BACKEND="xcom_backend.Files")
    url = f"https://console.test/{run['id']}"
    assert {f"LINK cancel {url}", f"LINK wait {url}"} <= lines
