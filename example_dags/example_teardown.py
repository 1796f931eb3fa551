"""Cancel what is still active when the tasks between are through, in whatever way they ended.

Airflow runs no teardown after ``dagrun_timeout``, nor one whose only setup has failed.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_provider_runs.operators import CancelRunOperator, StartRunOperator
from airflow_provider_runs.sensors import RunStatusSensor

with DAG(
    "example_teardown",
    schedule=None,
    params={"assistant_id": Param("asst_demo", type="string", title="Assistant")},
    tags=["runs", "example"],
    doc_md=__doc__,
) as dag:
    start = StartRunOperator(
        task_id="start_run",
        body={
            "assistant_id": "{{ params.assistant_id }}",
            # The embedded server takes the run's length from here; a real one ignores it.
            "metadata": {"runs_for": "600"},
        },
        wait_for_termination=False,
    )
    wait = RunStatusSensor(
        task_id="wait_for_result",
        run_id=start.output["run_id"],
        thread_id=start.output["thread_id"],
        timeout=60,
        poke_interval=5,
        deferrable=True,
    )
    stop = CancelRunOperator(
        task_id="stop_run",
        run_id=start.output["run_id"],
        thread_id=start.output["thread_id"],
        poll_interval=2,
        on_missing="succeed",  # the service may have deleted the run already
    ).as_teardown(setups=start)
    start >> wait >> stop
