"""Cancel a run that takes too long: the sensor waits, and cancels when its time is up.

`StartRunOperator` has the same limit for its own run. This is for a run that another task starts,
with whatever SDK, and that may do its work while others do theirs.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_provider_runs.operators import StartRunOperator
from airflow_provider_runs.sensors import RunStatusSensor

with DAG(
    "example_time_limit",
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
            "metadata": {"runs_for": "25"},
        },
        wait_for_termination=False,
    )
    RunStatusSensor(
        task_id="wait_for_result",
        run_id=start.output["run_id"],
        thread_id=start.output["thread_id"],
        timeout=20 * 60,
        on_timeout="cancel",
        # A person who marks the task failed, or clears it, does not want the run either.
        cancel_on_kill=True,
        deferrable=True,
    )
