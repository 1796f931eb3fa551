"""What the demo shows besides the examples: a run that takes too long, and a worker that dies.

A server takes the run's length from its own part of the body: the embedded one from ``metadata``,
the graphs of dev/agents from ``input``.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param

from airflow_provider_runs.operators import StartRunOperator

PARAMS = {
    "assistant_id": Param("asst_demo", type="string"),
    "conn_id": Param("runs_default", type="string"),
}


def ask(seconds: int, **kwargs: Any) -> None:
    """Start a run, and wait for it in the triggerer.

    :param seconds: how long the run works.
    :param kwargs: other parameters of the operator.
    """
    body = {
        "assistant_id": "{{ params.assistant_id }}",
        "input": {"seconds": seconds},
        "metadata": {"runs_for": str(seconds)},
    }
    conn_id = "{{ params.conn_id }}"
    StartRunOperator(task_id="ask", conn_id=conn_id, body=body, deferrable=True, **kwargs)


with DAG("demo_takes_too_long", schedule=None, params=PARAMS):
    ask(600, timeout=10)

with DAG("demo_worker_dies", schedule=None, params=PARAMS):
    ask(15, timeout=300, retries=1, retry_delay=timedelta(seconds=3))
