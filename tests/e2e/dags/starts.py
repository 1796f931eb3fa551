"""DAGs for the end-to-end tests whose tasks start runs; the run server reads the metadata."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_runs.operators import StartRunOperator

#: Whether tasks fetch what their runs have made. The run server has none of that.
OUTPUT = False
START = {
    "task_id": "ask",
    "body": {
        "assistant_id": "asst_any",
        "metadata": {"runs_for": "20", "asked_by": "{{ run_id }}"},
    },
    "poll_interval": 1,
    "timeout": 300,
    "output": OUTPUT,
    "deferrable": True,
}

with DAG("start_deferred", schedule=None):
    StartRunOperator(**START)

with DAG("start_killed", schedule=None):
    StartRunOperator(**START, retries=1, retry_delay=timedelta(seconds=1))
