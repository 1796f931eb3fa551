"""Guard a run in plain Python: it is cancelled if the task fails, times out or is killed."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param, task

with DAG(
    "example_guarded_task",
    schedule=None,
    params={
        "run_id": Param("run_…", type="string"),
        "thread_id": Param("thread_…", type="string"),
    },
    tags=["runs", "example"],
    doc_md=__doc__,
) as dag:

    @task(execution_timeout=timedelta(minutes=10))
    def work_with_the_run(params: dict[str, str]) -> str:
        """Wait for a run, and never leave it alone."""
        from airflow_provider_runs.hooks import RunsHook

        ids = params["run_id"], params["thread_id"]
        with RunsHook("runs_default") as hook, hook.cancel_on_exit(*ids):
            return hook.wait_for_run(*ids, timeout=3600, poll_interval=5).status

    work_with_the_run()
