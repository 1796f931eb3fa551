"""A DAG whose tasks meet a server that echoes their key, and one that leaves a text of its own."""

from __future__ import annotations

import logging

from airflow.sdk import DAG, task

from airflow_provider_runs.notifications import CancelRunNotifier
from airflow_provider_runs.operators import CancelRunOperator
from airflow_provider_runs.sensors import RunStatusSensor

NAME = "{{ dag_run.conf['name'] }}"


def echoed(place: str) -> dict[str, str]:
    """Return the run of a place, and the connection to the server that echoes."""
    return {
        "run_id": f"run_{place}_{NAME}",
        "thread_id": f"thread_{NAME}",
        "conn_id": f"echo_{NAME}",
    }


with DAG("odd_keys", schedule=None):
    CancelRunOperator(
        task_id="cancelled",
        run_id="{{ dag_run.conf['run_id'] }}",
        thread_id="{{ dag_run.conf['thread_id'] }}",
        conn_id=f"odd_{NAME}",
        poll_interval=1,
        timeout=120,
        deferrable=False,
    )
    CancelRunOperator(
        task_id="refused",
        **echoed("refused"),
        wait_for_termination=False,
        on_failure_callback=CancelRunNotifier(**echoed("notified")),
    )
    CancelRunOperator(
        task_id="refused_later", **echoed("refused"), poll_interval=1, timeout=12, deferrable=True
    )
    RunStatusSensor(
        task_id="deferred",
        **echoed("deferred"),
        poke_interval=1,
        timeout=300,
        missing_grace=0,
        deferrable=True,
    )
    RunStatusSensor(
        task_id="rescheduled",
        **echoed("rescheduled"),
        poke_interval=1,
        timeout=300,
        mode="reschedule",
        missing_grace=0,
    )
    RunStatusSensor(task_id="denied", **echoed("denied"), poke_interval=1, timeout=300)

with DAG("odd_text", schedule=None):

    @task
    def show(dag_run=None) -> str:
        """Return a text, and log it in its spellings."""
        text = dag_run.conf["text"]
        logging.getLogger(__name__).warning("as it is %s, and in Python %r", text, text)
        return text

    show()
