"""Cancel a run that takes too long: the sensor waits, and cancels when its time is up."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_provider_runs.sensors import RunStatusSensor

with DAG(
    "example_time_limit",
    schedule=None,
    params={
        "run_id": Param("run_…", type="string"),
        "thread_id": Param("thread_…", type="string"),
    },
    tags=["runs", "example"],
    doc_md=__doc__,
) as dag:
    RunStatusSensor(
        task_id="wait_for_result",
        run_id="{{ params.run_id }}",
        thread_id="{{ params.thread_id }}",
        timeout=20 * 60,
        on_timeout="cancel",
        # A person who marks the task failed, or clears it, does not want the run either.
        cancel_on_kill=True,
        deferrable=True,
    )
