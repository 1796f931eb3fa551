"""Start a run in plain Python, and cancel it if the task fails, times out or is killed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, task

with DAG(
    "example_guarded_task",
    schedule=None,
    params={"assistant_id": Param("asst_demo", type="string", title="Assistant")},
    tags=["runs", "example"],
    doc_md=__doc__,
) as dag:

    @task(execution_timeout=timedelta(minutes=10))
    def work_with_the_run(params: dict[str, str]) -> Any:
        """Start a run, wait for it, and never leave it alone."""
        from airflow_provider_runs.hooks import RunsHook

        # The embedded server takes the run's length from here; a real one ignores it.
        body = {"assistant_id": params["assistant_id"], "metadata": {"runs_for": "15"}}
        with RunsHook("runs_default") as hook, hook.run(body) as run:
            ended = hook.wait_for_run(run.id, run.thread_id, timeout=3600, poll_interval=5)
            return hook.get_output(ended)

    work_with_the_run()
