"""DAGs for the end-to-end tests; which runs they work on, the tests say in the DAG run's conf."""

from __future__ import annotations

from airflow.sdk import DAG, task

from airflow_provider_runs.operators import CancelRunOperator
from airflow_provider_runs.sensors import RunStatusSensor

IDS = {
    "run_id": "{{ dag_run.conf['run_id'] }}",
    "thread_id": "{{ dag_run.conf['thread_id'] }}",
}

with DAG("cancel_one", schedule=None):
    CancelRunOperator(task_id="cancel", **IDS, poll_interval=1, timeout=300, deferrable=True)

with DAG("cancel_stuck", schedule=None):
    CancelRunOperator(task_id="cancel", **IDS, poll_interval=1, timeout=12, deferrable=True)

with DAG("cancel_mapped", schedule=None):

    @task
    def run_ids(dag_run=None) -> list[str]:
        return dag_run.conf["run_ids"]

    CancelRunOperator.partial(
        task_id="cancel",
        thread_id="{{ dag_run.conf['thread_id'] }}",
        poll_interval=1,
        timeout=300,
        deferrable=True,
    ).expand(run_id=run_ids())

MODES = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferred": {"deferrable": True},
}
for name, mode in MODES.items():
    with DAG(f"wait_{name}", schedule=None):
        RunStatusSensor(task_id="wait", **IDS, poke_interval=2, timeout=300, **mode)

    with DAG(f"timeout_{name}", schedule=None):
        RunStatusSensor(
            task_id="wait", **IDS, poke_interval=1, timeout=8, on_timeout="cancel", **mode
        )

with DAG("kill_me", schedule=None):
    RunStatusSensor(
        task_id="wait", **IDS, poke_interval=1, timeout=600, cancel_on_kill=True, deferrable=True
    )
