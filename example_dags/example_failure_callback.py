"""Cancel the runs of a thread when a task fails for good, wherever in the task it failed."""

from __future__ import annotations

from airflow.sdk import DAG, Param, task

from airflow_provider_runs.notifications import CancelRunNotifier

with DAG(
    "example_failure_callback",
    schedule=None,
    params={"thread_id": Param("thread_…", type="string")},
    tags=["runs", "example"],
    doc_md=__doc__,
) as dag:

    @task(on_failure_callback=CancelRunNotifier(thread_id="{{ params.thread_id }}"))
    def use_the_thread(params: dict[str, str]) -> None:
        """Stand for a task that starts runs on the thread, and fails."""
        raise RuntimeError(f"something broke while {params['thread_id']} had a run going")

    use_the_thread()
