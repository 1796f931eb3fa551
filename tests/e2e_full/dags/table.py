"""The DAGs of the table: one for each way a task can end and each way its sensor can wait.

Which run they are about, the tests say in the DAG run's conf; where a new try needs a new run, the
task ``start`` starts it.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, AsyncCallback, DeadlineAlert, DeadlineReference, task
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_runs.notifications import CancelRunNotifier
from airflow_provider_runs.operators import CancelRunOperator, CleanupRunsOperator
from airflow_provider_runs.sensors import RunStatusSensor

IDS = {
    "run_id": "{{ dag_run.conf['run_id'] }}",
    "thread_id": "{{ dag_run.conf['thread_id'] }}",
}
MODES = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferred": {"deferrable": True},
}
#: What all sensors have in common.
WAIT = {
    "task_id": "wait",
    "timeout": 900,
    "on_timeout": "cancel",
    "expected_statuses": ["completed"],
}


@task
def start() -> dict[str, str]:
    """Start a run that goes on until somebody ends it."""
    from airflow_provider_runs.hooks import RunsHook

    with RunsHook() as hook:
        http = hook.get_conn()
        thread = http.post("/threads", json={}).raise_for_status().json()
        run = http.post(
            f"/threads/{thread['id']}/runs",
            json={"assistant_id": "asst_any", "metadata": {"runs_for": "inf"}},
        )
        return {"run_id": run.raise_for_status().json()["id"], "thread_id": thread["id"]}


@task(task_id="start")
def fail_to_start() -> dict[str, str]:
    """Fail before there is a run."""
    raise AirflowFailException("no run could be started")


@task
def work() -> None:
    """Fail, as the task between a setup and its teardown."""
    raise AirflowFailException("the work has failed")


def wait(**parameters: object) -> RunStatusSensor:
    """Return a sensor with what all have in common, unless a row says otherwise."""
    rescheduled = parameters.get("mode") == "reschedule" and not parameters.get("cancel_on_kill")
    # Longer than a busy scheduler takes to see a task off: it fails one that comes back before.
    pause = 6 if rescheduled else 1
    return RunStatusSensor(**{**WAIT, "poke_interval": pause, **parameters})


def started_ids() -> dict[str, object]:
    """Return the ids of the run that a task `start` starts."""
    run = start()
    return {"run_id": run["run_id"], "thread_id": run["thread_id"]}


for name, mode in MODES.items():
    with DAG(f"ends_{name}", schedule=None):
        # With cancel_on_kill, `reschedule` would not be waited in: it is a mode of its own here.
        wait(**IDS, **mode, cancel_on_kill=name != "reschedule")

    with DAG(f"timeout_{name}", schedule=None):
        wait(**IDS, **mode, timeout=12)

    with DAG(f"execution_timeout_{name}", schedule=None):
        wait(**IDS, **mode, execution_timeout=timedelta(seconds=12))

    with DAG(f"failed_{name}", schedule=None):
        wait(**IDS, **mode, cancel_on_kill=True)

    with DAG(f"cleared_{name}", schedule=None):
        wait(**started_ids(), **mode, cancel_on_kill=True)

    with DAG(f"dagrun_timeout_{name}", schedule=None, dagrun_timeout=timedelta(seconds=100)):
        wait(**IDS, **mode, cancel_on_kill=True)

    with DAG(f"worker_killed_{name}", schedule=None):
        wait(**IDS, **mode, retries=1, retry_delay=timedelta(seconds=1))

    with DAG(f"killed_for_good_{name}", schedule=None):
        wait(**IDS, **mode, cancel_on_kill=name != "reschedule")

    with DAG(f"server_down_{name}", schedule=None):
        wait(**IDS, **mode, conn_id="runs_outage")

    with DAG(f"lost_cancel_{name}", schedule=None):
        # Longer than it takes until a cancel that was accepted counts as lost.
        wait(**IDS, **mode, conn_id="runs_lossy", timeout=12, cancel_timeout=150)

for name in ("poke", "deferred"):
    mode = MODES[name]
    with DAG(
        f"deadline_{name}",
        schedule=None,
        deadline=DeadlineAlert(
            reference=DeadlineReference.DAGRUN_QUEUED_AT,
            interval=timedelta(seconds=90),
            callback=AsyncCallback(CancelRunNotifier, kwargs=IDS),
        ),
    ):
        wait(**IDS, **mode)

    with DAG(f"teardown_{name}", schedule=None):
        run = start()
        ids = {"run_id": run["run_id"], "thread_id": run["thread_id"]}
        stop = CancelRunOperator(
            task_id="stop",
            **ids,
            poll_interval=1,
            timeout=60,
            on_missing="succeed",
            deferrable=name == "deferred",
        ).as_teardown(setups=run)
        run >> work() >> wait(**ids, **mode) >> stop

with DAG("execution_timeout_kills", schedule=None):
    wait(**IDS, execution_timeout=timedelta(seconds=12), cancel_on_kill=True)

# A teardown whose only setup has failed is not run: here it has none, and runs in any case.
for name in ("setup", "no_setup"):
    with DAG(f"never_started_{name}", schedule=None):
        run = fail_to_start()
        ids = {"run_id": run["run_id"], "thread_id": run["thread_id"]}
        stop = CancelRunOperator(task_id="stop", **ids, on_missing="succeed")
        stop = stop.as_teardown(setups=run if name == "setup" else None)
        run >> wait(**ids) >> stop

with DAG("killed_with_teardown", schedule=None):
    run = start()
    ids = {"run_id": run["run_id"], "thread_id": run["thread_id"]}
    stop = CancelRunOperator(task_id="stop", **ids, poll_interval=1).as_teardown(setups=run)
    run >> wait(**ids) >> stop

with DAG("triggerer", schedule=None):
    wait(**IDS, deferrable=True, cancel_on_kill=True)

with DAG("sweep", schedule=None):
    CleanupRunsOperator(
        task_id="sweep",
        thread_ids=["{{ dag_run.conf['thread_id'] }}"],
        poll_interval=1,
        timeout=60,
    )
