"""Cancel runs of a LangGraph Agent Server: interrupt one, and roll another one back.

It needs a connection ``runs_langgraph_default`` of type "Runs: LangGraph Agent Server", and a graph
that is at work for longer than a task takes to start; trigger it with the graph's name, or with the
id of an assistant.
"""

from __future__ import annotations

import time

from airflow.sdk import DAG, Param, task

from airflow_provider_runs.operators import CancelRunOperator

CONN_ID = "runs_langgraph_default"

with DAG(
    "example_langgraph",
    schedule=None,
    params={"assistant_id": Param("agent", type="string", title="Graph or assistant")},
    tags=["runs", "example"],
    doc_md=__doc__,
) as dag:

    @task
    def start_run(params: dict[str, str]) -> dict[str, str]:
        """Start a run that takes minutes. LangGraph's SDK would do too; this is plain HTTP."""
        from airflow_provider_runs.hooks import RunsHook

        with RunsHook(CONN_ID) as hook:
            http = hook.get_conn()
            thread = http.post("/threads", json={}).raise_for_status().json()
            message = {"role": "user", "content": "Count to a million, one number a line."}
            answer = http.post(
                f"/threads/{thread['thread_id']}/runs",
                json={
                    "assistant_id": params["assistant_id"],
                    # The graphs of `make demo` take their length from here; others ignore it.
                    "input": {"messages": [message], "seconds": 600},
                },
            )
            ids = {
                "thread_id": thread["thread_id"],
                "run_id": answer.raise_for_status().json()["run_id"],
            }
            run = hook.get_run(**ids)
            give_up = time.monotonic() + 30
            while run.status == "queued" and time.monotonic() < give_up:
                time.sleep(0.5)  # for there to be some work to cancel
                run = hook.get_run(**ids)
            print(f"Started run {run.id!r}: {run.status}")
            return ids

    # Stops the run and keeps what it has done so far. A server that shows it as interrupted at
    # once leaves nothing to wait for; otherwise the task waits without a worker slot.
    long_run = start_run()
    CancelRunOperator(
        task_id="cancel_run",
        conn_id=CONN_ID,
        run_id=long_run["run_id"],
        thread_id=long_run["thread_id"],
        poll_interval=2,
        timeout=300,
        deferrable=True,
    )

    # Also deletes the run and what it did to its thread: the server then knows no such run.
    other_run = start_run.override(task_id="start_other_run")()
    CancelRunOperator(
        task_id="roll_back_run",
        conn_id=CONN_ID,
        run_id=other_run["run_id"],
        thread_id=other_run["thread_id"],
        cancel_action="rollback",
        on_missing="succeed",  # a second try finds it gone, which is what was asked for
        poll_interval=2,
        timeout=300,
        deferrable=True,
    )
