"""Cancel what is still active when the tasks between are through, in whatever way they ended.

Airflow runs no teardown after ``dagrun_timeout``, nor one whose only setup has failed.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param, task

from airflow_provider_runs.operators import CancelRunOperator
from airflow_provider_runs.sensors import RunStatusSensor

with DAG(
    "example_teardown",
    schedule=None,
    params={"assistant_id": Param("asst_demo", type="string", title="Assistant")},
    tags=["runs", "example"],
    doc_md=__doc__,
) as dag:

    @task
    def start_run(params: dict[str, str]) -> dict[str, str]:
        """Start a run; any SDK would do."""
        from airflow_provider_runs.hooks import RunsHook

        with RunsHook("runs_default") as hook:
            http = hook.get_conn()
            thread = http.post("/threads", json={}).raise_for_status().json()
            body = {"assistant_id": params["assistant_id"], "metadata": {"runs_for": "600"}}
            run = http.post(f"/threads/{thread['id']}/runs", json=body).raise_for_status().json()
            return {"thread_id": thread["id"], "run_id": run["id"]}

    run = start_run()
    wait = RunStatusSensor(
        task_id="wait_for_result",
        run_id=run["run_id"],
        thread_id=run["thread_id"],
        timeout=60,
        poke_interval=5,
        deferrable=True,
    )
    stop = CancelRunOperator(
        task_id="stop_run",
        run_id=run["run_id"],
        thread_id=run["thread_id"],
        poll_interval=2,
        on_missing="succeed",  # the service may have deleted the run already
    ).as_teardown(setups=run)
    run >> wait >> stop
