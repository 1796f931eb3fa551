"""The demo's second act: a whole Airflow runs tasks that start runs, and one loses its worker.

What is printed here is what Airflow's API says of the tasks, and the server of the runs.
"""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import httpx
import psutil

from dev.airflow_log import why_of_task
from dev.demo_stage import print_failure, print_why
from dev.local_airflow import LocalAirflow, LocalAirflowError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dev.demo_stage import Stage, Starts

ROOT = Path(__file__).resolve().parents[1]
TASK = "ask"
#: Seconds until all must have ended; about thirty, more on a busy machine.
LONGEST = 240.0
#: The states of a task that are told; it is in the others for moments.
TOLD = frozenset({"running", "deferred", "up_for_retry", "success", "failed"})
OVER = frozenset({"success", "failed"})


class Outcome(NamedTuple):
    """What became of a task and of its runs.

    :param state: of the task.
    :param tries: how many it has had.
    :param runs: how many runs the server has that the task has started.
    :param status: of the last of them.
    :param cancels: how many cancels took effect; ``None`` if the server cannot tell.
    """

    state: str
    tries: int
    runs: int
    status: str
    cancels: int | None


@dataclass
class Case:
    """A task that starts a run.

    :param airflow: runs it.
    :param dag_id: its DAG.
    :param dag_run: the DAG run.
    :param expected: what should become of it.
    """

    airflow: LocalAirflow
    dag_id: str
    dag_run: str
    expected: Outcome
    told: tuple[str, int] = ("", 0)

    @property
    def key(self) -> str:
        """What names the task in the metadata of its runs."""
        return f"{self.dag_id}/{self.dag_run}/{TASK}"

    def state(self) -> tuple[str, int, int | None]:
        """Return the task's state, the number of its try, and its process."""
        instance = self.airflow.task_instances(self.dag_id, self.dag_run).get(TASK, {})
        return instance.get("state") or "", instance.get("try_number", 0), instance.get("pid")

    def is_over(self) -> bool:
        """Return whether the DAG run has ended, or the task waits for a try that nobody expects."""
        state, number, _ = self.state()
        if state == "up_for_retry" and number >= self.expected.tries:
            return True
        return self.airflow.dag_run(self.dag_id, self.dag_run)["state"] in OVER

    def outcome(self, starts: Starts) -> Outcome:
        """Return what has become of it."""
        state, tries, _ = self.state()
        runs = starts.runs_of(self.key)
        counts = [starts.cancels_of(run_id) for run_id in runs]
        known = [count for count in counts if count is not None]
        cancels = sum(known) if len(known) == len(counts) else None
        return Outcome(state, tries, len(runs), ["none", *runs.values()][-1], cancels)


