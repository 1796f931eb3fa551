"""Sweep up every quarter of an hour what no task watches any more.

Nothing tells a DAG when its worker dies without retries left. This catches what remains: runs on
the threads named in the Variable ``runs_threads`` (a JSON list) that began more than an hour ago.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, task

from airflow_provider_runs.operators import CleanupRunsOperator

with DAG(
    "example_sweep",
    schedule=timedelta(minutes=15),
    catchup=False,
    max_active_runs=1,
    tags=["runs", "example"],
    doc_md=__doc__,
) as dag:

    @task
    def threads() -> list[str]:
        """Read the threads to sweep."""
        from airflow.sdk import Variable

        return Variable.get("runs_threads", default=[], deserialize_json=True)

    CleanupRunsOperator(
        task_id="sweep",
        thread_ids=threads(),
        older_than=timedelta(hours=1),
        on_error="warn",
        deferrable=True,
    )
