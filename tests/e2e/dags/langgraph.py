"""DAGs for runs of a LangGraph Agent Server; which ones, the tests say in the DAG run's conf."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider_runs.operators import CancelRunOperator
from airflow_provider_runs.sensors import RunStatusSensor

RUN = {
    "conn_id": "runs_langgraph_default",
    "run_id": "{{ dag_run.conf['run_id'] }}",
    "thread_id": "{{ dag_run.conf['thread_id'] }}",
    "deferrable": True,
}

with DAG("langgraph_cancel", schedule=None):
    CancelRunOperator(task_id="cancel", **RUN, poll_interval=1, timeout=300)

with DAG("langgraph_wait", schedule=None):
    RunStatusSensor(
        task_id="wait", **RUN, expected_statuses=["completed"], poke_interval=1, timeout=300
    )

with DAG("langgraph_timeout", schedule=None):
    RunStatusSensor(task_id="wait", **RUN, poke_interval=1, timeout=8, on_timeout="cancel")

with DAG("langgraph_kill", schedule=None):
    RunStatusSensor(task_id="wait", **RUN, poke_interval=1, timeout=600, cancel_on_kill=True)
