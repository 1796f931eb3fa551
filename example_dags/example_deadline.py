"""Cancel a DAG's run when the DAG misses its deadline, although its tasks still wait.

The callback runs in the triggerer and knows no XComs, so the ids come from the DAG run's conf.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

# From Airflow 3.2 on also in `airflow.sdk` itself.
from airflow.sdk.definitions.deadline import AsyncCallback, DeadlineAlert, DeadlineReference

from airflow_provider_runs.notifications import CancelRunNotifier
from airflow_provider_runs.sensors import RunStatusSensor

IDS = {
    "run_id": "{{ dag_run.conf['run_id'] }}",
    "thread_id": "{{ dag_run.conf['thread_id'] }}",
}

with DAG(
    "example_deadline",
    schedule=None,
    deadline=DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(minutes=30),
        callback=AsyncCallback(CancelRunNotifier, kwargs=IDS),
    ),
    tags=["runs", "example"],
    doc_md=__doc__,
) as dag:
    RunStatusSensor(task_id="wait_for_result", **IDS, timeout=24 * 3600, deferrable=True)
