"""Cancel a long run and wait, deferred, until it has really ended.

It needs a connection ``runs_default`` of type "Runs: OpenAI Assistants and compatible". Against
the embedded server (``make airflow``, ``make demo``) it runs as it is; against a real one, trigger
it with the id of an assistant that exists there.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_provider_runs.operators import CancelRunOperator, StartRunOperator
from airflow_provider_runs.sensors import RunStatusSensor

#: A run that takes minutes: the embedded server takes that from here, a real one ignores it.
LONG_RUN = {
    "assistant_id": "{{ params.assistant_id }}",
    "additional_messages": [
        {"role": "user", "content": "Count to a million, one number a line."},
    ],
    "metadata": {"runs_for": "600"},
}

with DAG(
    "example_cancel_run",
    schedule=None,
    params={"assistant_id": Param("asst_demo", type="string", title="Assistant")},
    tags=["runs", "example"],
    doc_md=__doc__,
) as dag:
    # One task that cancels and waits. While it waits it takes no worker slot.
    start = StartRunOperator(task_id="start_run", body=LONG_RUN, wait_for_termination=False)
    CancelRunOperator(
        task_id="cancel_run",
        run_id=start.output["run_id"],
        thread_id=start.output["thread_id"],
        poll_interval=2,
        timeout=300,
        deferrable=True,
    )

    # The same in two tasks: one asks for the cancel, a sensor waits for the end.
    other = StartRunOperator(task_id="start_other_run", body=LONG_RUN, wait_for_termination=False)
    ask = CancelRunOperator(
        task_id="ask_to_cancel",
        run_id=other.output["run_id"],
        thread_id=other.output["thread_id"],
        wait_for_termination=False,
    )
    ask >> RunStatusSensor(
        task_id="wait_until_ended",
        run_id=other.output["run_id"],
        thread_id=other.output["thread_id"],
        expected_statuses=["cancelled"],
        poke_interval=2,
        timeout=300,
        deferrable=True,
    )
