"""Cancel runs of a LangGraph Agent Server: interrupt one, and roll another one back.

It needs a connection ``runs_langgraph_default`` of type "Runs: LangGraph Agent Server", and a graph
that is at work for longer than a task takes to start; trigger it with the graph's name, or with the
id of an assistant.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_provider_runs.operators import CancelRunOperator, StartRunOperator

CONN_ID = "runs_langgraph_default"
#: A run that takes minutes: the graphs of `make demo` take that from here, others ignore it.
LONG_RUN = {
    "assistant_id": "{{ params.assistant_id }}",
    "input": {
        "messages": [{"role": "user", "content": "Count to a million, one number a line."}],
        "seconds": 600,
    },
}

with DAG(
    "example_langgraph",
    schedule=None,
    params={"assistant_id": Param("agent", type="string", title="Graph or assistant")},
    tags=["runs", "example"],
    doc_md=__doc__,
) as dag:
    # Stops the run and keeps what it has done so far. A server that shows it as interrupted at
    # once leaves nothing to wait for; otherwise the task waits without a worker slot.
    start = StartRunOperator(
        task_id="start_run", conn_id=CONN_ID, body=LONG_RUN, wait_for_termination=False
    )
    CancelRunOperator(
        task_id="cancel_run",
        conn_id=CONN_ID,
        run_id=start.output["run_id"],
        thread_id=start.output["thread_id"],
        poll_interval=2,
        timeout=300,
        deferrable=True,
    )

    # Also deletes the run and what it did to its thread: the server then knows no such run.
    other = StartRunOperator(
        task_id="start_other_run", conn_id=CONN_ID, body=LONG_RUN, wait_for_termination=False
    )
    CancelRunOperator(
        task_id="roll_back_run",
        conn_id=CONN_ID,
        run_id=other.output["run_id"],
        thread_id=other.output["thread_id"],
        cancel_action="rollback",
        on_missing="succeed",  # a second try finds it gone, which is what was asked for
        poll_interval=2,
        timeout=300,
        deferrable=True,
    )
