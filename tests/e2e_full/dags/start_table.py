"""The DAGs of the table of starts: one for each way a task that starts a run can end.

What becomes of the run that a task starts is said in its metadata, which the run server reads, or
by the tests, which end it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from airflow_provider_runs.operators import StartRunOperator

MODES = {"poke": {"deferrable": False}, "deferred": {"deferrable": True}}
#: Whether tasks fetch what their runs have made. The run server has none of that.
OUTPUT = False
#: One retry, at once.
RETRY = {"retries": 1, "retry_delay": timedelta(seconds=1)}
LIMIT = timedelta(seconds=12)


def start(*, runs_for: str = "inf", cancelling_for: str = "3", **parameters: Any) -> dict[str, Any]:
    """Return the parameters of a task.

    :param runs_for: seconds until its run completes by itself.
    :param cancelling_for: seconds that it takes until a cancel has ended its run.
    :param parameters: what a row has that others have not.
    """
    body = {
        "assistant_id": "agent",
        "instructions": "You are in {{ run_id }}.",
        "metadata": {"runs_for": runs_for, "cancelling_for": cancelling_for},
    }
    common = {"task_id": "wait", "poll_interval": 1, "timeout": 900, "output": OUTPUT}
    return {**common, "body": body, **parameters}


for name, mode in MODES.items():
    with DAG(f"start_completes_{name}", schedule=None):
        StartRunOperator(**start(runs_for="20"), **mode)

    with DAG(f"start_waits_{name}", schedule=None):
        # It takes longer to cancel the run than to begin with the next try.
        StartRunOperator(**start(cancelling_for="10"), **mode)

    with DAG(f"start_retried_{name}", schedule=None):
        StartRunOperator(**start(), **mode, **RETRY)

    with DAG(f"start_held_{name}", schedule=None):
        StartRunOperator(**start(conn_id="runs_held"), **mode, **RETRY)

    with DAG(f"start_late_{name}", schedule=None):
        StartRunOperator(**start(conn_id="runs_late"), **mode, **RETRY)

    with DAG(f"start_langgraph_{name}", schedule=None):
        StartRunOperator(**start(conn_id="runs_agents"), **mode, **RETRY)

    with DAG(f"start_slow_{name}", schedule=None):
        StartRunOperator(**start(conn_id="runs_slow"), **mode)

    with DAG(f"start_timeout_during_start_{name}", schedule=None):
        # It is over before the server has answered.
        limit = timedelta(seconds=3)
        StartRunOperator(**start(conn_id="runs_slow"), **mode, execution_timeout=limit)

    with DAG(f"start_timeout_{name}", schedule=None):
        StartRunOperator(**start(timeout=LIMIT), **mode)

    with DAG(f"start_execution_timeout_{name}", schedule=None):
        # It takes longer to cancel the run than the task has left.
        StartRunOperator(**start(cancelling_for="8"), **mode, execution_timeout=LIMIT)

    with DAG(f"start_dagrun_timeout_{name}", schedule=None, dagrun_timeout=timedelta(seconds=100)):
        StartRunOperator(**start(), **mode)

with DAG("start_mapped", schedule=None):
    parameters = start(deferrable=True)
    body = parameters.pop("body")
    bodies = [{**body, "metadata": {"runs_for": "20", "of": str(number)}} for number in range(3)]
    StartRunOperator.partial(**parameters).expand(body=bodies)
