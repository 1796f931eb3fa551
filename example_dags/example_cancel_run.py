"""Cancel a long run and wait, deferred, until it has really ended.

It needs a connection ``runs_default`` of type "Runs: OpenAI Assistants and compatible". Against
the embedded server (``make airflow``, ``make demo``) it runs as it is; against a real one, trigger
it with the id of an assistant that exists there.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param, task

from airflow_provider_runs.operators import CancelRunOperator
from airflow_provider_runs.sensors import RunStatusSensor

with DAG(
    "example_cancel_run",
    schedule=None,
    params={"assistant_id": Param("asst_demo", type="string", title="Assistant")},
    tags=["runs", "example"],
    doc_md=__doc__,
) as dag:

    @task
    def start_run(params: dict[str, str]) -> dict[str, str]:
        """Start a run that takes minutes. Any SDK would do; this is plain HTTP."""
        from airflow_provider_runs.hooks import RunsHook

        with RunsHook("runs_default") as hook:
            http = hook.get_conn()
            message = {"role": "user", "content": "Count to a million, one number a line."}
            thread = http.post("/threads", json={"messages": [message]}).raise_for_status().json()
            answer = http.post(
                f"/threads/{thread['id']}/runs",
                # The embedded server takes the run's length from here; a real one ignores it.
                json={"assistant_id": params["assistant_id"], "metadata": {"runs_for": "600"}},
            )
            run = answer.raise_for_status().json()
            print(f"Started run {run['id']!r}: {run['status']}")
            return {"thread_id": thread["id"], "run_id": run["id"]}

    # One task that cancels and waits. While it waits it takes no worker slot.
    long_run = start_run()
    CancelRunOperator(
        task_id="cancel_run",
        run_id=long_run["run_id"],
        thread_id=long_run["thread_id"],
        poll_interval=2,
        timeout=300,
        deferrable=True,
    )

    # The same in two tasks: one asks for the cancel, a sensor waits for the end.
    other_run = start_run.override(task_id="start_other_run")()
    ask = CancelRunOperator(
        task_id="ask_to_cancel",
        run_id=other_run["run_id"],
        thread_id=other_run["thread_id"],
        wait_for_termination=False,
    )
    ask >> RunStatusSensor(
        task_id="wait_until_ended",
        run_id=other_run["run_id"],
        thread_id=other_run["thread_id"],
        expected_statuses=["cancelled"],
        poke_interval=2,
        timeout=300,
        deferrable=True,
    )
