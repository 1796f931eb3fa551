"""Every way a task that starts a run can end: how many runs there are, and what becomes of each."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from airflow_provider_runs.status import FINAL
from airflow_provider_runs.testing import Fault, RunServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dev.local_airflow import LocalAirflow
    from tests.e2e_full.conftest import StartCase

    BeginStart = Callable[..., StartCase]
    Cases = dict[str, StartCase]

MODES = ("poke", "deferred")
#: How the task ends; and for each run that it has started, how that ends, and how many cancels of
#: it were accepted.
TABLE = {
    "completes": ("success", (("completed", 0),)),
    "timeout": ("failed", (("cancelled", 1),)),
    "execution_timeout": ("failed", (("cancelled", 1),)),
    "dagrun_timeout": ("skipped", (("cancelled", 1),)),
    "held": ("success", (("completed", 0),)),
    "late": ("success", (("completed", 0),)),
    "langgraph": ("success", (("completed", 0),)),
    "slow": ("failed", (("cancelled", 1),)),
    "timeout_during_start": ("failed", (("cancelled", 1),)),
    "killed_later": ("success", (("completed", 0),)),
    "failed": ("failed", (("cancelled", 1),)),
    "cleared": ("success", (("cancelled", 1), ("completed", 0))),
    "cleared_later": ("success", (("completed", 0), ("completed", 0))),
    "retried": ("success", (("failed", 0), ("completed", 0))),
}
#: The rows in which nobody needs to do anything.
BY_THEMSELVES = ("completes", "timeout", "execution_timeout", "dagrun_timeout")
#: The rows in which the worker is killed during the start, by what makes that take long: the server
#: starts the run, and answers late; or it starts it late; or it is one of LangGraph.
KILLED = ("held", "late", "langgraph")

#: A start that was done already when the worker dies, and one that is done while nobody waits.
HELD, LATE = Fault(delay=25, after_effect=True), Fault(delay=15)
#: A start that is answered after somebody has ended the task, and before Airflow kills its process.
SLOW = Fault(delay=5, after_effect=True)

both_modes = pytest.mark.parametrize("mode", MODES)


@contextmanager
def spoiled_server(
    airflow: LocalAirflow,
    conn_id: str,
    fault: Fault,
    *,
    dialect: str = "assistants",
    times: int | None = len(MODES),
) -> Iterator[RunServer]:
    """Serve a connection; the first start in each mode meets a fault, or so many do."""
    with RunServer(dialect=dialect) as server:
        server.fault(fault, method="POST", path=re.compile(r"/runs$"), times=times)
        fields = json.loads(server.connection())
        fields["extra"] = json.dumps(fields["extra"])
        airflow.create_connection(conn_id, fields.pop("conn_type"), **fields)
        yield server


@pytest.fixture(scope="module")
def held(airflow: LocalAirflow) -> Iterator[RunServer]:
    with spoiled_server(airflow, "runs_held", HELD) as server:
        yield server


@pytest.fixture(scope="module")
def late(airflow: LocalAirflow) -> Iterator[RunServer]:
    with spoiled_server(airflow, "runs_late", LATE) as server:
        yield server


@pytest.fixture(scope="module")
def langgraph(airflow: LocalAirflow) -> Iterator[RunServer]:
    with spoiled_server(airflow, "runs_agents", HELD, dialect="langgraph") as server:
        yield server


@pytest.fixture(scope="module")
def slow(airflow: LocalAirflow) -> Iterator[RunServer]:
    with spoiled_server(airflow, "runs_slow", SLOW, times=None) as server:
        yield server


@pytest.fixture(scope="module")
def rows(begin_start: BeginStart) -> Cases:
    """Start all rows at once that wait for their runs."""
    dags = {
        **{row: row for row in BY_THEMSELVES[::-1]},
        "failed": "waits",
        "cleared": "waits",
        "cleared_later": "completes",
        "retried": "retried",
    }
    return {
        **{
            f"{row}_{mode}": begin_start(f"start_{dags[row]}_{mode}")
            for row in dags
            for mode in MODES
        },
        "killed_later_poke": begin_start("start_retried_poke"),
        "mapped": begin_start("start_mapped"),
    }


@pytest.fixture(scope="module")
def ended(rows: Cases) -> Cases:
    """Have somebody end the tasks, or the runs, of those rows that need it."""
    for row in ("failed", "cleared", "retried"):
        for mode in MODES:
            until_waiting(rows[f"{row}_{mode}"], mode)
    for mode in MODES:
        case = rows[f"failed_{mode}"]
        case.airflow.set_task_state(case.dag_id, case.dag_run, "wait", "failed")
        case = rows[f"cleared_{mode}"]
        case.airflow.clear_task(case.dag_id, case.dag_run, "wait")
        case = rows[f"retried_{mode}"]
        case.server.end(case.run_id, "failed")
    killed = rows["killed_later_poke"]
    until_waiting(killed, "poke")
    killed.kill_process()
    for mode in MODES:
        case = rows[f"cleared_later_{mode}"]
        assert case.until_over() == "success", case.log()
        case.airflow.clear_task(case.dag_id, case.dag_run, "wait")
    return rows


@pytest.fixture(scope="module")
def slow_starts(begin_start: BeginStart, slow: RunServer) -> Cases:
    """End each task before the server has answered its start, or leave that to its timeout."""
    rows = ("timeout_during_start", "slow")
    cases = {
        f"{row}_{mode}": begin_start(f"start_{row}_{mode}", slow) for row in rows for mode in MODES
    }
    for case in (cases[f"slow_{mode}"] for mode in MODES):
        case.until_started()
        assert case.starts()[0].status is None
        case.airflow.set_task_state(case.dag_id, case.dag_run, "wait", "failed")
    return cases


@pytest.fixture(scope="module")
def killed(
    begin_start: BeginStart, held: RunServer, late: RunServer, langgraph: RunServer
) -> Cases:
    """Kill the process of each task while it waits for the answer to its start."""
    servers = dict(zip(KILLED, (held, late, langgraph), strict=True))
    cases = {}
    for row, server in servers.items():
        for mode in MODES:
            case = cases[f"{row}_{mode}"] = begin_start(f"start_{row}_{mode}", server)
        for mode in MODES:
            case = cases[f"{row}_{mode}"]
            case.until(lambda case=case: bool(case.starts()), "a start")
            assert case.starts()[0].status is None
            assert len(case.runs()) == (row != "late")
            case.kill_process()
    return cases


@pytest.fixture(scope="module", autouse=True)
def ahead(request: pytest.FixtureRequest) -> None:
    """Start first what takes time; what fails to start is raised again where a test asks for it."""
    needed = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    for name in ("rows", "killed", "slow_starts", "ended"):
        if name in needed:
            with suppress(Exception):
                request.getfixturevalue(name)


def assert_total(case: StartCase, row: str) -> None:
    """Assert that the row has come out as the table says."""
    log = "\n".join(case.log(try_number=n + 1) for n in range(case.task()["try_number"]))
    case.until(
        lambda: all(status in FINAL for status, _ in case.ends()), "the ends of the runs", 60
    )
    assert case.total() == TABLE[row], log
    assert len(case.starts()) == len(case.runs()), log


def until_waiting(case: StartCase, mode: str, runs: int = 1) -> None:
    """Wait until the task waits for its newest run."""
    case.until_started(runs)
    case.until_watched("running" if mode == "poke" else "deferred", more_looks=2)


@pytest.mark.parametrize("row", KILLED)
@both_modes
def test_a_worker_killed_during_the_start_leaves_a_run_that_the_retry_finds(
    killed: Cases, row: str, mode: str
) -> None:
    case = killed[f"{row}_{mode}"]
    until_waiting(case, mode)
    assert case.task()["try_number"] == 2

    case.server.end(case.run_id)

    assert case.until_over() == "success", case.log(try_number=2)
    assert_total(case, row)
    assert case.task()["try_number"] == 2
    assert "is there already" in case.log(try_number=2)
    assert case.was_deferred(try_number=2) == (mode == "deferred")


def test_a_worker_killed_later_leaves_a_run_that_the_retry_goes_on_with(ended: Cases) -> None:
    case = ended["killed_later_poke"]
    case.until(lambda: case.task()["try_number"] == 2, "another try")
    until_waiting(case, "poke")

    case.server.end(case.run_id)

    assert case.until_over() == "success", case.log(try_number=2)
    assert_total(case, "killed_later")
    assert case.task()["try_number"] == 2


@both_modes
def test_a_task_marked_failed_during_the_start_cancels(slow_starts: Cases, mode: str) -> None:
    case = slow_starts[f"slow_{mode}"]

    assert case.until_over() == "failed", case.log()
    assert_total(case, "slow")


@both_modes
def test_a_timeout_during_the_start_cancels(slow_starts: Cases, mode: str) -> None:
    """The ``execution_timeout`` interrupts the task, which awaits the answer nevertheless."""
    case = slow_starts[f"timeout_during_start_{mode}"]

    assert case.until_over() == "failed", case.log()
    assert_total(case, "timeout_during_start")
    assert "it was then cancelled and ended 'cancelled'" in case.log()


@both_modes
def test_a_task_marked_failed_cancels(ended: Cases, mode: str) -> None:
    case = ended[f"failed_{mode}"]

    assert case.until_over() == "failed", case.log()
    assert_total(case, "failed")
    assert case.was_deferred() == (mode == "deferred")


@both_modes
def test_a_cleared_task_cancels_its_run_and_starts_another(ended: Cases, mode: str) -> None:
    case = ended[f"cleared_{mode}"]
    until_waiting(case, mode, runs=2)
    case.server.end(case.run_id)

    assert case.until_over() == "success", case.log(try_number=2)
    assert_total(case, "cleared")
    assert case.task()["try_number"] == 2


@both_modes
def test_a_run_that_fails_is_followed_by_another_one(ended: Cases, mode: str) -> None:
    case = ended[f"retried_{mode}"]
    until_waiting(case, mode, runs=2)
    case.server.end(case.run_id)

    assert case.until_over() == "success", case.log(try_number=2)
    assert_total(case, "retried")
    assert "The run is 'failed', expected 'completed'" in case.log()


@both_modes
def test_a_task_cleared_after_its_success_starts_another_run(ended: Cases, mode: str) -> None:
    case = ended[f"cleared_later_{mode}"]
    case.until_started(2)
    assert case.until_over() == "success", case.log(try_number=2)
    assert_total(case, "cleared_later")


def test_mapped_tasks_start_a_run_each(rows: Cases) -> None:
    case = rows["mapped"]

    assert case.until_over() == "success"
    for index in range(3):
        (run_id,) = case.runs(index)
        assert case.state(f"wait[{index}]") == "success"
        assert case.ends(index) == (("completed", 0),)
        assert case.server.run(run_id)["metadata"]["of"] == str(index)
        result = case.airflow.xcom(case.dag_id, case.dag_run, "wait", map_index=index)
        assert (result["id"], result["status"]) == (run_id, "completed")


@pytest.mark.parametrize("row", BY_THEMSELVES)
@both_modes
def test_what_a_task_has_started_ends_with_it(rows: Cases, row: str, mode: str) -> None:
    case = rows[f"{row}_{mode}"]
    expected, _ = TABLE[row]

    assert case.until_over() == ("success" if expected == "success" else "failed"), case.log()

    assert_total(case, row)
    assert case.task()["try_number"] == 1
    assert case.was_deferred() == (mode == "deferred")
    if "timeout" in row and row != "dagrun_timeout":
        assert "it was then cancelled and ended 'cancelled'" in case.log()


@both_modes
def test_the_run_and_its_ids_are_in_xcoms(rows: Cases, mode: str) -> None:
    case = rows[f"completes_{mode}"]
    assert case.until_over() == "success", case.log()
    (run_id,) = case.runs()
    run = case.server.run(run_id)

    def xcom(key: str) -> object:
        return case.airflow.xcom(case.dag_id, case.dag_run, "wait", key=key)

    result = case.airflow.xcom(case.dag_id, case.dag_run, "wait")
    assert (result["id"], result["status"]) == (run_id, "completed")
    assert (xcom("run_id"), xcom("thread_id")) == (run_id, run["thread_id"])
    assert xcom("usage") == run["usage"]
    assert run["instructions"] == f"You are in {case.dag_run}."
    assert "instructions" not in result


def test_nothing_is_started_or_cancelled_afterwards(
    ended: Cases, killed: Cases, slow_starts: Cases
) -> None:
    for name, case in {**ended, **killed, **slow_starts}.items():
        if name != "mapped":
            assert case.total() == TABLE[name.rpartition("_")[0]], name