class Clock:
    """Prints what happens, and when."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def tell(self, what: str) -> None:
        """Print it, with the seconds since the act has begun."""
        print(f"{time.monotonic() - self._begun:6.1f} s  {what}", flush=True)


def start_runs(stage: Stage, home: Path) -> int:
    """Start runs, print what happens to them, and a table; return 0 if all is as it should be."""
    if not stage.starts or not stage.hold_back:
        return 0
    print("\nStarting a whole Airflow …\n", flush=True)
    folders = [ROOT / "example_dags", ROOT / "dev" / "demo_dags"]
    env = {f"AIRFLOW_CONN_{stage.conn_id.upper()}": stage.connection}
    try:
        with LocalAirflow(home, folders, env) as airflow:
            # The first call of a worker has the server build that API, which takes its time.
            httpx.get(f"{airflow.base_url}/execution/health", timeout=120, trust_env=False)
            return play(stage, stage.starts, stage.hold_back, airflow)
    except (LocalAirflowError, TimeoutError) as error:
        print_failure("The whole Airflow failed", str(error).splitlines())
        return 1


def play(stage: Stage, starts: Starts, hold_back: Callable[[], None], airflow: LocalAirflow) -> int:
    """Play the act on an Airflow that runs."""
    clock = Clock()

    def begin(dag_id: str, *expected: str | int, **conf: str) -> Case:
        state, tries, status, cancels = expected
        outcome = Outcome(str(state), int(tries), 1, str(status), int(cancels))
        dag_run = airflow.trigger(dag_id, {**stage.conf, **conf})
        clock.tell(f"{dag_id} is triggered")
        return Case(airflow, dag_id, dag_run, outcome)

    hold_back()
    killed = begin("demo_worker_dies", "success", 2, "completed", 0, conn_id=stage.conn_id)
    kill_worker(killed, starts, clock)
    example = begin(stage.start_dag, "success", 1, "completed", 0)
    slow = begin("demo_takes_too_long", "failed", 1, "cancelled", 1, conn_id=stage.conn_id)
    cases = [example, slow, killed]
    follow(cases, clock)
    outcomes = {case.dag_id: case.outcome(starts) for case in cases}
    print_table(outcomes)
    print()
    print_what_was_found(killed)
    if example.state()[0] == "success":
        answer = airflow.xcom(example.dag_id, example.dag_run, "use")
        print(f"The task after {example.dag_id}.{TASK} got the answer: {answer}")
    checks = [check(case, outcomes[case.dag_id]) for case in cases]
    if all(checks):
        return 0
    print("\nThe demo failed.")
    return 1


def kill_worker(case: Case, starts: Starts, clock: Clock) -> None:
    """Kill the process of a task whose run is there, but whose start was not answered yet."""

    def begun() -> bool:
        tell_state(case, clock)
        return bool(starts.runs_of(case.key)) or case.state()[0] in {*OVER, "up_for_retry"}

    case.airflow.wait_until(begun, timeout=LONGEST, waiting_for=lambda: f"a run of {case.key}")
    state, _, pid = case.state()
    for run_id in starts.runs_of(case.key):
        clock.tell(f"The server has started run {run_id!r}, and holds back its answer")
    if state == "running" and pid in case.airflow.pids():
        process = psutil.Process(pid)
        process.send_signal(signal.SIGKILL)
        clock.tell(f"{case.dag_id}: its process {pid} is killed")


def follow(cases: list[Case], clock: Clock) -> None:
    """Wait until all have ended, and tell what happens."""

    def over() -> bool:
        for case in cases:
            tell_state(case, clock)
        return all(case.is_over() for case in cases)

    try:
        cases[0].airflow.wait_until(over, timeout=LONGEST, waiting_for=lambda: "the end of all")
    except TimeoutError as error:
        clock.tell(str(error))
    over()


def tell_state(case: Case, clock: Clock) -> None:
    """Tell the state of a task, if that is news."""
    state, number, _ = case.state()
    if state in TOLD and (state, number) != case.told:
        case.told = state, number
        clock.tell(f"{case.dag_id}: {state}, try {number}")


def print_table(outcomes: dict[str, Outcome]) -> None:
    """Print what became of each task and of its runs."""
    wide = max(map(len, outcomes)) + len(TASK) + 1
    print(f"\n{'task':{wide}} {'state':12} tries  runs started  {'run is':10} cancels")
    for dag_id, (state, tries, runs, status, cancels) in outcomes.items():
        task = f"{dag_id}.{TASK}"
        counted = "-" if cancels is None else cancels
        print(f"{task:{wide}} {state:12} {tries:5}  {runs:12}  {status:10} {counted:>7}")


def print_what_was_found(case: Case) -> None:
    """Print what the last try of a task says of the run that an earlier one has started."""
    _, tries, _ = case.state()
    if tries > 1:
        for entry in case.airflow.log_entries(case.dag_id, case.dag_run, TASK, tries):
            if isinstance(entry, dict) and "is there already" in entry["event"]:
                print(f"Try {tries} of {case.dag_id}.{TASK} says: {entry['event']}")


def check(case: Case, outcome: Outcome) -> bool:
    """Return whether a case ended as it should; if not, print how it should have, and why not."""
    expected = case.expected
    if outcome.cancels is None:
        expected = expected._replace(cancels=None)
    dag_state = case.airflow.dag_run(case.dag_id, case.dag_run)["state"]
    if (outcome, dag_state) == (expected, expected.state):
        return True
    lines = [
        line
        for task_id, instance in case.airflow.task_instances(case.dag_id, case.dag_run).items()
        for number in range(1, instance["try_number"] + 1)
        for line in why_of_task(
            case.airflow.log_entries(case.dag_id, case.dag_run, task_id, number)
        )
    ]
    wanted = ", ".join(f"{name}: {value}" for name, value in expected._asdict().items())
    print_why(f"{case.dag_id}.{TASK} should have ended with {wanted}", lines)
    return False
